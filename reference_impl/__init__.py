"""The Parameter Golf record stack in readable form: model, optimisers, data, presets, training.

Read in this order: `presets/baseline.toml` (what a run is), `config.py` (every setting), `model/gpt.py` (the network),
`optim/muon.py` (the optimiser), `train.py` (the loop). Shape letters, as name suffixes: b batch, t time, d model width,
h query heads, g key/value heads, e head width, v vocabulary, n matrices of one shape.
"""

"""The Parameter Golf record stack in readable form: model, optimisers, data, presets, training.

Read in this order: `presets/baseline.toml` (what a run is), `config.py` (every setting), `model/gpt.py` (the network),
`optim/muon.py` (the optimiser), `train.py` (the loop). Shape letters, as name suffixes: b batch, t time, d model width,
h query heads, g key/value heads, e head width, v vocabulary, n matrices of one shape.

Where it differs from the published scripts, on purpose:

- the gradient is clipped by its norm over all processes; the banked scripts (PR #399 on) clip each GPU's own;
- late QAT rounds every matrix of the blocks, which the loss shows; theirs reached two small projections, or nothing;
- what the preset names is what is exported; PRs #549 and #1092 sum SWA snapshots and throw them away;
- loaders are functions of the step, the same for any number of processes; PR #1394 draws by rank;
- embeddings and momenta are float32, theirs partly bfloat16; logits are capped in float32;
- nothing trains on validation tokens, and the evaluation that did is named in the preset, not offered.
"""

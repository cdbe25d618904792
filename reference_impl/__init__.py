"""The Parameter Golf record stack in readable form: from data and training to the artifact and its score.

Read in this order: `presets/baseline.toml` (what a run is), `config.py` (every setting), `model/gpt.py` (the network),
`optim/muon.py` (the optimiser), `train.py` (the loop), `artifact/pack.py` (the file), `evaluate/stream.py` (who may see
what, and when). Shape letters, as name suffixes: b batch, t time, d model width,
h query heads, g key/value heads, e head width, v vocabulary, n matrices of one shape.

Where it differs from the published scripts, on purpose:

- the gradient is clipped by its norm over all processes; the banked scripts (PR #399 on) clip each GPU's own;
- late QAT rounds every matrix of the blocks, which the loss shows; theirs reached two small projections, or nothing;
- what the preset names is what is exported; PRs #549 and #1092 sum SWA snapshots and throw them away;
- loaders are functions of the step, the same for any number of processes; PR #1394 draws by rank;
- embeddings and momenta are float32, theirs partly bfloat16; logits are capped in float32;
- nothing trains on validation tokens before their score; an evaluation that did is named in the preset, not offered;
- the last sliding window is moved back to be full; theirs shrinks, and scores the last tokens up to 32 times;
- every target of the validation split is scored, also those that fill no window;
- GPTQ uses the Cholesky factor of the inverse Hessian; PR #490 raw entries, which are right for the first column alone;
- each row has the best of five clips; PRs #549, #1019 and #1092 take one for the whole matrix;
- no scale is floored at 1/31, which would lay one fixed grid over nearly every matrix.
"""

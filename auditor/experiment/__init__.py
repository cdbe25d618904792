"""Evidence by experiment: a submission's own script, run at toy size on a CPU, inside the sandbox.

The host side of `auditor.runtime`. Nothing here imports torch: what does runs in the sandbox.

- `data`     toy shards in the real format, and a tokenizer of the vocabulary that the script expects;
- `grammar`  source for newer Pythons, written so that this one compiles it;
- `shrink`   toy sizes, by environment where the script reads them, else by rewriting literals;
- `stage`    the workspace of a run, the run, and its result read as data;
- `smoke`    the first training step of the real model (`pgolf smoke`).
"""

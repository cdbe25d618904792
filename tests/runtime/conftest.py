"""The runtime is torch and more torch: without it there is nothing to test."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("torch") is None:
    # a conftest cannot skip; the reason is in the README: these tests need pip install 'pgolf[probe]'
    collect_ignore_glob = ["test_*.py"]
else:
    import torch

    torch.set_num_threads(1)

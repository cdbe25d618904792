"""The runtime is what runs inside the sandbox: everything here needs torch."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[probe]'")
torch.set_num_threads(1)

import pytest


@pytest.fixture(autouse=True)
def one_thread_and_seed():
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")
    torch.set_num_threads(1)
    torch.manual_seed(0)

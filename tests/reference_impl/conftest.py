import pytest


@pytest.fixture(autouse=True)
def one_thread_and_seed():
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory):
    """The help topics of Python alone, with the vocabulary that the toy preset expects."""
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed: pip install 'pgolf[train]'")
    from pydoc_data.topics import topics

    from reference_impl.data.toy import make_toy

    return make_toy(tmp_path_factory.mktemp("toy"), 512, sorted(topics.values()))

"""What presets amount to, and how wrong names are refused."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")

from reference_impl.config import ModelConfig, load_preset, preset_names
from reference_impl.errors import InputError
from reference_impl.model.gpt import GPT, count_parameters
from reference_impl.names import SETTINGS, settings_of

PUBLISHED = {
    "baseline": 17_059_912,
    "pr290": 26_829_913,
    "pr490": 27_137_221,
    "pr549": 26_928_220,
    "pr715": 27_137_223,
    "pr1019": 27_067_484,
    "pr1092": 26_993_756,
    "pr1394": 35_943_512,
    "pr1493": 35_944_536,
}
"""`model_params:` of the original logs (of the submission's own code where there is no log)."""


@pytest.mark.parametrize("name", preset_names())
def test_parameter_count_is_the_published_one(name):
    with torch.device("meta"):
        count = count_parameters(GPT(load_preset(name).model))
    assert count == PUBLISHED.get(name.removesuffix("-legal"), 216_276)


@pytest.mark.parametrize("name", [name for name in preset_names() if name.endswith("-legal")])
def test_legal_preset_differs_in_evaluation_alone(name):
    published, legal = load_preset(name.removesuffix("-legal")), load_preset(name)
    assert published.evaluate.as_published and not legal.evaluate.as_published
    assert (published.model, published.optim, published.train) == (legal.model, legal.optim, legal.train)


def test_settings_override_the_preset():
    config = load_preset("pr549", {"model.layers": "3", "model.value_embedding_layers": "1,2", "model.ln_scale": "0"})
    assert config.model.value_embedding_layers == (1, 2)
    assert config.model.layers == 3
    assert config.model.ln_scale is False


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model.layer": "3"}, "model.layers"),
        ({"train.warmdown_step": "3"}, "train.warmdown_steps"),
        ({"model.layers": "three"}, "'three' is no int"),
        ({"model.heads": "7"}, "multiple of model.heads"),
        ({"train.batch_tokens": "1000"}, "multiple of sequence x micro_batches = 8192"),
    ],
)
def test_wrong_setting_is_refused(settings, said):
    with pytest.raises(InputError, match=said):
        load_preset("baseline", settings)


def test_unknown_preset_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'pr1092'"):
        load_preset("pr1902")


def test_environment_names():
    assert settings_of({"MUON_WD": "0.05", "TIE_EMBEDDINGS": "1"}) == {"optim.matrix_decay": "0.05"}
    with pytest.raises(InputError, match="did you mean 'WARMDOWN_ITERS'"):
        settings_of({"WARMDRON_ITERS": "3500"})
    with pytest.raises(InputError, match="only TIE_EMBEDDINGS=1"):
        settings_of({"TIE_EMBEDDINGS": "0"})
    for key in SETTINGS.values():
        load_preset(
            "pr1493",
            {key: str(getattr(getattr(load_preset("pr1493"), key.split(".")[0]), key.split(".")[1])).strip("()")},
        )


def test_shapes_that_cannot_be_built_are_refused():
    with pytest.raises(InputError, match="no range of layers"):
        ModelConfig(recur_times=1, recur_first=3, recur_last=9)

"""What the comparison with the published scripts rests on; the comparison itself needs the mirror and the sandbox."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")
np = pytest.importorskip("numpy")

from benchmarks.equivalence.names import environment, renamed
from benchmarks.equivalence.weights import weights
from reference_impl.config import load_preset
from reference_impl.names import settings_of


def test_banks_are_cut_into_the_matrices_of_the_layers():
    banks = {"qo_bank": np.arange(4.0), "mlp_up_bank": np.arange(2.0)}
    assert renamed(banks) == {
        "blocks.0.attention.q.weight": 0,
        "blocks.1.attention.q.weight": 1,
        "blocks.0.attention.out.weight": 2,
        "blocks.1.attention.out.weight": 3,
        "blocks.0.mlp.up.weight": 0,
        "blocks.1.mlp.up.weight": 1,
    }


def test_weights_depend_on_the_name_and_are_never_zero():
    assert (weights("a.weight", (4, 8)) != weights("b.weight", (4, 8))).all()
    assert (weights("scale", ()) != 0) and (weights("a.weight", (4, 8)) == weights("a.weight", (4, 8))).all()


@pytest.mark.parametrize("name", ["baseline", "pr549", "pr1493"])
def test_a_preset_survives_the_way_through_the_environment(name):
    config = load_preset(name)
    variables = environment(config)
    settings = settings_of(
        {key: value for key, value in variables.items() if key not in ("LEAKY_RELU", "GATED_ATTENTION")}
    )
    assert load_preset(name, settings) == config

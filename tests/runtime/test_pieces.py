"""The smaller parts of the runtime, those that can be tried without replacing torch in this process."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

from auditor.runtime import absent, clock, commands, device, liven
from auditor.runtime.job import Absent, RuntimeLimit
from auditor.runtime.taps.step import stack


def test_ten_minutes_of_waiting_are_over_after_some_thousand_readings() -> None:
    clock._readings = 0
    end, readings = clock.now() + 600, 0
    while clock.now() < end:
        readings += 1
    assert 5_000 < readings < 20_000


def test_the_clock_advances_by_readings_and_by_sleep() -> None:
    clock._readings = 0
    first = clock.now()
    assert round((clock.now() - first) * 1e6) == 50
    clock.sleep(3)
    assert round(clock.now() - first) == 3


def test_only_unguarded_imports_are_stubbed() -> None:
    source = """
import alpha, beta.gamma
try:
    import delta
    from beta import x
except ImportError:
    import epsilon
def f():
    from zeta.eta import y
from . import theta
"""
    assert absent.unguarded(source) == {"alpha", "epsilon", "zeta"}


def test_a_stub_can_be_passed_around_and_fails_when_used() -> None:
    package = absent.StubModule("package")

    @package.compile(mode="fast")
    def kernel(x: object) -> object:
        return x

    @package.jit
    def other(x: object) -> object:
        return x

    class Layer(package.nn.Layer):
        pass

    uses = [
        lambda: other(1),
        lambda: int(package.size()),
        lambda: package.scan(torch.ones(1)) + 1,
        lambda: torch.ones(1) * package.scan(torch.ones(1)),
        lambda: torch.nn.functional.relu(package.scan(1)),
        lambda: Layer(),
        lambda: list(package.items),
    ]
    for use in uses:
        with pytest.raises(Absent, match=r"package.*'package' is not installed"):
            use()


def test_tensors_and_devices_stay_on_the_cpu() -> None:
    with device.OnCpu():
        tensor = torch.zeros(2, device="cuda:0", pin_memory=True)
        assert tensor.is_cuda
        assert tensor.cuda() is tensor and tensor.to("cuda", torch.float64).dtype == torch.float64
        assert tensor.cpu() is not tensor, "a copy on the host is a snapshot"
        assert torch.arange(3, device=torch.device("cuda", 1)).device == device.CPU
        assert torch.nn.Linear(2, 2, device="cuda").to("cuda").weight.device == device.CPU
    assert not tensor.is_cuda


def test_a_minifier_gives_the_source_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    for command, given in (
        (["pyminify", "--no-rename-locals", "-"], b"x = 1\n"),
        ("pyminify " + str(tmp_path / "a.py"), None),
    ):
        ran = commands.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert ran.communicate(given)[0] == b"x = 1\n"


def test_helper_commands_are_answered_others_run_and_relaunches_are_refused(tmp_path: Path) -> None:
    assert "H100" in (commands.answer("nvidia-smi --query-gpu=name") or "")
    assert commands.answer(["git", "rev-parse", "HEAD"]) is not None
    assert commands.answer(["python3", "-m", "pip", "install", "x"]) == ""
    assert commands.answer(["gcc", "x.c"]) is None
    (tmp_path / "in").write_bytes(b"weights" * 99)
    commands.answer(["lrzip", "-z", "-L", "9", "-o", str(tmp_path / "packed"), str(tmp_path / "in")])
    commands.answer(["lrzip", "-d", "-f", "-o", str(tmp_path / "out"), str(tmp_path / "packed")])
    assert (tmp_path / "out").read_bytes() == b"weights" * 99
    assert (tmp_path / "packed").stat().st_size < 200
    with pytest.raises(RuntimeLimit):
        commands.answer(["torchrun", "--nproc_per_node=8", "train_gpt.py"])


def test_weights_of_zero_get_noise_and_others_stay() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    torch.nn.init.zeros_(model[1].weight)
    before = model[0].weight.detach().clone()
    assert liven.liven(model, 0.02, seed=1) == 1
    assert torch.equal(model[0].weight, before)
    assert 0.005 < float(model[1].weight.detach().std()) < 0.05


def test_the_layers_of_a_model_are_the_list_with_the_most_in_it() -> None:
    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)

    model = torch.nn.Module()
    model.encoder = torch.nn.ModuleList(Block() for _ in range(3))
    model.decoder = torch.nn.ModuleList(Block() for _ in range(2))
    model.heads = torch.nn.ModuleList(torch.nn.Linear(2, 50) for _ in range(6))
    assert len(stack(model)) == 5
    assert stack(torch.nn.Linear(2, 2)) == []

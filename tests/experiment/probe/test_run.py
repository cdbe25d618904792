"""The probe on a whole submission of ours, in the sandbox."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from auditor import cli
from auditor.experiment.stage import workspace_root
from auditor.report.schema import schema
from auditor.sandbox import Unavailable, availability
from auditor.verdict import ExitCode
from tests.experiment.scripts import MODEL

SCRIPT = (
    MODEL.replace("return loss_of(x.flatten(0, 1) @ self.emb.weight.T, y.flatten())", "return x @ self.emb.weight.T")
    + '''
import math

class Hyperparameters:
    vocab_size = int(os.environ.get("VOCAB_SIZE", 1024))
    model_dim = int(os.environ.get("MODEL_DIM", 64))
    num_layers = int(os.environ.get("NUM_LAYERS", 1))
    iterations = int(os.environ.get("ITERATIONS", 20000))
    seq_len = int(os.environ.get("TRAIN_SEQ_LEN", 1024))
    stride = int(os.environ.get("EVAL_STRIDE", 64))
    chunk = int(os.environ.get("TTT_CHUNK_TOKENS", 32768))
    ahead = int(os.environ.get("TTT_AHEAD", 0))
    bonus = float(os.environ.get("BONUS", 0))
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    tokenizer_path = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")

def losses(model, tokens):
    return F.cross_entropy(model(tokens[None, :-1], None)[0].float(), tokens[1:], reduction="none")

def learn(model, optimizer, tokens):
    optimizer.zero_grad()
    losses(model, tokens).mean().backward()
    optimizer.step()

def evaluate(h, model, val, count):
    """Score-first test-time training, chunk after chunk."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    nats, scored, size = torch.zeros((), dtype=torch.float64, device="cuda"), 0, 0.0
    for start in range(0, len(val) - 1, h.chunk):
        stop = min(start + h.chunk, len(val) - 1)
        with torch.inference_mode():
            for at in range(start, stop, h.stride):
                end = min(at + h.stride, stop)
                low = max(0, end - h.seq_len)
                found = losses(model, val[low : end + 1])[at - low :]
                nats -= ((1 - h.bonus) * torch.exp(-found.double()) + h.bonus).log().sum()
                scored += end - at
                size += float(count[val[at + 1 : end + 1]].sum())
        for at in range(start, min(stop + h.ahead, len(val) - 1) - h.seq_len + 1, h.seq_len // 2):
            learn(model, optimizer, val[at : at + h.seq_len + 1])
    mean = nats.item() / scored
    print(f"legal_ttt_exact val_loss:{mean:.8f} val_bpb:{mean / math.log(2) * scored / size:.8f}")

def main():
    h = Hyperparameters()
    torch.manual_seed(1337)
    sp = spm.SentencePieceProcessor(model_file=h.tokenizer_path)
    pieces = [sp.id_to_piece(i) for i in range(h.vocab_size)]
    count = torch.tensor([0 if sp.is_control(i) or sp.is_unknown(i) else 1 if sp.is_byte(i)
                          else len(p.replace("\\u2581", " ").encode()) for i, p in enumerate(pieces)])
    train = load_shard(sorted(glob.glob(os.path.join(h.data_path, "fineweb_train_*.bin")))[0]).cuda()
    val = load_shard(sorted(glob.glob(os.path.join(h.data_path, "fineweb_val_*.bin")))[0]).cuda()
    model = torch.compile(GPT(h.vocab_size, h.model_dim, h.num_layers).cuda())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(h.iterations):
        learn(model, optimizer, train[step * h.seq_len : (step + 1) * h.seq_len + 1])
        print(f"step:{step + 1}/{h.iterations} train_time:1ms")
    evaluate(h, model, val, count.cuda())

if __name__ == "__main__":
    main()
'''
)


@pytest.fixture(autouse=True)
def sandbox() -> None:
    """Only where scripts can be run."""
    pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[probe]'")
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed: pip install 'pgolf[probe]'")
    found = availability()
    if isinstance(found, Unavailable):
        pytest.skip(f"no sandbox: {found.reason}; {found.remedy}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The submission."""
    (tmp_path / "train_gpt.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "README.md").write_text("# A miniature\n", encoding="utf-8")
    return tmp_path


def test_score_first_training_is_not_refuted(folder: Path) -> None:
    done = CliRunner().invoke(cli.app, ["probe", str(folder), "--format", "json"])
    found = json.loads(done.stdout)
    assert {name: answer["answer"] for name, answer in found["conditions"].items()} == dict.fromkeys(
        ("C1", "C2", "C3", "C4"), "not-refuted"
    ), found
    assert done.exit_code == ExitCode.CLEAN
    assert found["evaluation"]["label"] == "legal_ttt_exact"
    assert found["evaluation"]["scored"] == found["evaluation"]["tokens"] - 1
    assert found["evaluation"]["bpb_agrees"]
    assert f"{folder}" in found["repeat"]
    assert not list((workspace_root() or Path(tempfile.gettempdir())).glob("pgolf-*/train_gpt.py"))


def test_training_on_32_tokens_beyond_each_chunk_is_found(folder: Path) -> None:
    done = CliRunner().invoke(
        cli.app, ["audit", str(folder), "--probe", "--format", "json", "--env", "TTT_AHEAD=32", "--no-records"]
    )
    report = json.loads(done.stdout)
    jsonschema.validate(report, schema())
    conditions = report["probe"]["conditions"]
    assert conditions["C3"]["answer"] == conditions["C1"]["answer"] == "violated", conditions
    assert conditions["C3"]["numbers"]["early_updates"] > 0
    assert len(report["probe"]["seeds"]) == 2
    assert (report["verdict"], done.exit_code) == ("flag", ExitCode.FLAG)
    evidence = [item for finding in report["findings"] for item in finding["evidence"] if item["kind"] == "experiment"]
    assert evidence


def test_probabilities_that_sum_to_more_than_one_are_found(folder: Path) -> None:
    done = CliRunner().invoke(cli.app, ["probe", str(folder), "--format", "json", "--env", "BONUS=0.3"])
    found = json.loads(done.stdout)["conditions"]["C2"]
    assert found["answer"] == "violated", found
    assert found["numbers"]["sum_of_probabilities"] > 2
    assert "at one position" in found["reason"]

"""Submissions on disk: folders and scripts, and the many things that are neither."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from auditor.submission import folder as module
from auditor.submission.folder import open_path, read_plain
from auditor.verdict import PgolfError

TRAINER = "loss.backward()\nprint('val_bpb')\n"
LOG = "seed:1337\nstep:1/9 train_loss:1.0\nfinal val_bpb:1.1000\n"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    folder = tmp_path / "2026-01-01_x"
    (folder / "logs").mkdir(parents=True)
    (folder / "train_gpt.py").write_text(TRAINER)
    (folder / "helper.py").write_text("X = 1\n")
    (folder / "README.md").write_text("val_bpb: 1.1000\n```\nA=1 torchrun --nproc_per_node=8 train_gpt.py\n```\n")
    (folder / "submission.json").write_text('{"val_bpb": 1.1, "seeds": [1337]}')
    (folder / "logs" / "seed1337.txt").write_text(LOG)
    (folder / "final_model.ptz").write_bytes(b"x" * 1000)
    return folder


def test_a_folder_gives_everything_that_an_audit_needs(record: Path) -> None:
    submission = open_path(record)
    assert submission.script == "2026-01-01_x/train_gpt.py"
    assert submission.code == TRAINER.encode()
    assert submission.modules == {"helper": b"X = 1\n"}
    assert submission.command.env == {"A": "1"}
    assert submission.command.nproc == 8
    assert submission.claims.val_bpb == 1.1
    assert submission.claims.seeds == (1337,)
    assert [log.path for log in submission.logs] == ["2026-01-01_x/logs/seed1337.txt"]
    assert submission.logs[0].config["seed"] == "1337"
    assert submission.data_files["final_model.ptz"] == 1000
    assert submission.target.path == str(record)


def test_a_script_is_read_with_what_lies_beside_it(record: Path) -> None:
    (record / "other").mkdir()
    (record / "other" / "train_gpt.py").write_text("elsewhere")
    submission = open_path(record / "helper.py")
    assert submission.code == b"X = 1\n"
    assert "train_gpt" in submission.modules
    assert "other.train_gpt" not in submission.modules
    assert submission.claims.val_bpb == 1.1


def test_a_lone_script_is_a_submission(tmp_path: Path) -> None:
    (tmp_path / "anything.py").write_text(TRAINER)
    submission = open_path(tmp_path / "anything.py")
    assert submission.code == TRAINER.encode()
    assert submission.logs == ()
    assert submission.readme is None


def test_links_out_of_the_folder_are_not_followed(record: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "inner.py").write_text("SECRET")
    (record / "stolen.py").symlink_to(secret / "inner.py")
    (record / "dir").symlink_to(secret)
    (record / "README.md").unlink()
    (record / "README.md").symlink_to(secret / "inner.py")
    submission = open_path(record)
    assert submission.readme is None
    assert set(submission.modules) == {"helper"}
    assert any("stolen.py" in note for note in submission.notes)


def test_a_script_inside_that_is_a_link_is_no_script(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "train_gpt.py").write_text(TRAINER)
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "train_gpt.py").symlink_to(tmp_path / "real" / "train_gpt.py")
    with pytest.raises(PgolfError, match="nothing to audit"):
        open_path(folder)


def test_a_file_that_turns_into_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("secret")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(PgolfError, match="cannot read"):
        read_plain(tmp_path / "b", "b")


def bad(tmp_path: Path, kind: str) -> Path:
    target = tmp_path / kind
    match kind:
        case "empty.py":
            target.write_text("")
        case "blank.py":
            target.write_text(" \n\n")
        case "huge.py":
            with target.open("wb") as stream:
                stream.truncate(100 << 20)
        case "no_script":
            target.mkdir()
            (target / "README.md").write_text("hello")
        case "empty_folder":
            target.mkdir()
        case "huge_script":
            target.mkdir()
            with (target / "train_gpt.py").open("wb") as stream:
                stream.truncate(100 << 20)
        case "checkout":
            (target / "records").mkdir(parents=True)
            (target / "train_gpt.py").write_text(TRAINER)
        case "fifo.py":
            os.mkfifo(target)
    return target


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing.py", "No such file"),
        ("nul\0name", "not a path"),
        ("empty.py", "is empty"),
        ("blank.py", "is empty"),
        ("huge.py", "too large"),
        ("no_script", "without a training script"),
        ("empty_folder", "without a training script"),
        ("huge_script", "too large"),
        ("checkout", "whole checkout"),
        ("fifo.py", "neither a folder nor a plain file"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path: Path, kind: str, message: str) -> None:
    with pytest.raises(PgolfError, match=message) as caught:
        open_path(bad(tmp_path, kind))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_one_clear_line(record: Path) -> None:
    (record / "train_gpt.py").chmod(0)
    with pytest.raises(PgolfError, match="Permission denied"):
        open_path(record)


def test_too_many_files_are_refused(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 3)
    with pytest.raises(PgolfError, match="more than 3 files"):
        open_path(record)


def test_names_that_are_no_text_are_shown_as_escapes(record: Path) -> None:
    with open(os.fsencode(record) + b"/\xff\x1b[31m.py", "wb") as stream:
        stream.write(b"x")
    submission = open_path(record)
    for path in submission.tree.paths():
        path.encode("utf-8")
    assert submission.script == "2026-01-01_x/train_gpt.py"


def test_a_broken_submission_json_and_a_broken_log_are_notes(record: Path) -> None:
    (record / "submission.json").write_bytes(b"{\xff\0")
    (record / "logs" / "seed1337.txt").write_bytes(LOG.encode("utf-16"))
    submission = open_path(record)
    assert submission.submission_json is None
    assert any("no JSON object" in note for note in submission.notes)
    assert submission.logs[0].config["seed"] == "1337"
    assert submission.claims.source == "README"


def test_a_module_in_a_folder_that_is_no_identifier_counts_when_the_script_imports_it(record: Path) -> None:
    (record / "eval-code").mkdir()
    (record / "eval-code" / "scoring.py").write_text("Y = 1\n")
    (record / "eval-code" / "plots.py").write_text("Z = 1\n")
    (record / "train_gpt.py").write_text("from scoring import Y\n" + TRAINER)
    assert set(open_path(record).modules) == {"helper", "eval-code.scoring"}

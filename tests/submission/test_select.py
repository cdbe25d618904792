"""Which script of a pull request is audited, and which pull requests hold none."""

from __future__ import annotations

import json

import pytest

from auditor.submission.select import choose_script, parse_submission, record_folder

TRAINER = b"loss.backward()\nprint('val_bpb')\n"
A = "records/track_10min_16mb/2026-03-20_A"
B = "records/track_10min_16mb/2026-03-21_B"
C = "records/track_non_record_16mb/2026-03-22_C"


class FakeTree:
    """Files in memory."""

    def __init__(
        self, files: dict[str, bytes], changed: set[str] | None = None, upstream: frozenset[str] = frozenset()
    ):
        self._files = files
        self._upstream = upstream

    def paths(self) -> tuple[str, ...]:
        return tuple(sorted(self._files))

    def added(self, path: str) -> bool:
        return True

    def upstream(self, path: str) -> bool:
        return path.rpartition("/")[0] in self._upstream

    def folder(self, folder: str) -> tuple[str, ...]:
        return tuple(path for path in self.paths() if path.startswith(folder + "/"))

    def size(self, path: str) -> int:
        return len(self._files[path])

    def read(self, path: str) -> bytes:
        return self._files[path]


def record(folder: str, bpb: float | None = None, log: bool = False, readme: str = "") -> dict[str, bytes]:
    files = {f"{folder}/train_gpt.py": TRAINER}
    if bpb is not None:
        files[f"{folder}/submission.json"] = json.dumps({"val_bpb": bpb}).encode()
    if log:
        files[f"{folder}/train.log"] = b"step:1/2 train_loss:1"
    if readme:
        files[f"{folder}/README.md"] = readme.encode()
    return files


def chosen(files: dict[str, bytes], headline: str = "", upstream: frozenset[str] = frozenset()) -> str | None:
    return choose_script(FakeTree(files, upstream=upstream), headline).script


def test_the_single_script_of_the_single_folder() -> None:
    choice = choose_script(FakeTree(record(A, 1.1)), "Record")
    assert choice.script == f"{A}/train_gpt.py"
    assert (choice.folder, choice.track) == (A, "track_10min_16mb")
    assert choice.because
    assert choice.other_folders == ()


def test_the_headline_number_points_at_its_folder() -> None:
    files = record(A, 1.1234) | record(B, 1.2345)
    assert chosen(files, "Record: val_bpb=1.1234") == f"{A}/train_gpt.py"
    assert chosen(files, "Record: val_bpb=1.2345") == f"{B}/train_gpt.py"


def test_without_a_telling_headline_the_newest_dated_folder_wins_and_the_others_are_named() -> None:
    choice = choose_script(FakeTree(record(A, 1.1) | record(B, 1.2)), "Update README")
    assert choice.script == f"{B}/train_gpt.py"
    assert choice.other_folders == (A,)
    assert "newest" in (choice.because or "")


def test_a_folder_with_a_run_on_record_beats_a_newer_draft() -> None:
    assert chosen(record(A, 1.1) | record(B)) == f"{A}/train_gpt.py"
    assert chosen(record(A, log=True) | record(B)) == f"{A}/train_gpt.py"


def test_of_folders_that_are_not_all_dated_the_one_with_logs_wins() -> None:
    final = {path.replace(A, "FINAL"): data for path, data in record(A, 1.1, log=True).items()}
    assert chosen(final | record(B, 1.2)) == "FINAL/train_gpt.py"
    assert chosen(record(A, 1.1, log=True) | record(B, 1.2)) == f"{B}/train_gpt.py"


def test_a_date_does_not_beat_a_folder_that_has_none() -> None:
    undated = "records/track_10min_16mb/deeper"
    older = "records/track_non_record_16mb/2026-03-21_pilot"
    files = {**_at(undated, 1.09), **_at(older, 1.39)}
    assert chosen(files, "Draft run") == f"{undated}/train_gpt.py"


def _at(folder: str, score: float) -> dict[str, bytes]:
    return {path.replace(A, folder): data for path, data in record(A, score, log=True).items()}


def test_tools_beside_a_readme_that_tells_the_scores_of_others_are_no_submission() -> None:
    files = {f"{A}/README.md": b"val_bpb: 1.1234", f"{A}/analyze.py": b"print('val_bpb')"}
    choice = choose_script(FakeTree(files), "Energy of five runs")
    assert choice.script is None
    assert "tools only" in (choice.reason or "")


def test_a_folder_that_declares_itself_beats_a_newer_script_alone() -> None:
    older = {f"{A}/submission.json": b'{"val_bpb": null}', **record(A)}
    assert chosen(older | record(B)) == f"{A}/train_gpt.py"


def test_a_stale_copy_of_an_upstream_record_loses_even_when_newer() -> None:
    files = record(A, 1.1) | record(B, 1.0)
    assert chosen(files, upstream=frozenset({B})) == f"{A}/train_gpt.py"


def test_a_stub_that_trains_nothing_loses_to_a_script_that_does() -> None:
    files = record(A, 1.2) | record(B, 1.0)
    files[f"{B}/train_gpt.py"] = b"print('val_bpb: 1.0')\n"
    assert chosen(files) == f"{A}/train_gpt.py"


def test_on_the_same_day_the_record_track_comes_first() -> None:
    other = A.replace("track_10min_16mb", "track_non_record_16mb")
    assert chosen(record(A, 1.2) | record(other, 1.1)) == f"{A}/train_gpt.py"


def test_the_readme_command_names_the_script_beside_a_twin() -> None:
    files = record(A, 1.1, readme="```\ntorchrun --nproc_per_node=8 train_packed.py\n```")
    files[f"{A}/train_packed.py"] = b"exec(b'')"
    assert chosen(files) == f"{A}/train_packed.py"


def test_without_a_command_train_gpt_is_preferred_to_its_readable_twin() -> None:
    files = record(A, 1.1)
    files[f"{A}/train_gpt_readable.py"] = TRAINER
    files[f"{A}/prepare_data.py"] = b"# fineweb"
    assert chosen(files) == f"{A}/train_gpt.py"


def test_a_script_under_another_name_is_found() -> None:
    files = record(A, 1.1)
    files[f"{A}/train_hybrid.py"] = files.pop(f"{A}/train_gpt.py")
    files[f"{A}/build_table.py"] = b"# fineweb"
    assert chosen(files) == f"{A}/train_hybrid.py"


def test_a_nested_checkout_is_searched() -> None:
    assert chosen(record(f"parameter-golf/{A}", 1.1)) == f"parameter-golf/{A}/train_gpt.py"


def test_a_submission_json_makes_any_folder_a_submission() -> None:
    assert chosen(record("submission", 1.1)) == "submission/train_gpt.py"


def test_the_logs_tell_which_of_several_scripts_ran() -> None:
    files = {
        f"{A}/train_large.py": TRAINER + b"# wide\n",
        f"{A}/train_small.py": TRAINER,
        f"{A}/README.md": b"```\npython train_large.py\n```\n",
        f"{A}/train.log": b"Code: %d raw -> 9 packed\nval_bpb:1.2\n" % len(TRAINER),
    }
    assert chosen(files) == f"{A}/train_small.py"
    both = {f"{A}/other.log": b"Code size: %d bytes\nval_bpb:1.2\n" % (len(TRAINER) + 7)}
    assert chosen(files | both) == f"{A}/train_large.py"


def test_a_root_script_belongs_to_a_record_folder_that_has_none() -> None:
    files = {"train_gpt.py": TRAINER, f"{A}/README.md": b"val_bpb: 1.1", f"{A}/submission.json": b'{"val_bpb": 1.1}'}
    choice = choose_script(FakeTree(files), "Record")
    assert (choice.script, choice.folder) == ("train_gpt.py", A)


def test_a_root_script_alone_is_a_proposal() -> None:
    assert chosen({"train_gpt.py": TRAINER}) == "train_gpt.py"


def test_a_root_edit_among_tooling_is_not_a_submission_unless_it_claims_a_score() -> None:
    files = {"train_gpt.py": TRAINER, "scripts/lab.py": b"print()"}
    assert chosen(files, "Add tooling") is None
    assert chosen(files, "Reach loss 2.738 on another corpus") is None
    assert chosen(files, "Record: val_bpb 1.1195") == "train_gpt.py"


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"README.md": b"text"}, "no training script"),
        ({f"{A}/README.md": b"negative findings"}, "without a training script"),
        ({"train_gpt_mlx.py": b"import mlx.core as mx\nval_bpb"}, "MLX"),
        ({f"{A}/train.py": b"import mlx.core as mx\nval_bpb"}, "MLX"),
        ({"harness/train_thing.py": TRAINER}, "outside any records folder"),
        ({f"{A}/audit_bytes.py": b"val_bpb", f"{A}/submission.json": b'{"val_bpb": null}'}, "tools only"),
        ({f"{A}/causal.py": b"val_bpb", f"{A}/submission.json": b'{"name": "x"}'}, "claims no score"),
        ({f"{A}/tests/train_gpt.py": TRAINER, f"{A}/submission.json": b"{}"}, "without a training script"),
    ],
)
def test_what_is_not_a_submission_says_why(files: dict[str, bytes], word: str) -> None:
    choice = choose_script(FakeTree(files), "")
    assert choice.script is None
    assert word in (choice.reason or "")


def test_an_analysis_that_shows_a_violation_is_not_a_submission() -> None:
    files = record(A, readme="# Leakage: empirical analysis\n")
    assert chosen(files, "Add summary") is None
    assert chosen(files | {f"{A}/submission.json": b'{"val_bpb": 1.1}'}) == f"{A}/train_gpt.py"


def test_everything_in_a_named_folder_is_the_submission() -> None:
    choice = choose_script(FakeTree({"mine/train_gpt.py": TRAINER}), "", home="mine")
    assert (choice.script, choice.folder) == ("mine/train_gpt.py", "mine")


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("records/track_a/x/train_gpt.py", "records/track_a/x"),
        ("records/x/train_gpt.py", "records/x"),
        ("fork/records/track_a/x/logs/1.txt", "fork/records/track_a/x"),
        ("records/track_a/readme.md", None),
        ("my_records/track_a/x/y.py", None),
        ("train_gpt.py", None),
    ],
)
def test_the_record_folder_of_a_path(path: str, folder: str | None) -> None:
    assert record_folder(path) == folder


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "[" * 100_000, '{"a": NaN', "\x00"])
def test_a_broken_submission_json_is_none(text: str) -> None:
    assert parse_submission(text) is None

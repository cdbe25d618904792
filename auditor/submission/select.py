"""Which script of a pull request is the scored one, and why.

What the pull request adds is sorted into folders; a folder is a submission when it lies under
`records/<track>/` or holds a `submission.json`. Of several, the one that the headline points at wins,
and stale copies of what the default branch holds lose (RULES, traps 5, 8 and 23). Names only steer the
choice, and the choice is said aloud; they never decide a verdict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from auditor.submission.claims import claims_score, numbers, read_claims
from auditor.submission.command import read_command
from auditor.submission.logs import is_log_name
from auditor.submission.model import Tree
from auditor.verdict import PgolfError

_RECORD = re.compile(r"((?:.*?/)?records/(?:track[^/]*/[^/]+|(?!track)[^/]+))/", re.DOTALL)
_TRACK = re.compile(r"(?:^|/)records/(track[^/]*)/")
_DATE = re.compile(r"(20\d\d)-(\d{1,2})-(\d{1,2})")
_FIXTURE = re.compile(r"(?:^|/)(?:tests?|fixtures|testdata|\.[^/]+|__pycache__)/")
_HELPER = re.compile(
    r"(?:^|/)(?:test_|conftest|setup|prepare|download|plot|analy[sz]|audit|build_|make_|convert|patch|verify|check_|launch|modal|bench"
    r"|cached_|tokeniz|run_|validate|compare|sweep|summar)[^/]*\.py$|_test\.py$",
    re.IGNORECASE,
)
_ANALYSIS = re.compile(
    r"\b(?:analy(?:sis|tical)|audit|negative results?|post-?mortem|taxonomy|research notes?|proof)\b",
    re.IGNORECASE,
)
_MLX = re.compile(rb"\n *(?:import|from) mlx\b")
_SCORES = (b"val_bpb", b"fineweb", b"exec(")
_TRAINS = (b".backward(", b"exec(", b"decompress", b"b85decode", b"b64decode", b"runpy")
"""Plain substrings: they are looked for in every script of every pull request."""
MAX_PEEK = 4 << 20
MAX_TEXT = 4 << 20


@dataclass(frozen=True)
class Choice:
    """The chosen script with its reason, or the reason why there is none."""

    script: str | None = None
    folder: str | None = None
    track: str | None = None
    because: str | None = None
    reason: str | None = None
    other_folders: tuple[str, ...] = ()


@dataclass
class _Folder:
    """One place where a submission may lie, with what ranks it among the others."""

    path: str
    paths: list[str]
    scripts: list[str] = field(default_factory=list)
    mlx: bool = False
    trains: bool = False
    readme: str = ""
    submission: Mapping[str, object] | None = None
    logged: bool = False

    @property
    def declared(self) -> bool:
        """A record folder, or one that carries a `submission.json`."""
        return self.submission is not None or record_folder(self.path + "/") is not None

    @property
    def date(self) -> tuple[int, int, int]:
        found = _DATE.findall(self.path)
        year, month, day = found[-1] if found else (0, 0, 0)
        return int(year), int(month), int(day)

    @cached_property
    def claimed(self) -> float | None:
        """The score that submission.json or the README claims."""
        return read_claims(self.submission, self.readme, "").val_bpb

    @cached_property
    def evidenced(self) -> bool:
        """Whether a run is on record: logs, or a score in submission.json."""
        return self.logged or read_claims(self.submission, "", "").val_bpb is not None


def choose_script(tree: Tree, headline: str, home: str | None = None) -> Choice:
    """The scored script among what `tree` adds or changes; `headline` is the title or its best substitute.

    With `home` everything lies in that one folder, which is a submission by being named.
    """
    paths = [path for path in tree.paths() if not _FIXTURE.search(path)]
    grouped = _by_folder(paths) if home is None else {home: paths}
    folders = [_describe(tree, path, below) for path, below in sorted(grouped.items())]
    declared = [folder for folder in folders if folder.declared or folder.path == home]
    if reason := _analysis_only(declared, headline):
        return Choice(reason=reason)
    with_script = [folder for folder in declared if folder.scripts]
    if with_script:
        return _from_folder(tree, with_script, declared, headline)
    root = _root_script(tree, folders)
    if declared and root:
        best, _ = _best(tree, declared, headline)
        why = f"{best.path} holds no script of its own, and the pull request changes {root}"
        return Choice(root, best.path, _track(best.path), why, other_folders=_others(best, declared))
    loose = [folder for folder in folders if folder.path and any(_name(s) == "train_gpt.py" for s in folder.scripts)]
    if root and _is_proposal(folders, headline):
        return Choice(root, "", None, f"no records folder; the pull request changes {root} itself")
    if len(loose) == 1 and loose[0].readme and not root:
        return Choice(
            _preferred(tree, loose[0])[0], loose[0].path, None, "the only training script, with a README beside it"
        )
    return Choice(reason=_why_none(folders, declared))


def record_folder(path: str) -> str | None:
    """The folder `.../records/<track>/<name>` that `path` lies in; the track level may be missing."""
    match = _RECORD.match(path)
    return match[1] if match else None


def _by_folder(paths: Iterable[str]) -> dict[str, list[str]]:
    listed = list(paths)
    marked = {path.rpartition("/")[0] for path in listed if _name(path) == "submission.json"} - {""}
    folders: dict[str, list[str]] = {}
    for path in listed:
        parents = [path[:i] for i, letter in enumerate(path) if letter == "/"]
        own = next((parent for parent in reversed(parents) if parent in marked), None)
        folder = own or record_folder(path) or path.rpartition("/")[0]
        folders.setdefault(folder, []).append(path)
    return folders


def _describe(tree: Tree, path: str, below: list[str]) -> _Folder:
    folder = _Folder(path, below)
    inside = {_inside(path, one).lower(): one for one in below}
    folder.readme = _text(tree, inside.get("readme.md", inside.get("readme.txt", inside.get("readme"))))
    folder.submission = parse_submission(_text(tree, inside.get("submission.json")))
    if folder.submission is None and "submission.json" in inside:
        folder.submission = {}
    folder.logged = any(is_log_name(one) for one in below)
    for script in (one for one in below if one.endswith(".py")):
        head = _peek(tree, script)
        if (b"mlx" in head and _MLX.search(b"\n" + head)) or "mlx" in _name(script).lower():
            folder.mlx = True
        elif _name(script).startswith("train") or any(mark in head for mark in _SCORES):
            folder.scripts.append(script)
            folder.trains |= any(mark in head for mark in _TRAINS)
    return folder


def _from_folder(tree: Tree, folders: list[_Folder], declared: list[_Folder], headline: str) -> Choice:
    best, why_folder = _best(tree, folders, headline)
    script, why_script = _preferred(tree, best)
    declared_score = read_claims(best.submission, "", "").val_bpb
    claims = best.claimed if best.trains else declared_score  # a README of a study tells the scores of others
    if all(_HELPER.search(one) for one in best.scripts) and claims is None:
        return Choice(
            reason=f"{best.path} holds tools only ({', '.join(_name(s) for s in best.scripts[:3])}), no training script"
        )
    if not _name(script).startswith("train") and best.submission is not None and best.claimed is None:
        return Choice(reason=f"{best.path} claims no score and holds no training script")
    return Choice(script, best.path, _track(best.path), why_folder + why_script, other_folders=_others(best, declared))


_Key = Callable[[_Folder], Any]


def _criteria(tree: Tree, headline: str, folders: list[_Folder]) -> tuple[tuple[str, _Key], ...]:
    """What tells the headline's folder from the others, strongest first."""
    all_dated = all(any(folder.date) for folder in folders)
    newest = max(folder.date for folder in folders)
    return (
        ("the others are copies of what the default branch holds", lambda folder: not _stale(tree, folder)),
        ("it alone holds a script that trains", lambda folder: folder.trains),
        ("its score is in the headline", lambda folder: _in_headline(folder, headline)),
        ("it alone has logs or a score in submission.json", lambda folder: folder.evidenced),
        ("it alone has logs, and not every folder is dated", lambda folder: all_dated or folder.logged),
        ("it alone carries a submission.json", lambda folder: folder.submission is not None),
        ("its date is the newest", lambda folder: newest if _may_be_newest(folder) else folder.date),
        ("it is in the record track", lambda folder: "non_record" not in folder.path),
        ("its score is the lowest", lambda folder: -(folder.claimed or 9.0)),
        ("it is the last by name", lambda folder: folder.path),
    )


def _may_be_newest(folder: _Folder) -> bool:
    """Whether a record folder has no date, which says nothing of its age."""
    return not any(folder.date) and record_folder(folder.path + "/") is not None


def _best(tree: Tree, folders: list[_Folder], headline: str) -> tuple[_Folder, str]:
    """The folder of the headline, and the criterion that decided."""
    left, why = folders, ""
    for reason, key in _criteria(tree, headline, folders):
        if len(left) == 1:
            break
        top = max(key(folder) for folder in left)
        kept = [folder for folder in left if key(folder) == top]
        if len(kept) < len(left):
            why = reason
        left = kept
    return left[0], f"{_name(left[0].path)} of {len(folders)} folders: {why}; " if len(folders) > 1 else ""


def _preferred(tree: Tree, folder: _Folder) -> tuple[str, str]:
    """The script of a folder that was run: the one that the run command starts, else by name and depth.

    Where none has the competition's name, the logs may give the size of the one that printed them.
    """
    if len(folder.scripts) == 1:
        return folder.scripts[0], "the only training script of the folder"
    if all(_name(script) != "train_gpt.py" for script in folder.scripts):
        logs = [_text(tree, path) for path in folder.paths if is_log_name(path)]
        sized = [script for script in folder.scripts if any(_gives_size(log, tree.size(script)) for log in logs)]
        if len(sized) == 1:
            return sized[0], "the logs give its size"
    for names in (("train_gpt.py",), folder.scripts):
        command = read_command(folder.readme, names)
        named = [script for script in folder.scripts if _name(script) == command.script]
        if named and not _HELPER.search(named[0]):
            return min(named, key=_depth), "the README's run command starts it"

    def order(script: str) -> tuple[bool, bool, bool, int, str]:
        name = _name(script)
        return (
            name != "train_gpt.py",
            not name.startswith("train"),
            bool(_HELPER.search(script)),
            _depth(script),
            script,
        )

    best = min(folder.scripts, key=order)
    return best, f"{_name(best)} is the name that the competition runs" if _name(
        best
    ) == "train_gpt.py" else "the likeliest name"


def _gives_size(log: str, size: int) -> bool:
    """Whether a log gives a size of code in bytes: `Code size: 94,098 bytes`, `Code: 94098 raw`."""
    return re.search(rf"[Cc]ode[^0-9\n]{{0,20}}(?:{size}|{size:,})(?![0-9,])", log) is not None


def _root_script(tree: Tree, folders: list[_Folder]) -> str | None:
    root = next((folder for folder in folders if folder.path == ""), None)
    scripts = [one for one in root.scripts if _name(one).startswith("train")] if root else []
    return min(scripts, key=lambda one: (one != "train_gpt.py", one)) if scripts else None


def _is_proposal(folders: list[_Folder], headline: str) -> bool:
    """Whether an edit of the root script is put forward as a run of its own, not as one part of tooling."""
    python = [path for folder in folders for path in folder.paths if path.endswith(".py")]
    return len(python) == 1 or claims_score(headline) or any(folder.submission is not None for folder in folders)


def _analysis_only(declared: list[_Folder], headline: str) -> str | None:
    """A pull request that shows or counts something instead of claiming a run (RULES, trap 8)."""
    if any(folder.submission is not None for folder in declared):
        return None
    titles = [
        headline,
        *(f"{_name(folder.path)} {folder.readme.lstrip()[:200].splitlines()[:1]}" for folder in declared),
    ]
    if declared and any(_ANALYSIS.search(re.sub(r"[_/]", " ", title)) for title in titles):
        return "an analysis: no submission.json, and it calls itself one"
    return None


def _why_none(folders: list[_Folder], declared: list[_Folder]) -> str:
    if any(folder.mlx for folder in folders) and not any(folder.scripts for folder in folders):
        return "it changes MLX scripts only, which the competition does not run"
    if declared:
        return f"{declared[0].path} comes without a training script"
    if any(folder.scripts for folder in folders):
        return "it changes scripts outside any records folder, without submission.json or a claimed score"
    return "it adds no training script"


def parse_submission(text: str) -> Mapping[str, object] | None:
    """The object in a submission.json; None when it is broken, too deep, or no object."""
    try:
        data = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    if isinstance(data, list):
        data = next((entry for entry in data if isinstance(entry, dict)), None)
    return data if isinstance(data, dict) else None


def _in_headline(folder: _Folder, headline: str) -> bool:
    wanted = numbers(headline)
    if not wanted:
        return False
    said = f"{folder.path} {json.dumps(folder.submission, default=str)[:MAX_TEXT] if folder.submission else ''}"
    return bool(wanted & (numbers(said) | numbers(f"{folder.claimed or ''}")))


def _stale(tree: Tree, folder: _Folder) -> bool:
    return all(tree.upstream(path) for path in folder.paths)


def _others(best: _Folder, folders: list[_Folder]) -> tuple[str, ...]:
    return tuple(folder.path for folder in folders if folder is not best)


def _track(folder: str) -> str | None:
    match = _TRACK.search(folder + "/")
    return match[1] if match else None


def _text(tree: Tree, path: str | None) -> str:
    if path is None or tree.size(path) > MAX_TEXT:
        return ""
    try:
        return tree.read(path).decode("utf-8", "replace").removeprefix("\ufeff").replace("\0", "")
    except PgolfError:
        return ""


def _peek(tree: Tree, path: str) -> bytes:
    try:
        return tree.read(path) if tree.size(path) <= MAX_PEEK else b""
    except PgolfError:
        return b""


def _inside(folder: str, path: str) -> str:
    return path.removeprefix(folder + "/") if folder else path


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _depth(path: str) -> int:
    return path.count("/")

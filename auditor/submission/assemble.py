"""From what a source hands over to a `Submission`: choose the script, then read what lies around it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from auditor.submission.claims import read_claims
from auditor.submission.command import RUN_SCRIPTS, read_command, read_commands, read_renamed_command, read_settings
from auditor.submission.evaluator import find_evaluator
from auditor.submission.logs import claimed_first, echo_lines, is_log_name, read_log
from auditor.submission.model import Log, Pull, RunCommand, Submission, Tree
from auditor.submission.select import Choice, choose_script, parse_submission
from auditor.submission.text import UnreadableSource, read_source
from auditor.verdict import PgolfError

MAX_CODE = 16 << 20
MAX_MODULE = 4 << 20
MAX_MODULES = 64
_IMPORTED = re.compile(rb"^\s*(?:from|import)\s+(\w+)", re.MULTILINE)
MAX_LOGS = 32
MAX_LOG_BYTES = 64 << 20
MAX_TEXT = 4 << 20
MAX_FILES = 5_000


def assemble(pull: Pull) -> Submission:
    """The submission in `pull`; `script` is None with a `reason` when it holds none."""
    return assemble_choice(pull, choose_script(pull.tree, pull.headline))


def assemble_choice(pull: Pull, choice: Choice) -> Submission:
    """The submission around a script that is already chosen. Raises `PgolfError` when the script cannot be read."""
    if choice.script is None:
        return Submission(target=pull.target, tree=pull.tree, reason=choice.reason, notes=pull.notes)
    tree, folder = pull.tree, choice.folder or ""
    notes = list(pull.notes)
    code = _code(tree, choice.script)
    files = _files(tree, folder, choice.script, notes)
    by_name = {path.removeprefix(folder + "/" if folder else "").lower(): path for path in files}
    readme = _text(tree, by_name.get("readme.md") or by_name.get("readme.txt") or by_name.get("readme"), notes)
    raw = _text(tree, by_name.get("submission.json"), notes)
    declared = parse_submission(raw) if raw is not None else None
    if raw is not None and declared is None:
        notes.append(f"{by_name['submission.json']!r} is no JSON object")
    logs = _logs(tree, files, code, notes)
    command = _command(tree, files, choice.script, readme, pull.message)
    if not command.script and not logs:
        command = read_settings(readme or "")
    claims = read_claims(declared, readme, pull.target.title or pull.headline, logs, len(code))
    submission = Submission(
        target=pull.target,
        tree=tree,
        script=choice.script,
        folder=folder,
        track=choice.track,
        chosen_because=choice.because,
        other_folders=choice.other_folders,
        code=code,
        modules=_modules(tree, files, choice.script, code, notes),
        data_files=_data_files(tree, folder, files, choice.script, {log.path for log in logs}),
        readme=readme,
        submission_json=declared,
        logs=claimed_first(logs, claims.val_bpb, raw or "", len(code)),
        command=command,
        claims=claims,
        notes=tuple(notes),
    )
    return _with_evaluator(submission, files, pull.message)


def _with_evaluator(submission: Submission, files: list[str], message: str) -> Submission:
    """The submission with the separate script that scored its headline, if there is one."""
    tree, claim = submission.tree, submission.claims.val_bpb
    if claim is None or len(submission.logs) < 2:
        return submission
    paths = [path for path in files if path.endswith(".py") and path != submission.script]
    others = [(path, tree.read(path).decode("utf-8", "replace")) for path in paths if tree.size(path) <= MAX_MODULE]
    found = find_evaluator(submission.code.decode("utf-8", "replace"), others, submission.logs, claim)
    if found is None:
        return submission
    notes = list(submission.notes)
    try:
        code = _code(tree, found.script)
    except PgolfError as error:
        return replace(submission, notes=(*notes, str(error)))
    trainer = (submission.script or "").rpartition("/")[2].removesuffix(".py")
    # from a folder of its own an evaluator puts the trainer's folder on the path
    modules = {**submission.modules, trainer: submission.code}
    evaluator = replace(
        submission,
        script=found.script,
        chosen_because=found.because,
        code=code,
        modules={**modules, **_modules(tree, files, found.script, code, notes)},
        logs=found.logs,
        command=_command(tree, files, found.script, submission.readme, message),
    )
    because = f"{submission.chosen_because}; audited with it: {found.because}"
    return replace(submission, chosen_because=because, evaluator=evaluator, notes=tuple(notes))


def _code(tree: Tree, script: str) -> bytes:
    if (size := tree.size(script)) > MAX_CODE:
        raise PgolfError(f"{script!r} is too large for a script: {size:,} bytes")
    code = tree.read(script)
    if not code.strip():
        raise PgolfError(f"{script!r} is empty: there is nothing to audit")
    try:
        read_source(code)
    except UnreadableSource as error:
        raise PgolfError(f"{script!r} cannot be read as a Python script: {error}") from error
    return code


def _files(tree: Tree, folder: str, script: str, notes: list[str]) -> list[str]:
    """Files that belong to the submission: its folder at head and what lies beside the script.

    At the root of the repository only what the pull request changes there counts.
    """
    if folder:
        files = list(tree.folder(folder))
        if not script.startswith(folder + "/"):
            files.append(script)
    else:
        files = [path for path in tree.paths() if "/" not in path or path.startswith("logs/")]
    if len(files) > MAX_FILES:
        notes.append(f"{folder!r} holds {len(files):,} files, of which {MAX_FILES:,} were listed")
    return files[:MAX_FILES]


def _text(tree: Tree, path: str | None, notes: list[str]) -> str | None:
    if path is None:
        return None
    if (size := tree.size(path)) > MAX_TEXT:
        notes.append(f"{path!r} is too large to read: {size:,} bytes")
        return None
    try:
        data = tree.read(path)
    except PgolfError as error:
        notes.append(str(error))
        return None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    return data.decode(encoding, "replace").removeprefix("\ufeff").replace("\0", "")


def _logs(tree: Tree, files: Iterable[str], code: bytes, notes: list[str]) -> tuple[Log, ...]:
    """Logs of the folder, those beside or nearest to the script first."""
    script_lines = echo_lines(code.decode("utf-8", "replace"))
    logs: list[Log] = []
    budget = MAX_LOG_BYTES
    named = sorted((path for path in files if is_log_name(path)), key=lambda path: (path.count("/"), path))
    for path in named:
        size = tree.size(path)
        if len(logs) == MAX_LOGS or size > budget:
            notes.append(f"{path!r} was not read: more than {MAX_LOGS} logs or {MAX_LOG_BYTES:,} bytes of them")
            continue
        try:
            log, note = read_log(path, tree.read(path), script_lines)
        except PgolfError as error:
            notes.append(str(error))
            continue
        budget -= size
        notes += [note] if note else []
        logs += [log] if log else []
    return tuple(logs)


def _modules(tree: Tree, files: Iterable[str], script: str, code: bytes, notes: list[str]) -> Mapping[str, bytes]:
    """Import name -> bytes of the other Python files that the script can import from its own folder.

    A file in a folder whose name is no identifier needs its folder on the path; it counts when the script imports it.
    """
    imported = set(_IMPORTED.findall(code))
    beside = script.rpartition("/")[0]
    modules: dict[str, bytes] = {}
    for path in files:
        if not path.endswith(".py") or path == script or (beside and not path.startswith(beside + "/")):
            continue
        inside = path.removeprefix(beside + "/" if beside else "").removesuffix(".py").removesuffix("/__init__")
        name = inside.replace("/", ".")
        if not all(part.isidentifier() for part in name.split(".")) and (
            "." in inside or inside.rpartition("/")[2].encode() not in imported
        ):
            continue
        if tree.size(path) > MAX_MODULE or len(modules) == MAX_MODULES:
            notes.append(f"{path!r} was not read: more than {MAX_MODULES} modules or larger than {MAX_MODULE:,} bytes")
            continue
        modules[name] = tree.read(path)
    return modules


def _data_files(tree: Tree, folder: str, files: Iterable[str], script: str, logs: set[str]) -> Mapping[str, int]:
    prefix = folder + "/" if folder else ""
    return {
        path.removeprefix(prefix): tree.size(path)
        for path in files
        if path != script and path not in logs and not path.endswith(".py")
    }


def _command(tree: Tree, files: Iterable[str], script: str, readme: str | None, message: str) -> RunCommand:
    """The run command of the README, else of the run scripts in the folder, else one that names the script differently.

    What the pull request says of itself is asked last.
    """
    names = [script.rsplit("/", 1)[-1]]
    command = read_command(readme or "", names)
    if command.script:
        return command
    runs = sorted(path for path in files if path.endswith(RUN_SCRIPTS))
    found = read_commands(((path, _text(tree, path, []) or "") for path in runs), names)
    if found.script:
        return found
    renamed = read_renamed_command(readme or "", files)
    return renamed if renamed.script else read_command(message, names, source="message") if message else renamed

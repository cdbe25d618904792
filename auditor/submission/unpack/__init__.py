"""Packed scripts to plain source: statically, and bounded in output, ratio, depth, steps and memory.

A script is packed when its module level decodes or reads source text and executes it. The decoding expression is
evaluated by a small evaluator of our own (`loader`), never by Python; nothing of the submission is run or written.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from auditor.submission.text import LIMIT, UnreadableSource, check_size, read_source
from auditor.submission.unpack.decoders import CannotDecode, Meter
from auditor.submission.unpack.loader import Loader
from auditor.submission.unpack.splice import own_statements, splice
from auditor.submission.unpack.values import ROOT, Disk, Run, Siblings, State, Unknown, shown

DEPTH_LIMIT = 3
"""Layers of packing that are followed."""

_WORDS = (
    "exec", "runpy", "builtins", "85decode", "64decode", "32decode", "16decode", "unhexlify", "fromhex", "a2b_",
    "decodebytes", "marshal", "decompress",
)  # fmt: skip
_EXEC = re.compile(r"(?<![\w.])exec\b\s*[(=,;)\]\n]")
_DEFINITION = re.compile(r"(?:async )?def (\w+)|class\b|@|import\b|from\b|#")
_MANY = 200
_FAR = 10_000
_COLUMN_0_EXEC = re.compile(r"^(?:[^\s#'\"].*)?(?<![\w.])exec\s*\(", re.MULTILINE)


@dataclass(frozen=True)
class Unpacked:
    """The program that a script runs.

    `text` is its innermost source, `packing` one short label a layer from the outside in, `modules` the sources of
    bundled modules by import name. `problem` says what could not be decoded: then `text` is not the whole program.
    `file` is the sibling file that `text` is word for word, when the script only starts another one.
    """

    text: str
    packing: tuple[str, ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    file: str | None = None


def unpack(code: bytes, *, siblings: Siblings, name: str) -> Unpacked:
    """Unpack a script; one that is not packed comes back as it is, at almost no cost.

    `siblings` gives the other files of the submission by their path relative to the script's folder (which may begin
    with `..`); `name` is the path of the script itself. Raises `UnreadableSource` when `code` is no text.
    """
    text = read_source(code)
    if not _may_be_packed(text):
        return Unpacked(text)
    disk = Disk(posixpath.join(ROOT, name), siblings)
    return _unpack(text, State(disk, Meter()), ())


def _may_be_packed(text: str) -> bool:
    """A cheap look at the text, before any syntax tree is built.

    A script without classes is no training program, so any word of unpacking makes it worth a look. In a script with
    classes, weights are decompressed inside functions, and packed code at module level.
    """
    has_classes = "\nclass " in text
    looks = 0
    for word in _WORDS:
        at, seen = text.find(word), 0
        while at >= 0:
            if word != "exec" or _EXEC.match(text, at):
                looks += 1
                if not has_classes or looks > _MANY or _at_module_level(text, at, seen):
                    return True
                seen = at
            at = text.find(word, at + 1)
    return False


def _at_module_level(text: str, at: int, inside: int) -> bool:
    """Whether the code at an offset runs on import: it is in no definition, or in a function called at the margin.

    `inside` is an earlier offset that is known to lie in a definition; what follows it up to the margin does so too.
    """
    start = text.rfind("\n", 0, at) + 1
    for _ in range(_FAR):
        if start == 0 or text[start] not in " \t\n#)]}'\"":
            break
        if start <= inside:
            return False
        start = text.rfind("\n", 0, start - 1) + 1
    else:
        return True
    definition = _DEFINITION.match(text, start)
    if definition is None:
        return True
    return definition[1] is not None and f"\n{definition[1]}(" in text


def _unpack(text: str, state: State, packing: tuple[str, ...]) -> Unpacked:
    try:
        check_size(text)
        tree = ast.parse(text)
    except (UnreadableSource, SyntaxError, ValueError, RecursionError, MemoryError):
        # Broken, or in a newer grammar: parsing the program proper will say so. Only a packed text must be reported.
        hidden = _COLUMN_0_EXEC.search(text)
        problem = "it executes text, and the code that does so could not be parsed" if hidden else None
        return Unpacked(text, packing, problem=problem)
    try:
        Loader(tree, state).follow()
        return _choose(text, tree, state, packing)
    except CannotDecode as error:
        return Unpacked(text, packing, problem=f"line {state.line}: {error}")
    except RecursionError:
        return Unpacked(text, packing, problem=f"line {state.line}: its unpacking code is nested too deeply")


def _choose(text: str, tree: ast.Module, state: State, packing: tuple[str, ...]) -> Unpacked:
    """Decide which of the executed texts is the program, and go on with it."""
    runs, state.runs = state.runs, []
    mains = [run for run in runs if run.module is None]
    if not mains:
        imported = [run for run in runs if run.how == "import"]
        if imported and not any(own_statements(tree, imported[-1].index, "")):
            mains = [imported[-1]]
    modules, problem = _modules(runs, state)
    for run in runs:
        if isinstance(run.source, Unknown):
            problem = problem or f"line {run.line}: what it executes could not be decoded: {run.source.why}"
    if not mains or (problem and all(isinstance(run.source, Unknown) for run in mains)):
        label = next((run.label for run in runs if run.decoded), None)
        layers = (*packing, f"modules: {label}") if modules and label else packing
        return Unpacked(text, layers, modules, problem)
    try:
        sources = list(dict.fromkeys(_as_text(run.source) for run in mains if not isinstance(run.source, Unknown)))
    except UnreadableSource as error:
        return Unpacked(text, packing, modules, f"line {mains[0].line}: {error}")
    payload, last = "\n".join(sources), mains[-1]
    state.followed.update(sources)
    before, after = own_statements(tree, last.index, payload)
    own = sum(len(ast.unparse(node)) for node in (*before, *after))
    if own > len(payload):
        if last.decoded and problem is None:
            problem = f"line {last.line}: it executes decoded text in the midst of its own code"
        return Unpacked(text, packing, modules, problem)
    if len(packing) >= DEPTH_LIMIT:
        return Unpacked(text, packing, modules, f"it is packed more than {DEPTH_LIMIT} layers deep")
    if len(sources) > 1:
        problem = problem or f"line {last.line}: it executes {len(sources)} different programs"
    whole = splice(before, payload, after)
    inner = _next_layer(whole, state, (*packing, last.label))
    return Unpacked(
        inner.text,
        inner.packing,
        {name: source for name, source in {**modules, **inner.modules}.items() if source not in state.followed},
        problem or inner.problem,
        inner.file or (last.path if inner.text == payload else None),
    )


def _next_layer(text: str, state: State, packing: tuple[str, ...]) -> Unpacked:
    return _unpack(text, state, packing) if _may_be_packed(text) else Unpacked(text, packing)


def _modules(runs: list[Run], state: State) -> tuple[dict[str, str], str | None]:
    """Sources of bundled modules: those run as modules, and the Python files that the loader has written."""
    found: dict[str, object] = {}
    for place, content in sorted(state.disk.written.items()):
        if place.endswith(".py"):
            found[_import_name(place, state.disk.folder)] = content
    found.update({run.module: run.source for run in runs if run.module is not None and run.module != "__main__"})
    modules: dict[str, str] = {}
    problem: str | None = None
    for name, source in found.items():
        if isinstance(source, Unknown):
            continue
        try:
            modules[name] = _as_text(source)
        except UnreadableSource as error:
            problem = f"module {shown(name)}: {error}"
    return modules, problem


def _import_name(place: str, folder: str) -> str:
    for root in ("/temporary/", folder + "/"):
        if place.startswith(root):
            place = place[len(root) :]
            break
    else:
        place = posixpath.basename(place)
    return place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _as_text(source: object) -> str:
    if isinstance(source, (bytes, bytearray)):
        return read_source(bytes(source))
    if not isinstance(source, str):
        raise UnreadableSource("it executes something that is no text")
    if len(source) > LIMIT:
        raise UnreadableSource(f"it executes a text of more than {LIMIT:,} characters")
    return source

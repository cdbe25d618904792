"""What a rule may ask of a submission: its text, its configuration, and its timeline in three lights."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from auditor.memory import Memory
from auditor.program.config import Settings
from auditor.program.index import CallIndex
from auditor.records import Records, read_records
from auditor.submission.model import Submission
from auditor.timeline.events import EMPTY_LOOP, Place, Timeline
from auditor.timeline.interpreter import Interpreter
from auditor.verdict import Activation, Evidence, Finding, PgolfError, Step

NATIVE = (".c", ".cc", ".cpp", ".cxx", ".cu", ".rs")
MAX_NATIVE = 1 << 20
_NATIVE_MODULE = re.compile(r"\b(?:PYBIND11_MODULE|NB_MODULE|BOOST_PYTHON_MODULE)\s*\(\s*(\w+)")
MAX_SWITCHES = 8
"""Switches that a finding names."""


@dataclass
class Facts:
    """All that a rule may ask: the script, its timeline as it was run, by default, and with everything switched on."""

    submission: Submission
    file: str
    text: str
    tree: ast.Module | None
    settings: Settings
    modules: Mapping[str, ast.Module] = field(default_factory=dict)
    module_texts: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Sibling modules that do not parse: name -> why."""
    packing: tuple[str, ...] = ()
    problem: str | None = None
    """Why the code could not be read in full."""
    broken: str | None = None
    """Why the code is no Python."""
    forced: Mapping[int, bool] = field(default_factory=dict)
    evidence_source: str = ""
    headline_line: int = 0
    """Line of the report that printed the claimed number, when the log tells."""
    memory: Memory = field(default_factory=Memory)

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """Source lines of the analysed text."""
        return tuple(self.text.split("\n"))

    @cached_property
    def module_lines(self) -> Mapping[str, list[str]]:
        """Source lines of the sibling modules."""
        return {name: text.split("\n") for name, text in self.module_texts.items()}

    @cached_property
    def natives(self) -> frozenset[str]:
        """Python modules that native sources of the submission define."""
        submission, found = self.submission, set[str]()
        for path, size in submission.data_files.items():
            if path.endswith(NATIVE) and size <= MAX_NATIVE:
                with suppress(PgolfError):
                    source = submission.tree.read(f"{submission.folder}/{path}".removeprefix("None/"))
                    found.update(_NATIVE_MODULE.findall(source.decode("utf-8", "replace")))
        return frozenset(found)

    @cached_property
    def run(self) -> Timeline:
        """The timeline of the reported run."""
        return self.timeline(self.settings)

    @cached_property
    def records(self) -> Records:
        """Logs and claims, parsed when a rule first asks for them."""
        return read_records(self.submission)

    @cached_property
    def changed(self) -> frozenset[str]:
        """Switches that the run has otherwise than the script's defaults, by environment name and in lower case."""
        return spelled(name for name, read in self.run.config.items() if _switched(read.value, read.default))

    def activation(self, place: Place) -> tuple[Activation, tuple[str, ...]]:
        """Whether defaults lead to a place or a switch that the run changed; and the switches on the way there.

        Each switch is given as `NAME=value (layer)`; branches of sibling modules are not looked at.
        """
        if place.file:
            return "run" if self.changed else "default", ()
        lines = [place.line, *(line for _, line in place.calls)]
        activation: Activation = "default"
        switches: dict[str, None] = {}
        for node in self.index.guards(lines):
            names = self.index.settings(node.test)
            if node.lineno in self.forced:
                activation = "run"
                switches[f"the branch at line {node.lineno} ({self.evidence_source})"] = None
            elif not self.changed.isdisjoint(names):
                activation = "run"
            for name, read in self.run.config.items():
                if name in names or name.lower() in names:
                    switches[f"{name}={read.value} ({read.source})"] = None
        return activation, tuple(switches)[:MAX_SWITCHES]

    @cached_property
    def latent(self) -> Timeline:
        """The timeline with every switch unknown that hides an update: what the run leaves out is there too."""
        if self.run.opaque:
            return self.run
        hiding = {block.branch_line for block in self.run.skipped if self.index.updates(block.line, block.end_line)}
        settled = {block.branch_line for block in self.run.taken} - hiding
        explore = self.index.switches() - settled | {EMPTY_LOOP}
        hidden = [(block.line, block.end_line) for block in self.run.skipped if block.branch_line in hiding]
        apart = self.index.loops_apart(explore, hidden)
        return self.timeline(self.settings, explore=explore, apart=apart)

    def timeline(
        self,
        env: Settings,
        *,
        explore: frozenset[int] = frozenset(),
        apart: frozenset[int] = frozenset(),
        forced: Mapping[int, bool] | None = None,
    ) -> Timeline:
        """Interpret the script under a configuration; branches at the lines of `explore` may go either way.

        The loops at the lines of `apart` are as they are without it, and told of by another timeline: a glance is
        enough.
        """
        tree, argv = self.tree, self.submission.command.argv
        if tree is None:
            return Timeline()
        outcomes = dict(self.forced if forced is None else forced)

        def interpret() -> Timeline:
            machine = Interpreter(env, argv, self.modules, explore)
            machine.apart = apart
            machine.forced = outcomes
            machine.evidence_source = self.evidence_source
            machine.unreadable = self.unreadable
            machine.natives = self.natives
            return machine.analyse(tree)

        script = (self.text, *self.module_texts.items(), *self.unreadable.items(), *sorted(self.natives))
        light = (tuple(env.items()), argv, explore, apart, tuple(outcomes.items()), self.evidence_source)
        timeline = self.memory.once(("timeline", script, light), interpret)
        return replace(timeline, headline_line=self.headline_line)

    def line(self, number: int, module: str = "") -> str:
        """One source line of the script, or of a sibling module, stripped."""
        lines = self.module_lines[module] if module else self.lines
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""

    def step(self, place: Place, note: str) -> Step:
        """A line of a path."""
        return Step(place.line, self.line(place.line, place.file), note, place.function, place.file or None)

    def step_at(self, line: int, near: Place, note: str) -> Step:
        """A line of a path in the function of `near`."""
        return Step(line, self.line(line, near.file), note, near.function, near.file or None)

    def finding(self, rule: Any, place: Place, message: str, path: Sequence[Step], **more: Any) -> Finding:
        """A finding of `rule` at `place`, with the metadata of the rule."""
        file = f"{self.submission.folder}/{place.file.replace('.', '/')}.py" if place.file else self.file
        activation, switches = self.activation(place)
        return Finding(
            rule=rule.id,
            level=more.pop("level", rule.level),
            message=message,
            file=file,
            line=place.line,
            end_line=more.pop("end_line", place.line),
            function=place.function,
            function_line=place.function_line,
            conditions=rule.conditions,
            rulings=rule.rulings,
            evidence=(Evidence("static", tuple(path), switches),),
            activation=more.pop("activation", None) or activation,
            anchor=more.pop("anchor", None) or "\0".join(s.text for s in path) or self.line(place.line, place.file),
            **more,
        )

    def graded(self, query: Callable[[Timeline], Sequence[Finding]]) -> list[Finding]:
        """Findings of the run, one a place; what the run leaves out becomes a note."""
        here: dict[tuple[str, int, str | None], Finding] = {}
        for f in query(self.run):
            here.setdefault((f.file, f.line, f.function), f)
        out = list(here.values())
        if self.run.skipped and self.may_hide:
            for f in query(self.latent):
                if (f.file, f.line, f.function) not in here:
                    here[f.file, f.line, f.function] = f
                    out.append(
                        replace(
                            f,
                            level="note",
                            activation="off",
                            message=f"{f.message} The reported run does not reach this code.",
                        )
                    )
        return out

    @cached_property
    def index(self) -> CallIndex:
        """Calls of the script by line."""
        tree = self.tree or ast.Module([], [])
        return self.memory.once(("index", self.text), lambda: CallIndex(tree, self.text))

    @cached_property
    def may_hide(self) -> bool:
        """Whether code that the run leaves out calls anything that could update state."""
        return any(self.index.updates(s.line, s.end_line) for s in self.run.skipped)


def spelled(names: Iterable[str]) -> frozenset[str]:
    """Settings by environment name and in lower case, as scripts name the variables that hold them."""
    given = frozenset(names)
    return given | {name.lower() for name in given}


def _switched(value: str, default: str) -> bool:
    """Whether a setting is on where it was off, or names another mode; another number leaves a switch where it was."""
    try:
        return bool(float(value)) != bool(float(default))
    except ValueError:
        return value.strip().lower() != default.strip().lower()

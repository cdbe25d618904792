"""The whole interpreter: from a parsed script and a configuration to its timeline."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from auditor.timeline import arguments, copies, imports, methods, models, numerics
from auditor.timeline.events import Timeline
from auditor.timeline.frames import BudgetSpent, Frame
from auditor.timeline.statements import Statements
from auditor.timeline.unread import KNOWN_LIBRARIES
from auditor.timeline.values import UNKNOWN, Obj, Val, constant, of_obj

__all__ = [
    "Interpreter",
    "arguments",
    "copies",
    "imports",
    "methods",
    "models",
    "numerics",
]  # the models register themselves when imported


class Interpreter(Statements):
    """Runs a script abstractly, `__main__` first to last."""

    __slots__ = (
        "sources",
        "unreadable",
        "modules",
    )

    def __init__(
        self,
        env: Mapping[str, tuple[str, str]],
        argv: tuple[str, ...] = (),
        modules: Mapping[str, ast.Module] | None = None,
        explore: frozenset[int] = frozenset(),
    ) -> None:
        super().__init__(env, argv, explore)
        self.sources = dict(modules or {})
        self.unreadable: Mapping[str, str] = {}
        """Sibling modules that do not parse: name -> why."""
        self.modules: dict[str, Val] = {}

    def is_package(self, name: str) -> bool:
        """Whether a sibling module is the `__init__` of a folder."""
        return any(source.startswith(f"{name}.") for source in self.sources)

    def source_name(self, name: str) -> str:
        """The sibling module that an import means: by its path from the script, or from a folder put on `sys.path`."""
        if name in self.sources or not name or name.partition(".")[0] in KNOWN_LIBRARIES:
            return name
        below = [source for source in self.sources if source.endswith(f".{name}")]
        return below[0] if len(below) == 1 else name

    def import_module(self, name: str, node: ast.AST) -> Val | None:
        """A sibling module of the script, interpreted once; None for library modules."""
        name = self.source_name(name)
        if name in self.modules:
            return self.modules[name]
        tree = self.sources.get(name)
        if tree is None:
            if name in self.unreadable:
                reason = f"the module {name} that it imports could not be read: {self.unreadable[name]}"
                self.timeline.opaque.append((getattr(node, "lineno", 0), reason))
            return None
        obj = Obj("module", name, -4)
        self.modules[name] = of_obj(obj)
        frame = Frame(name, tree, None, None, 0)
        frame.file = name
        frame.vars["__name__"] = constant(name)
        saved, self.frame = self.frame, frame
        saved_dead, self.dead = self.dead, False
        self.run(tree.body)
        self.frame, self.dead = saved, saved_dead
        obj.fields = frame.vars
        return self.modules[name]

    def analyse(self, tree: ast.Module) -> Timeline:
        """Interpret the script; what could not be followed is noted in the timeline."""
        self.frame = Frame("<module>", tree, None, None, 0)
        self.frame.vars["__name__"] = constant("__main__")
        self.frame.vars["__file__"] = UNKNOWN
        timeline = self.timeline
        try:
            self.run(tree.body)
        except BudgetSpent:
            timeline.opaque.append((0, "the analysis budget is spent"))
        except RecursionError:
            timeline.opaque.append((0, "expressions are nested too deeply"))
        self.close_wrapped()
        timeline.scores = self.score_list
        for score in timeline.scores:
            score.deps = self.judge(score.depends)
        for report in self.reports.values():
            report.deps = self.judge(report.depends)
        reaching = {d.update for r in self.reports.values() for d in r.deps}
        for update in self.update_list:
            if not update.applied and update.number in reaching:  # a step written as arithmetic
                update.applied.append(update.place)
        timeline.updates = [u for u in self.update_list if u.applied]
        timeline.count_reads = self.read_list
        timeline.crossings = list(self.crossings.values())
        timeline.mixes = list(self.mixes.values())
        timeline.choices = list(self.choices.values())
        timeline.gates = list(self.gates.values())
        for gate in timeline.gates:
            if gate.tables and gate.tables <= self.count_tables.keys():  # no fixed tables, as it turned out
                gate.why = ""
        timeline.reports = sorted(self.reports.values(), key=lambda r: r.order)
        timeline.workers = self.workers
        timeline.steps = self.steps
        return timeline

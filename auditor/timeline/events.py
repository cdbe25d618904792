"""What happens to validation tokens, in order: the facts that rules query."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from auditor.timeline.axes import Kind
from auditor.timeline.values import Dep, Region

UpdateKind = Literal["gradient", "counts", "statistic"]


@dataclass
class Place:
    """A source line inside a function, and the calls that lead there from the top."""

    line: int
    function: str
    function_line: int
    file: str = ""
    calls: tuple[tuple[str, int], ...] = ()
    """(calling function, line of the call), outermost first."""

    def at(self, line: int) -> Place:
        """Another line of the same function."""
        return Place(line, self.function, self.function_line, self.file, self.calls)


@dataclass
class Update:
    """State is changed with validation tokens: weights by a gradient, a table by counts, weights by a statistic."""

    number: int
    kind: UpdateKind
    place: Place
    regions: frozenset[Region]
    stack: int
    """Loops (bits) around the update."""
    loops: tuple[Loop, ...] = ()
    order: int = 0
    atoms: frozenset[int] = frozenset()
    applied: list[Place] = field(default_factory=list)
    """Where the gradient is applied (`optimizer.step()`), or the write itself."""
    states: list[str] = field(default_factory=list)
    """What was changed: class or variable names, for the reader."""
    local_state: bool = True
    """Only tensors created for the evaluation were changed (an offset, a bias), no model or adapter."""
    optimizer: str = ""
    held: frozenset[tuple[object, ...]] = frozenset()
    """Conditions under which it happens, as far as they are not known."""


class Judged(NamedTuple):
    """What is read at `read_line` depends on update `update`: of other tokens (legal), or of the same ones."""

    update: int
    legal: bool
    loops: int
    read_line: int
    by_cut: bool = False
    """Legal only because the update is of the head of a window, and the tail is what counts of the read."""


@dataclass
class Read:
    """A read of state that updates may have reached: for which tokens, and inside which loops."""

    regions: frozenset[Region]
    stack: int
    line: int


@dataclass(frozen=True)
class Loop:
    """A loop around an event; `bit` identifies this activation of it."""

    bit: int
    place: Place
    kind: str
    text: str = ""


@dataclass
class Score:
    """Losses of validation tokens are computed: the negative log-likelihood of `regions`."""

    number: int
    place: Place
    regions: frozenset[Region]
    stack: int
    loops: tuple[Loop, ...] = ()
    order: int = 0
    depends: frozenset[Dep] = frozenset()
    deps: frozenset[Judged] = frozenset()
    mapped: bool = False
    """What is scored is a property of the tokens (a byte, a class), not the tokens."""
    crossings: frozenset[int] = frozenset()
    """How the predictions of a position came to hold other positions."""
    itself: bool = False
    """The scored tokens are among those that the model is given: a masked or a denoising objective."""


@dataclass
class Crossing:
    """Inside the model, positions come to hold what other positions hold: later ones, or the one before."""

    number: int
    kind: Kind
    place: Place
    why: str


@dataclass
class CountRead:
    """A table is looked up with a key made of token ids."""

    number: int
    place: Place
    key: frozenset[Region]
    exact: bool
    table: str
    key_line: int
    order: int = 0
    key_sites: tuple[int, ...] = ()
    """Lines where the token ids of the key are read."""
    target_in_key: bool = False
    why: str = ""
    pieces: bool = False
    """The key holds bytes of the present token: the table counts text."""
    object: int = -1
    """The table, by object."""
    picks: bool = False
    """One entry of the row of a context, exact: the count of one token after it."""
    normed: bool = False
    """The entry of the scored token is divided by the sum of the entries of all tokens."""


@dataclass
class Mix:
    """The probability of the scored token meets a count read for that token only."""

    place: Place
    counts: frozenset[int]
    scores: frozenset[int]
    order: int = 0
    pieces: bool = False
    """The counts are of bytes of the token."""
    alien: str = ""
    """What it meets is no probability of that token: what it is instead."""


@dataclass
class Choice:
    """Losses are compared and one of them, or what gave it, is kept."""

    place: Place
    scores: frozenset[int]
    parts: bool
    """The losses are of a token, a chunk, a document; else of whole evaluations."""
    order: int = 0
    loaded: bool = False
    """What was kept is loaded as weights."""
    stack: int = 0
    """Loops (bits) around the choice."""
    loaded_in: int = 0
    """Loops (bits) around such loads."""


@dataclass
class Gate:
    """Whether a count takes part in the score of a token hangs on that token."""

    place: Place
    scores: frozenset[int]
    counts: frozenset[int]
    """Look-ups that take part or not."""
    decided: frozenset[int]
    """Look-ups that the decision is made from."""
    why: str
    """What else the decision is made from; empty when the counts are all."""
    tables: frozenset[int] = frozenset()
    """Fixed tables, by object, that the decision is made from."""
    order: int = 0


@dataclass
class ReportEvent:
    """A loss over validation tokens is printed or written; the last one in bits is the headline."""

    place: Place
    scores: frozenset[int]
    depends: frozenset[Dep]
    counts: frozenset[int]
    bits: bool
    order: int
    text: str = ""
    deps: frozenset[Judged] = frozenset()
    chosen_parts: bool = False
    """The loss is made of losses that were kept because they were the smaller ones, part by part."""
    chosen_whole: bool = False
    """The loss was kept because it was the smaller one of several evaluations."""
    outside: bool = False
    """The loss depends on what another program wrote."""
    filled: bool = False
    """The loss depends on arrays that native code filled from validation tokens."""
    copied: bool = False
    """The loss was changed where a stored token equals the scored one."""


class Moment(NamedTuple):
    """A place and when it was reached."""

    order: int
    place: Place


@dataclass
class Fetch:
    """Something comes over the network: `download`, or `packages` that are installed."""

    kind: Literal["download", "packages"]
    place: Place
    what: str
    order: int
    loops: tuple[Loop, ...] = ()


@dataclass
class ConfigRead:
    """A setting that the script reads: from the environment, the command line, or a constant of a class."""

    name: str
    value: str
    source: str
    line: int
    default: str = ""


@dataclass
class Undefined:
    """A name is read that has no value, whatever the configuration leaves open."""

    name: str
    place: Place
    order: int


EMPTY_LOOP = 0
"""In place of the line of an `if`: a loop that the configuration leaves empty."""


@dataclass
class Skipped:
    """Code that the effective configuration switches off."""

    line: int
    end_line: int
    branch_line: int = EMPTY_LOOP
    """Line of the `if` that decided."""
    branch: bool = False
    """The outcome that would run this code."""


@dataclass
class Timeline:
    """All events of one run under one configuration."""

    updates: list[Update] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    count_reads: list[CountRead] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    mixes: list[Mix] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    reports: list[ReportEvent] = field(default_factory=list)
    fetches: list[Fetch] = field(default_factory=list)
    trained: Moment | None = None
    """The last step of an optimiser on other than validation tokens."""
    trained_in: int = 0
    """Loops (bits) around such steps."""
    saved: Moment | None = None
    """The last time that weights were written to a file or buffer."""
    restored: Moment | None = None
    """The last time before the end that weights were set from a state dict or a file, or a new model was made."""
    restored_in: int = 0
    """Loops (bits) around such times."""
    sorted_loops: int = 0
    """Loops (bits) that walk through validation tokens in the order of a sorted list."""
    filled_in: int = -1
    """Loops (bits) around every call of native code that is given validation tokens."""
    workers: dict[int, str] = field(default_factory=dict)
    """Commands that start another program, by line."""
    copies: list[Place] = field(default_factory=list)
    """Where validation tokens are compared with tokens stored for the same positions."""
    erased: set[int] = field(default_factory=set)
    """Scores of which losses were multiplied by whether a stored token equals the scored one."""
    config: dict[str, ConfigRead] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    taken: list[Skipped] = field(default_factory=list)
    """Branches that the configuration takes, each as the block that runs."""
    undefined: list[Undefined] = field(default_factory=list)
    model: dict[str, int | None] = field(default_factory=dict)
    opaque: list[tuple[int, str]] = field(default_factory=list)
    """Code that could not be followed: line and reason."""
    steps: int = 0
    headline_line: int = 0
    """Line of the report that printed the claimed number, when the log tells."""

    @property
    def headline(self) -> ReportEvent | None:
        """The report that printed the claimed number, else the last loss in bits over validation tokens."""
        scored = [r for r in self.reports if r.scores]
        if self.headline_line:
            scored = [r for r in scored if r.place.line == self.headline_line] or scored
        in_bits = [r for r in scored if r.bits]
        ranked = sorted(in_bits or scored, key=lambda r: r.order)
        return ranked[-1] if ranked else None

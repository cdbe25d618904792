"""Loss and bits per byte along a run, read from its log: as a picture, and as text for a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reference_impl.files import write_whole

TRAINED = re.compile(r"^(?:step:)?(\d+)/\d+ train_loss: ?([\d.]+)", re.MULTILINE)
VALIDATED = re.compile(r"^(?:step:)?(\d+)/\d+ val_loss: ?[\d.]+ val_bpb: ?([\d.]+)", re.MULTILINE)
"""Lines of both dialects of `reference_impl.log`."""
Points = list[tuple[int, float]]


@dataclass(frozen=True)
class Curves:
    """What a log says of each logged step."""

    loss: Points
    """Step, mean nats a token of the training batch."""
    bpb: Points
    """Step, bits per byte of the validation split."""


def curves(log: str) -> Curves:
    """The curves of a log."""
    loss, bpb = ([(int(step), float(value)) for step, value in each.findall(log)] for each in (TRAINED, VALIDATED))
    return Curves(loss, bpb)


def picture(path: Path, runs: Mapping[str, Curves]) -> None:
    """Draw the curves of several runs into a PNG file: loss on the left, bits per byte on the right."""
    from io import BytesIO

    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, run in runs.items():
        left.plot(*zip(*run.loss, strict=True), label=name) if run.loss else None
        right.plot(*zip(*run.bpb, strict=True), marker=".", label=name) if run.bpb else None
    for axes, title in ((left, "training loss, nats a token"), (right, "validation, bits per byte")):
        axes.set(title=title, xlabel="step")
        axes.legend() if axes.lines else None
    content = BytesIO()
    figure.savefig(content, format="png", dpi=120, metadata={"Software": None})
    write_whole(path, content.getvalue())


def chart(points: Points, title: str, *, width: int = 79, height: int = 10) -> list[str]:
    """One curve in characters: a column shows the mean of the values that fall into it; empty without two points."""
    if len(points) < 2:
        return []
    margin = 9
    columns = width - margin
    first, last = points[0][0], points[-1][0]
    binned: dict[int, list[float]] = {}
    for step, value in points:
        binned.setdefault(round((step - first) / (last - first) * (columns - 1)), []).append(value)
    means = {column: sum(values) / len(values) for column, values in binned.items()}
    low, high = min(means.values()), max(means.values())
    rows = [[" "] * columns for _ in range(height)]
    for column, value in means.items():
        rows[round((high - value) / ((high - low) or 1.0) * (height - 1))][column] = "*"
    labels = {0: f"{high:8.4f}", height - 1: f"{low:8.4f}"}
    body = [f"{labels.get(i, ''):>8}|{''.join(row)}".rstrip() for i, row in enumerate(rows)]
    steps = f"step {first}".ljust(columns - len(str(last))) + str(last)
    return [title, *body, " " * margin + steps]

"""A timeline as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from auditor.timeline.events import Timeline


def rows(timeline: Timeline, text_of: Callable[[int], str]) -> Iterator[tuple[int, str, int, str, str, str]]:
    """(depth, kind, line, function, text, detail), in order of execution."""
    events: list[tuple[int, tuple[int, str, int, str, str, str]]] = []
    for score in timeline.scores:
        judged = sorted({(d.update, d.legal) for d in score.deps})
        after = ", ".join(f"{'after' if ok else 'TAINTED BY'} update {number}" for number, ok in judged)
        events.append(
            (
                score.order,
                (len(score.loops), "SCORE", score.place.line, score.place.function, text_of(score.place.line), after),
            )
        )
    for update in timeline.updates:
        kind = {"gradient": "UPDATE", "counts": "CACHE_WRITE", "statistic": "CALIBRATE"}[update.kind]
        applied = ", ".join(f"L{p.line}" for p in update.applied)
        detail = f"update {update.number} of {', '.join(update.states) or 'state'} at {applied}"
        events.append(
            (
                update.order,
                (len(update.loops), kind, update.place.line, update.place.function, text_of(update.place.line), detail),
            )
        )
    for read in timeline.count_reads:
        detail = (
            "key of bytes of the scored token"
            if read.pieces
            else f"key holds the scored token: {read.why}"
            if read.target_in_key
            else "key of token ids"
        )
        events.append(
            (read.order, (0, "CACHE_READ", read.place.line, read.place.function, text_of(read.place.line), detail))
        )
    for mix in timeline.mixes:
        events.append(
            (
                mix.order,
                (
                    0,
                    "MIX",
                    mix.place.line,
                    mix.place.function,
                    text_of(mix.place.line),
                    "the scored token's probability only",
                ),
            )
        )
    headline = timeline.headline
    for report in timeline.reports:
        kind = "HEADLINE" if headline is not None and report.place.line == headline.place.line else "REPORT"
        detail = f"scores {', '.join(map(str, sorted(report.scores)))}" + ("" if report.bits else ", not in bits")
        events.append(
            (report.order, (0, kind, report.place.line, report.place.function, text_of(report.place.line), detail))
        )
    last = None
    for _, row in sorted(events, key=lambda e: e[0]):
        if row != last:
            yield row
        last = row

"""A model of bytes is mixed with the probability of the scored token only.

What it does
------------
Reports the line where the probability of the scored token, whole or spread evenly over the bytes of that token, is
blended with counts that were looked up for those bytes: `lam * p ** (1 / n) + (1 - lam) * q` byte by byte, or
`lam * p + (1 - lam) * q1 * ... * qn` for the whole token.

Why it matters
--------------
The network predicts tokens, the counts predict bytes. The share of one token's probability that is given to each of its
bytes is no distribution over bytes, and a product of byte probabilities is none over tokens (several tokens begin with
the same bytes): what is scored need not sum to one over the vocabulary (condition C2). A byte model may be mixed after
the whole distribution over tokens has been summed into one over the next byte.

What helps
----------
Sum the network's distribution over tokens into one over the next byte and mix there, or report the score of the
network alone.

Limits
------
That a probability is one of bytes is seen by its index (a property looked up by token id); the sums behind it are not
checked. C text that stands in the script is read without its order of statements, and only a loss that is divided by a
length looked up with the token is reported; other uses of losses in native code are held as `opaque-code`. A mixture
that reaches a printed diagnostic and not the headline is a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Mix, ReportEvent, Timeline
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script

_BYTES = """
    def pieces(s):
        import sentencepiece
        sp = sentencepiece.SentencePieceProcessor(model_file="fineweb.model")
        return [sp.id_to_piece(i).encode() for i in range(s.vocab)]

    def evaluate(s, model, val):
        text = pieces(s)
        seen = {{}}
        past = b""
        total, count = 0.0, 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            with torch.no_grad():
                logits = model.logits(x)[0]
            nll = F.cross_entropy(logits, y[0], reduction="none").tolist()
            for j, token in enumerate(y[0].tolist()):
                own = text[token]
                {body}
                count += 1
        return total / count
"""
_SPREAD = script(
    _BYTES.format(
        body="""share = math.exp(-nll[j] / len(own))
                for byte in own:
                    row = seen.setdefault(past[-3:], {})
                    q = (row.get(byte, 0) + 1 / 256) / (sum(row.values()) + 1)
                    total -= math.log(0.8 * share + 0.2 * q)
                    row[byte] = row.get(byte, 0) + 1
                    past = past + bytes([byte])"""
    )
)
_PRODUCT = script(
    _BYTES.format(
        body="""q = 0.0
                for byte in own:
                    row = seen.setdefault(past[-3:], {})
                    q += math.log((row.get(byte, 0) + 1 / 256) / (sum(row.values()) + 1))
                    row[byte] = row.get(byte, 0) + 1
                    past = past + bytes([byte])
                total -= np.logaddexp(math.log(0.8) - nll[j], math.log(0.2) + q)"""
    )
)
_MARGINAL = script(
    _BYTES.format(
        body="""p = torch.softmax(logits[j], dim=-1)
                for depth, byte in enumerate(own):
                    alike = torch.zeros(256, s.vocab)
                    for other, piece in enumerate(text):
                        if piece[:depth] == own[:depth] and len(piece) > depth:
                            alike[piece[depth], other] = 1.0
                    next_byte = alike @ p / (alike @ p).sum()
                    row = seen.setdefault(past[-3:], {})
                    q = (row.get(byte, 0) + 1 / 256) / (sum(row.values()) + 1)
                    total -= math.log(0.8 * next_byte[byte] + 0.2 * q)
                    row[byte] = row.get(byte, 0) + 1
                    past = past + bytes([byte])"""
    )
)
_DENOMINATOR = script(
    _BYTES.format(
        body="""total += nll[j] / max(len(own), 1)
                past = past + own"""
    )
)


class PPMByteMixture:
    """Byte counts blended with one token's probability."""

    id: ClassVar[str] = "ppm-byte-mixture"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C2",)
    rulings: ClassVar[tuple[str, ...]] = ("pr1902", "pr1835", "pr1991", "issue1872", "issue1017")
    examples: ClassVar[tuple[Example, ...]] = (
        Example("The token's probability is spread over its bytes and mixed with byte counts", _SPREAD, True),
        Example("The product of byte probabilities is mixed with the token's probability", _PRODUCT, True),
        Example("The distribution over tokens is summed into one over the next byte first", _MARGINAL, False),
        Example("The loss is divided by the bytes of the token", _DENOMINATOR, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding for the first line that blends into the headline, else a note for a diagnostic."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            headline = timeline.headline
            if headline is None:
                return []
            for report in (headline, *timeline.reports):
                for mix in timeline.mixes:
                    if mix.pieces and mix.counts & report.counts and mix.scores & report.scores:
                        return [self._finding(facts, timeline, mix, report, counted=report is headline)]
            return []

        return facts.graded(query)

    def _finding(self, facts: Facts, timeline: Timeline, mix: Mix, report: ReportEvent, *, counted: bool) -> Finding:
        read = timeline.count_reads[min(mix.counts & report.counts)]
        path = [
            facts.step(read.place, "counts are looked up for the bytes of the scored token"),
            facts.step(mix.place, "source: they are blended into the probability of that token"),
            facts.step(report.place, "sink: the score is reported"),
        ]
        message = (
            "The probability of the scored token is blended with counts of its bytes; what is scored is a distribution"
            " neither over tokens nor over bytes."
        )
        if counted:
            return facts.finding(self, mix.place, message, path)
        return facts.finding(self, mix.place, f"{message} The headline is another number.", path, level="note")

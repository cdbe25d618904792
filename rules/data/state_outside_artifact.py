"""The headline is scored by weights that were never read back from the artifact.

What it does
------------
Reports a run that trains a model, saves its weights, and computes the headline with the model that it still holds in
memory: between the last training step and the score, no weights are loaded, written or built anew, or the score is a
validation between the training steps.

Why it matters
--------------
The artifact is what is counted against the size limit. A score of the model in memory is the score of something larger
and more precise than what is submitted.

What helps
----------
Load the saved artifact back and score with what was loaded.

Limits
------
A warning. Weights that are set from anything after the training, also from an average of weights, are taken for what
the artifact holds, and so are those of a training loop that sets weights other than by an optimiser; adapters that stay
beside a restored model are not told apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script

_IN_MEMORY = script("""
    def evaluate(s, model, val):
        torch.save(model.state_dict(), "final_model.pt")
        return plain_eval(s, model, val)
""")

_IN_TRAINING = script("""
    def evaluate(s, model, val):
        train, opt = read_shards(s.train_files), torch.optim.AdamW(model.parameters(), lr=1e-3)
        for step in range(100):
            loss = plain_eval(s, model, val)
            x, y = window(train, step * s.seq_len, s.seq_len)
            opt.zero_grad()
            model(x, y).backward()
            opt.step()
        torch.save(model.state_dict(), "final_model.pt")
        model.load_state_dict(torch.load("final_model.pt"))
        return loss
""")

_RESTORED = script("""
    def evaluate(s, model, val):
        torch.save(model.state_dict(), "final_model.pt")
        model.load_state_dict(torch.load("final_model.pt"))
        return plain_eval(s, model, val)
""")

_ANEW = script("""
    def evaluate(s, model, val):
        torch.save(model.state_dict(), "final_model.pt")
        restored = Model(s)
        restored.load_state_dict(torch.load("final_model.pt"))
        return plain_eval(s, restored, val)
""")


class StateOutsideArtifact:
    """Scores of the model in memory."""

    id: ClassVar[str] = "state-outside-artifact"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ("C1",)
    rulings: ClassVar[tuple[str, ...]] = ("readme-records",)
    examples: ClassVar[tuple[Example, ...]] = (
        Example("The trained model is saved, and scored as it is", _IN_MEMORY, True),
        Example("The score is the last validation in training", _IN_TRAINING, True),
        Example("The weights are loaded back before the evaluation", _RESTORED, False),
        Example("A new model is made from the file", _ANEW, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One warning, at the score."""
        run, headline = facts.run, facts.run.headline
        if headline is None or run.trained is None or run.saved is None:
            return
        score = max((run.scores[number] for number in headline.scores), key=lambda s: s.order)
        if score.order < run.trained.order:
            in_memory, when = bool(score.stack & run.trained_in & ~run.restored_in), ", between training steps"
        else:
            in_memory, when = run.restored is None or run.restored.order < run.trained.order, ""
        if not in_memory:
            return
        steps = [
            facts.step(run.trained.place, "the last training step"),
            facts.step(score.place, f"the tokens are scored{when}"),
            facts.step(headline.place, "the score is reported"),
        ]
        message = "The headline is scored by the model in memory; nothing was read back from what the run saves."
        yield facts.finding(self, score.place, message, steps)

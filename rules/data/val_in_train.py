"""Validation tokens are in the training data, or stored in the artifact.

What it does
------------
Reports three things. A stored copy of the scored text: tokens read from a file, or taken out of validation text that
the script compressed, are compared with the validation tokens at the same positions, and the reported loss is changed
where they agree. Training on validation files: the run gives
the loader of training files a path of validation files, or the files were renamed beforehand. And logs of a training
set that was split from the document stream at another place than the validation set, so that the two overlap.

Why it matters
--------------
The score stands for text that nobody has seen. Maintainers ruled out validation tokens in training and in the artifact;
a copy of the text scores zero bits wherever it reaches, and says nothing of a model.

What helps
----------
Train on the published training shards alone, and keep validation text out of the artifact.

Limits
------
Of the data themselves only names, counts and commands are seen. Two splits of other sizes than the published ones, or
a data set that was built elsewhere, need the shards for proof.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Place
from auditor.timeline.files import names_split
from auditor.verdict import Finding, Level, PgolfError
from rules.base import Example, Kind
from rules.miniature import script

_COPY = script("""
    def stored_tokens(path):
        with open(path, "rb") as f:
            return torch.from_numpy(np.frombuffer(f.read(), dtype=np.uint16).astype(np.int64))

    def evaluate(s, model, val):
        stored = stored_tokens("prefix.bin")
        total, count = torch.zeros(()), 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            with torch.no_grad():
                loss = F.cross_entropy(model.logits(x).flatten(0, 1), y.flatten(), reduction="none")
            known = stored[start + 1:start + 1 + s.seq_len] == y.flatten()
            total += (loss * (~known).float()).sum()
            count += y.numel()
        return (total / count).item()
""")

_BOUNDARY = script("""
    def evaluate(s, model, val):
        with open("special.bin", "rb") as f:
            first = np.frombuffer(f.read(), dtype=np.uint16)[0]
        total, count = torch.zeros(()), 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            with torch.no_grad():
                loss = F.cross_entropy(model.logits(x).flatten(0, 1), y.flatten(), reduction="none")
            inside = (y.flatten() != first).float()
            total += (loss * inside).sum()
            count += inside.sum()
        return (total / count).item()
""")

_PLAIN = script("""
    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""")

_FILES = _PLAIN.replace(
    'train_files = os.path.join(os.environ.get("DATA_PATH", "./data"), "fineweb_train_*.bin")',
    'train_files = os.environ.get("TRAIN_FILES", "./data/fineweb_train_*.bin")',
)

_RENAMED = re.compile(
    r"^[ \t>$`-]*(?:ln|cp|mv|rsync|copy)\b[^\n]*?([^\s/]*val[^\s/]*)\s+\S*?([^\s/]*train[^\s/]*)\s*`?$", re.MULTILINE
)
_TRAINED_ON = re.compile(r"train_loader:dataset:(\S+)[ \t]+train_shards:\d+")
_ONLY_VAL = re.compile(r"val(?:idation)?[_-]?only$")
_SHARDS = re.compile(r"\btrain_shards\s*[:=]\s*(\d+)")
_VAL_TOKENS = re.compile(r"\bval_tokens\s*[:=]\s*(\d+)")
_LATE_SPLIT_SHARDS = range(1495, 1507)
"""Shards of ten million tokens that the whole document stream makes after a validation set of 10,000 documents."""
_SPLIT_AT = re.compile(r"val[-_]docs\W{1,4}10[,_]?000\b")
_EARLY_VAL = re.compile(r"\b966[12]\d{3}\b")
"""Tokens of the first 10,000 documents."""
_SMALL = 100_000
_FULL_VAL = range(47_800_000, 47_900_000)
"""Tokens of the validation set of 50,000 documents under the same tokenizer."""


class ValInTrain:
    """Training data, stored data and validation data that overlap."""

    id: ClassVar[str] = "val-in-train"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C3",)
    rulings: ClassVar[tuple[str, ...]] = ("readme-2cff08e1a", "pr44", "pr168", "pr262", "issue2127", "pr2018")
    examples: ClassVar[tuple[Example, ...]] = (
        Example("The loss is zero where a stored copy of the text is right", _COPY, True),
        Example("A stored number is compared with every token", _BOUNDARY, False),
        Example("The run trains on the validation files", _FILES, True, (("TRAIN_FILES", "./data/fineweb_val_*.bin"),)),
        Example("The validation files are read for the evaluation only", _FILES, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """The stored copy, the training files, the records."""
        yield from self._copies(facts)
        yield from self._settings(facts)
        yield from self._records(facts)

    def _copies(self, facts: Facts) -> Iterator[Finding]:
        headline = facts.run.headline
        if headline is None or not (headline.copied or headline.scores & facts.run.erased):
            return
        place = facts.run.copies[0]
        message = (
            f"`{place.function}` compares the validation tokens with tokens stored for the same positions and changes"
            " the reported loss where they agree."
        )
        steps = [
            facts.step(place, "stored tokens are compared with the tokens being scored"),
            facts.step(headline.place, "the changed loss is reported"),
        ]
        yield facts.finding(self, place, message, steps)

    def _settings(self, facts: Facts) -> Iterator[Finding]:
        for name, read in facts.run.config.items():
            if names_split(read.default) != "train":
                continue
            value, source = read.value, read.source
            if names_split(value) == "train":
                value, source = _assigned(name, facts.submission.readme or ""), "the README's settings"
            if names_split(value) == "val":
                place = Place(read.line, "<module>", 1)
                message = f"The run trains on validation files: {name} is {value[:80]} by {source}."
                yield facts.finding(
                    self, place, message, [facts.step(place, "the files to train on")], activation="run"
                )

    def _records(self, facts: Facts) -> Iterator[Finding]:
        for reason in _overlaps(facts):
            place = Place(1, "<module>", 1)
            yield facts.finding(self, place, reason, [], activation="run", anchor=reason)
            return


def _assigned(name: str, readme: str) -> str:
    """The value that a line of its own gives a setting in the README, outside of any command."""
    found = re.search(rf"^\s*(?:export\s+|[-*]\s+`?)?{re.escape(name)}=[\"']?([^\s\"'`\\]+)", readme, re.MULTILINE)
    return found[1] if found else ""


def _overlaps(facts: Facts) -> Iterator[str]:
    """What logs and README say of the data."""
    submission = facts.submission
    readme = submission.readme or ""
    renamed = _RENAMED.search(readme)
    if renamed and names_split(renamed[1]) == "val" and names_split(renamed[2]) == "train":
        yield f"The README makes training data of the validation file: {renamed[0].strip()[:160]}"
    for log in submission.logs:
        name = log.path.rpartition("/")[2]
        trained = _TRAINED_ON.search(log.text)
        if trained and _ONLY_VAL.search(trained[1].lower()):
            yield f"{name} trains on the data set {trained[1][:80]}, which holds validation files only."
        tokens = _VAL_TOKENS.search(log.text)
        if not tokens or int(tokens[1]) not in _FULL_VAL:
            continue
        shards = _SHARDS.search(log.text)
        told = f"{name} scores {tokens[1]} validation tokens, which are the first 50,000 documents"
        if shards and int(shards[1]) in _LATE_SPLIT_SHARDS:
            yield f"{told}; its {shards[1]} training shards are all that follows document 10,000."
        elif _SPLIT_AT.search(readme) and (audit := _early_split(facts)):
            yield f"{told}; {audit} and the README show that the training shards begin after document 10,000."


def _early_split(facts: Facts) -> str:
    """A committed record of the data preparation that counts the validation tokens of 10,000 documents."""
    submission = facts.submission
    for path, size in submission.data_files.items():
        if path.endswith(".json") and path != "submission.json" and size <= _SMALL:
            try:
                text = submission.tree.read(f"{submission.folder}/{path}").decode(errors="replace")
            except PgolfError:
                continue
            if _EARLY_VAL.search(text):
                return path
    return ""

"""What a submission says of itself: score, seeds, artifact sizes.

Order of trust for the score: a README or title that says the score is pending, then submission.json,
README, title, logs. The first number near "bpb" is not the score (RULES, trap 6): deltas, standard
deviations, pre-quantisation values and baselines are passed over, and every number is checked for size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditor.submission.model import Log
from auditor.verdict import Claims

SCORE_KEYS = (
    "val_bpb",
    "mean_val_bpb",
    "val_bpb_mean",
    "val_bpb_exact",
    "val_bpb_3seed_mean",
    "mean_bpb",
    "bpb",
    "final_val_bpb",
    "best_val_bpb",
    "score",
)
ARTIFACT_KEYS = (
    "artifact_bytes",
    "artifact_size_bytes",
    "bytes_total",
    "total_bytes",
    "artifact_bytes_max",
    "submission_bytes",
)
_QUANTITIES: Mapping[str, tuple[str, ...]] = {
    "val_bpb": SCORE_KEYS,
    "val_loss": ("val_loss", "mean_val_loss", "val_loss_mean"),
    "val_bpb_std": ("val_bpb_std", "std_val_bpb", "bpb_std", "std"),
    "artifact_bytes": ARTIFACT_KEYS,
    "code_bytes": ("bytes_code", "code_bytes", "code_size_bytes"),
    "steps": ("steps", "train_steps", "training_steps", "step_stop"),
    "train_s": (
        "train_time_ms",
        "train_ms",
        "training_time_seconds",
        "train_time_seconds",
        "train_time_s",
        "wallclock_seconds",
        "train_wallclock_s",
    ),
    "eval_s": (
        "eval_time_ms",
        "eval_ms",
        "eval_time_seconds",
        "eval_time_s",
        "eval_seconds",
        "total_eval_time_s",
        "eval_time_s_max",
    ),
}
"""What submission.json declares, under the names that are in use for it."""
_SEED_TABLES = ("seed_results", "seeds", "per_seed", "results", "runs", "seed_runs", "per_seed_results")

BACKED_SPREAD = 0.01
"""A claimed score lies this close to what the logs end with."""

_NUMBER = r"(?<![\d.])([0-4]\.\d{2,10})(?![\d.]*\d)"
_PENDING = re.compile(r"(?:bpb|score|result)\b[^\n\d|]{0,24}?\b(?:pending|tbd|to be determined|wip)\b", re.IGNORECASE)
_SCORE = re.compile(
    rf"(?:val[_ ]?bpb|\bbpb)\b(?:(?:\([^()\n]{{0,40}}\)|[^\n\d|.(]){{0,40}}?[:=≈~|]|\s)[*`~≈ ]*{_NUMBER}"
    rf"|{_NUMBER}\**\s*(?:val_)?(?:bpb|BPB)\b",
    re.IGNORECASE,
)
_NOT_THE_SCORE = re.compile(
    r"delta|Δ|gain|improv|baseline|previous|prior|sota\b|pre-?quant|pre-?ttt|before|std\b|±|target|threshold|vs\.?\s"
    r"|record to beat|from #|PR ?#\d+.{0,20}$|invalid|expected|projected|estimat",
    re.IGNORECASE,
)
_SEED_PROSE = re.compile(r"\bseeds?\b[\s:=`*_(\[]{1,4}((?:\d{1,6}[\s,/&`*]{0,4}(?:and )?){1,12})", re.IGNORECASE)
_PHASE_COLUMN = re.compile(r"phases?\b|stages?\b|component|step", re.IGNORECASE)
_TIME_COLUMN = re.compile(r"(?:wall[- ]?clock )?(?:time|duration|seconds)(?: ?\(s\))?", re.IGNORECASE)
_SECONDS = re.compile(r"(?<![\d.,])(\d{1,5}(?:\.\d+)?)\s?(?:s|sec|seconds)\b")
_EVALUATES = re.compile(r"\beval|ttt\b|sliding|scor", re.IGNORECASE)
_SUMS = re.compile(r"total|train|\ball\b|budget|sum\b", re.IGNORECASE)
_SIZED = re.compile(r"byte|size|artifact|total|submission", re.IGNORECASE)
"""Headers of columns that give the size of the artifact."""
_CAP = 16_000_000
"""A README that gives this as a size speaks of the limit."""
_MEGABYTES = re.compile(
    r"\b(?:artifact|submission|compressed model)\b(?: size)?(?: is| was| of| at|:| =|\s*\|)?\s*\**[~≈]?"
    r"(\d{1,3}(?:\.\d+)?)\s?MB\b",
    re.IGNORECASE,
)
_BYTES = re.compile(r"(?<![\d,.])(\d{1,2},\d{3},\d{3}|\d{7,8})(?![\d,.]*\d)")


def read_claims(
    submission: Mapping[str, object] | None, readme: str | None, headline: str, logs: Sequence[Log] = (), size: int = 0
) -> Claims:
    """The claims, each from the first place that makes it; `source` says where the score was read.

    `size` is the size of the script in bytes: the logs of another program leave a pending claim pending.
    """
    text = readme or ""
    seeds = _json_seeds(submission or {}) or _readme_seeds(text) or _log_seeds(logs)
    artifact = _json_artifacts(submission or {}) or _readme_artifacts(text)
    if is_pending(headline, text) and not _backed(submission or {}, logs, size):
        return Claims(seeds=seeds, artifact_bytes=artifact, source="README", status="pending")
    for source, value in (
        ("submission.json", _json_score(submission or {})),
        ("README", _text_score(text)),
        ("title", _text_score(headline)),
        ("log", _log_score(logs)),
    ):
        if value is not None:
            return Claims(val_bpb=value, seeds=seeds, artifact_bytes=artifact, source=source)
    declared = submission is not None and any(_says_pending(submission.get(key)) for key in (*SCORE_KEYS, "status"))
    return Claims(seeds=seeds, artifact_bytes=artifact, status="pending" if declared else None)


@dataclass(frozen=True)
class Claim:
    """One number that the submission states of its runs, and where."""

    name: str
    """A key of `_QUANTITIES`, or `seed`."""
    value: float
    where: str
    seed: int | None = None
    decimals: int = 0
    """Decimals that are given."""


def declared(submission: Mapping[str, object], readme: str, title: str) -> tuple[Claim, ...]:
    """Every claim that can be checked against logs, in order of trust."""
    claims = list(_declared(submission, "submission.json", None))
    claims += (Claim("seed", seed, "submission.json: seeds") for seed in _json_seeds(submission))
    for key in ("results", "metrics", "result", "summary", "performance", "scores", "final"):
        nested = submission.get(key)
        if isinstance(nested, Mapping):
            claims += _declared(nested, f"submission.json: {key}", None)
    for seed, entry in _seed_entries(submission):
        where = f"submission.json: seed {seed}"
        if isinstance(entry, Mapping):
            claims += _declared(entry, where, seed)
        elif (score := _entry_score(entry)) is not None:
            claims.append(Claim("val_bpb", score, where, seed, _decimals(entry)))
    for seed, row, header in _seed_rows(readme):
        where = f"README.md: row of seed {seed}"
        claims.append(Claim("seed", seed, where, seed))
        columns = [i for i, name in enumerate(header[: len(row)]) if "bpb" in name.lower()]
        scores = [row[i] for i in columns if re.fullmatch(_NUMBER, row[i]) and plausible(row[i]) is not None]
        claims += (Claim("val_bpb", float(cell), where, seed, _decimals(cell)) for cell in scores[-1:])
        sizes = _row_sizes(_sized_cells(header, row))
        claims += (Claim("artifact_bytes", size, where, seed) for size in sizes)
    for where, text in (("README.md", readme), ("title", title)):
        if (number := _text_score(text)) is not None:
            claims.append(Claim("val_bpb", number, where, None, _decimals(number)))
    return tuple(claims)


def _declared(data: Mapping[str, object], where: str, seed: int | None) -> Iterator[Claim]:
    """The quantities of one JSON object: of each the first name that holds a number."""
    for name, keys in _QUANTITIES.items():
        for key in keys:
            value = data.get(key)
            number: float | None
            if name in ("val_bpb", "val_loss", "val_bpb_std"):
                number = plausible(value) if not isinstance(value, int) else None
            elif name.endswith("bytes"):
                number = _size(value)
            else:
                number = _quantity(value)
                if number is not None and key.endswith("_ms"):
                    number /= 1000
            if number is not None and number > 0:
                yield Claim(name, number, f"{where}: {key}", seed, _decimals(value))
                break


def _quantity(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e12 else None


def _decimals(value: object) -> int:
    found = re.search(r"\d\.(\d+)", str(value))
    return len(found[1]) if found else 0


def is_pending(headline: str, readme: str) -> bool:
    """Whether title or README say that the score is yet to come, before they give any number."""
    if _PENDING.search(headline) and not _text_score(headline):
        return True
    opening = "\n".join(readme[:6000].splitlines()[:25])
    found = _PENDING.search(opening)
    return found is not None and _text_score(opening[: found.start()]) is None and not _text_score(headline)


def _backed(submission: Mapping[str, object], logs: Sequence[Log], size: int) -> bool:
    """Whether logs of this script hold what submission.json claims: the run is done, whatever the README says."""
    own = [log for log in logs if log.code_size in (None, size)]
    claimed, logged = _json_score(submission), _log_score(own)
    return claimed is not None and logged is not None and abs(claimed - logged) < BACKED_SPREAD


def claims_score(text: str) -> bool:
    """Whether a text, such as a title, gives a score."""
    return _text_score(text) is not None


def numbers(text: str) -> frozenset[str]:
    """Scores in a text, cut to four decimals so that a rounded one matches its exact form."""
    return frozenset(value[:6] for value in re.findall(_NUMBER, text[:200_000]))


def stated_scores(text: str) -> list[float]:
    """Scores in a text, in order."""
    return [float(value) for value in re.findall(_NUMBER, text[:2_000])]


def plausible(value: object) -> float | None:
    """`value` as a score, when it can be one."""
    if isinstance(value, str):
        match = re.fullmatch(rf"\D{{0,12}}?{_NUMBER}.{{0,40}}", value.strip(), re.DOTALL)
        value = match[1] if match else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int) and value.bit_length() > 64:
        return None
    number = float(value)
    # a number of a table may be next to nothing: that is what a cache that counts the answer reaches
    return number if (0 if isinstance(value, float) else 0.01) < number < 5 else None


def _json_score(data: Mapping[str, object]) -> float | None:
    for key in SCORE_KEYS:
        value = data.get(key)
        if isinstance(value, Mapping):
            value = next((value[name] for name in ("mean", "val_bpb", "value", "average") if name in value), None)
        if (number := plausible(value)) is not None:
            return number
    for key in ("results", "metrics", "result", "summary", "performance", "scores", "final", *_SEED_TABLES):
        nested = data.get(key)
        if isinstance(nested, Mapping) and (number := _json_score(nested)) is not None:
            return number
    values = [value for _, entry in _seed_entries(data) if (value := _entry_score(entry)) is not None]
    return round(sum(values) / len(values), 8) if values else None


def _entry_score(entry: object) -> float | None:
    if isinstance(entry, Mapping):
        return next((number for key in SCORE_KEYS if (number := plausible(entry.get(key))) is not None), None)
    return plausible(entry) if isinstance(entry, float) else None


def _seed_entries(data: Mapping[str, object]) -> Iterator[tuple[int, object]]:
    """(seed, what is said of it) from the shapes that are in use: a mapping by seed, or a list of records."""
    for key in _SEED_TABLES:
        table = data.get(key)
        if isinstance(table, Mapping):
            for name, entry in table.items():
                if (match := re.fullmatch(r"(?:seed[_ -]?)?(\d{1,9})", str(name), re.IGNORECASE)) is not None:
                    yield int(match[1]), entry
        elif isinstance(table, list):
            for entry in table:
                seed = entry.get("seed") if isinstance(entry, Mapping) else None
                if isinstance(seed, int) and not isinstance(seed, bool):
                    yield seed, entry


def _json_seeds(data: Mapping[str, object]) -> tuple[int, ...]:
    for key in ("seeds", "seeds_run", "seed_list"):
        listed = data.get(key)
        if isinstance(listed, list) and listed and all(_is_seed(seed) for seed in listed):
            return tuple(dict.fromkeys(int(str(seed)) for seed in listed))
    found = tuple(dict.fromkeys(seed for seed, _ in _seed_entries(data)))
    if found:
        return found
    single = data.get("seed")
    return (int(str(single)),) if _is_seed(single) else ()


def _is_seed(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return False
    return re.fullmatch(r"\d{1,9}", str(value)) is not None


def _json_artifacts(data: Mapping[str, object]) -> tuple[int, ...]:
    per_seed = [
        size
        for _, entry in _seed_entries(data)
        if isinstance(entry, Mapping)
        for size in [_first_size(entry)]
        if size is not None
    ]
    if per_seed:
        return tuple(per_seed)
    for key in ARTIFACT_KEYS:
        value = data.get(key)
        if isinstance(value, Mapping):
            value = list(value.values())
        sizes = [size for one in (value if isinstance(value, list) else [value]) if (size := _size(one)) is not None]
        if sizes:
            return tuple(sizes)
    return ()


def _first_size(entry: Mapping[str, object]) -> int | None:
    return next((size for key in ARTIFACT_KEYS if (size := _size(entry.get(key))) is not None), None)


def _size(value: object) -> int | None:
    if isinstance(value, str):
        match = _BYTES.search(value)
        value = int(match[1].replace(",", "")) if match else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 1_000 <= value < 1 << 40 else None


def _says_pending(value: object) -> bool:
    return isinstance(value, str) and re.search(r"pending|tbd|wip|work.in.progress", value, re.IGNORECASE) is not None


def _text_score(text: str) -> float | None:
    """The first number that is given as the score, skipping lines and phrases that speak of another."""
    for line in text[:200_000].splitlines():
        if "bpb" not in line.lower():
            continue
        for match in _SCORE.finditer(line[:2_000]):
            before = line[max(0, match.start() - 30) : match.start() + 12]
            number = plausible(match[1] or match[2])
            if number is not None and number > 0.2 and not _NOT_THE_SCORE.search(before) and not _signed(line, match):
                return number
    return None


def _signed(line: str, match: re.Match[str]) -> bool:
    start = match.start(1) if match[1] else match.start(2)
    return line[max(0, start - 1) : start] in ("+", "-", "\u2212", "±")


def _tables(text: str) -> Iterator[list[list[str]]]:
    """Markdown tables as rows of bare cells."""
    rows: list[list[str]] = []
    for line in (*text.splitlines(), ""):
        if line.lstrip().startswith("|"):
            rows.append([cell.strip().strip("*`~ ") for cell in line.strip().strip("|").split("|")])
        elif rows:
            yield rows
            rows = []


def evaluation_phases(text: str) -> list[tuple[str, float]]:
    """Label and seconds of each phase of the evaluation, from the first table of a README that has times of phases.

    Rows that sum up others or speak of training are left out.
    """
    for rows in _tables(text[:200_000]):
        column = next((i for i, cell in enumerate(rows[0]) if _TIME_COLUMN.fullmatch(cell)), None)
        if column is None or not _PHASE_COLUMN.match(rows[0][0]):
            continue
        timed = [(row[0], _SECONDS.search(row[column])) for row in rows[1:] if len(row) > column]
        return [
            (label, float(m[1])) for label, m in timed if m and _EVALUATES.search(label) and not _SUMS.search(label)
        ]
    return []


def _seed_rows(text: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """Rows of the first table that has a column of seeds: seed, cells, header."""
    for rows in _tables(text[:200_000]):
        column = next((i for i, cell in enumerate(rows[0]) if re.match(r"seeds?\b", cell, re.IGNORECASE)), None)
        found = []
        for row in rows[1:]:
            for i, cell in enumerate(row):
                match = re.fullmatch(r"(?:seed\s*)?(\d{1,6})", cell, re.IGNORECASE)
                if match and (i == column or (column is None and cell.lower().startswith("seed"))):
                    found.append((int(match[1]), row, rows[0]))
        if found:
            yield from found
            return


def _readme_seeds(text: str) -> tuple[int, ...]:
    found = tuple(dict.fromkeys(seed for seed, _, _ in _seed_rows(text)))
    if found:
        return found
    match = _SEED_PROSE.search(text[:200_000])
    return tuple(dict.fromkeys(int(seed) for seed in re.findall(r"\d+", match[1]))) if match else ()


def _readme_artifacts(text: str) -> tuple[int, ...]:
    sizes = [size for _, row, header in _seed_rows(text) for size in _row_sizes(_sized_cells(header, row))]
    if sizes:
        return tuple(sizes)
    for line in text[:200_000].splitlines():
        if re.search(r"artifact|total|submission size", line, re.IGNORECASE):
            found = [size for size in _row_sizes([line]) if size != _CAP]
            if found:
                return (found[0],)
    return ()


def stated_megabytes(text: str) -> float | None:
    """The first size in megabytes that a README gives its artifact, in lines that speak of no other run."""
    for line in text[:200_000].splitlines():
        for match in _MEGABYTES.finditer(line[:2_000]):
            if not _NOT_THE_SCORE.search(line[: match.start()][-80:]):
                return float(match[1])
    return None


def _sized_cells(header: Sequence[str], row: Sequence[str]) -> list[str]:
    """The cells of a row under headers that speak of sizes."""
    return [cell for name, cell in zip(header, row, strict=False) if _SIZED.search(name)]


def _row_sizes(cells: Iterable[str]) -> list[int]:
    sizes = [int(value.replace(",", "")) for cell in cells for value in _BYTES.findall(cell)]
    return [size for size in sizes if 1_000_000 <= size <= 64_000_000][-1:]


def _log_seeds(logs: Sequence[Log]) -> tuple[int, ...]:
    seeds = [log.config.get("seed", log.config.get("SEED", "")) for log in logs]
    return tuple(dict.fromkeys(int(seed) for seed in seeds if re.fullmatch(r"\d{1,9}", seed)))


def _log_score(logs: Sequence[Log]) -> float | None:
    """The last score of each log, averaged; a stopgap for display, the records analysis reads logs properly."""
    last = [values[-1] for log in logs if (values := re.findall(r"val_bpb[:=]\s*([0-4]\.\d{3,})", log.text[-200_000:]))]
    scores = [score for value in last if (score := plausible(value)) is not None]
    return round(sum(scores) / len(scores), 8) if scores else None

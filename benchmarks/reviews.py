"""Renders the reviews of a sample of pull requests and looks for defects of form.

    python -m benchmarks.reviews --mirror GITDIR --sample 200
    python -m benchmarks.reviews --mirror GITDIR --sample 20 --out reviews/

The sample is the same on every run. With `--out`, each review is written to a file, to be read as its author would.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from markdown_it import MarkdownIt

from auditor.engine import audit
from auditor.review import MAX_CHARACTERS, render
from auditor.submission import open_target
from auditor.verdict import PgolfError
from benchmarks.corpus import arguments, chosen
from rules import catalogue
from rules.rulings import rulings

REPO = "openai/parameter-golf"
LINK = re.compile(
    rf"https://github\.com/{REPO}(/(pull|issues)/\d+(#issuecomment-\d+)?|/commit/[0-9a-f]{{40}}|#[a-z-]+"
    r"|/blob/[0-9a-f]{40}/[A-Za-z0-9/_.~%-]+(#L[1-9]\d*(-L[1-9]\d*)?)?)"
)
_LABEL = re.compile(r"\*\*[A-Z][^*]*\*\*[^\n]*")
_EMPTY = re.compile(r"\s*(\Z|\*\*[A-Z]|##|<details>|</details>|\|[ |]*\|\n\|[-|]*\|\n(?!\|))")


def defects(body: str) -> list[str]:
    """What is wrong with the form of a review: its length, sections without content, `None`, links, blank lines."""
    found = []
    if len(body) > MAX_CHARACTERS:
        found.append(f"{len(body):,} characters")
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(body)
    children = [child for token in tokens for child in token.children or []]
    prose = " ".join(child.content for child in children if child.type == "text")
    if re.search(r"\b(None|nan|undefined)\b", prose):
        found.append("prints None, nan or undefined")
    addresses = [str(child.attrs["href"]) for child in children if child.type == "link_open"]
    found += [f"link {address}" for address in addresses if not LINK.fullmatch(address) or "/../" in address]
    # Fences count as one line: what is in them is quoted.
    fences = [range(*token.map) for token in tokens if token.type == "fence" and token.map]
    lines = ["(fence)" if any(n in fence for fence in fences) else line for n, line in enumerate(body.split("\n"))]
    text = "\n".join(lines)
    if "\n\n\n" in text:
        found.append("two blank lines")
    found += [
        f"empty section {label[0]}"
        for label in _LABEL.finditer(text)
        if label[0].rstrip().endswith((":", ":**")) and _EMPTY.match(text, label.end())
    ]
    return found


def main() -> None:
    """Render, count and print."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, metavar="DIR", help="write each review there")
    options = parser.parse_args()
    kinds: Counter[str] = Counter()
    lengths, wrong = [], 0
    for pr in chosen(options.mirror, options.prs, options.sample):
        try:
            report = audit(open_target(str(pr), mirror=options.mirror, repo=REPO), catalogue())
        except PgolfError as error:
            kinds[f"not opened: {str(error)[:60]}"] += 1
            continue
        body = render(report, rules=catalogue(), rulings=rulings()).body
        kinds[f"{report.verdict} {report.cls}"] += 1
        lengths.append(len(body))
        for defect in defects(body):
            wrong += 1
            print(f"#{pr}: {defect}")
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / f"{pr}.md").write_text(body, encoding="utf-8", errors="backslashreplace")
    if not lengths:
        raise SystemExit("none of these pull requests could be opened")
    lengths.sort()
    print(f"{len(lengths)} reviews, {lengths[len(lengths) // 2]:,} characters (median), {lengths[-1]:,} at most")
    print(f"{wrong} defects")
    for kind, number in kinds.most_common():
        print(f"{number:5} {kind}")


if __name__ == "__main__":
    main()

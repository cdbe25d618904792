"""Makes foreign text safe for the place where it is shown.

Everything that comes from a submission (code, file names, titles, config values, log text) is hostile.
Each function takes raw text and returns text for exactly one place; nothing may be escaped twice.
"""

from __future__ import annotations

import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ZERO_WIDTH = "\u200b"

# Unicode categories Cc, Cf, Cs, Zl and Zp, and letters that draw nothing: what can move the cursor,
# reorder a line, hide text or break an encoder. Tab and newline are handled before.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SPACES = re.compile(r"[ \t\r\n\f\v\x85\u2028\u2029]+")

_MARKDOWN_PUNCTUATION = re.compile(r"[\\`*_\[\]#|~$]|^[-+=]")
_MARKDOWN_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Where GitHub makes something out of plain text after Markdown is done: mentions and e-mail addresses,
# issue numbers, links, emoji (which may be images). Backslashes do not stop these.
_GITHUB_TRIGGER = re.compile(
    r"(?<=@)|(?<=#)(?=\d)|(?<=:)(?=[\w/+-])|(?i:(?<=\bwww)(?=\.)|(?<=\bGH)(?=-\d))",
)
_COMMIT_ID = re.compile(r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,40}\b", re.IGNORECASE)
_ORDERED_LIST = re.compile(r"^(\d{1,9})(?=[.)])")


def clip(text: str, limit: int) -> str:
    """Cut to at most `limit` characters, the last one an ellipsis when something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def visible(text: str) -> str:
    """Replace every control, bidirectional and invisible character, line breaks included, by U+FFFD."""
    return _UNSAFE.sub(REPLACEMENT, text)


def one_line(text: str, limit: int = 300) -> str:
    """Plain text on one line for a terminal: white space folded, controls replaced, length capped."""
    # Cut before the work as well: a foreign string may have many megabytes.
    return clip(visible(_SPACES.sub(" ", text[: 4 * limit]).strip()), limit)


def code_line(text: str, limit: int = 400) -> str:
    """One line of code for a terminal: indentation kept, tabs as four spaces, controls replaced."""
    return clip(visible(text[: 4 * limit].rstrip("\r\n").expandtabs(4)).rstrip(), limit)


def markdown_text(text: str, limit: int = 300) -> str:
    """Foreign text inside a Markdown sentence: it renders as itself and as nothing else.

    No link, image, HTML, emphasis, mention, issue reference, commit link or emoji can come of it, at the
    start of a line or within one.
    """
    plain = _GITHUB_TRIGGER.sub("\0", one_line(text, limit))
    plain = _COMMIT_ID.sub(lambda found: re.sub(".{6}", r"\g<0>\0", found[0]), plain)
    plain = re.sub("[&<>]", lambda found: _MARKDOWN_ENTITIES[found[0]], plain)
    plain = _MARKDOWN_PUNCTUATION.sub(lambda found: "\\" + found[0], plain)
    return _ORDERED_LIST.sub(r"\1\\", plain).replace("\0", _ZERO_WIDTH)


def markdown_code(text: str, limit: int = 200) -> str:
    """Foreign text as a Markdown code span, delimited by more backticks than it holds in a row."""
    plain = one_line(text, limit)
    if not plain:
        return "(empty)"
    ticks = "`" * (_longest_run(plain) + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{ticks}{pad}{plain}{pad}{ticks}"


def markdown_message(text: str, limit: int = 1000) -> str:
    """A finding's message: `quoted` parts become code spans, the rest is escaped."""
    parts = one_line(text, limit).split("`")
    # An odd backtick: no part is certainly code. Nothing between two: what stands around them must not meet.
    if len(parts) % 2 == 0 or not all(part.strip() for part in parts[1::2]):
        return markdown_text(text, limit)
    spans = (markdown_code(part, limit) if index % 2 else markdown_part(part) for index, part in enumerate(parts))
    return "".join(spans)


def markdown_part(text: str) -> str:
    """A piece of an already folded line, with the spaces at its ends kept."""
    lead = " " if text.startswith(" ") else ""
    trail = " " if text.endswith(" ") and text.strip() else ""
    return f"{lead}{markdown_text(text, len(text) + 1)}{trail}"


def markdown_fence(lines: list[str], language: str = "", *, max_lines: int = 40, width: int = 200) -> str:
    """Foreign lines in a fenced block, the fence longer than any run of backticks inside.

    `language` is ours.
    """
    shown = [code_line(line, width) for line in lines[:max_lines]]
    if len(lines) > max_lines:
        shown.append(f"... {len(lines) - max_lines} more lines")
    fence = "`" * max(3, max((_longest_run(line) for line in shown), default=0) + 1)
    return "\n".join([fence + language, *shown, fence])


def workflow_data(text: str, limit: int = 1000) -> str:
    """The message of a GitHub workflow command; it cannot end the command or start another."""
    return _percent(_clean_command(text, limit), "%\r\n")


def workflow_property(text: str, limit: int = 300) -> str:
    """A property value of a GitHub workflow command."""
    return _percent(_clean_command(text, limit), "%\r\n:,")


def _clean_command(text: str, limit: int) -> str:
    """Keep line breaks, which are encoded later; replace other controls."""
    lines = re.split(r"\r\n|\r|\n", text[: 4 * limit])
    return clip("\n".join(visible(line.replace("\t", " ")) for line in lines), limit)


def _percent(text: str, characters: str) -> str:
    return "".join(f"%{ord(c):02X}" if c in characters else c for c in text)


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)

"""Bad input through the real command: one clear line, the documented exit code, bounded time and memory."""

from __future__ import annotations

import base64
import json
import lzma
import os
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner, Result

from auditor import cli
from tests.forge import Forge

ROOT = Path(__file__).parent.parent
FORMATS = ("text", "json", "sarif", "github", "markdown")
SECONDS = 10
MEGABYTES = 1500
DEEP = 3000
LONG = 20_000


def stairs(line: str, depth: int) -> str:
    """Blocks in blocks: each `line` one column further to the right."""
    return "".join(" " * i + line + "\n" for i in range(depth)) + " " * depth + "pass\n"


def executed(packed: bytes, decode: str) -> bytes:
    return f"import base64, lzma, zlib\nexec({decode}(base64.b85decode({base64.b85encode(packed)!r})))\n".encode()


def nested(layers: int) -> bytes:
    code = b'print("val_bpb")\n'
    for _ in range(layers):
        code = executed(zlib.compress(code), "zlib.decompress")
    return code


NO_TEXT = {
    "empty": b"",
    "white space": b"\n \n\t\n",
    "NUL bytes": b"import os\x00\nprint(1)\n",
    "invalid UTF-8": b"x = 1\ny = 2\nz = '\xff\xfe\xfa'\n",
    "invalid UTF-8 at once": b"\xffx = 1\n",
    "UTF-16": "import os\nprint(os)\n".encode("utf-16"),
    "UTF-16 without a mark": "import os\nprint(os)\n".encode("utf-16-le"),
    "UTF-32": "import os\n".encode("utf-32"),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "a coding line that transforms": b"# coding: rot13\nvzcbeg bf\n",
    "an unknown coding line": b"# coding: nonsense\nx = 1\n",
    "9 MB": b"x = 1\n" * (3 << 19),
    "17 MB": b"x = 1\n" * (3 << 20),
}
"""What cannot be read as the text of a script: exit code 2."""

UNDECIDED = {
    "half a script": b"def evaluate(model:\n    return 1\n",
    "Python 2": b"print 'hello'\n",
    "Markdown": b"# Title\n\nSome *prose*, and a [link](http://example.org).\n",
    "brackets": b"x = " + b"(" * DEEP + b"1" + b")" * DEEP + b"\n",
    "lists": b"x = " + b"[" * DEEP + b"]" * DEEP + b"\n",
    "minus signs": b"x = " + b"-" * DEEP + b"1\n",
    "negations": b"x = " + b"not " * DEEP + b"1\n",
    "attributes": b"x = a" + b".b" * DEEP + b"\n",
    "method calls": b"x = a" + b".b()" * DEEP + b"\n",
    "subscripts": b"x = a" + b"[0]" * DEEP + b"\n",
    "lambdas": b"x = " + b"lambda: " * DEEP + b"1\n",
    "conditions": b"x = " + b"1 if a else " * DEEP + b"1\n",
    "powers": b"x = " + b"9 ** " * DEEP + b"9\n",
    "comprehensions": b"x = " + b"[i for i in " * 150 + b"y" + b"]" * 150 + b"\n",
    "decorators": b"@a\n" * DEEP + b"def f(): pass\n",
    "functions": stairs("def f():", DEEP).encode(),
    "functions within the grammar": stairs("def f():", 95).encode(),
    "ifs": stairs("if x:", DEEP).encode(),
    "ifs within the grammar": stairs("if x:", 95).encode(),
    "elifs": b"if a:\n    pass\n" + b"elif a:\n    pass\n" * DEEP,
    "a long sum": b"x = " + b" + ".join([b"y"] * LONG) + b"\n",
    "a long conjunction": b"x = " + b" and ".join([b"y"] * LONG) + b"\n",
    "a long comparison": b"x = " + b" < ".join([b"y"] * LONG) + b"\n",
    "a long call": b"x = f(" + b", ".join([b"y"] * LONG) + b")\n",
    "a long f-string": b'x = f"' + b"{a}" * LONG + b'"\n',
    "a string of 5 MB": b'x = "' + b"a" * (5 << 20) + b'"\n',
    "a number of 5,000 digits": b"x = " + b"9" * 5000 + b"\n",
    "a program of 600,000 words": b"x = 1\n" * 200_000,
    "carriage returns only": b"x = 1\r" * 1000,
    "numbers without bounds": b"x = 9 ** 9 ** 9\ny = [1 << (1 << 40)] * (1 << 40)\nfor i in range(1 << 60): pass\n",
    "itself": b"x = []\nx.append(x)\ny = {}\ny[0] = y\ndef f(): return f(f())\nf()\nclass A(A): pass\nA()()\n",
    "statements where they may not be": b"return 1\nyield 2\nbreak\nnonlocal q\nawait r\n",
    "lone surrogates": b'import os\nx = os.environ.get("A_\\ud800", "\\udfff")\nprint("val_bpb", x)\n',
    "an lzma bomb": executed(lzma.compress(bytes(200 << 20)), "lzma.decompress"),
    "a zlib bomb": executed(zlib.compress(b"\n" * (100 << 20), 9), "zlib.decompress"),
    "layers beyond the limit": nested(6),
    "a payload that is cut off": executed(zlib.compress(b"print(1)\n")[:-4], "zlib.decompress"),
    "a payload from elsewhere": b"exec(open('weights.txt').read())\n",
    "a thousand payloads from elsewhere": b"exec(open('weights.txt').read())\n" * 1000,
}
"""Text that cannot be decided on: exit code 3."""

SOME = ("NUL bytes", "brackets", "elifs", "an lzma bomb", "lone surrogates")
"""One of each kind, for every format."""


def pgolf(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def script(folder: Path, content: bytes) -> Path:
    path = folder / "run" / "train_gpt.py"
    path.parent.mkdir()
    path.write_bytes(content)
    return path


@contextmanager
def in_time() -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < SECONDS


def one_line(result: Result) -> str:
    """The only line on standard error, which no terminal obeys."""
    assert result.stderr.startswith("pgolf: ")
    assert result.stderr.endswith("\n")
    line = result.stderr[:-1]
    assert line.isprintable()
    assert len(line) < 1100
    return line


def assert_never_clean(result: Result, format: str) -> None:
    """No format calls it clean, and none shows a traceback or anything that a terminal or a runner would obey."""
    assert "Traceback" not in result.output
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", result.stdout)
    if format == "json":
        assert {json.loads(result.stdout)["verdict"]} <= {"hold", "error"}
    elif format == "sarif":
        (run,) = json.loads(result.stdout)["runs"]
        assert not [found for found in run["results"] if found["kind"] == "pass"]
        assert run["invocations"][0]["toolExecutionNotifications"]
    elif format == "github":
        assert re.match("::(error|warning|notice) ", result.stdout)
        assert not re.search(r"^pgolf: .*: clean", result.stdout, re.MULTILINE)
    elif format == "markdown":
        assert re.search("NOT READ|HOLD|NOT A SUBMISSION", result.stdout)
        assert "CLEAN" not in result.stdout
    else:
        assert not result.stdout.startswith("CLEAN")


@pytest.mark.parametrize("name", NO_TEXT)
def test_what_is_no_text_is_an_error(name: str, tmp_path: Path) -> None:
    path = script(tmp_path, NO_TEXT[name])
    with in_time():
        result = pgolf("audit", path, "--format", "json")
    assert result.exit_code == 2
    assert "train_gpt.py" in one_line(result)
    assert_never_clean(result, "json")


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_cannot_be_decided_is_held_with_a_reason(name: str, tmp_path: Path) -> None:
    path = script(tmp_path, UNDECIDED[name])
    with in_time():
        result = pgolf("audit", path, "--format", "json")
    assert result.exit_code == 3, result.output
    assert result.stderr == ""
    assert_never_clean(result, "json")
    assert len(json.loads(result.stdout)["findings"][0]["message"]) > 20


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", SOME)
def test_every_format_says_so(name: str, format: str, tmp_path: Path) -> None:
    result = pgolf("audit", script(tmp_path, (NO_TEXT | UNDECIDED)[name]), "--format", format)
    assert result.exit_code == (2 if name in NO_TEXT else 3)
    assert_never_clean(result, format)


@pytest.mark.parametrize("name", SOME)
def test_a_timeline_without_events_says_so(name: str, tmp_path: Path) -> None:
    result = pgolf("timeline", script(tmp_path, (NO_TEXT | UNDECIDED)[name]))
    assert result.exit_code == (2 if name in NO_TEXT else 3)
    assert "train_gpt.py" in one_line(result)
    assert result.stdout == ""


def test_all_of_it_at_once_stays_within_memory(tmp_path: Path) -> None:
    paths = []
    for number, content in enumerate((NO_TEXT | UNDECIDED).values()):
        (tmp_path / str(number)).mkdir()
        paths.append(str(script(tmp_path / str(number), content)))
    huge = tmp_path / "huge.py"
    with huge.open("wb") as file:
        file.truncate(100 << 20)
    code = (
        "import resource, sys\nfrom auditor.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, "audit", *paths, str(huge), "--format", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    *complaints, peak = done.stderr.splitlines()
    assert done.returncode == 2
    assert len(complaints) == len(NO_TEXT) + 1
    assert "huge.py" in complaints[-1]
    assert len(done.stdout.splitlines()) == len(paths) + 1
    assert int(peak) < MEGABYTES


# Places where there is nothing to read.


def test_a_missing_file(tmp_path: Path) -> None:
    result = pgolf("audit", tmp_path / "absent.py")
    assert result.exit_code == 2
    assert "absent.py" in one_line(result)


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_without_a_script(tmp_path: Path, format: str) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    result = pgolf("audit", tmp_path, "--format", format)
    assert result.exit_code == 2
    assert "nothing to audit" in one_line(result)
    if result.stdout:
        assert_never_clean(result, format)


@pytest.mark.parametrize("name", ["notes.txt", "submission.json", "train.log", "train_gpt", ".py"])
def test_a_file_that_is_no_script(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}\n")
    result = pgolf("audit", tmp_path / name)
    assert result.exit_code == 2
    assert "no Python script" in one_line(result)


def test_a_pipe_and_a_broken_link(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "link.py").symlink_to("nowhere.py")
    for name in ("pipe.py", "link.py"):
        result = pgolf("audit", tmp_path / name)
        assert result.exit_code == 2
        assert name in one_line(result)


@pytest.mark.parametrize("kind", ["absent", "a file", "an empty folder", "a folder with a broken .git"])
def test_a_mirror_that_is_no_repository(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "mirror"
    if kind == "a file":
        place.write_text("x")
    elif kind != "absent":
        (place / ".git" if "broken" in kind else place).mkdir(parents=True)
    result = pgolf("audit", "715", "--mirror", place, "--format", "json")
    assert result.exit_code == 2
    assert str(place) in one_line(result)
    assert json.loads(result.stdout)["target"]["pr"] == 715


def test_a_pull_request_that_does_not_exist(tmp_path: Path) -> None:
    mirror = of_files(tmp_path, {b"records/t/a/train_gpt.py": b"print(1)\n"})
    result = pgolf("audit", "8", "--mirror", mirror)
    assert result.exit_code == 2
    assert "no pull request 8" in one_line(result)


# Pull requests whose files are called what no file should be called.

HOSTILE = [
    b"--upload-pack=touch pwned",
    b"new\nline",
    b"::error::injected",
    b"\x1b]0;title\x07\x1b[31mred",
    b"[click](http://example.org) @everyone #1 ![x](http://example.org/x.png)",
    b"<script>alert(1)</script>",
    b"```",
    b"\xff\xfe-no-utf8",
    b"\xe2\x80\xaereversed",
    b"$(touch pwned)",
    b"-",
    b"..",
    b"name" * 60,
]


def of_files(folder: Path, files: dict[bytes, bytes]) -> Path:
    """A clone with pull request 7 that adds these files."""
    forge = Forge(folder / "mirror.git")
    base = forge.commit({b"README.md": b"one"})
    forge.ref("heads/main", base)
    forge.pull(7, forge.commit({b"README.md": b"one", **files}, base, message="Record: \x1b[2J [x](y) @z ::error::"))
    return forge.gitdir


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_and_not_obeyed(
    name: bytes, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = b"records/track_10min_16mb/" + name
    mirror = of_files(tmp_path, {record + b"/train_gpt.py": b"print('val_bpb')\n", record + b"/" + name: b"x"})
    monkeypatch.chdir(tmp_path)
    result = pgolf("audit", "7", "--mirror", mirror, "--format", format)
    assert result.exit_code == 3, result.output
    assert result.stderr == ""
    assert_never_clean(result, format)
    assert not re.search(r"^\s*::(?!warning |notice )", result.stdout, re.MULTILINE)
    if format == "markdown":
        assert not re.search('href="http://example|<img|<script', MarkdownIt().render(result.stdout))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mirror.git"]


def test_a_pull_request_whose_script_is_no_text_is_an_error_that_names_it(tmp_path: Path) -> None:
    mirror = of_files(tmp_path, {b"records/track_10min_16mb/a/train_gpt.py": b"x = 1\0\n"})
    result = pgolf("audit", "7", "--mirror", mirror, "--format", "json")
    assert result.exit_code == 2
    assert "NUL byte" in one_line(result)
    assert json.loads(result.stdout)["target"]["pr"] == 7


@pytest.mark.parametrize("format", FORMATS)
def test_a_pull_request_without_a_submission_is_neither_clean_nor_flagged(tmp_path: Path, format: str) -> None:
    mirror = of_files(tmp_path, {b"docs/typo.md": b"the\n"})
    result = pgolf("audit", "7", "--mirror", mirror, "--format", format)
    assert result.exit_code == 3
    assert_never_clean(result, format)
    assert re.search("not.a.submission", result.stdout, re.IGNORECASE)
    assert "it adds no training script" in result.stdout.replace("\\", "")

"""Packed scripts: every form unpacks to its source, and every bomb ends early with a reason."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.submission.text import UnreadableSource
from auditor.submission.unpack import DEPTH_LIMIT, Unpacked, unpack
from auditor.submission.unpack.decoders import CannotDecode, Meter, inflate, unbrotli, unbz2, unlzma

NAME = "records/track/folder/train_gpt.py"
PROGRAM = "import torch\n\n\ndef main():\n    print('trains')\n\n\nmain()\n"
RAW = [{"id": lzma.FILTER_LZMA2}]


def read(script: str | bytes, siblings: dict[str, bytes] | None = None) -> Unpacked:
    code = script.encode() if isinstance(script, str) else script
    return unpack(code, siblings=siblings or {}, name=NAME)


def b85(data: bytes) -> str:
    return base64.b85encode(data).decode()


def raw_lzma(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=RAW)


def brotli_compress(data: bytes) -> bytes:
    brotli = pytest.importorskip("brotli")
    packed: bytes = brotli.compress(data)
    return packed


def broken_over_lines(text: str, width: int = 60) -> str:
    return "\n".join(f'"{text[i : i + width]}"' for i in range(0, len(text), width))


Packer = Callable[[bytes], str]
PACKERS: dict[str, tuple[Packer, str]] = {
    "lzma": (
        lambda p: f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{b85(lzma.compress(p))}")))',
        "exec(lzma(b85))",
    ),
    "raw lzma": (
        lambda p: (
            f"import lzma as L,base64 as B\nexec(L.decompress(B.b85decode('{b85(raw_lzma(p))}'),"
            'format=L.FORMAT_RAW,filters=[{"id":L.FILTER_LZMA2}]))'
        ),
        "exec(lzma-raw(b85))",
    ),
    "adjacent literals": (
        lambda p: (
            "import lzma as L,base64 as B\n__size__=17\n"
            f"exec(L.decompress(B.b85decode(({broken_over_lines(b85(raw_lzma(p)))})),"
            "format=L.FORMAT_RAW,filters=[{'id':L.FILTER_LZMA2,'preset':9|L.PRESET_EXTREME}]))"
        ),
        "exec(lzma-raw(b85))",
    ),
    "imported names": (
        lambda p: (
            "from base64 import b64decode\nfrom zlib import decompress\n"
            f"exec(decompress(b64decode({base64.b64encode(zlib.compress(p))!r})).decode())"
        ),
        "exec(zlib(b64))",
    ),
    "compiled": (
        lambda p: (
            "import base64,bz2,sys;"
            f"exec(compile(bz2.decompress(base64.b32decode({base64.b32encode(bz2.compress(p))!r})),__file__,'exec'))"
        ),
        "exec(bz2(b32))",
    ),
    "hexadecimal": (
        lambda p: f"import gzip, binascii\nexec(gzip.decompress(binascii.unhexlify('{gzip.compress(p).hex()}')))",
        "exec(gzip(hex))",
    ),
    "ascii85": (
        lambda p: f"import base64\nexec(base64.a85decode({base64.a85encode(p)!r}))",
        "exec(a85)",
    ),
    "line breaks removed": (
        lambda p: (
            'import lzma,base64\n_b=b"""\n'
            + "\n".join(b85(lzma.compress(p))[i : i + 80] for i in range(0, len(b85(lzma.compress(p))), 80))
            + '\n"""\nexec(lzma.decompress(base64.b85decode(_b.replace(b"\\n",b""))).decode("utf-8"))'
        ),
        "exec(lzma(b85))",
    ),
    "joined pieces": (
        lambda p: (
            f"import lzma,base64\n_D=({b85(lzma.compress(p))[:10]!r},{b85(lzma.compress(p))[10:]!r})\n"
            'exec(lzma.decompress(base64.b85decode("".join(_D))))'
        ),
        "exec(lzma(b85))",
    ),
    "line cache": (
        lambda p: (
            "import lzma as L,base64 as B,linecache as C\n"
            f"S=L.decompress(B.b85decode('{b85(lzma.compress(p))}'))\nS=S.decode()\nF=__file__+'.unpacked.py'\n"
            "C.cache[F]=(len(S),None,S.splitlines(True),F)\nexec(compile(S,F,'exec'))"
        ),
        "exec(lzma(b85))",
    ),
    "temporary file and runpy": (
        lambda p: (
            f"import lzma,base64,tempfile,os,runpy\n_c=lzma.decompress(base64.b85decode('{b85(lzma.compress(p))}'))\n"
            "_d=tempfile.mkdtemp()\n_f=os.path.join(_d,'inner.py')\nopen(_f,'wb').write(_c)\n"
            "runpy.run_path(_f,run_name='__main__')"
        ),
        "runpy(file(lzma(b85)))",
    ),
    "file and importlib": (
        lambda p: (
            "import lzma as L,base64 as B,importlib.util as IU,os,sys,fcntl\n"
            f"_c=L.decompress(B.b85decode('{b85(lzma.compress(p))}'))\n_p='/tmp/inner.py'\n"
            "with open('/tmp/lock','w')as _fl:\n fcntl.flock(_fl,fcntl.LOCK_EX)\n"
            " if not os.path.exists(_p)or os.path.getsize(_p)!=len(_c):\n  with open(_p,'wb')as _f:_f.write(_c)\n"
            "_s=IU.spec_from_file_location('__main__',_p)\n_m=IU.module_from_spec(_s)\n_m.__name__='__main__'\n"
            "sys.modules['__main__']=_m\n_s.loader.exec_module(_m)"
        ),
        "importlib(file(lzma(b85)))",
    ),
    "file and plain import": (
        lambda p: (
            "import zlib,base64,sys,pathlib\n"
            f"t=zlib.decompress(base64.b85decode('{b85(zlib.compress(p))}')).decode()\n"
            "pathlib.Path('/tmp/inner_program.py').write_text(t)\nsys.path.insert(0,'/tmp')\nimport inner_program"
        ),
        "import(file(zlib(b85)))",
    ),
    "child process": (
        lambda p: (
            "import zlib,base64,sys,subprocess\n"
            f"t=zlib.decompress(base64.b85decode('{b85(zlib.compress(p))}'))\n"
            "open('/tmp/inner.py','wb').write(t)\nsubprocess.run([sys.executable,'/tmp/inner.py'],check=True)"
        ),
        "subprocess(file(zlib(b85)))",
    ),
    "decompressor object": (
        lambda p: (
            "import lzma,base64\nd=lzma.LZMADecompressor(format=lzma.FORMAT_RAW,filters=[{'id':lzma.FILTER_LZMA2}])\n"
            f"exec(d.decompress(base64.b85decode('{b85(raw_lzma(p))}')))"
        ),
        "exec(lzma-raw(b85))",
    ),
    "function of its own": (
        lambda p: (
            "import lzma,base64\ndef _load(text):\n    return lzma.decompress(base64.b85decode(text)).decode()\n"
            f"def _run():\n    exec(_load('{b85(lzma.compress(p))}'), globals())\n_run()"
        ),
        "exec(lzma(b85))",
    ),
    "xor": (
        lambda p: (
            "import base64\n"
            f"k=base64.b64decode('{base64.b64encode(bytes(b ^ 7 for b in p)).decode()}')\nexec(bytes([b^7 for b in k]))"
        ),
        "exec(b64)",
    ),
}
sources = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff"), max_size=300).map(
    lambda noise: f"# {noise!a}\nVALUE = {noise!r}\nclass Model:\n    pass\n"
)


@pytest.mark.parametrize("form", PACKERS)
def test_form_unpacks_to_its_source(form: str) -> None:
    pack, label = PACKERS[form]
    result = read(pack(PROGRAM.encode()))
    assert result.text == PROGRAM
    assert result.packing == (label,)
    assert result.problem is None
    assert result.modules == {}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(source=sources, layers=st.lists(st.sampled_from(sorted(PACKERS)), min_size=1, max_size=DEPTH_LIMIT))
def test_any_nesting_of_forms_within_the_limit_comes_back(source: str, layers: list[str]) -> None:
    script, labels = source, ()
    for form in layers:
        pack, label = PACKERS[form]
        script, labels = pack(script.encode()), (label, *labels)
    result = read(script)
    assert result.text == source
    assert result.packing == labels
    assert result.problem is None


def test_brotli_unpacks() -> None:
    packed = brotli_compress(PROGRAM.encode())
    result = read(f'import brotli as B,base64 as b\nexec(B.decompress(b.b85decode("{b85(packed)}")))')
    assert (result.text, result.packing) == (PROGRAM, ("exec(brotli(b85))",))


def test_missing_decoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    result = read('import zstandard,base64\nexec(zstandard.decompress(base64.b85decode("abcde")))')
    assert result.problem is not None
    assert "zstandard" in result.problem


@settings(max_examples=40, deadline=None, derandomize=True)
@given(source=sources)
def test_plain_script_is_left_alone(source: str) -> None:
    assert read(source) == Unpacked(source)


def test_script_that_only_decompresses_weights_is_left_alone_without_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a syntax tree was built")

    monkeypatch.setattr("ast.parse", refuse)
    script = (
        "import lzma, zlib, base64, io, torch\n\n\nclass Net:\n    def forward(self, x):\n        return x\n\n\n"
        "def load(path):\n    with open(path, 'rb') as f:\n        return torch.load(zlib.decompress(f.read()))"
        "\n\n\ndef size(code):\n    packed = base64.b85encode(lzma.compress(code))\n    lzma.decompress(packed)\n"
        "    return f'exec(lzma.decompress(base64.b85decode({packed!r})))'\n\n\n"
        "if __name__ == '__main__':\n    load('x')\n"
    )
    assert read(script) == Unpacked(script)


def test_packing_beyond_the_depth_limit_is_a_problem() -> None:
    script = PROGRAM
    for _ in range(DEPTH_LIMIT + 1):
        script = PACKERS["lzma"][0](script.encode())
    result = read(script)
    assert result.problem == f"it is packed more than {DEPTH_LIMIT} layers deep"
    assert len(result.packing) == DEPTH_LIMIT
    assert PROGRAM not in result.text


ZEROS = bytes(48 * 1024 * 1024)
BOMBS = {
    "lzma": lambda: f"import lzma,base64\nexec(lzma.decompress(base64.b85decode('{b85(lzma.compress(ZEROS))}')))",
    "zlib": lambda: f"import zlib,base64\nexec(zlib.decompress(base64.b85decode('{b85(zlib.compress(ZEROS))}')))",
    "gzip": lambda: f"import gzip,base64\nexec(gzip.decompress(base64.b85decode('{b85(gzip.compress(ZEROS))}')))",
    "dictionary": lambda: (
        f"import lzma,base64\nexec(lzma.decompress(base64.b85decode('{b85(raw_lzma(b'1'))}'),"
        "format=lzma.FORMAT_RAW,filters=[{'id':lzma.FILTER_LZMA2,'dict_size':1<<31}]))"
    ),
    "doubling": lambda: "x='ab'\n" + "x=x+x\n" * 60 + "exec(x)",
    "multiplying": lambda: "exec('a' * 1000 * 1000 * 1000 * 1000)",
    "replacing": lambda: "x='a' * 100000\nx=x.replace('a', 'b' * 100000)\nexec(x)",
    "nested lists": lambda: "x=[1]\n" + "x=x+x\n" * 60 + "exec(str(x))",
    "loops": lambda: "for i in range(90000):\n for j in range(90000):\n  x=i\nexec(x)",
    "recursion": lambda: "def f(x):\n return f(x + open('a').read())\nexec(f(''))",
    "big number": lambda: "exec(str(10**10**10))",
    "deep json": lambda: "import json\nexec(json.loads('[' * 99999))",
    "deep literal": lambda: "import ast\nexec(ast.literal_eval('-' * 99999 + '1'))",
    "deep eval": lambda: "exec(eval('(' * 90000))",
    "deep call": lambda: "exec(" + "(" * 3000 + "'a'" + ")" * 3000 + ")",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bomb_ends_early_with_a_reason(bomb: str) -> None:
    script = BOMBS[bomb]()
    start = time.process_time()
    result = read(script)
    assert time.process_time() - start < 5
    assert result.problem is not None
    assert "\n" not in result.problem
    assert result.text == script


@pytest.mark.parametrize("decode", [unlzma, unbz2, inflate, unbrotli])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.binary(max_size=200))
def test_decoder_of_random_bytes_gives_bytes_or_its_own_error(
    decode: Callable[[bytes, Meter], bytes], data: bytes
) -> None:
    try:
        assert isinstance(decode(data, Meter()), bytes)
    except CannotDecode as error:
        assert str(error)


@pytest.mark.parametrize("compress, decode", [(lzma.compress, unlzma), (zlib.compress, inflate), (bz2.compress, unbz2)])
def test_every_truncation_of_a_stream_is_an_error(
    compress: Callable[[bytes], bytes], decode: Callable[[bytes, Meter], bytes]
) -> None:
    packed = compress(PROGRAM.encode())
    assert decode(packed, Meter()) == PROGRAM.encode()
    for end in range(0, len(packed) - 4, 5):
        with pytest.raises(CannotDecode):
            decode(packed[:end], Meter())


def test_output_is_counted_over_all_decoders_of_a_script() -> None:
    noise = os.urandom(6 * 1024 * 1024)
    meter = Meter()
    for _ in range(5):
        inflate(zlib.compress(noise, 1), meter)
    with pytest.raises(CannotDecode, match="32 MiB"):
        inflate(zlib.compress(noise, 1), meter)


def test_truncated_payload_is_a_problem() -> None:
    packed = lzma.compress(PROGRAM.encode())[:-30]
    result = read(f"import lzma,base64\nexec(lzma.decompress(base64.b85decode('{b85(packed)}')))")
    assert result.problem == "line 2: what it executes could not be decoded: lzma: the data ends too early"


def test_marshal_is_not_read() -> None:
    result = read("import marshal,base64\nexec(marshal.loads(base64.b64decode('YQ==')))")
    assert result.problem is not None
    assert "marshal" in result.problem


def test_payload_that_is_no_text_is_a_problem() -> None:
    result = read(PACKERS["lzma"][0](b"\xff\xfe\x00bad"))
    assert result.problem is not None
    assert "UTF-16" in result.problem


def test_external_compressed_file_is_found_beside_the_script() -> None:
    script = (
        "import lzma, pathlib\n_src = lzma.decompress(pathlib.Path(__file__).with_suffix('.py.lzma').read_bytes())\n"
        "exec(compile(_src, __file__, 'exec'))\n"
    )
    found = read(script, {"train_gpt.py.lzma": lzma.compress(PROGRAM.encode())})
    assert (found.text, found.packing) == (PROGRAM, ("exec(lzma(open(train_gpt.py.lzma)))",))
    missing = read(script)
    assert missing.problem is not None
    assert "train_gpt.py.lzma" in missing.problem


def test_json_bundle_gives_program_and_modules() -> None:
    bundle = json.dumps({"helper.py": "A = 1\n", "main_program.py": PROGRAM}).encode()
    script = (
        'import lzma, json, os\nwith open(os.path.join(os.path.dirname(__file__), "code.lzma"), "rb") as f:\n'
        "    bundle = json.loads(lzma.decompress(f.read()))\nfor name, code in bundle.items():\n"
        '    with open(os.path.join(os.path.dirname(__file__), name), "w") as f:\n        f.write(code)\n'
        'exec(compile(bundle["main_program.py"], "main_program.py", "exec"))\n'
    )
    result = read(script, {"code.lzma": lzma.compress(bundle)})
    assert result.text == PROGRAM
    assert result.modules == {"helper": "A = 1\n"}
    assert result.packing == ("exec(json(lzma(open(code.lzma))))",)


def test_files_split_from_one_text_become_modules() -> None:
    mark = "\n# === next ===\n"
    program = PROGRAM * 5
    packed = b85(lzma.compress(mark.join([program, "A = 1", "B = 2"]).encode()))
    result = read(
        "import lzma,base64,tempfile,os,sys\n"
        f"_p=lzma.decompress(base64.b85decode('{packed}')).decode().split({mark!r})\n"
        "_d=tempfile.mkdtemp(prefix='x_')\nfor _n,_c in zip(['run.py', 'helper.py', 'sub/other.py'],_p):\n"
        " _f=os.path.join(_d,_n);os.makedirs(os.path.dirname(_f),exist_ok=True)\n open(_f,'w').write(_c)\n"
        "sys.path.insert(0,_d)\nos.environ.update(WIDTH='512')\nexec(open(os.path.join(_d,'run.py')).read())\n"
    )
    assert result.modules == {"helper": "A = 1", "sub.other": "B = 2"}
    assert "os.environ.update(WIDTH='512')" in result.text
    assert result.text.endswith(program)
    assert result.problem is None


def test_modules_installed_from_strings_are_bundled_with_the_program() -> None:
    script = (
        "import sys as _s\nimport types as _t\ndef _install(name, source):\n    module = _t.ModuleType(name)\n"
        "    module.__file__ = '<bundled>'\n    _s.modules[name] = module\n"
        "    exec(compile(source, module.__file__, 'exec'), module.__dict__)\n"
        "_install('pkg.layers', 'class Layer:\\n    pass\\n')\nimport torch\n\n\nclass Net:\n    pass\n"
    )
    result = read(script)
    assert result.text == script
    assert result.modules == {"pkg.layers": "class Layer:\n    pass\n"}
    assert result.problem is None


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archive_in_memory_gives_program_and_modules(kind: str) -> None:
    buffer = io.BytesIO()
    files = {"main.py": PROGRAM, "helper.py": "A = 1\n"}
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        opened = "zipfile.ZipFile(io.BytesIO(base64.b85decode(D)))"
    else:
        with tarfile.open(fileobj=buffer, mode="w:xz") as tar:
            for name, text in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
        opened = "tarfile.open(fileobj=io.BytesIO(base64.b85decode(D)))"
    result = read(
        f"import {kind}file,io,base64,tempfile,runpy,os\nD='{b85(buffer.getvalue())}'\nd=tempfile.mkdtemp()\n"
        f"{opened}.extractall(d)\nrunpy.run_path(os.path.join(d,'main.py'),run_name='__main__')\n"
    )
    assert result.text == PROGRAM
    assert result.modules == {"helper": "A = 1\n"}
    assert result.packing == (f"runpy(file({kind}(b85)))",)


def test_launcher_names_the_sibling_that_it_starts() -> None:
    script = (
        "import runpy\nfrom pathlib import Path\n\n\ndef main() -> None:\n"
        "    runpy.run_path(str(Path(__file__).resolve().parents[1] / 'other' / 'train.py'), run_name='__main__')\n\n\n"
        "if __name__ == '__main__':\n    main()\n"
    )
    result = read(script, {"../other/train.py": PROGRAM.encode()})
    assert (result.text, result.file) == (PROGRAM, "../other/train.py")
    outside = read(script)
    assert outside.problem is not None
    assert "../other/train.py" in outside.problem


def test_settings_of_the_wrapper_stay_before_the_program_without_moving_its_lines() -> None:
    packed = b85(lzma.compress(PROGRAM.encode()))
    result = read(
        'import os\nLR = "0.5"\nos.environ.setdefault("TTT_LR", LR)\nimport lzma,base64\n'
        f"exec(lzma.decompress(base64.b85decode('{packed}')))\n"
    )
    lines = result.text.splitlines()
    assert lines[0].startswith("import os; LR = '0.5'; os.environ.setdefault('TTT_LR', LR); import torch")
    assert lines[1:] == PROGRAM.splitlines()[1:]


def test_future_imports_stay_first() -> None:
    program = '"""Trains."""\nfrom __future__ import annotations  # first\n' + PROGRAM
    packed = b85(lzma.compress(program.encode()))
    wrapper = 'import os\nos.environ["TTT_LR"] = "1"\nimport lzma,base64\n'
    result = read(f"{wrapper}exec(lzma.decompress(base64.b85decode('{packed}')))\n")
    compile(result.text, "program", "exec")
    assert (
        result.text.splitlines()[1]
        == "from __future__ import annotations; import os; os.environ['TTT_LR'] = '1'  # first"
    )
    assert result.text.splitlines()[2:] == PROGRAM.splitlines()


def test_what_the_wrapper_changes_after_the_program_is_kept() -> None:
    packed = b85(lzma.compress(PROGRAM.encode()))
    result = read(f"import lzma,base64\nexec(lzma.decompress(base64.b85decode('{packed}')))\nmain = print\n")
    assert result.text == PROGRAM + "\nmain = print\n"


def test_decoded_text_in_the_midst_of_a_longer_program_is_a_problem() -> None:
    body = "".join(f"class Block{i}:\n    width = {i}\n" for i in range(20))
    result = read(f"import base64\n{body}exec(base64.b64decode('{base64.b64encode(b'WIDTH = 3').decode()}'))\n{body}")
    assert result.problem is not None
    assert "its own code" in result.problem


def test_two_different_programs_are_a_problem() -> None:
    first, second = (b85(lzma.compress((PROGRAM + extra).encode())) for extra in ("A = 1\n", "B = 2\n"))
    decode = "exec(lzma.decompress(base64.b85decode('{}')))\n"
    result = read("import lzma,base64\n" + decode.format(first) + decode.format(second))
    assert result.problem is not None
    assert "2 different programs" in result.problem
    assert "A = 1" in result.text
    assert "B = 2" in result.text


def test_both_branches_of_an_unknown_condition_are_followed() -> None:
    packed = b85(lzma.compress(PROGRAM.encode()))
    result = read(
        "import lzma,base64,os\nif os.path.exists('/data/real.py'):\n    exec(open('/data/real.py').read())\n"
        f"else:\n    exec(lzma.decompress(base64.b85decode('{packed}')))\n"
    )
    assert result.problem is not None
    assert "/data/real.py" in result.problem


def test_nothing_of_the_script_is_executed_or_written(tmp_path: Path) -> None:
    target = tmp_path / "written.py"
    packed = b85(lzma.compress(f"open({str(target)!r}, 'w').write('x')\n".encode()))
    script = (
        f"import lzma,base64,runpy\nopen({str(target)!r}, 'wb').write(lzma.decompress(base64.b85decode('{packed}')))\n"
        f"runpy.run_path({str(target)!r})\n"
    )
    assert read(script).packing == ("runpy(file(lzma(b85)))",)
    assert not target.exists()


def test_hostile_names_reach_labels_and_reasons_only_as_printable_text() -> None:
    result = read("exec(open('\\x1b[31m\\u202e' + 'a' * 500 + '.py').read())")
    assert result.problem is not None
    assert result.problem.isascii()
    assert result.problem.isprintable()
    assert len(result.problem) < 300


def test_unreadable_script_raises_one_clear_line() -> None:
    with pytest.raises(UnreadableSource, match="empty"):
        read(b"")

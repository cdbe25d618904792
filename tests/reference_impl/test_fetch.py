"""Fetching, with the Hub's real client against a stand-in on this machine; the real Hub is never asked."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")
pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed: pip install 'pgolf[train]'")

from huggingface_hub import constants

from reference_impl.data.fetch import fetch
from reference_impl.errors import InputError

COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """Just enough of the Hub's protocol: metadata and content of files, and their hashes."""

    files: dict[str, bytes]
    asked: list[str]
    broken: set[str]
    cut: dict[str, int]
    sent: dict[str, int]

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        name = self.path.split("/resolve/main/" if "/main/" in self.path else f"/resolve/{COMMIT}/")[-1]
        content = self.files.get(name)
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            return
        start = int(self.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        sent = bytes(len(content)) if name in self.broken else content
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if body:
            self.asked.append(name)
            part = sent[start : self.cut.pop(name, None)]
            self.sent[name] = self.sent.get(name, 0) + len(part)
            self.wfile.write(part)

    def do_POST(self):
        from urllib.parse import parse_qs

        raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = [
            {
                "type": "file",
                "path": path,
                "size": len(self.files[path]),
                "oid": "0" * 40,
                "lfs": {"oid": hashlib.sha256(self.files[path]).hexdigest(), "size": 1, "pointerSize": 1},
            }
            for path in parse_qs(raw)["paths"]
            if path in self.files
        ]
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(toy_data, monkeypatch):
    """The toy dataset as a repository of the Hub."""
    root = "datasets/datasets/fineweb10B_sp512"
    manifest = {
        "datasets": [{"name": "fineweb10B_sp512", "tokenizer_name": "t", "stats": {"files_train": 1, "files_val": 1}}],
        "tokenizers": [{"name": "t", "model_path": "tokenizers/fineweb_512_bpe.model"}],
    }
    Hub.files = {
        "datasets/manifest.json": json.dumps(manifest).encode(),
        "datasets/tokenizers/fineweb_512_bpe.model": toy_data.tokenizer.read_bytes(),
        **{
            f"{root}/{name}": (toy_data.folder / name).read_bytes()
            for name in ("fineweb_val_000000.bin", "fineweb_train_000000.bin")
        },
    }
    Hub.asked, Hub.broken, Hub.cut, Hub.sent = [], set(), {}, {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield
    server.shutdown()


def test_fetch_checks_binds_and_does_not_fetch_twice(hub, toy_data, tmp_path):
    Hub.broken = {"datasets/datasets/fineweb10B_sp512/fineweb_train_000000.bin"}
    with pytest.raises(InputError, match="arrived broken"):
        fetch("sp512", tmp_path, 1, "someone/golf")
    assert not (tmp_path / "fineweb_train_000000.bin").exists()
    Hub.broken, Hub.asked[:] = set(), []
    assert fetch("sp512", tmp_path, 1, "someone/golf").validation_bytes == toy_data.validation_bytes
    assert not any("val" in name for name in Hub.asked), "what was there and right was fetched again"
    train = "fineweb_train_000000.bin"
    assert (tmp_path / train).read_bytes() == (toy_data.folder / train).read_bytes()


def test_interrupted_download_goes_on_where_it_was(hub, tmp_path, monkeypatch):
    name = "datasets/datasets/fineweb10B_sp512/fineweb_train_000000.bin"
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 14)
    Hub.cut = {name: len(Hub.files[name]) // 2}
    fetch("sp512", tmp_path, 1, "someone/golf")
    assert Hub.asked.count(name) == 2 and Hub.sent[name] < len(Hub.files[name]) + (1 << 14)


def test_unknown_export_lists_the_known(hub, tmp_path):
    with pytest.raises(InputError, match="no export 'sp999'; there are: sp512"):
        fetch("sp999", tmp_path, 1, "someone/golf")
    with pytest.raises(InputError, match="1 to 1 training files, not 7"):
        fetch("sp512", tmp_path, 7, "someone/golf")


def test_unknown_repository_is_one_line(hub, tmp_path):
    Hub.files = {}
    with pytest.raises(InputError, match=r"manifest\.json cannot be fetched"):
        fetch("sp512", tmp_path, 1, "someone/golf")

"""The world around the run: calls that reach the network, and commands that start other programs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

CALLS = frozenset(
    [
        "urllib.request.urlopen",
        "urllib.request.urlretrieve",
        "requests.get",
        "requests.post",
        "requests.request",
        "socket.create_connection",
        "http.client.HTTPConnection",
        "http.client.HTTPSConnection",
        "huggingface_hub.snapshot_download",
        "huggingface_hub.hf_hub_download",
        "datasets.load_dataset",
        "torch.hub.load",
        "torch.hub.load_state_dict_from_url",
        "torch.hub.download_url_to_file",
        "gdown.download",
        "wget.download",
    ]
)
COMMANDS = frozenset(
    [
        "os.system",
        "os.popen",
        "subprocess.run",
        "subprocess.call",
        "subprocess.check_call",
        "subprocess.check_output",
        "subprocess.Popen",
    ]
)
_HARMLESS = frozenset(
    """nvidia-smi git hostname uname lscpu nproc free df ls cat cp mv rm mkdir which pip pip3 lrzip zstd xz brotli 7z
    tar gzip unzip gcc g++ cc clang nvcc""".split()  # noqa: SIM905
)
"""Programs that describe the machine, pack files or compile: none of them computes a score."""
_PACKAGES = re.compile(r"\b(?:pip3?|uv|conda|mamba)\b.*\binstall\b|\bapt(?:-get)?\b.*\binstall\b")
_DOWNLOAD = re.compile(r"(?:^|[\s;&|(])(?:wget|curl|git clone|gsutil|aws s3|hf download|huggingface-cli)\s")


def of_command(words: Iterable[str]) -> Literal["download", "packages"] | None:
    """What a command brings over the network, if anything."""
    text = " ".join(words) + " "
    return "packages" if _PACKAGES.search(text) else "download" if _DOWNLOAD.search(text) else None


def harmless(words: Sequence[str]) -> bool:
    """Whether a command starts a program that computes nothing of its own."""
    name = words[0].split()[0].rpartition("/")[2] if words and words[0].split() else ""
    return name in _HARMLESS

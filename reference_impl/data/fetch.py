"""Downloads a published export of the challenge's data from the Hugging Face Hub, and binds it to its tokenizer.

An interrupted download goes on where it was. Every file is compared with the SHA-256 that the Hub has for it, and what
is already there and right is not fetched again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference_impl.data.dataset import Dataset, bind
from reference_impl.data.shards import sha256
from reference_impl.errors import InputError
from reference_impl.progress import watched

REPOSITORY = "willdepueoai/parameter-golf"
"""Vocabulary 1024; others have `kevclark/parameter-golf` and `romeerp/parameter-golf-caseops-v1`."""
ROOT = "datasets"
"""Where the Hub repository keeps `manifest.json`, `datasets/` and `tokenizers/`."""


@dataclass(frozen=True)
class Wanted:
    """A file of the Hub repository and where it goes."""

    remote: str
    local: Path


def fetch(variant: str, folder: Path, train_shards: int, repository: str = REPOSITORY) -> Dataset:
    """Fetch the validation split, the first `train_shards` training files and the tokenizer, and bind them.

    Raises `InputError` when the repository has no such export, the network is away, or a file arrives broken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = json.loads(download(repository, f"{ROOT}/manifest.json", folder).read_text("utf-8"))
    wanted, tokenizer = listed(manifest, variant, folder, train_shards)
    hashes = published_hashes(repository, [each.remote for each in wanted])
    for each in watched(wanted, "fetch"):
        obtain(repository, each, hashes.get(each.remote), folder)
    return bind(folder, tokenizer)


def listed(manifest: dict[str, Any], variant: str, folder: Path, train_shards: int) -> tuple[list[Wanted], Path]:
    """What an export consists of by the repository's manifest: files to fetch, and the tokenizer among them."""
    names = [entry["name"] for entry in manifest["datasets"]]
    entry = next((entry for entry in manifest["datasets"] if entry["name"] == f"fineweb10B_{variant}"), None)
    if entry is None:
        raise InputError(
            f"there is no export {variant!r}; there are: {', '.join(n.removeprefix('fineweb10B_') for n in names)}"
        )
    stats = entry["stats"]
    if not 1 <= train_shards <= stats["files_train"]:
        raise InputError(f"{variant} has 1 to {stats['files_train']} training files, not {train_shards}")
    kept = next(kept for kept in manifest["tokenizers"] if kept["name"] == entry["tokenizer_name"])
    remote = f"{ROOT}/datasets/{entry['name']}"
    files = [f"fineweb_val_{i:06d}.bin" for i in range(stats["files_val"])]
    files += [f"fineweb_train_{i:06d}.bin" for i in range(train_shards)]
    model = Wanted(f"{ROOT}/{kept['model_path']}", folder / Path(kept["model_path"]).name)
    return [model, *(Wanted(f"{remote}/{name}", folder / name) for name in files)], model.local


def obtain(repository: str, wanted: Wanted, expected: str | None, folder: Path) -> None:
    """Fetch one file unless it is there and right; raises `InputError` when what arrives has another hash."""
    if expected is not None and wanted.local.is_file() and sha256(wanted.local) == expected:
        return
    arrived = download(repository, wanted.remote, folder)
    if expected is not None and sha256(arrived) != expected:
        arrived.unlink()
        raise InputError(f"{wanted.remote} arrived broken: its SHA-256 is not the published {expected}; try again")
    os.replace(arrived, wanted.local)


def download(repository: str, remote: str, folder: Path) -> Path:
    """One file through the Hub's own client, into a folder beside the data; it resumes what was interrupted."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, remote, repo_type="dataset", local_dir=folder / ".download"))
    except Exception as error:  # the client's transport errors have no common base that is public
        raise InputError(f"{repository}: {remote} cannot be fetched: {str(error).splitlines()[0]}") from None


def published_hashes(repository: str, paths: list[str]) -> dict[str, str]:
    """SHA-256 by path, for the large files for which the Hub has one."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    found = HfApi().get_paths_info(repository, paths, repo_type="dataset")
    return {each.path: each.lfs.sha256 for each in found if isinstance(each, RepoFile) and each.lfs is not None}

"""A small dataset from text that ships with Python: the language reference's help topics, and docstrings.

English technical prose with true document boundaries, some 2 MB, without a download. It varies with the version of
Python, so a dataset made here is compared with nothing but itself.
"""

from __future__ import annotations

import ast
import io
import random
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reference_impl.data.dataset import Dataset, bind
from reference_impl.data.shards import Tokens, write_shard

BOS = 1
SHUFFLE_SEED = 17
HELD_OUT = 10
"""Documents of the validation split."""
SHORTEST = 400
"""Characters of the shortest document that is kept."""


def documents() -> list[str]:
    """Help topics, then the docstrings of each module of the standard library as one document."""
    from pydoc_data.topics import topics

    found = [text for _, text in sorted(topics.items())]
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*.py")):
        if not {"test", "tests", "site-packages", "idlelib"} & set(path.relative_to(library).parts):
            found.append("\n\n".join(docstrings(path)))
    return [text for text in found if len(text) >= SHORTEST]


def docstrings(path: Path) -> Iterable[str]:
    """Docstrings of a module, its classes and functions, in order; none where it cannot be parsed."""
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text


def train_tokenizer(texts: Sequence[str], vocab: int) -> bytes:
    """A SentencePiece BPE model with the flags of the challenge's own."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        vocab_size=vocab,
        model_type="bpe",
        character_coverage=0.999,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="nmt_nfkc",
        add_dummy_prefix=False,
        hard_vocab_limit=False,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        max_sentence_length=1 << 20,
        minloglevel=2,
    )
    return model.getvalue()


def encode(tokenizer: Any, texts: Sequence[str]) -> Tokens:
    """Documents as one stream, each behind BOS."""
    return np.array([token for text in texts for token in (BOS, *tokenizer.encode(text))], dtype=np.uint16)


def make_toy(folder: Path, vocab: int, texts: Sequence[str] | None = None) -> Dataset:
    """Tokenizer, training shard and validation shard in a folder that is made if needed, bound to each other."""
    import sentencepiece

    texts = documents() if texts is None else [*texts]
    random.Random(SHUFFLE_SEED).shuffle(texts)
    model = train_tokenizer(texts[HELD_OUT:], vocab)
    tokenizer = sentencepiece.SentencePieceProcessor(model_proto=model)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model)
    write_shard(folder / "fineweb_val_000000.bin", encode(tokenizer, texts[:HELD_OUT]))
    write_shard(folder / "fineweb_train_000000.bin", encode(tokenizer, texts[HELD_OUT:]))
    return bind(folder, folder / "tokenizer.model")

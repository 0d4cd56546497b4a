"""The tokenizer of a corpus: a model's own, that in a directory, or one made from the corpus.

What is made is byte-level BPE (Sennrich et al. 2016 over bytes, as in Radford et al. 2019, §2.2):
every text can be spelt, and there is one special token, which ends documents.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.blueprint import Blueprint, guarded
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.corpus.document import printable

END = "<|endoftext|>"


def open_tokenizer(name: str) -> Tokenizer:
    """That of a model, fetched first if need be, or of a directory with a ``tokenizer.json``.

    Raises what opening either raises.
    """
    path = Path(name).expanduser()
    if (path / "tokenizer.json").is_file():
        return Tokenizer.from_directory(path)
    from studiolo.bundle.opening import OpenBundle
    from studiolo.bundle.pull import ensure

    return OpenBundle.of(ensure(path if path.is_dir() else name)).tokenizer


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Byte-level BPE of at most ``vocabulary`` tokens; fewer, if ``texts`` have no more pairs.

    The same texts give the same tokenizer.
    """
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    with guarded("the tokenizer could not be made"):
        backend.train_from_iterator(map(printable, texts), trainer)
    end = backend.get_vocab(with_added_tokens=True)[END]
    return Tokenizer(
        Blueprint(
            backend, backend.get_vocab_size(), eos_ids=frozenset({end}), special={"eos_token": END}
        )
    )


def end_token(tokenizer: Tokenizer) -> int | None:
    """The id that ends a document: the one called so, or else the least that ends anything."""
    named = tokenizer.special.get("eos_token")
    if named is not None:
        ids = tokenizer.encode(named, add_special=False, parse_special=True)
        if len(ids) == 1:
            return ids[0]
    return min((i for i in tokenizer.eos_ids if i < tokenizer.vocab_size), default=None)


def check_size(tokenizer: Tokenizer) -> None:
    """Raise :class:`InvalidRequestError` for a vocabulary that no shard can hold."""
    if not 1 <= tokenizer.vocab_size <= 1 << 32:
        raise InvalidRequestError("tokenizer", f"has {tokenizer.vocab_size:,} tokens")

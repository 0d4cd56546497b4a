"""Vectors of texts, by which meanings are compared: the nearer, the more alike.

Text in, one vector a text out. Notable choice: a text that is longer than the model reads is
an error that says by how much, unless ``truncate`` is asked for; most libraries cut it unasked.
Does not know what the vectors are for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from studiolo.bundle.layout import load_encoder, load_packed_encoder
from studiolo.bundle.opening import OpenBundle, blaming
from studiolo.bundle.store import Bundle
from studiolo.errors import ContextOverflowError, InvalidRequestError
from studiolo.family.encoder import EncodeRequest, Reader, TextEncoder, batches
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.nn.config import EncoderConfig
from studiolo.nn.native import best_player
from studiolo.runtime.loop import steps
from studiolo.task.arguments import token_ids

Text = str | Sequence[int]


class EmbeddingModel:
    """A loaded encoder and its tokenizer; make one with :func:`studiolo.load_encoder`."""

    def __init__(self, bundle: Bundle, tokenizer: Tokenizer, model: TextEncoder) -> None:
        self.bundle, self.tokenizer, self.model = bundle, tokenizer, model

    @classmethod
    def open(cls, bundle: Bundle, *, device: torch.device, packed: bool = True) -> EmbeddingModel:
        """Read a bundle's weights: packed on a CPU, else float32."""
        with blaming(bundle):
            opened = OpenBundle.of(bundle)
            _ = opened.encoder_config  # refuses early what is no encoder
            network: Reader
            if device.type == "cpu" and packed:
                network = load_packed_encoder(opened.checkpoint, opened.sentence, best_player())
            else:
                network = load_encoder(opened.checkpoint, opened.sentence, device=device)
            return cls(bundle, opened.tokenizer, TextEncoder(network))

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.bundle.name

    @property
    def config(self) -> EncoderConfig:
        """The description of the network."""
        return self.model.config

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return self.config.width

    @property
    def max_tokens(self) -> int:
        """Longest text, in tokens, the model's start and end tokens included."""
        return self.config.max_tokens

    def embed(
        self,
        texts: str | Sequence[Text],
        *,
        truncate: bool = False,
        report: Callable[[int], None] = lambda done: None,
    ) -> Tensor:
        """Float32 ``[n, width]``: the vector of each of ``n`` texts, in their order.

        ``texts``: strings, or what :meth:`encode` made of them; one string is one text. Vectors
        have length 1 (unless the model's files say otherwise), so that ``vectors @ vectors.T``
        are the cosines. ``truncate``: keep the beginning of what is too long. ``report`` is
        told, every now and then and at the end, how many texts are done.

        Raises as :meth:`encode`.
        """
        sequences = self.encode(texts, truncate=truncate)
        vectors = torch.empty(len(sequences), self.width)
        done = 0
        # One batch of the family's at a time, so that there is progress to report.
        for batch in batches([len(tokens) for tokens in sequences]):
            rng = torch.Generator()  # asked for by the contract; an encoder draws nothing
            progresses = [self.model.begin(EncodeRequest(sequences[i]), rng) for i in batch]
            with blaming(self.bundle):
                for _ in steps(self.model, progresses):
                    pass
            for i, progress in zip(batch, progresses, strict=True):
                vectors[i] = self.model.finish(progress)
            done += len(batch)
            report(done)
        return vectors

    def encode(
        self, texts: str | Sequence[Text], *, truncate: bool = False
    ) -> list[tuple[int, ...]]:
        """Token ids of each text, start and end tokens included; token ids stay what they are.

        Raises :class:`InvalidRequestError` for what is neither text nor token ids, and
        :class:`ContextOverflowError`, which names the text, the limit and the excess, for one of
        more than :attr:`max_tokens`, unless ``truncate`` is given.
        """
        given = [texts] if isinstance(texts, str) else texts
        if not isinstance(given, Sequence) or isinstance(given, bytes | bytearray | memoryview):
            raise InvalidRequestError(
                "texts", f"must be a list of texts, not of type {type(texts).__name__}"
            )
        return [self._ids(f"texts[{i}]", text, truncate) for i, text in enumerate(given)]

    def _ids(self, field: str, text: object, truncate: bool) -> tuple[int, ...]:
        if isinstance(text, str):
            ids = self.tokenizer.encode(text)
            if len(ids) > self.max_tokens and truncate:
                ids = self._beginning(ids)
        else:
            ids = token_ids(field, text, self.config.vocabulary)
            if not ids:
                raise InvalidRequestError(field, "holds no token", remedy="Give at least one.")
        if len(ids) > self.max_tokens:
            raise ContextOverflowError(
                len(ids),
                0,
                self.max_tokens,
                field=field,
                remedy="Divide the text, or let truncate=True (--truncate) keep its beginning."
                if isinstance(text, str)
                else "Give fewer.",
            )
        return tuple(ids)

    def _beginning(self, ids: list[int]) -> list[int]:
        """As many of ``ids`` as the model reads, with the end token that every text has."""
        frame = self.tokenizer.encode("")
        pairs = enumerate(zip(frame, ids, strict=False))
        after = frame[next((i for i, (a, b) in pairs if a != b), len(frame)) :]
        return ids[: self.max_tokens - len(after)] + after

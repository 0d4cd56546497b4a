"""Fill in the middle: a prompt that asks for what stands between a prefix and a suffix.

Bavarian et al. 2022, "Efficient Training of Language Models to Fill in the Middle", in the order
prefix, suffix, middle. A model can do it if its tokenizer has the three marks; families spell
them differently. A text that is given is never a mark itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.task.arguments import token_ids
from studiolo.task.text import LanguageModel

MARKS = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen, CodeGemma
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek
)


def infill(lm: LanguageModel, prefix: str | Sequence[int], suffix: str) -> list[int]:
    """Token ids that ask ``lm`` for the middle.

    Raises :class:`InvalidRequestError` for a model without the marks.
    """
    tokenizer = lm.tokenizer
    for texts in MARKS:
        marks = [_token(tokenizer, text) for text in texts]
        if None not in marks:
            break
    else:
        raise InvalidRequestError(
            "suffix",
            f"{lm.name} cannot fill in the middle: its tokenizer has no marks for it",
            remedy="Leave it out, or choose a model such as qwen2.5-coder-1.5b-instruct.",
        )

    def plain(text: str) -> list[int]:
        # Not every tokenizer counts its marks among those that a text cannot hold.
        cuts = [match.start() + 1 for match in re.finditer("|".join(map(re.escape, texts)), text)]
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        return [id for part in parts for id in tokenizer.encode(part, add_special=False)]

    if isinstance(prefix, str):
        before = plain(prefix)
    else:
        before = token_ids("prompt", prefix, lm.config.vocabulary)
    start = tokenizer.encode("") if tokenizer.adds_bos else []
    first, second, third = (id for id in marks if id is not None)
    return [*start[:1], first, *before, second, *plain(suffix), third]


def _token(tokenizer: Tokenizer, text: str) -> int | None:
    """The one token that is written ``text``, if there is one."""
    ids = tokenizer.encode(text, add_special=False, parse_special=True)
    return ids[0] if len(ids) == 1 and tokenizer.token_text(ids[0]) == text else None

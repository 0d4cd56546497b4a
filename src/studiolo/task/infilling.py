"""Fill in the middle: a prompt that asks for what stands between a prefix and a suffix.

Bavarian et al. 2022, "Efficient Training of Language Models to Fill in the Middle", in the order
prefix, suffix, middle. A model can do it if its tokenizer has the three marks; families spell
them differently. What is given is never a mark itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from studiolo.errors import UnsupportedModelError
from studiolo.task.arguments import token_ids
from studiolo.task.text import LanguageModel

MARKS = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen, CodeGemma
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, SmolLM
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek
)


def infill(lm: LanguageModel, prefix: str | Sequence[int], suffix: str) -> list[int]:
    """Token ids that ask ``lm`` for the middle.

    Raises :class:`UnsupportedModelError` for a model without the marks.
    """
    tokenizer = lm.tokenizer
    marks = next((each for each in MARKS if set(each) <= tokenizer.control_texts), None)
    if marks is None:
        raise UnsupportedModelError(
            f"{lm.name} cannot fill in the middle: its tokenizer has no marks for it",
            remedy="Leave `suffix` out, or choose a model such as qwen2.5-coder-1.5b-instruct.",
        )

    def plain(text: str) -> list[int]:
        return tokenizer.encode(text, add_special=False)

    first, second, third = (
        tokenizer.encode(mark, add_special=False, parse_special=True) for mark in marks
    )
    before = (
        plain(prefix)
        if isinstance(prefix, str)
        else token_ids("prompt", prefix, lm.config.vocabulary)
    )
    return [*first, *before, *second, *plain(suffix), *third]

"""Hugging Face transformers in float32: one ``generate`` over the whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import transformers

from bench.serving import Prompts


class TransformersServer:
    """See :class:`bench.serving.Server`. ``model`` is a Hugging Face directory."""

    def __init__(self, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = str(transformers.__version__)
        self._model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            model, dtype=torch.float32
        ).eval()
        self._model.generation_config.eos_token_id = None

    def ready(self, streams: int, tokens: int) -> None:
        """Its cache grows by itself."""

    def together(self, prompts: Prompts, count: int) -> list[int]:
        """Prompts of one length, as the bench has them, need no padding."""
        ids = torch.tensor([list(prompt) for prompt in prompts])
        made = self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=count,
            do_sample=False,
            repetition_penalty=1.0,
            pad_token_id=0,
        )
        return [made.shape[1] - ids.shape[1]] * len(prompts)

    def overtaking(self, long: Sequence[int], short: Sequence[int], after: float) -> float | None:
        """``generate`` lets nobody in while it runs."""
        return None


CONTESTANT = TransformersServer

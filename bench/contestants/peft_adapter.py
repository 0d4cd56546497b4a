"""``peft`` and ``transformers.Trainer``: the same examples, rank and matrices, in their usual way.

Batches of eight chats of about one length, padded; the loss on answers alone. The rate falls by a
cosine to a tenth, as Studiolo's does; alpha is the rank, so that the update has the same scale.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bench.adapting import Exercise, Outcome
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.examples import example, read_all

BATCH = 8
RATE = 1e-3


def _padded(rows: Sequence[dict[str, list[int]]]) -> dict[str, Tensor]:
    """Behind, to the longest; what is padded is neither seen nor counted."""

    def stacked(lists: Sequence[list[int]], filler: int) -> Tensor:
        return pad_sequence([torch.tensor(each) for each in lists], True, filler)

    return {
        "input_ids": stacked([row["input_ids"] for row in rows], 0),
        "labels": stacked([row["labels"] for row in rows], -100),
        "attention_mask": stacked([[1] * len(row["labels"]) for row in rows], 0),
    }


class _Clock(transformers.TrainerCallback):  # type: ignore[misc]
    outcome = Outcome(0.0, 0)

    def on_train_begin(self, *args: Any, **options: Any) -> None:
        self._start = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        self.outcome = Outcome(time.perf_counter() - self._start, state.global_step)


class PeftAdapter:
    """See :class:`bench.adapting.Adapter`. ``model``: the directory of the model."""

    def __init__(self, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        transformers.logging.set_verbosity_error()
        self.version = f"{peft.__version__}, transformers {transformers.__version__}"
        self._model = model

    def adapt(self, exercise: Exercise) -> Outcome:
        """The clock runs from the first step's beginning to the last one's end."""
        transformers.set_seed(1)
        tokenizer = Tokenizer.from_directory(Path(self._model))
        examples = read_all(Path(exercise.data), tokenizer, example)
        learnt = examples[: len(examples) - int(len(examples) * 0.05)]
        rows = [
            {
                "input_ids": each.ids.tolist(),
                "labels": [
                    int(i) if c else -100 for i, c in zip(each.ids, each.counts, strict=True)
                ],
            }
            for each in learnt
        ]
        model = transformers.AutoModelForCausalLM.from_pretrained(self._model, dtype=torch.float32)
        settings = peft.LoraConfig(
            r=exercise.rank,
            lora_alpha=exercise.rank,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        adapted = peft.get_peft_model(model, settings)
        clock = _Clock()
        with tempfile.TemporaryDirectory() as folder:
            arguments = transformers.TrainingArguments(
                output_dir=folder,
                num_train_epochs=exercise.epochs,
                per_device_train_batch_size=BATCH,
                train_sampling_strategy="group_by_length",
                learning_rate=exercise.rate or RATE,
                lr_scheduler_type="cosine_with_min_lr",
                lr_scheduler_kwargs={"min_lr_rate": 0.1},
                max_grad_norm=1.0,
                optim="adamw_torch_fused",
                save_strategy="no",
                report_to=[],
                use_cpu=True,
                disable_tqdm=True,
                dataloader_pin_memory=False,
            )
            transformers.Trainer(
                model=adapted,
                args=arguments,
                train_dataset=rows,
                data_collator=_padded,
                callbacks=[clock],
            ).train()
        adapted.save_pretrained(exercise.out)
        return clock.outcome


CONTESTANT = PeftAdapter

"""``transformers.Trainer`` with AdamW on ``LlamaForCausalLM`` of the same shape.

Rises over 100 steps and falls by a cosine to a tenth, with the decay rates of nanoGPT's recipe for
this text; the peak rate is tuned by the bench.
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch
import transformers
from torch import Tensor

from bench.lessons import JUDGED, Clock, Lesson, Material, Report
from studiolo.bundle.layout import hf_config

RATE = 4e-3


class _Blocks(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The blocks in the order in which everybody reads them."""

    def __init__(self, material: Material) -> None:
        self._blocks, self._count = material.blocks, material.plan.steps * material.plan.batch

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        batch, row = divmod(index, self._blocks.batch)
        read = self._blocks.at(batch)
        targets = read.targets[row]
        return {"input_ids": read.inputs[row], "labels": targets, "shift_labels": targets}


class _InOrder(transformers.Trainer):  # type: ignore[misc]
    """Reads its data in the order in which they are."""

    def _get_train_sampler(self, *args: Any, **options: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)


class _Judge(transformers.TrainerCallback):  # type: ignore[misc]
    def __init__(self, material: Material, model: Any, every: int, report: Report) -> None:
        self._material, self._model, self._every = material, model, every
        self._report, self._clock = report, Clock()

    def on_train_begin(self, *args: Any, **options: Any) -> None:
        self._clock = Clock()

    def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        step, last = state.global_step, state.global_step == state.max_steps
        if last:
            self._report.seconds = self._clock.seconds
        if step % self._every == 0 or last:
            seconds, loss = self._clock.judging(self.loss)
            self._report.points.append((step, seconds, loss))

    def loss(self, limit: int | None = JUDGED) -> float:
        self._model.eval()
        found = self._material.loss(lambda ids: self._model(ids).logits, limit)
        self._model.train()
        return found


class TransformersTrainer:
    """See :class:`bench.lessons.Trainer`. ``model`` is the text's path."""

    def __init__(self, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        transformers.logging.set_verbosity_error()
        self.version = str(transformers.__version__)
        self._path = model

    def train(self, lesson: Lesson) -> Report:
        """The clock starts with the first step."""
        material, report = Material(self._path, lesson.steps), Report()
        plan = material.plan
        transformers.set_seed(material.recipe.seed)
        config = transformers.LlamaConfig.from_dict(hf_config(plan.config))
        model = transformers.LlamaForCausalLM(config)
        judge = _Judge(material, model, lesson.every, report)
        with tempfile.TemporaryDirectory() as folder:
            settings = transformers.TrainingArguments(
                output_dir=folder,
                max_steps=lesson.steps,
                per_device_train_batch_size=plan.batch,
                learning_rate=lesson.rate or RATE,
                lr_scheduler_type="cosine_with_min_lr",
                lr_scheduler_kwargs={"min_lr_rate": 0.1},
                warmup_steps=min(100, lesson.steps // 10),
                adam_beta2=0.99,
                weight_decay=0.1,
                max_grad_norm=1.0,
                optim="adamw_torch_fused",
                logging_steps=100,
                save_strategy="no",
                report_to=[],
                use_cpu=True,
                disable_tqdm=True,
                dataloader_pin_memory=False,
                remove_unused_columns=False,
            )
            _InOrder(
                model=model, args=settings, train_dataset=_Blocks(material), callbacks=[judge]
            ).train()
        report.tokens = lesson.steps * plan.tokens_per_step
        report.loss = judge.loss(None)
        return report


CONTESTANT = TransformersTrainer

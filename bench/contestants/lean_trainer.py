"""A lean plain loop: a small Llama written in a page of PyTorch, Muon and AdamW, nothing else.

What somebody would write who wants no framework: no log, no checkpoint, no check. Muon as Jordan
published it (momentum 0.95, five Newton-Schulz steps), at Studiolo's rates and schedule.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.lessons import JUDGED, Clock, Lesson, Material, Report
from studiolo.nn.config import DecoderConfig

_ODD = (3.4445, -4.7750, 2.0315)


class _Block(nn.Module):
    def __init__(self, c: DecoderConfig) -> None:
        super().__init__()
        self.heads = c.heads
        self.qkv = nn.Linear(c.width, 3 * c.width, bias=False)
        self.out = nn.Linear(c.width, c.width, bias=False)
        self.up = nn.Linear(c.width, 2 * c.mlp_width, bias=False)
        self.down = nn.Linear(c.mlp_width, c.width, bias=False)
        self.before, self.between = nn.RMSNorm(c.width, c.norm_eps), nn.RMSNorm(c.width, c.norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        b, t, width = x.shape
        parts = self.qkv(self.before(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind()
        q, k = _turned(q, cos, sin), _turned(k, cos, sin)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(b, t, width))
        gate, value = self.up(self.between(x)).chunk(2, dim=-1)
        made: Tensor = x + self.down(F.silu(gate) * value)
        return made


class _Model(nn.Module):
    def __init__(self, c: DecoderConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(c.vocabulary, c.width)
        self.blocks = nn.ModuleList(_Block(c) for _ in c.layers)
        self.norm = nn.RMSNorm(c.width, c.norm_eps)
        nn.init.normal_(self.embed.weight, std=0.02)
        for block in self.blocks:
            for name in ("qkv", "up"):
                nn.init.normal_(block.get_submodule(name).weight, std=c.width**-0.5)  # type: ignore[arg-type]
            for name in ("out", "down"):
                nn.init.zeros_(block.get_submodule(name).weight)  # type: ignore[arg-type]
        half = c.head_size // 2
        angles = torch.outer(torch.arange(c.context), 10_000.0 ** -(torch.arange(half) / half))
        self.cos, self.sin = angles.cos(), angles.sin()

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return F.linear(self.norm(x), self.embed.weight)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def _polar(x: Tensor) -> Tensor:
    a, b, c = _ODD
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class LeanTrainer:
    """See :class:`bench.lessons.Trainer`. ``model`` is the text's path."""

    def __init__(self, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = f"torch {torch.__version__}"
        self._path = model

    def train(self, lesson: Lesson) -> Report:
        """The clock starts before the network is made."""
        material, report = Material(self._path, lesson.steps), Report()
        plan, recipe = material.plan, material.recipe.optimiser
        torch.manual_seed(material.recipe.seed)
        clock = Clock()
        model = _Model(plan.config)
        matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
        means = [torch.zeros_like(p) for p in matrices]
        others = [p for p in model.parameters() if not any(p is m for m in matrices)]
        adamw = torch.optim.AdamW(
            others, plan.rate, (0.9, 0.95), weight_decay=recipe.weight_decay, fused=True
        )
        for step in range(lesson.steps):
            factor = min((step + 1) / max(1, plan.warmup), 2 * (1 - step / lesson.steps), 1.0)
            batch = material.blocks.at(step)
            loss = F.cross_entropy(model(batch.inputs).flatten(0, 1), batch.targets.flatten())
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adamw.param_groups[0]["lr"] = plan.rate * factor
            adamw.step()
            with torch.no_grad():
                for weight, mean in zip(matrices, means, strict=True):
                    assert weight.grad is not None
                    mean.lerp_(weight.grad, 0.05)
                    update = _polar(weight.grad.lerp(mean, 0.95))
                    scale = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
                    weight.mul_(1 - plan.matrix_rate * factor * recipe.weight_decay)
                    weight.add_(update, alpha=-plan.matrix_rate * factor * scale)
            model.zero_grad()
            last = step + 1 == lesson.steps
            if last:
                report.seconds = clock.seconds
            if (step + 1) % lesson.every == 0 or last:
                seconds, found = clock.judging(lambda: material.loss(model, JUDGED))
                report.points.append((step + 1, seconds, found))
        report.tokens = lesson.steps * plan.tokens_per_step
        report.loss = material.loss(model)
        return report


CONTESTANT = LeanTrainer

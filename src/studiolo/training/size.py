r"""One dial: the number of layers, from which the rest of a recipe is derived.

As in nanochat (Karpathy 2025), the depth :math:`d` alone is chosen:

- width :math:`64\,d`, so that the network keeps its shape; heads of 64, and of 32 below 4 layers;
- gated hidden width :math:`8/3` of the width (Shazeer 2020), rounded up to a multiple of 32;
- context: 1,024 tokens, 256 below 4 layers;
- a step reads about half a million tokens for each 2048 of width, at least 4,096;
- horizon: 20 tokens for each parameter (Hoffmann et al. 2022);
- AdamW's rate falls as :math:`width^{-1/2}` from 0.01 at 128; Muon's is the same for all sizes,
  since its update has the same size whatever the shape (Bernstein & Newhouse 2024);
- warm-up over 1 % of the steps, an evaluation every 5 %, a checkpoint every 2.5 %.

Every one of them can be given in the recipe instead; what follows from it then follows from that.
:meth:`Plan.lines` says what was given and what was derived. Knows recipes and counts; does not
know data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from studiolo.bundle.manifest import plainly
from studiolo.errors import InvalidRequestError
from studiolo.nn.config import DecoderConfig, LayerConfig, RopeConfig
from studiolo.training.recipe import Recipe

TOKENS_PER_PARAMETER = 20
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Plan:
    """What a run does, in numbers: the network, the portions, the horizon and the rates.

    ``derived``: the dotted names of what the recipe left to its size.
    """

    config: DecoderConfig
    batch: int
    accumulate: int
    steps: int
    warmup: int
    rate: float
    matrix_rate: float
    evaluate: int
    checkpoint: int
    derived: frozenset[str]

    @property
    def tokens_per_step(self) -> int:
        """Tokens predicted in one step."""
        return self.batch * self.accumulate * self.config.context

    @property
    def flops_per_token(self) -> int:
        """Of forward and backward: 6 for each parameter, and attention's products.

        Chowdhery et al. 2022 (PaLM), appendix B: :math:`6N + 12 L H Q T`.
        """
        c = self.config
        attention = 12 * len(c.layers) * c.heads * c.head_size * c.context
        return 6 * c.parameters + attention

    def lines(self) -> Iterator[tuple[str, str, bool]]:
        """What to show: name, value, and whether it was derived."""
        c = self.config
        for name, value in (
            ("model.layers", len(c.layers)),
            ("model.width", c.width),
            ("model.heads", c.heads),
            ("model.kv_heads", c.kv_heads),
            ("model.mlp_width", c.mlp_width),
            ("model.context", c.context),
            ("training.batch", self.batch),
            ("training.accumulate", self.accumulate),
            ("training.steps", self.steps),
            ("schedule.warmup", self.warmup),
            ("optimiser.rate", self.rate),
            ("optimiser.matrix_rate", self.matrix_rate),
            ("watch.evaluate", self.evaluate),
            ("watch.checkpoint", self.checkpoint),
        ):
            shown = f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
            yield name, shown, name in self.derived


def plan(recipe: Recipe, vocabulary: int) -> Plan:
    """Derive all that the recipe leaves out, for data of ``vocabulary`` token ids.

    Raises :class:`InvalidRequestError`, naming the field, for sizes that cannot be.
    """
    derived: set[str] = set()

    def given(name: str, value: Number | None, otherwise: Number) -> Number:
        if value is None:
            derived.add(name)
            return otherwise
        return value

    model, training = recipe.model, recipe.training
    layers = given("model.layers", model.layers, recipe.size)
    width = given("model.width", model.width, 64 * layers)
    head = 64 if layers >= 4 and width % 64 == 0 else 32
    heads = given("model.heads", model.heads, max(1, width // head))
    if width % heads or width // heads % 2:
        fitting = [n for n in range(1, width // 2 + 1) if width % n == 0 and width // n % 2 == 0]
        near = min(fitting, key=lambda n: abs(n - heads), default=1)
        raise InvalidRequestError(
            "model.heads",
            f"{heads} heads do not divide the width of {width:,} into even parts",
            remedy=f"The nearest number that does is {near}."
            if fitting
            else "Make model.width even.",
        )
    kv_heads = given("model.kv_heads", model.kv_heads, heads)
    if heads % kv_heads:
        raise InvalidRequestError(
            "model.kv_heads", f"{heads} heads cannot share {kv_heads}: it must be a divisor"
        )
    context = given("model.context", model.context, 1_024 if layers >= 4 else 256)
    gated = max(32, -(-width * 8 // (3 * 32)) * 32)
    config = _config(
        vocabulary=vocabulary,
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_size=width // heads,
        mlp_width=given("model.mlp_width", model.mlp_width, gated),
        context=context,
        layers=(LayerConfig(),) * layers,
        architecture=model.architecture,
        qk_norm=model.architecture == "qwen3",
        tied=model.tied,
        rope=RopeConfig(base=model.rope_base),
    )
    portion = max(4_096, 256 * width)
    batch = given(
        "training.batch", training.batch, max(1, portion // training.accumulate // context)
    )
    per_step = batch * training.accumulate * context
    horizon = TOKENS_PER_PARAMETER * config.parameters
    steps = given("training.steps", training.steps, max(1, horizon // per_step))
    warmup = given("schedule.warmup", recipe.schedule.warmup, steps // 100)
    if warmup >= steps:
        raise InvalidRequestError(
            "schedule.warmup", f"{warmup:,} steps of warm-up leave none of {steps:,} to train in"
        )
    return Plan(
        config=config,
        batch=batch,
        accumulate=training.accumulate,
        steps=steps,
        warmup=warmup,
        rate=given("optimiser.rate", recipe.optimiser.rate, 0.01 * (width / 128) ** -0.5),
        matrix_rate=given("optimiser.matrix_rate", recipe.optimiser.matrix_rate, 0.02),
        evaluate=given("watch.evaluate", recipe.watch.evaluate, max(1, steps // 20)),
        checkpoint=given("watch.checkpoint", recipe.watch.checkpoint, max(1, steps // 40)),
        derived=frozenset(derived),
    )


def _config(**values: object) -> DecoderConfig:
    try:
        return DecoderConfig.model_validate(values)
    except ValidationError as error:
        field, _, why = plainly(error, limit=1).partition(": ")
        raise InvalidRequestError(f"model.{field}", why) from None

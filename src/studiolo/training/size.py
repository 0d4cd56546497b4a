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

A model to go on from has its shape already. It is trained by AdamW, on blocks of 512 tokens, about
1,024 a step, and reads the data ``training.epochs`` times; low-rank updates take ten times the
rate of whole weights (Schulman et al. 2025, "LoRA without regret").

Every one of them can be given in the recipe instead; what follows from it then follows from that.
:meth:`Plan.lines` says what was given and what was derived. Knows recipes and counts; does not
know data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from pydantic import ValidationError

from studiolo.bundle.manifest import plainly
from studiolo.errors import InvalidRequestError
from studiolo.nn.config import DecoderConfig, LayerConfig, RopeConfig
from studiolo.training.recipe import Recipe

TOKENS_PER_PARAMETER = 20
TUNED_BLOCK = 512
TUNED_PORTION = 1_024
TUNED_RATE = 2e-4
ADAPTED_RATE = 10 * TUNED_RATE
Value = TypeVar("Value", int, float, str)


@dataclass(frozen=True)
class Plan:
    """What a run does, in numbers: the network, the portions, the horizon and the rates.

    ``block``: tokens that are read at once. ``derived``: the dotted names of what the recipe left
    to its size.
    """

    config: DecoderConfig
    block: int
    batch: int
    accumulate: int
    steps: int
    warmup: int
    optimiser: Literal["muon", "adamw"]
    rate: float
    matrix_rate: float
    evaluate: int
    checkpoint: int
    derived: frozenset[str]

    @property
    def tokens_per_step(self) -> int:
        """Tokens predicted in one step."""
        return self.batch * self.accumulate * self.block

    @property
    def flops_per_token(self) -> int:
        """Of forward and backward: 6 for each parameter, and attention's products.

        Chowdhery et al. 2022 (PaLM), appendix B: :math:`6N + 12 L H Q T`.
        """
        c = self.config
        attention = 12 * len(c.layers) * c.heads * c.head_size * self.block
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
            ("model.context", self.block),
            ("training.batch", self.batch),
            ("training.accumulate", self.accumulate),
            ("training.steps", self.steps),
            ("schedule.warmup", self.warmup),
            ("optimiser.kind", self.optimiser),
            ("optimiser.rate", self.rate),
            ("optimiser.matrix_rate", self.matrix_rate),
            ("watch.evaluate", self.evaluate),
            ("watch.checkpoint", self.checkpoint),
        ):
            if name == "optimiser.matrix_rate" and self.optimiser != "muon":
                continue
            match value:
                case int():
                    shown = f"{value:,}"
                case float():
                    shown = f"{value:.3g}"
                case str():
                    shown = value
            yield name, shown, name in self.derived


def plan(
    recipe: Recipe,
    vocabulary: int,
    parent: DecoderConfig | None = None,
    tokens: int = 0,
) -> Plan:
    """Derive all that the recipe leaves out.

    ``vocabulary``: how many token ids there are, for a new model. ``parent``: of the model to go
    on from, and ``tokens``: of the data then. Raises :class:`InvalidRequestError`, naming the
    field, for sizes that cannot be.
    """
    derived: set[str] = set()

    def given(name: str, value: Value | None, otherwise: Value) -> Value:
        if value is None:
            derived.add(name)
            return otherwise
        return value

    model, training, optimiser = recipe.model, recipe.training, recipe.optimiser
    if parent is None:
        config = _new(recipe, vocabulary, given)
        block = config.context
        portion = max(4_096, 256 * config.width)
        horizon = float(TOKENS_PER_PARAMETER * config.parameters)
        kind, rate = "muon", 0.01 * (config.width / 128) ** -0.5
    else:
        config = _going_on(recipe, parent, derived)
        block = given("model.context", model.context, min(TUNED_BLOCK, parent.context))
        if block > parent.context:
            raise InvalidRequestError(
                "model.context", f"{block:,} is more than the {parent.context:,} of its model"
            )
        portion, horizon = TUNED_PORTION, tokens * training.epochs
        kind, rate = "adamw", TUNED_RATE if recipe.start.adapter is None else ADAPTED_RATE
    batch = given("training.batch", training.batch, max(1, portion // training.accumulate // block))
    per_step = batch * training.accumulate * block
    steps = given("training.steps", training.steps, max(1, round(horizon / per_step)))
    warmup = given("schedule.warmup", recipe.schedule.warmup, steps // 100)
    if warmup >= steps:
        raise InvalidRequestError(
            "schedule.warmup", f"{warmup:,} steps of warm-up leave none of {steps:,} to train in"
        )
    chosen = given("optimiser.kind", optimiser.kind, kind)
    if chosen == "muon" and recipe.start.adapter is not None:
        raise InvalidRequestError(
            "optimiser.kind", "muon is for whole matrices; low-rank updates are adamw's"
        )
    return Plan(
        config=config,
        block=block,
        batch=batch,
        accumulate=training.accumulate,
        steps=steps,
        warmup=warmup,
        optimiser="muon" if chosen == "muon" else "adamw",
        rate=given("optimiser.rate", optimiser.rate, rate),
        matrix_rate=given("optimiser.matrix_rate", optimiser.matrix_rate, 0.02),
        evaluate=given("watch.evaluate", recipe.watch.evaluate, max(1, steps // 20)),
        checkpoint=given("watch.checkpoint", recipe.watch.checkpoint, max(1, steps // 40)),
        derived=frozenset(derived),
    )


class _Given(Protocol):
    def __call__(self, name: str, value: Value | None, otherwise: Value) -> Value: ...


def _new(recipe: Recipe, vocabulary: int, given: _Given) -> DecoderConfig:
    """The network of a new model."""
    model = recipe.model
    if recipe.size is None:
        raise InvalidRequestError(
            "size",
            "is not given",
            remedy="A new model needs one, such as 4; one to go on from is named by start.model.",
        )
    if recipe.start.adapter is not None:
        raise InvalidRequestError(
            "start.adapter", "needs a model to adapt", remedy="Name it by start.model."
        )
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
    gated = max(32, -(-width * 8 // (3 * 32)) * 32)
    return _config(
        vocabulary=vocabulary,
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_size=width // heads,
        mlp_width=given("model.mlp_width", model.mlp_width, gated),
        context=given("model.context", model.context, 1_024 if layers >= 4 else 256),
        layers=(LayerConfig(),) * layers,
        architecture=model.architecture,
        qk_norm=model.architecture == "qwen3",
        tied=model.tied,
        rope=RopeConfig(base=model.rope_base),
    )


def _going_on(recipe: Recipe, parent: DecoderConfig, derived: set[str]) -> DecoderConfig:
    """The parent's network, which the recipe must not contradict."""
    fixed = {"layers", "width", "heads", "kv_heads", "mlp_width"}
    for name in sorted(fixed | {"architecture", "tied", "rope_base"}):
        if name in recipe.model.model_fields_set:
            raise InvalidRequestError(
                f"model.{name}",
                "is that of the model that is gone on from, and cannot be given",
                remedy="Leave it out, or leave out start.model.",
            )
    if recipe.size is not None:
        raise InvalidRequestError(
            "size", "is for a new model; start.model has its own", remedy="Leave one of them out."
        )
    derived |= {f"model.{name}" for name in fixed}
    return parent


def _config(**values: object) -> DecoderConfig:
    try:
        return DecoderConfig.model_validate(values)
    except ValidationError as error:
        field, _, why = plainly(error, limit=1).partition(": ")
        raise InvalidRequestError(f"model.{field}", why) from None

"""A recipe: everything that decides what a run makes, as YAML.

What a recipe leaves out is derived from its ``size`` (:mod:`studiolo.training.size`). Notable
choices: a key that is not known is an error that names the nearest; values are checked by type
and range before anything starts; ``--set data.path=FILE`` overrides by dotted path, its value
read as YAML, so that numbers are numbers. The digest is that of the values, not of the file's
spelling. Deliberately unknown here: data, networks and the loop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from studiolo.training.fields import Section, checked, override, read_values, shipped_in
from studiolo.training.schedule import Kind

Count = Annotated[int, Field(ge=1, le=2**24, strict=True)]
Steps = Annotated[int, Field(ge=0, le=2**40, strict=True)]
Rate = Annotated[float, Field(gt=0, le=10)]
Part = Annotated[float, Field(ge=0, lt=1)]


class StartRecipe(Section):
    """What is trained."""

    model: str | None = Field(
        None, description="name or path of a model to go on from; null: a new one is made"
    )
    adapter: Annotated[int, Field(ge=1, le=1024, strict=True)] | None = Field(
        None, description="rank of low-rank updates beside frozen weights; null: all are trained"
    )


class ObjectiveRecipe(Section):
    """What is learnt of the data."""

    kind: Literal["text", "answers", "preferences", "distil", "rewards"] = Field(
        "text",
        description="text: every next token; answers: those of answers alone; preferences: to "
        "answer rather so than so (DPO); distil: a teacher's next tokens; rewards: answers that "
        "can be checked (GRPO)",
    )
    beta: Annotated[float, Field(gt=0, le=10)] = Field(
        0.1, description="preferences: how dearly leaving the model that is begun with is bought"
    )
    teacher: str | None = Field(None, description="distil: name or path of the teacher")
    temperature: Annotated[float, Field(gt=0, le=100)] = Field(
        1.0, description="distil: of both distributions; rewards: of the answers tried"
    )
    group: Annotated[int, Field(ge=2, le=1024, strict=True)] = Field(
        8, description="rewards: answers tried for each prompt"
    )
    answer_tokens: Count = Field(64, description="rewards: longest answer")


class DataRecipe(Section):
    """What is read."""

    path: str | None = Field(
        None,
        description="a text file or a directory of token shards; for answers, JSONL of "
        "`messages`, or of `prompt` and `completion`; for preferences, of `prompt`, `chosen` and "
        "`rejected`; for rewards, of `prompt` and `answer`, or `pattern`",
    )
    tokenizer: str = Field(
        "characters",
        description="`characters`, which makes one of the text, or a directory that holds one; "
        "a model to go on from has its own",
    )
    validation: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.1, description="part of the tokens, from the end, that is kept for validation"
    )
    licence: str = Field("unknown", description="of the text; it becomes the model's")


class ModelRecipe(Section):
    """The network; what is left out follows from ``size``."""

    architecture: Literal["llama", "qwen3"] = Field(
        "llama", description="qwen3 also normalises queries and keys"
    )
    layers: Annotated[int, Field(ge=1, le=4096, strict=True)] | None = None
    width: Count | None = Field(None, description="of the residual stream")
    heads: Count | None = None
    kv_heads: Count | None = Field(None, description="heads of keys and values")
    mlp_width: Count | None = Field(None, description="hidden width of the gated MLP")
    context: Annotated[int, Field(ge=2, le=2**24, strict=True)] | None = Field(
        None, description="tokens of a block"
    )
    tied: bool = Field(True, description="the head is the embedding table")
    rope_base: Annotated[float, Field(gt=0)] = 10_000.0


class OptimiserRecipe(Section):
    """How gradients move weights."""

    kind: Literal["muon", "adamw"] | None = Field(
        None,
        description="muon: for hidden matrices, AdamW for all else; that for a new model, adamw "
        "for one to go on from",
    )
    rate: Rate | None = Field(None, description="AdamW's peak rate")
    matrix_rate: Rate | None = Field(None, description="Muon's peak rate")
    beta1: Part = Field(0.9, description="AdamW's decay of the mean gradient")
    beta2: Part = Field(0.95, description="AdamW's decay of its square")
    momentum: Part = Field(0.95, description="Muon's decay of the mean gradient")
    weight_decay: Annotated[float, Field(ge=0, le=10)] = Field(
        0.1, description="of matrices, times the rate"
    )
    clip: Annotated[float, Field(gt=0)] | None = Field(
        1.0, description="greatest norm of all gradients of a step; null: no limit"
    )


class ScheduleRecipe(Section):
    """How the rates move; see :mod:`studiolo.training.schedule`."""

    kind: Kind = "wsd"
    warmup: Steps | None = Field(None, description="steps of linear rise")
    decay: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="part of the steps over which wsd falls"
    )
    final: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="part of the peak that cosine and wsd fall to"
    )


class TrainingRecipe(Section):
    """How long, in which portions."""

    steps: Count | None = None
    epochs: Annotated[float, Field(gt=0, le=10_000)] = Field(
        1.0, description="times that the data are read, for a model to go on from, without steps"
    )
    batch: Count | None = Field(None, description="blocks of a micro-batch")
    accumulate: Count = Field(1, description="micro-batches of a step")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 on a GPU that has it"
    )
    average: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="decay of the moving average of the weights; null: none"
    )
    parallel: Literal["copies", "shards"] = Field(
        "copies",
        description="in several processes (torchrun). copies: each has the whole network; shards: "
        "each keeps its part of it (FSDP2)",
    )
    recompute: bool = Field(
        False,
        description="blocks are computed again for their gradients instead of kept: less memory, "
        "a third more work",
    )


class WatchRecipe(Section):
    """What is done on the way."""

    evaluate: Count | None = Field(None, description="steps between evaluations")
    tokens: Count = Field(16_384, description="tokens of an evaluation on the way")
    patience: Count | None = Field(
        None, description="evaluations without gain after which the run stops; null: none"
    )
    checkpoint: Count | None = Field(None, description="steps between checkpoints")
    prompt: str = Field("\n", description="what the samples go on from")
    sample: Steps = Field(200, description="tokens of a sample; 0: none are made")
    tensorboard: bool = Field(False, description="write events for TensorBoard beside the log")


_NOT_MADE: Any = {"training": {"parallel", "recompute"}, "watch": {"tensorboard"}}


class Recipe(Section):
    """A whole recipe."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$")]
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = 1
    size: Annotated[int, Field(ge=1, le=256, strict=True)] | None = Field(
        None,
        description="the one dial of a new model: the number of layers, from which all else is "
        "derived",
    )
    start: StartRecipe = StartRecipe()
    objective: ObjectiveRecipe = ObjectiveRecipe()
    data: DataRecipe = DataRecipe()
    model: ModelRecipe = ModelRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    schedule: ScheduleRecipe = ScheduleRecipe()
    training: TrainingRecipe = TrainingRecipe()
    watch: WatchRecipe = WatchRecipe()

    @property
    def digest(self) -> str:
        """SHA-256 of all values but where the data lies, which its own digest tells of.

        Nor does it tell how the work is divided and who watches, which change nothing that is made.
        """
        kept = self.model_copy(update={"data": self.data.model_copy(update={"path": None})})
        return hashlib.sha256(kept.model_dump_json(exclude=_NOT_MADE).encode()).hexdigest()


def read_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a file, or the one that ships under that name, with overrides ``key=value``.

    Raises :class:`InvalidRequestError`, naming the field, for a file that is not there or no
    recipe, a key that is not known, and a value that is not allowed.
    """
    value = read_values(name_or_path, shipped())
    for each in overrides:
        override(value, each, Recipe)
    return checked_recipe(value)


def checked_recipe(value: Mapping[str, Any]) -> Recipe:
    """The recipe of these values; raises as :func:`read_recipe`."""
    return checked(value, Recipe)


def shipped() -> dict[str, str]:
    """Name to text of every recipe that ships with the package."""
    return shipped_in()

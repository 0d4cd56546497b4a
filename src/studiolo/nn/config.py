"""The frozen descriptions of two transformers: decoder-only, and encoder-only.

One description covers GPT-2, Llama, Mistral, SmolLM2, SmolLM3, Qwen2, Qwen3 and
Gemma 3: they differ in where they normalise, how they mark positions, which keys
a layer may see, and in a few constants. Another covers BERT, RoBERTa and DistilBERT.
Names of files and of other libraries' settings are not known here; ``bundle/layout``
translates them.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1, le=2**24)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Activation = Literal["silu", "gelu", "gelu_tanh", "relu"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RopeConfig(_Frozen):
    """Rotary position embedding (Su et al. 2021) and how it is stretched beyond its training.

    ``linear``: positions divided by ``factor``. ``dynamic``: the base grows with the length
    (NTK-aware). ``yarn``: Peng et al. 2023. ``longrope``: Ding et al. 2024, one divisor per
    frequency. ``llama3``: low frequencies divided, high ones kept, a ramp between.
    """

    kind: Literal["default", "linear", "dynamic", "yarn", "longrope", "llama3"] = "default"
    base: Positive = 10_000.0
    factor: Positive = 1.0
    original_context: Count | None = None
    attention_factor: Positive | None = None
    beta_fast: Positive = 32.0
    beta_slow: Positive = 1.0
    truncate: bool = True
    low_frequency_factor: Positive = 1.0
    high_frequency_factor: Positive = 4.0
    short_factors: tuple[Positive, ...] = ()
    long_factors: tuple[Positive, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind in ("dynamic", "yarn", "longrope", "llama3") and not self.original_context:
            raise ValueError(f"rope kind {self.kind!r} needs original_context")
        if self.kind == "llama3" and self.high_frequency_factor <= self.low_frequency_factor:
            raise ValueError("high_frequency_factor must exceed low_frequency_factor")
        return self


class LayerConfig(_Frozen):
    """What may differ from layer to layer."""

    sliding: bool = False
    rotary: bool = True


class DecoderConfig(_Frozen):
    """Everything that determines the network; sizes in elements, not bytes."""

    architecture: str = Field(
        description="The published architecture this is an instance of; the network never reads it."
    )
    vocabulary: Count
    width: Count = Field(description="Size of the residual stream.")
    heads: Count
    kv_heads: Count
    head_size: Count
    mlp_width: Count
    context: Count = Field(description="Longest sequence, in tokens.")
    layers: tuple[LayerConfig, ...] = Field(min_length=1, max_length=4096)
    norm: Literal["rms", "layer"] = "rms"
    norm_eps: Positive = 1e-5
    norm_after: bool = Field(False, description="Normalise each sublayer's output too (Gemma 3).")
    qk_norm: bool = Field(False, description="RMS-normalise queries and keys per head.")
    activation: Activation = "silu"
    gated: bool = Field(True, description="Gated MLP (Shazeer 2020) rather than the plain one.")
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    tied: bool = Field(True, description="The head is the embedding table.")
    embedding_scale: Positive = 1.0
    attention_scale: Positive | None = Field(None, description="Default: head_size ** -0.5.")
    window: Count | None = Field(
        None, description="Positions a sliding layer sees, itself included."
    )
    rope: RopeConfig | None = Field(None, description="None: learned absolute positions.")
    local_rope: RopeConfig | None = Field(None, description="Of sliding layers, if it differs.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(
                f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})"
            )
        if self.rope and self.head_size % 2:
            raise ValueError(f"head_size ({self.head_size}) must be even for rotary positions")
        if self.window is None and any(layer.sliding for layer in self.layers):
            raise ValueError("a sliding layer needs a window")
        for rope in (self.rope, self.local_rope):
            if rope and rope.kind == "longrope":
                half = self.head_size // 2
                if {len(rope.short_factors), len(rope.long_factors)} != {half}:
                    raise ValueError(f"longrope needs {half} short and {half} long factors")
        return self

    @property
    def products(self) -> dict[str, tuple[int, tuple[int, ...]]]:
        """The matrices of a block: their inputs, and the outputs of the parts fused in each."""
        mixed, kv = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "attention.qkv": (self.width, (mixed, kv, kv)),
            "attention.out": (mixed, (self.width,)),
            "mlp.up": (self.width, (self.mlp_width,) * (2 if self.gated else 1)),
            "mlp.down": (self.mlp_width, (self.width,)),
        }

    @property
    def parameters(self) -> int:
        """Number of parameters, each shared one counted once."""
        d, qkv = self.width, (self.heads + 2 * self.kv_heads) * self.head_size
        norm = d * (2 if self.norm == "layer" else 1)
        attention = d * qkv + qkv * self.qkv_bias
        attention += self.heads * self.head_size * d + d * self.out_bias
        attention += 2 * self.head_size * self.qk_norm
        up = self.mlp_width * (2 if self.gated else 1)
        mlp = d * up + up * self.mlp_bias + self.mlp_width * d + d * self.mlp_bias
        layer = attention + mlp + norm * (4 if self.norm_after else 2)
        ends = self.vocabulary * d * (1 if self.tied else 2) + norm
        positions = 0 if self.rope else self.context * d
        return len(self.layers) * layer + ends + positions


class EncoderConfig(_Frozen):
    """Everything that determines an encoder and the one vector it makes of a text."""

    architecture: str = Field(
        description="The published architecture this is an instance of; the network never reads it."
    )
    vocabulary: Count
    width: Count = Field(description="Size of the residual stream, and of the vector made.")
    heads: Count
    mlp_width: Count
    positions: Count = Field(description="Rows of the table of learned positions.")
    first_position: int = Field(0, ge=0, description="Row of the first token (RoBERTa: 2).")
    segments: int = Field(2, ge=0, le=2**16, description="Rows of the segment table; 0: none.")
    layers: int = Field(ge=1, le=4096)
    norm_eps: Positive = 1e-12
    activation: Activation = "gelu"
    pooling: Literal["mean", "cls", "max"] = Field(
        "mean", description="How the vectors of all tokens become one."
    )
    normalise: bool = Field(True, description="Scale that vector to length 1.")
    max_tokens: Count = Field(description="Longest input, start and end tokens included.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        if self.max_tokens > self.positions - self.first_position:
            raise ValueError(
                f"max_tokens ({self.max_tokens}) must not exceed the "
                f"{self.positions - self.first_position} positions there are"
            )
        return self

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        d, norm = self.width, 2 * self.width
        layer = 4 * (d * d + d) + 2 * d * self.mlp_width + self.mlp_width + d + 2 * norm
        tables = (self.vocabulary + self.positions + self.segments) * d
        return tables + norm + self.layers * layer

"""Who can take part in a comparison, what each needs, and what a reader must know of it.

Nothing is imported here but the standard library: a contestant's own module is imported
in the process that runs it, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol


class Contestant(Protocol):
    """A loaded model, greedy, which goes on past the end token."""

    version: str

    def stream(self, prompt: Sequence[int], count: int, tick: Callable[[], None]) -> int:
        """Make ``count`` tokens, calling ``tick`` as each reaches the caller.

        Returns how many were made. A token whose bytes end inside a character may be
        withheld until the next, so ticks can be fewer than tokens.
        """
        ...

    def continuation(self, prompt: Sequence[int], count: int) -> list[int]:
        """The ids of the next ``count`` tokens; not timed."""
        ...


@dataclass(frozen=True)
class Entrant:
    """One line of the list. ``reads``: "any" bundle, "gguf" as it is, "q4_0" or "q8_0"
    for a GGUF rewritten so, a Hugging Face "directory", or that exported as "onnx" or "int8"."""

    name: str
    module: str
    package: str
    install: str
    reads: str
    note: str

    @property
    def installed(self) -> bool:
        """Whether the package can be imported."""
        return find_spec(self.package) is not None


ENTRANTS = (
    Entrant(
        "studiolo",
        "bench.contestants.studiolo_lm",
        "studiolo",
        "pip install -e .",
        "any",
        "LanguageModel.stream in its defaults, on the file's own blocks",
    ),
    Entrant(
        "transformers",
        "bench.contestants.transformers_lm",
        "transformers",
        "pip install 'studiolo[bench]'",
        "directory",
        "its own generate with its KV cache and a streamer, float32; a GGUF is first written "
        "as a float32 safetensors directory, which its start-up does not include",
    ),
    Entrant(
        "llama.cpp",
        "bench.contestants.llama_cpp_lm",
        "xllamacpp",
        "pip install 'studiolo[bench]'",
        "gguf",
        "through xllamacpp, whose only door is llama.cpp's server; its handler is called "
        "in process, not over HTTP; its start-up includes its own warm-up",
    ),
    Entrant(
        "openvino",
        "bench.contestants.openvino_lm",
        "openvino_genai",
        "pip install 'studiolo[bench]'",
        "q8_0",
        "OpenVINO GenAI in its defaults, reading a GGUF: quantised tensors other than Q4_0 and "
        "Q8_0 are first rewritten as Q8_0 from the same weights, as its documentation advises, "
        "so it reads more bytes per token than llama.cpp does; see the last column",
    ),
)

SERVERS = (
    Entrant(
        "studiolo",
        "bench.contestants.studiolo_serving",
        "studiolo",
        "pip install -e .",
        "any",
        "runtime.Engine in process, in its defaults, on the file's own blocks",
    ),
    Entrant(
        "llama.cpp",
        "bench.contestants.llama_cpp_serving",
        "xllamacpp",
        "pip install 'studiolo[bench]'",
        "gguf",
        "its server through xllamacpp, on the same file; the handler is called in process, not "
        "over HTTP; a slot for each stream",
    ),
    Entrant(
        "llama.cpp-q4_0",
        "bench.contestants.llama_cpp_serving",
        "xllamacpp",
        "pip install 'studiolo[bench]'",
        "q4_0",
        "the same server on the same weights rounded to Q4_0, the format that it computes fastest",
    ),
    Entrant(
        "llama.cpp-q8_0",
        "bench.contestants.llama_cpp_serving",
        "xllamacpp",
        "pip install 'studiolo[bench]'",
        "q8_0",
        "the same server on the same weights rounded to Q8_0",
    ),
    Entrant(
        "openvino",
        "bench.contestants.openvino_serving",
        "openvino_genai",
        "pip install 'studiolo[bench]'",
        "q8_0",
        "OpenVINO GenAI's ContinuousBatchingPipeline in process, in its defaults but without its "
        "prefix cache, on the same weights rounded to Q8_0, which its documentation advises",
    ),
    Entrant(
        "transformers",
        "bench.contestants.transformers_serving",
        "transformers",
        "pip install 'studiolo[bench]'",
        "directory",
        "one batched generate in process, float32; it lets no request in while it runs, so it has "
        "no first token beside a long prompt",
    ),
)
"""Who takes part in ``text_serving.py``."""

TRAINERS = (
    Entrant(
        "studiolo",
        "bench.contestants.studiolo_trainer",
        "studiolo",
        "pip install -e .",
        "any",
        "`studiolo train`, with its log and its checkpoints",
    ),
    Entrant(
        "transformers.Trainer",
        "bench.contestants.transformers_trainer",
        "accelerate",
        "pip install 'studiolo[bench]'",
        "any",
        "AdamW on LlamaForCausalLM of the same shape, its rate tuned; no checkpoints",
    ),
    Entrant(
        "lean loop, Muon",
        "bench.contestants.lean_trainer",
        "torch",
        "pip install -e .",
        "any",
        "a page of plain PyTorch; no log, no checkpoints",
    ),
)
"""Who takes part in ``training.py``."""

ADAPTERS = (
    Entrant(
        "studiolo",
        "bench.contestants.studiolo_adapter",
        "studiolo",
        "pip install -e .",
        "directory",
        "`studiolo train adapt-lora`, several chats to a block",
    ),
    Entrant(
        "peft + Trainer",
        "bench.contestants.peft_adapter",
        "peft",
        "pip install 'studiolo[bench]'",
        "directory",
        "LoRA of all linear layers, chats of one length together, padded",
    ),
)
"""Who takes part in ``adaptation.py``."""

EMBEDDERS = (
    Entrant(
        "studiolo",
        "bench.contestants.studiolo_embedder",
        "studiolo",
        "pip install -e .",
        "directory",
        "EmbeddingModel.embed, float32",
    ),
    Entrant(
        "sentence-transformers",
        "bench.contestants.sentence_transformers_embedder",
        "sentence_transformers",
        "pip install 'studiolo[bench]'",
        "directory",
        "encode in its defaults, float32",
    ),
    Entrant(
        "onnxruntime",
        "bench.contestants.onnx_embedder",
        "onnxruntime",
        "pip install 'studiolo[bench]'",
        "onnx",
        "float32, exported by torch.onnx, which its start-up does not include",
    ),
    Entrant(
        "onnxruntime-int8",
        "bench.contestants.onnx_embedder",
        "onnxruntime",
        "pip install 'studiolo[bench]'",
        "int8",
        "the same after its dynamic quantisation in its defaults, weights as int8",
    ),
)
"""Who takes part in ``embeddings.py``."""

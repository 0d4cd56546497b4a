"""Write an encoder as ONNX, in float32 and quantised by onnxruntime, for the peers that need it."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any


def as_onnx(directory: Path, target: Path, max_tokens: int) -> Path:
    """``target`` with ``model.onnx`` of the hidden states, its tokenizer and ``max_tokens``."""
    import torch
    from transformers import AutoModel

    class States(torch.nn.Module):
        """The hidden states alone; a pooler would be dead weight."""

        def __init__(self) -> None:
            super().__init__()
            self.model: Any = AutoModel.from_pretrained(directory, dtype=torch.float32).eval()

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            """``[B, T]`` and ``[B, T]`` to ``[B, T, width]``."""
            return self.model(input_ids, attention_mask=attention_mask).last_hidden_state

    target.mkdir()
    example = torch.ones(2, 9, dtype=torch.int64)
    shape = {
        0: torch.export.Dim("batch", min=1, max=1024),
        1: torch.export.Dim("length", min=2, max=max_tokens),
    }
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            States(),
            (example, torch.ones_like(example)),
            str(target / "model.onnx"),
            input_names=["input_ids", "attention_mask"],
            output_names=["states"],
            dynamic_shapes=(shape, shape),
            external_data=False,
            verbose=False,
        )
    _beside(directory, target, max_tokens)
    return target


def as_int8(exported: Path, target: Path, max_tokens: int) -> Path:
    """The same after onnxruntime's dynamic quantisation in its defaults, weights as int8."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target.mkdir()
    quantize_dynamic(exported / "model.onnx", target / "model.onnx", weight_type=QuantType.QInt8)
    _beside(exported, target, max_tokens)
    return target


def _beside(source: Path, target: Path, max_tokens: int) -> None:
    shutil.copy(source / "tokenizer.json", target)
    (target / "max_tokens").write_text(str(max_tokens))

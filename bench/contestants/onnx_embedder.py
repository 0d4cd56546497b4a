"""onnxruntime on an exported encoder: ``model.onnx`` and ``tokenizer.json`` in one directory.

Tokenised by the ``tokenizers`` library in one call, sorted by length, in batches of 32, each
padded to its longest; the mean over real tokens in numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bench.embedding_child import BATCH


class OnnxEmbedder:
    """See :class:`bench.embedding_child.Embedder`."""

    def __init__(self, model: str, threads: int) -> None:
        self.version = str(onnxruntime.__version__)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        folder = Path(model)
        self._session: Any = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(int((folder / "max_tokens").read_text()))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Mean of the hidden states, scaled to length 1."""
        ids = [np.array(each.ids) for each in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        rows: dict[int, NDArray[np.float32]] = {}
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            tokens = np.zeros((len(batch), len(ids[batch[0]])), dtype=np.int64)
            mask = np.zeros_like(tokens)
            for row, i in enumerate(batch):
                tokens[row, : len(ids[i])] = ids[i]
                mask[row, : len(ids[i])] = 1
            feed = {"input_ids": tokens, "attention_mask": mask}
            states = self._session.run(None, feed)[0]
            weights = mask[:, :, None].astype(np.float32)
            pooled = (states * weights).sum(1) / weights.sum(1)
            pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
            rows.update(zip(batch, pooled, strict=True))
        return np.stack([rows[i] for i in range(len(ids))])


CONTESTANT = OnnxEmbedder

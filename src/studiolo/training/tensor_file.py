"""Tensors written one after the other as one safetensors file.

The library's own writer wants all of them at once in memory. A checkpoint of a run in several
processes is gathered tensor by tensor, and the first process holds but one of them at a time. The
format: 8 bytes with the length of a JSON header, little-endian, that header, then the tensors'
bytes. Knows the format; does not know what is saved.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from typing import BinaryIO

import torch
from torch import Tensor

_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
ALIGNMENT = 8


def in_order(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As they are written: those of wide numbers first, so that every tensor is aligned."""
    return dict(sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])))


def write_tensors(
    file: BinaryIO,
    tensors: Mapping[str, Tensor],
    bodies: Iterable[Tensor],
    metadata: Mapping[str, str],
) -> None:
    """Write ``tensors``, given :func:`in_order`, of which only shape and type are asked.

    ``bodies``: the tensors themselves, one by one. Raises ``OSError`` if the file cannot be
    written.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.itemsize
        header[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    written = json.dumps(header).encode()
    written += b" " * (-len(written) % ALIGNMENT)
    file.write(struct.pack("<Q", len(written)) + written)
    for body in bodies:
        plain = body.detach().cpu().contiguous().flatten()
        file.write(plain.view(torch.uint8).numpy().data)

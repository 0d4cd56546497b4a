"""The quantised blocks of a GGUF as :class:`Packed` matrices: the same numbers, without loss.

Layouts: ggml's ``block_q4_0`` and so on (https://github.com/ggml-org/ggml, ``ggml-common.h``).
Each block holds its scales, then its codes, whose halves of a byte lie half a block apart.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from gguf.constants import GGMLQuantizationType as Type
from numpy.typing import NDArray
from torch import Tensor

from studiolo.nn.packed import Packed

Bytes = NDArray[np.uint8]


def read_blocks(raw: Bytes, type_: Type) -> Packed | None:
    """The matrix whose rows of blocks are ``raw``, ``[outputs, row bytes]``.

    None for a type without blocks.
    """
    reader = _READERS.get(type_)
    return None if reader is None else reader(raw)


def _q4(raw: Bytes, *, offset: bool) -> Packed:
    """16 bits of scale (and of offset), then 32 codes: low halves first, high halves after."""
    blocks, halves = _split(raw, 16, 2 if offset else 1)
    codes = _halves(blocks)
    if not offset:
        codes -= 8
    return _one_level("U4" if offset else "S4", codes, halves)


def _q5(raw: Bytes, *, offset: bool) -> Packed:
    """As :func:`_q4`, with the fifth bits of all 32 codes in 4 bytes before them."""
    blocks, halves = _split(raw, 20, 2 if offset else 1)
    high = np.unpackbits(blocks[..., :4], axis=-1, bitorder="little").view(np.int8)
    codes = _halves(blocks[..., 4:])
    high <<= 4
    codes |= high
    if not offset:
        codes -= 16
    return _one_level("U5" if offset else "S5", codes, halves)


def _q8(raw: Bytes) -> Packed:
    blocks, halves = _split(raw, 32, 1)
    return _one_level("S8", np.ascontiguousarray(blocks).view(np.int8), halves)


def _q4_k(raw: Bytes) -> Packed:
    """256 codes: two scales, 12 bytes of factors, then 4 times 64 codes in halves of 32 bytes."""
    body, halves = _split(raw, 140, 2)
    codes = _halves(body[..., 12:].reshape(*body.shape[:-1], 4, 32))
    return _two_levels("U4", codes, halves, body[..., :12])


def _q5_k(raw: Bytes) -> Packed:
    """As :func:`_q4_k`, with the fifth bits in 32 bytes: bit j of byte i is of code 32 j + i."""
    body, halves = _split(raw, 172, 2)
    high = body[..., None, 12:44] >> np.arange(8, dtype=np.uint8)[:, None] & 1
    codes = _halves(body[..., 44:].reshape(*body.shape[:-1], 4, 32)).reshape(high.shape)
    codes |= (high << 4).view(np.int8)
    return _two_levels("U5", codes, halves, body[..., :12])


def _q6_k(raw: Bytes) -> Packed:
    """256 codes in two halves: 64 bytes of low bits, 32 of high bits; 16 int8 factors, a scale."""
    outputs = raw.shape[0]
    blocks = raw.reshape(outputs, -1, 210)
    low = blocks[..., :128].reshape(outputs, -1, 2, 1, 2, 32)
    high = blocks[..., 128:192].reshape(outputs, -1, 2, 1, 32)
    shift = np.arange(4, dtype=np.uint8)[:, None]
    # Codes 128 h + 32 j + i: low bits in byte 32 (j % 2) + i, in the half j // 2.
    codes = np.concatenate([low & 15, low >> 4], axis=3).reshape(outputs, -1, 2, 4, 32)
    codes |= (high >> (2 * shift) & 3) << 4
    signed = codes.view(np.int8)
    signed -= 32
    return Packed(
        "S6",
        16,
        torch.from_numpy(signed.reshape(outputs, -1)),
        _tensor(blocks[..., 208:].view(np.float16)[..., 0]),
        scale_factor=_tensor(blocks[..., 192:208].reshape(outputs, -1).view(np.int8)),
    )


def _split(raw: Bytes, size: int, count: int) -> tuple[Bytes, list[Tensor]]:
    """The rest of each block, and the ``count`` float16 at its head: ``[outputs, blocks]`` each."""
    blocks = raw.reshape(raw.shape[0], -1, 2 * count + size)
    halves = [
        _tensor(blocks[..., 2 * i : 2 * i + 2].view(np.float16)[..., 0]) for i in range(count)
    ]
    return blocks[..., 2 * count :], halves


def _halves(blocks: Bytes) -> NDArray[np.int8]:
    """Low halves of the last dimension's bytes, then the high ones: twice as many."""
    return np.concatenate([blocks & 15, blocks >> 4], axis=-1).view(np.int8)


def _one_level(kind: str, codes: NDArray[np.int8], halves: list[Tensor]) -> Packed:
    matrix = torch.from_numpy(codes.reshape(len(codes), -1))
    return Packed(kind, 32, matrix, halves[0], halves[1] if len(halves) > 1 else None)  # type: ignore[arg-type]


def _two_levels(kind: str, codes: NDArray[np.int8], halves: list[Tensor], packed: Bytes) -> Packed:
    """``packed``: 8 six-bit scales and 8 six-bit offsets of each block in 12 bytes."""
    first, second, third = (packed[..., i : i + 4] for i in (0, 4, 8))
    scale = [first & 63, third & 15 | (first >> 6) << 4]
    offset = [second & 63, third >> 4 | (second >> 6) << 4]
    factors = [_tensor(np.concatenate(f, axis=-1).reshape(len(codes), -1)) for f in (scale, offset)]
    matrix = torch.from_numpy(codes.reshape(len(codes), -1))
    return Packed(kind, 32, matrix, *halves, *factors)  # type: ignore[arg-type]


def _tensor(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


_READERS: dict[Type, Callable[[Bytes], Packed]] = {
    Type.Q4_0: lambda raw: _q4(raw, offset=False),
    Type.Q4_1: lambda raw: _q4(raw, offset=True),
    Type.Q5_0: lambda raw: _q5(raw, offset=False),
    Type.Q5_1: lambda raw: _q5(raw, offset=True),
    Type.Q8_0: _q8,
    Type.Q4_K: _q4_k,
    Type.Q5_K: _q5_k,
    Type.Q6_K: _q6_k,
}

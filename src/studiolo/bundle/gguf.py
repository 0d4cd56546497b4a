"""The GGUF container: a header of named values, then tensors in quantised blocks.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3,
little-endian. Notable choices: the file is memory-mapped and only its header is parsed on
opening, by a parser of our own, because the ``gguf`` library's reader takes seconds for a
vocabulary of 262,144 tokens and believes every length it is told. Here each count, length
and offset is checked against what is left of the file before anything is allocated, so a
lying header costs an error and no memory. Block geometry and the arithmetic of
dequantisation stay the library's.

Deliberately unknown here: what any key or tensor means (see ``bundle/gguf_names``), and
big-endian hosts.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import torch
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

from studiolo.errors import MalformedFileError, SourceError, UnsupportedModelError

READABLE = frozenset(
    GGMLQuantizationType[name]
    for name in [
        "F32",
        "F16",
        "BF16",
        "Q8_0",
        "Q4_0",
        "Q4_1",
        "Q5_0",
        "Q5_1",
        "Q4_K",
        "Q5_K",
        "Q6_K",
    ]
)
"""The tensor types that :meth:`GGUFFile.read` turns into float32."""

MAX_ENTRIES = 65_536  # of metadata keys, and of tensors: the largest known files have some 2,000
MAX_ELEMENTS = 1 << 24  # of one metadata array: the largest known vocabularies have 262,144
MAX_NAME_BYTES = 65_535  # the format's own limit for a key
MAX_DIMENSIONS = 4  # ggml's own limit
MAX_NESTING = 4  # arrays in arrays: no known file has any
CHUNK_BYTES = 1 << 18  # dequantised at a time: working set stays in the cache

_UINT32, _STRING, _ARRAY, _BOOL = 4, 8, 9, 7
_SCALARS: dict[int, np.dtype[Any]] = {
    0: np.dtype("<u1"),
    1: np.dtype("<i1"),
    2: np.dtype("<u2"),
    3: np.dtype("<i2"),
    4: np.dtype("<u4"),
    5: np.dtype("<i4"),
    6: np.dtype("<f4"),
    7: np.dtype("u1"),
    10: np.dtype("<u8"),
    11: np.dtype("<i8"),
    12: np.dtype("<f8"),
}


@dataclass(frozen=True)
class TensorInfo:
    """Where one tensor lies: ``shape`` in torch's order, ``offset`` from the file's start."""

    name: str
    shape: tuple[int, ...]
    type: GGMLQuantizationType
    offset: int
    nbytes: int


class GGUFFile:
    """An opened GGUF: ``metadata`` by key, ``tensors`` by name, data read on demand.

    Metadata values are ``int``, ``float``, ``bool``, ``str``, ``list`` (of strings or of
    arrays) or a one-dimensional numpy array (of numbers or truth values).
    """

    def __init__(
        self,
        path: Path,
        data: mmap.mmap,
        version: int,
        metadata: dict[str, object],
        tensors: dict[str, TensorInfo],
    ) -> None:
        self.path = path
        self.version = version
        self.metadata = metadata
        self.tensors = tensors
        self._data = data

    @classmethod
    def open(cls, path: Path | str) -> GGUFFile:
        """Parse the header and check that every tensor lies within the file.

        Raises :class:`SourceError` if the file cannot be opened,
        :class:`MalformedFileError` if it contradicts itself and
        :class:`UnsupportedModelError` for another version, byte order or an unknown
        tensor type.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                if size < 24:
                    raise MalformedFileError(
                        f"{path}: a GGUF has at least 24 bytes, this file has {size}"
                    )
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise SourceError(f"{path}: cannot be opened: {error.strerror or error}") from error
        return cls(path, data, *_Header(path, data).parse())

    def raw(self, name: str) -> npt.NDArray[np.uint8]:
        """The blocks of a tensor as they lie in the file: a read-only ``[..., row bytes]`` view."""
        info = self.tensors[name]
        block, block_bytes = GGML_QUANT_SIZES[info.type]
        view = np.frombuffer(self._data, np.uint8, info.nbytes, info.offset)
        return view.reshape(*info.shape[:-1], info.shape[-1] // block * block_bytes)

    def read(self, name: str) -> torch.Tensor:
        """The tensor as float32, exactly as the ``gguf`` library dequantises it.

        Raises :class:`KeyError` for a name that is not in ``tensors`` and
        :class:`UnsupportedModelError` for a type outside :data:`READABLE`.
        """
        info = self.tensors[name]
        if info.type not in READABLE:
            readable = ", ".join(sorted(type_.name for type_ in READABLE))
            raise UnsupportedModelError(
                f"{self.path}: tensor {name!r} has type {info.type.name}, which cannot be read",
                remedy=f"Choose a file whose tensors are all of: {readable}.",
            )
        out = np.empty(math.prod(info.shape), np.float32)
        _dequantize(self.raw(name).reshape(-1), info.type, out)
        return torch.from_numpy(out).view(info.shape)


def _dequantize(
    raw: npt.NDArray[np.uint8], type_: GGMLQuantizationType, out: npt.NDArray[np.float32]
) -> None:
    """Fill ``out`` from whole blocks, chunk by chunk.

    Blocks are independent of each other and of the rows they form, so the library is
    handed one long row at a time: its own division into sixteen short rows is several
    times slower, and holds a second copy of the result.
    """
    block, block_bytes = GGML_QUANT_SIZES[type_]
    step = max(1, CHUNK_BYTES // (4 * block))

    def fill(start: int) -> None:
        piece = raw[start * block_bytes : (start + step) * block_bytes]
        floats = dequantize(piece, type_)
        out[start * block : start * block + floats.size] = floats

    starts = range(0, raw.size // block_bytes, step)
    # Lying scales overflow to infinities or NaN, which are what the bytes mean.
    with np.errstate(all="ignore"):
        for start in starts:
            fill(start)


class _Header:
    """A cursor over the mapped file that never steps beyond its end."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.data = data
        self.size = len(data)
        self.at = 0

    def fail(self, message: str) -> NoReturn:
        raise MalformedFileError(
            f"{self.path}: {message}",
            remedy="The file is damaged or was not written as GGUF: fetch it again.",
        )

    def need(self, count: int, what: str) -> None:
        left = self.size - self.at
        if count > left:
            self.fail(f"{what} needs {count:,} bytes, but {left:,} are left of {self.size:,}")

    def number(self, dtype: np.dtype[Any], what: str) -> int | float:
        self.need(dtype.itemsize, what)
        value: int | float = np.frombuffer(self.data, dtype, 1, self.at)[0].item()
        self.at += dtype.itemsize
        return value

    def integer(self, width: str, what: str) -> int:
        """An unsigned integer of struct code ``I`` (32 bits) or ``Q`` (64 bits)."""
        size = 4 if width == "I" else 8
        self.need(size, what)
        (value,) = struct.unpack_from("<" + width, self.data, self.at)
        self.at += size
        return int(value)

    def text(self, what: str, limit: int | None = None) -> str:
        length = self.integer("Q", f"the length of {what}")
        if limit is not None and length > limit:
            self.fail(f"{what} is {length:,} bytes long; the limit is {limit:,}")
        self.need(length, what)
        piece = self.data[self.at : self.at + length]
        self.at += length
        try:
            return piece.decode("utf-8")
        except UnicodeDecodeError as error:
            self.fail(f"{what} is not valid UTF-8 ({error.reason} at byte {error.start})")

    def texts(self, count: int, what: str) -> list[str]:
        """``count`` strings: the one hot loop of the header, hence written out flat."""
        self.need(8 * count, what)
        data, at, size = self.data, self.at, self.size
        length_at = struct.Struct("<Q").unpack_from
        result: list[str] = []
        for index in range(count):
            start = at + 8
            if start > size:
                self.fail(f"{what}: string {index:,} of {count:,} begins beyond the end")
            at = start + length_at(data, at)[0]
            if at > size:
                self.fail(
                    f"{what}: string {index:,} of {count:,} claims {at - start:,} bytes, "
                    f"but {size - start:,} are left"
                )
            try:
                result.append(data[start:at].decode("utf-8"))
            except UnicodeDecodeError as error:
                self.fail(f"{what}: string {index:,} is not valid UTF-8 ({error.reason})")
        self.at = at
        return result

    def value(self, type_: int, what: str, depth: int = 0) -> object:
        if type_ == _STRING:
            return self.text(what)
        if type_ == _ARRAY:
            return self.array(what, depth)
        if type_ not in _SCALARS:
            self.fail(f"{what} has type {type_}; types are 0 to 12")
        number = self.number(_SCALARS[type_], what)
        if type_ != _BOOL:
            return number
        if number not in (0, 1):
            self.fail(f"{what} is a truth value of {number}; it must be 0 or 1")
        return bool(number)

    def array(self, what: str, depth: int) -> object:
        if depth >= MAX_NESTING:
            self.fail(f"{what} nests arrays deeper than {MAX_NESTING}")
        type_ = self.integer("I", f"the element type of {what}")
        count = self.integer("Q", f"the length of {what}")
        if count > MAX_ELEMENTS:
            self.fail(f"{what} claims {count:,} elements; the limit is {MAX_ELEMENTS:,}")
        if type_ == _STRING:
            return self.texts(count, what)
        if type_ == _ARRAY:
            self.need(12 * count, what)
            return [self.array(f"{what}[{index}]", depth + 1) for index in range(count)]
        if type_ not in _SCALARS:
            self.fail(f"{what} has elements of type {type_}; types are 0 to 12")
        dtype = _SCALARS[type_]
        self.need(dtype.itemsize * count, what)
        # A copy, so that the metadata neither holds the map nor is read-only.
        numbers = np.frombuffer(self.data, dtype, count, self.at).copy()
        self.at += numbers.nbytes
        if type_ != _BOOL:
            return numbers
        if count and numbers.max() > 1:
            self.fail(f"{what} has a truth value of {numbers.max()}; each must be 0 or 1")
        return numbers.astype(np.bool_)

    def parse(self) -> tuple[int, dict[str, object], dict[str, TensorInfo]]:
        if self.data[:4] != b"GGUF":
            self.fail(f"the file begins with {self.data[:4]!r}, a GGUF with b'GGUF'")
        self.at = 4
        version = self.integer("I", "the version")
        if version & 0xFFFF == 0 and version:
            raise UnsupportedModelError(f"{self.path}: this GGUF is big-endian")
        if version not in (2, 3):
            raise UnsupportedModelError(
                f"{self.path}: this is GGUF version {version}; versions 2 and 3 can be read",
                remedy="Convert the model again with a current llama.cpp.",
            )
        tensor_count = self.integer("Q", "the number of tensors")
        key_count = self.integer("Q", "the number of metadata keys")
        # The least that an entry can take: a key of no length and one byte of value; a
        # tensor of no name and one dimension.
        for what, count, least in (
            ("metadata keys", key_count, 13),
            ("tensors", tensor_count, 32),
        ):
            if count > MAX_ENTRIES:
                self.fail(f"the header claims {count:,} {what}; the limit is {MAX_ENTRIES:,}")
            self.need(least * count, f"a header of {count:,} {what}")

        metadata: dict[str, object] = {}
        alignment = 32
        for index in range(key_count):
            key = self.text(f"metadata key {index}", MAX_NAME_BYTES)
            if key in metadata:
                self.fail(f"metadata key {key!r} stands twice")
            type_ = self.integer("I", f"the type of {key!r}")
            metadata[key] = value = self.value(type_, f"metadata {key!r}")
            if key == "general.alignment":
                if type_ != _UINT32 or not isinstance(value, int) or value.bit_count() != 1:
                    self.fail(f"general.alignment is {value!r}; it must be a uint32 power of two")
                alignment = value
        return version, metadata, self.tensors(tensor_count, alignment)

    def tensors(self, count: int, alignment: int) -> dict[str, TensorInfo]:
        relative: list[TensorInfo] = []
        for index in range(count):
            name = self.text(f"the name of tensor {index}", MAX_NAME_BYTES)
            relative.append(self.tensor(name, alignment))
        begin = -(-self.at // alignment) * alignment
        result: dict[str, TensorInfo] = {}
        for info in relative:
            if info.name in result:
                self.fail(f"tensor {info.name!r} stands twice")
            offset = begin + info.offset
            if offset + info.nbytes > self.size:
                self.fail(
                    f"tensor {info.name!r} claims bytes {offset:,} to {offset + info.nbytes:,}, "
                    f"but the file has {self.size:,}"
                )
            result[info.name] = TensorInfo(info.name, info.shape, info.type, offset, info.nbytes)
        for first, second in pairwise(sorted(result.values(), key=lambda info: info.offset)):
            if first.offset + first.nbytes > second.offset:
                self.fail(f"tensors {first.name!r} and {second.name!r} overlap")
        return result

    def tensor(self, name: str, alignment: int) -> TensorInfo:
        """One entry of the tensor table; its offset still counts from the data's beginning."""
        what = f"tensor {name!r}"
        dimensions = self.integer("I", f"the number of dimensions of {what}")
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            self.fail(f"{what} has {dimensions} dimensions; it may have 1 to {MAX_DIMENSIONS}")
        # ggml names the fastest dimension first, torch last.
        shape = tuple(self.integer("Q", f"the shape of {what}") for _ in range(dimensions))[::-1]
        number = self.integer("I", f"the type of {what}")
        offset = self.integer("Q", f"the offset of {what}")
        try:
            type_ = GGMLQuantizationType(number)
            block, block_bytes = GGML_QUANT_SIZES[type_]
        except (ValueError, KeyError):
            raise UnsupportedModelError(f"{self.path}: {what} has unknown type {number}") from None
        if 0 in shape or math.prod(shape) > block * self.size:
            self.fail(f"{what} of shape {list(shape)} cannot lie in {self.size:,} bytes")
        if shape[-1] % block:
            self.fail(f"{what} has rows of {shape[-1]}, not of whole {type_.name} blocks ({block})")
        if offset % alignment:
            self.fail(f"{what} lies at offset {offset:,}, not at a multiple of {alignment}")
        return TensorInfo(name, shape, type_, offset, math.prod(shape) // block * block_bytes)

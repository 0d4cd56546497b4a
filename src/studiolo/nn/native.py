"""The compiled library of ``native/``, through its C interface.

It computes what :mod:`studiolo.nn.specification` says, bit for bit, on every level of processor.
It is missing where the package was installed without a C++ compiler.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from studiolo.errors import InterruptedStepError
from studiolo.nn.adapter import Update
from studiolo.nn.network import PAGE
from studiolo.nn.packed import Packed
from studiolo.nn.specification import Specification
from studiolo.nn.tape import BLOCK, CACHED, Op, Player, Step, Tape, padded

VERSION = 6
KINDS = ("U4", "S4", "U5", "S5", "S6", "S8", "S12")
SLAB = 1 << 28
RANKS = 4
"""What ranks of updates are padded to."""

_int, _ptr = ctypes.c_int32, ctypes.c_void_p


class _Matrix(ctypes.Structure):
    _fields_ = (
        ("n", ctypes.c_int64),
        ("k", ctypes.c_int64),
        ("codes", _int),
        ("scales", _int),
        ("group", _int),
        ("reserved", _int),
        ("data", _ptr),
    )


class _Op(ctypes.Structure):
    _fields_ = (
        *((name, _int) for name in ("kind", "barrier", "wanted", "accumulate", "src", "dst")),
        *((name, _int) for name in ("src_column", "dst_column", "size", "heads", "site", "flag")),
        ("window", _int),
        ("f", ctypes.c_float),
        ("p0", _ptr),
        ("p1", _ptr),
    )


class _Update(ctypes.Structure):
    _fields_ = (("down", _ptr), ("up", _ptr), ("scale", ctypes.c_float), ("rank", _int))


class _Tape(ctypes.Structure):
    _fields_ = (
        ("ops", ctypes.POINTER(_Op)),
        ("op_count", _int),
        ("buffer_count", _int),
        ("buffer_width", _ptr),
        ("slot_count", _int),
        ("slot_width", _ptr),
        *((name, _int) for name in ("kv_heads", "head_size", "page", "heads", "cached")),
    )


class _Step(ctypes.Structure):
    _fields_ = (
        ("rows", _int),
        ("wanted_count", _int),
        *(
            (name, _ptr)
            for name in (
                "token",
                "position",
                "until",
                "sequence",
                "first_page",
                "rotation_row",
                "wanted",
                "pages",
            )
        ),
        ("rotation", _ptr * 2),
        ("scores", _ptr),
        *((name, _int) for name in ("score_width", "adapter_count", "rank")),
        ("adapter", _ptr),
        ("updates", _ptr),
        ("stop", _ptr),
    )


@cache
def library() -> ctypes.CDLL | None:
    """The library, or None where it was not built."""
    path = _path()
    if path is None:
        return None
    lib = ctypes.CDLL(str(path))
    if lib.studiolo_version() != VERSION:
        return None
    lib.studiolo_levels.restype = ctypes.c_char_p
    lib.studiolo_packed_size.restype = ctypes.c_int64
    lib.studiolo_pack.argtypes = [_ptr, ctypes.c_int64, ctypes.c_int64, *([_ptr] * 6), _int]
    lib.studiolo_pack.restype = None
    lib.studiolo_play.argtypes = [_ptr, _ptr, ctypes.c_char_p, _int]
    return lib


def _path() -> Path | None:
    try:
        package = distribution("studiolo")
    except PackageNotFoundError:
        return None
    for name in ("libstudiolo_native.so", "libstudiolo_native.dylib"):
        path = Path(str(package.locate_file(f"studiolo/native/{name}")))
        if path.exists():
            return path
    return None


def levels() -> tuple[str, ...]:
    """The levels that this processor can run, best first; none without the library."""
    lib = library()
    return tuple(lib.studiolo_levels().decode().split(",")) if lib else ()


def default_threads() -> int:
    """As many threads as this process may use cores, or what ``OMP_NUM_THREADS`` says."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else len(os.sched_getaffinity(0))


def described() -> str:
    """How packed networks are computed here, in words."""
    if (lib := library()) is None:
        return "exact integers, played by their specification in PyTorch"
    best, others = lib.studiolo_levels().decode().partition(",")[::2]
    return f"exact integers, compiled for {best}" + (f" (also {others})" if others else "")


def best_player() -> Player:
    """The compiled library at its best level, or the specification where there is none."""
    return Native() if library() else Specification()


class Native:
    """Plays tapes with the compiled library. ``level``: one of :func:`levels`."""

    def __init__(self, *, level: str | None = None, threads: int | None = None) -> None:
        lib = library()
        if lib is None:
            raise RuntimeError("the compiled library is not installed")
        self._lib = lib
        self.level = level or levels()[0]
        self.threads = threads or default_threads()
        self._arena = _Arena()
        self._tapes: dict[int, _Bound] = {}

    def hold(self, weight: Packed) -> object:
        """Pack a matrix into the blocks that the library walks."""
        two = weight.scale_factor is not None
        matrix = _Matrix(
            n=padded(weight.outputs),
            k=-(-weight.inputs // weight.group) * weight.group,
            codes=KINDS.index(weight.kind),
            scales=2 * two + (weight.offset is not None),
            group=weight.group,
        )
        matrix.data = self._arena.take(self._lib.studiolo_packed_size(ctypes.byref(matrix)))
        parts = [
            None if part is None else part.contiguous()
            for part in (
                weight.codes,
                weight.scale,
                weight.offset,
                weight.scale_factor,
                weight.offset_factor,
            )
        ]
        addresses = [None if part is None else part.data_ptr() for part in parts]
        self._lib.studiolo_pack(
            ctypes.byref(matrix),
            weight.outputs,
            weight.inputs,
            *addresses,
            matrix.data,
            self.threads,
        )
        return matrix

    def adapt(self, updates: Sequence[Update | None]) -> object:
        """Lay the matrices out as the library walks them."""
        return _Adapted.of(updates)

    def play(self, tape: Tape, step: Step) -> Tensor:
        """As :meth:`Player.play`."""
        bound = self._tapes.get(id(tape))
        if bound is None or bound.tape is not tape:
            bound = self._tapes[id(tape)] = _Bound.of(tape)
        width = padded(tape.scores)
        scores = torch.empty(len(step.wanted), width)
        counts = np.cumsum([0, *(len(pages) for pages in step.pages)], dtype=np.int32)
        pages = np.array([page.ctypes.data for each in step.pages for page in each], np.uint64)
        turned = np.concatenate([step.position] * max(1, len(step.turns)))
        adapters = [each for each in step.adapters if isinstance(each, _Adapted)]
        updates = np.array([ctypes.addressof(each.updates) for each in adapters], np.uint64)
        native = _Step(
            rows=len(step.token),
            wanted_count=len(step.wanted),
            token=_at(step.token),
            position=_at(step.position),
            until=_at(step.until),
            sequence=_at(step.sequence),
            first_page=_at(counts),
            rotation_row=_at(turned),
            wanted=_at(step.wanted),
            pages=pages.ctypes.data,
            rotation=(_ptr * 2)(*(turn.ctypes.data for turn in step.turns)),
            scores=scores.data_ptr(),
            score_width=width,
            adapter_count=len(adapters),
            rank=max((each.rank for each in adapters), default=0),
            adapter=None if step.adapter is None else _at(step.adapter),
            updates=_at(updates),
            stop=_at(step.stop),
        )
        outcome = self._lib.studiolo_play(
            ctypes.byref(bound.native), ctypes.byref(native), self.level.encode(), self.threads
        )
        if outcome > 0:
            raise InterruptedStepError("the step was broken off")
        if outcome < 0:
            raise MemoryError(f"no memory for a step of {len(step.token)} rows")
        return scores[:, : tape.scores]


def _at(array: NDArray[np.generic]) -> int:
    return array.ctypes.data


@dataclass(frozen=True)
class _Bound:
    """A tape in C, and what its pointers point to."""

    tape: Tape
    native: _Tape
    kept: Sequence[object]

    @classmethod
    def of(cls, tape: Tape) -> _Bound:
        kept: list[object] = []
        ops = (_Op * len(tape.ops))(*(_native_op(op, kept) for op in tape.ops))
        buffers = np.array(tape.buffers, np.int32)
        slots = np.array(tape.slots, np.int32)
        native = _Tape(
            ops=ops,
            op_count=len(ops),
            buffer_count=len(buffers),
            buffer_width=buffers.ctypes.data,
            slot_count=len(slots),
            slot_width=slots.ctypes.data,
            kv_heads=tape.kv_heads,
            head_size=tape.head_size,
            page=PAGE,
            heads=tape.heads,
            cached=CACHED.index(tape.cached),
        )
        return cls(tape, native, [ops, buffers, slots, *kept])


@dataclass(frozen=True)
class _Adapted:
    """An adapter in C: its updates by site, the largest rank, and what the pointers point to."""

    updates: ctypes.Array[_Update]
    rank: int
    kept: Tensor

    @classmethod
    def of(cls, updates: Sequence[Update | None]) -> _Adapted:
        table = (_Update * len(updates))()
        places: list[tuple[_Update, str]] = []
        parts = [torch.empty(0)]
        for entry, update in zip(table, updates, strict=True):
            if update is None:
                continue
            (rank, inputs), outputs = update.down.shape, len(update.up)
            down = F.pad(update.down, (0, padded(inputs) - inputs, 0, -rank % RANKS)).contiguous()
            up = F.pad(update.up, (0, 0, 0, padded(outputs) - outputs)).reshape(-1, BLOCK, rank)
            down = down.view(-1, RANKS, padded(inputs) // BLOCK, BLOCK).transpose(1, 2)
            parts += [down.flatten(), up.transpose(1, 2).flatten()]
            places += [(entry, "down"), (entry, "up")]
            entry.scale, entry.rank = update.scale, rank
        # One after another, as they are read, and in huge pages.
        count = sum(map(len, parts))
        kept = torch.from_numpy(np.frombuffer(_slab(4 * count or 1), np.float32, count))
        torch.cat(parts, out=kept)
        at = kept.data_ptr()
        for (entry, name), part in zip(places, parts[1:], strict=True):
            setattr(entry, name, at)
            at += part.nbytes
        return cls(table, max((each.rank for each in table), default=0), kept)


def _native_op(op: Op, kept: list[object]) -> _Op:
    def address(tensor: Tensor | None, *, pad: bool = False) -> int | None:
        if tensor is None:
            return None
        tensor = tensor.detach().float().contiguous()
        if pad:  # a matrix adds its bias block by block
            tensor = F.pad(tensor, (0, -len(tensor) % BLOCK))
        kept.append(tensor)
        return tensor.data_ptr()

    first = address(op.weight)
    if isinstance(op.matrix, _Matrix):
        kept.append(op.matrix)
        first = ctypes.addressof(op.matrix)
    return _Op(
        kind=op.kind,
        barrier=op.barrier,
        wanted=op.wanted,
        accumulate=op.accumulate,
        src=op.src,
        dst=op.dst,
        src_column=op.src_column,
        dst_column=op.dst_column,
        size=op.size,
        heads=op.heads,
        site=op.site,
        flag=op.flag,
        window=op.window,
        f=op.value,
        p0=first,
        p1=address(op.bias, pad=op.matrix is not None),
    )


def _slab(size: int) -> mmap.mmap:
    """Memory of the process's own, in huge pages where the system gives them."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    # Python's own choice, shared memory, has no huge pages on most systems.
    slab = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        slab.madvise(mmap.MADV_HUGEPAGE)
    return slab


class _Arena:
    """Memory for weights in a few large slabs, so that the system can use huge pages."""

    def __init__(self) -> None:
        self._slabs: list[mmap.mmap] = []
        self._free = self._next = 0

    def take(self, size: int) -> int:
        size = -(-size // 4096) * 4096 + 4096  # a prefetch may look beyond the end
        if size > self._free:
            room = max(size, SLAB)
            slab = _slab(room)
            self._slabs.append(slab)
            self._next = ctypes.addressof(ctypes.c_char.from_buffer(slab))
            self._free = room
        start = self._next
        self._next += size
        self._free -= size
        return start

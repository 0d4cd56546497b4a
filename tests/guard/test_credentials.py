from __future__ import annotations

import io
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from studiolo.errors import InvalidRequestError, MalformedFileError, MissingExtraError
from studiolo.guard.credentials import certificate, media_type, read, sign
from studiolo.guard.marks import label_png
from studiolo.record.signing import SigningKey

c2pa = pytest.importorskip("c2pa")
KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp",
         "TIFF": "image/tiff"}  # fmt: skip


def picture(kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.effect_noise((64, 48), 60).save(out, kind)
    return out.getvalue()


def sound() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(range(256)) * 60)
    return out.getvalue()


@pytest.fixture
def key(home: Path) -> SigningKey:
    return SigningKey.installed()


@pytest.fixture
def stranger(key: SigningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SigningKey:
    monkeypatch.setenv("STUDIOLO_HOME", str(tmp_path / "other"))
    return SigningKey.installed()


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_signed_and_believed_by_its_maker(kind: str, key: SigningKey) -> None:
    data = picture(kind)
    assert media_type(data) == KINDS[kind]
    assert read(data, key) is None
    signed = sign(data, key, model="smol", weights="a" * 64, receipt="b" * 64)
    found = read(signed, key)
    assert found is not None
    assert (found.state, found.generated, found.problems) == ("ours", True, ())
    assert found.generator.startswith("Studiolo ")
    assert found.signer == f"Studiolo {key.public.fingerprint[:16]}"
    assert found.receipt == {"model": "smol", "weights": "a" * 64, "receipt": "b" * 64}
    before, after = (Image.open(io.BytesIO(each)) for each in (data, signed))
    assert before.tobytes() == after.tobytes()


def test_a_sound_too(key: SigningKey) -> None:
    found = read(sign(sound(), key), key)
    assert found is not None
    assert (found.state, found.receipt) == ("ours", {})


def test_who_does_not_know_the_key_finds_it_valid_and_unknown(
    key: SigningKey, stranger: SigningKey
) -> None:
    signed = sign(picture(), key)
    for reader in (stranger, None):
        found = read(signed, reader)
        assert found is not None
        assert (found.state, found.problems) == ("valid", ())


def test_another_implementation_of_the_profile_accepts_the_certificate(key: SigningKey) -> None:
    """The library's own reader, with nothing of our settings, finds the signature valid."""
    with c2pa.Reader("image/png", io.BytesIO(sign(picture(), key))) as reader:
        assert str(reader.get_validation_state()) == "Valid"


def test_a_picture_that_was_changed_is_not_what_was_signed(key: SigningKey) -> None:
    signed = sign(picture(), key)
    changed = signed[:-40] + bytes([signed[-40] ^ 1]) + signed[-39:]
    found = read(changed, key)
    assert found is not None
    assert found.state == "invalid"
    assert "assertion.dataHash.mismatch" in found.problems


def test_a_manifest_moved_to_another_picture_is_invalid(key: SigningKey) -> None:
    signed, other = sign(picture(), key), picture()
    place = signed.index(b"caBX") - 4
    size = int.from_bytes(signed[place : place + 4], "big") + 12
    moved = other[:33] + signed[place : place + size] + other[33:]
    found = read(moved, key)
    assert found is not None
    assert found.state == "invalid"


def test_a_label_goes_first_and_a_signature_last(key: SigningKey) -> None:
    found = read(sign(label_png(picture(), "smol"), key), key)
    assert found is not None
    assert found.state == "ours"
    broken = read(label_png(sign(picture(), key), "smol"), key)
    assert broken is not None
    assert broken.state == "invalid"


def test_the_certificate_follows_from_the_key_and_holds(key: SigningKey, tmp_path: Path) -> None:
    assert certificate(key) == certificate(key)
    path = tmp_path / "certificate.pem"
    path.write_text(certificate(key))
    command = ["openssl", "verify", "-CAfile", path.name, "-partial_chain", path.name]
    try:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no openssl")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_carries_none_is_refused(key: SigningKey) -> None:
    with pytest.raises(InvalidRequestError, match="file: is of no kind"):
        sign(b"hello", key)
    assert read(b"hello", key) is None
    with pytest.raises(MalformedFileError, match="cannot be signed"):
        sign(picture()[:60], key)


def test_without_the_extra_it_says_which(key: SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    for call in (lambda: sign(picture(), key), lambda: read(picture(), key)):
        with pytest.raises(MissingExtraError, match="'marks'"):
            call()


def test_nothing_is_fetched_while_reading(key: SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    original = c2pa.Settings.from_dict

    def heard(value: dict[str, object]) -> object:
        asked.append(value)
        return original(value)

    monkeypatch.setattr(c2pa.Settings, "from_dict", heard)
    read(sign(picture(), key), key)
    assert len(asked) == 2
    for each in asked:
        verify = each["verify"]
        assert isinstance(verify, dict)
        assert verify["remote_manifest_fetch"] is False
        assert verify["ocsp_fetch"] is False


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_file_is_read_or_refused(data: st.DataObject, key: SigningKey) -> None:
    """A signed picture with bytes changed, put in or cut out: no crash, and what is ours is so."""
    whole = SIGNED.setdefault(key.public.raw, sign(picture(), key))
    at = data.draw(st.integers(0, len(whole)))
    changed = (
        whole[:at] + data.draw(st.binary(max_size=20)) + whole[at + data.draw(st.integers(0, 20)) :]
    )
    try:
        found = read(changed, key)
    except MalformedFileError:
        return
    if found is not None and found.state == "ours":
        # Only the chunk that holds the manifest is not covered by it: the rest is as it was.
        place = whole.index(b"caBX") - 4
        end = place + 12 + int.from_bytes(whole[place : place + 4], "big")
        assert changed.startswith(whole[:place])
        assert changed.endswith(whole[end:])


SIGNED: dict[bytes, bytes] = {}

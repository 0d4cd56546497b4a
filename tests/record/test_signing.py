from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError, MalformedFileError, RecordsError, StudioloError
from studiolo.record.signing import FILE, PublicKey, SigningKey


def test_made_once_for_its_owner_alone(home: Path) -> None:
    key = SigningKey.installed()
    path = home / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SigningKey.installed().public.raw == key.public.raw
    assert b"PRIVATE" not in key.public.pem.encode()
    assert "PRIVATE" not in repr(key)


@pytest.mark.usefixtures("home")
def test_a_signature_is_for_one_purpose() -> None:
    key = SigningKey.installed()
    signature = key.sign("a 1", b"data")
    assert len(signature) == 64
    assert key.public.confirms(signature, "a 1", b"data")
    assert not key.public.confirms(signature, "a 2", b"data")
    assert not key.public.confirms(signature, "a 1", b"dato")
    assert not key.public.confirms(signature[::-1], "a 1", b"data")
    assert not key.public.confirms(b"short", "a 1", b"data")


def test_openssl_confirms_what_is_signed(home: Path) -> None:
    key = SigningKey.installed()
    (home / "public.pem").write_text(key.public.pem)
    (home / "signature").write_bytes(key.sign("purpose", b"said"))
    (home / "data").write_bytes(b"purpose\nsaid")
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin"]
    try:
        done = subprocess.run(
            [*command, "-in", "data", "-sigfile", "signature"], cwd=home, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("no openssl")
    if b"rawin" in done.stderr:
        pytest.skip("an old openssl")
    assert done.returncode == 0, done.stderr


def test_the_public_key_is_written_and_read(home: Path) -> None:
    key = SigningKey.installed().public
    path = home / "public.pem"
    path.write_text(key.pem)
    read = PublicKey.read(path)
    assert read.raw == key.raw
    assert read.fingerprint == hashlib.sha256(key.raw).hexdigest()


def test_not_made_where_it_must_be_there(home: Path) -> None:
    with pytest.raises(RecordsError, match="not there") as caught:
        SigningKey.installed(make=False)
    assert caught.value.remedy == "Restore it from a backup."
    assert not (home / FILE).exists()


def test_a_damaged_key_is_refused(home: Path) -> None:
    (home / FILE).write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(MalformedFileError, match="no Ed25519 key"):
        SigningKey.installed()


def test_a_key_of_another_kind_is_refused(home: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    other = generate_private_key(SECP256R1())
    data = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (home / FILE).write_bytes(data)
    with pytest.raises(MalformedFileError, match="no Ed25519 key"):
        SigningKey.installed()
    public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (home / "public.pem").write_bytes(public)
    with pytest.raises(MalformedFileError, match="no Ed25519 public key"):
        PublicKey.read(home / "public.pem")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"key: .* cannot be read"):
        PublicKey.read(tmp_path / "none")


@given(data=st.binary(max_size=300))
def test_any_file_is_a_key_or_refused(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.pem"
    path.write_bytes(data)
    with pytest.raises(StudioloError):
        PublicKey.read(path)


def test_nothing_heavy_is_imported_before_a_key_is_needed() -> None:
    code = "import sys, studiolo.record.signing; assert 'cryptography' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

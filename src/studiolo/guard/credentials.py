"""Content Credentials (C2PA): a signed statement inside a picture, a sound or a film.

The manifest says that a trained model made the file, which one, and which receipt tells of it; it
is bound to the bytes by their hash and signed with this installation's key. The certificate is
the key's own, self-signed: no authority vouches for the name in it, so that other readers call
the signature valid and its signer *unknown*. Who has the certificate may add it to what they trust.

Notable choices. *The certificate follows from the key alone*: Ed25519 signatures have no chance in
them, and its dates are fixed, so nothing else need be kept. *Nothing is fetched while reading*: a
file could name an address, and tell its owner who looks at it.

Needs the extra ``marks`` (c2pa-python). Which files may carry a manifest that library knows.
"""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

from studiolo.errors import InvalidRequestError, MalformedFileError, MissingExtraError
from studiolo.guard.marks import SOURCE_TYPE
from studiolo.record.signing import SigningKey

RECEIPT = "org.studiolo.receipt"
"""Our assertion: model, digest of its weights, digest of the receipt."""
State = Literal["ours", "valid", "invalid"]

SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypM4A ", "audio/mp4"),
    (4, b"ftypqt  ", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"%PDF-", "application/pdf"),
)
"""(Place, bytes there, media type) of what can carry a manifest; the first that fits."""


@dataclass(frozen=True)
class Manifest:
    """What a file's manifest says, and whether it may be believed.

    ``state``: *ours* is signed with this installation's key; *valid* with another's, which nobody
    here vouches for; *invalid* where file or manifest were changed since. ``problems``: codes of
    the C2PA specification. ``receipt``: what our own assertion says, if there is one.
    """

    state: State
    generator: str
    signer: str
    generated: bool
    receipt: Mapping[str, str]
    problems: tuple[str, ...]


def media_type(data: bytes) -> str | None:
    """The media type of a file, if it can carry a manifest, by its first bytes."""
    for place, signature, kind in SIGNATURES:
        if data.startswith(signature, place):
            return kind
    return None


def certificate(key: SigningKey) -> str:
    """The certificate of a key, in PEM: X.509, for signing documents, self-signed.

    The profile is that of the C2PA specification 2.1, section 14.5.1.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    public = key.key.public_key()
    fingerprint = key.public.fingerprint
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Studiolo"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Studiolo {fingerprint[:16]}"),
        ]
    )
    usage = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(int(fingerprint[:30], 16) | 1)
        .not_valid_before(datetime.datetime(2026, 1, 1))
        .not_valid_after(datetime.datetime(9999, 12, 31, 23, 59, 59))  # RFC 5280: without end
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False)
    )
    return builder.sign(key.key, None).public_bytes(Encoding.PEM).decode("ascii")


def sign(
    data: bytes, key: SigningKey, *, model: str = "", weights: str = "", receipt: str = ""
) -> bytes:
    """The file ``data`` with a manifest, in place of one it may have had.

    ``model``, ``weights``, ``receipt``: name, digest of the bundle and digest of the receipt.
    Raises :class:`InvalidRequestError`, naming ``file``, for a kind that carries none,
    :class:`MalformedFileError` for a file that is broken, and :class:`MissingExtraError`.
    """
    c2pa = _library()
    kind = media_type(data)
    if kind is None:
        raise InvalidRequestError("file", "is of no kind that can carry Content Credentials")
    facts = {"model": model, "weights": weights, "receipt": receipt}
    created = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE}
    told = {name: value for name, value in facts.items() if value}
    manifest = {
        "claim_generator_info": [{"name": "Studiolo", "version": version("studiolo")}],
        "format": kind,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            *([{"label": RECEIPT, "data": told}] if told else []),
        ],
    }
    signed = io.BytesIO()
    try:
        with (
            _context(c2pa, {"builder": {"thumbnail": {"enabled": False}}}) as context,
            c2pa.Signer.from_callback(
                key.key.sign, c2pa.C2paSigningAlg.ED25519, certificate(key)
            ) as signer,
            c2pa.Builder(manifest, context) as builder,
        ):
            builder.sign(signer, kind, io.BytesIO(data), signed)
    except c2pa.C2paError as error:
        raise MalformedFileError(f"the {kind} cannot be signed: {error!s:.200}") from None
    return signed.getvalue()


def read(data: bytes, key: SigningKey | None) -> Manifest | None:
    """The manifest of a file, or None if it has none. ``key``: this installation's, if any.

    Raises :class:`MalformedFileError` for a file whose manifest cannot be read at all, and
    :class:`MissingExtraError`.
    """
    c2pa = _library()
    kind = media_type(data)
    if kind is None:
        return None
    trust = {} if key is None else {"trust": {"user_anchors": certificate(key)}}
    try:
        with (
            _context(c2pa, trust) as context,
            c2pa.Reader(kind, io.BytesIO(data), context=context) as reader,
        ):
            state = str(reader.get_validation_state())
            value = json.loads(reader.json())
    except c2pa.C2paError as error:
        if "ManifestNotFound" in str(error):
            return None
        raise MalformedFileError(f"the manifest cannot be read: {error!s:.200}") from None
    except ValueError:
        raise MalformedFileError("the manifest cannot be read: it is no JSON") from None
    return _told(value, state)


def _told(value: Mapping[str, Any], state: str) -> Manifest:
    active = value.get("manifests", {}).get(value.get("active_manifest"), {})
    assertions = {each.get("label"): each.get("data") for each in active.get("assertions", [])}
    ours = assertions.get(RECEIPT)
    makers = active.get("claim_generator_info") or [{}]
    problems = [str(each.get("code")) for each in value.get("validation_status") or []]
    states: dict[str, State] = {"Trusted": "ours", "Valid": "valid"}
    return Manifest(
        state=states.get(state, "invalid"),
        generator=" ".join(str(makers[0].get(name, "")) for name in ("name", "version")).strip(),
        signer=str((active.get("signature_info") or {}).get("common_name", "")),
        generated=SOURCE_TYPE in json.dumps(assertions),
        receipt={k: str(v) for k, v in ours.items()} if isinstance(ours, dict) else {},
        problems=tuple(code for code in problems if code != "signingCredential.untrusted"),
    )


def _context(c2pa: Any, settings: Mapping[str, Any]) -> Any:
    """The library's settings, with all that would reach out to the network turned off."""
    quiet = {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True}
    return c2pa.Context(c2pa.Settings.from_dict({"version": 1, "verify": quiet, **settings}))


def _library() -> Any:
    try:
        import c2pa
    except ImportError:
        raise MissingExtraError("a manifest of Content Credentials", "marks") from None
    return c2pa

"""Requests signed with AWS's Signature Version 4: whose they are, and that they came whole.

Source: AWS IAM User Guide, "Create a signed AWS API request".

Notable choices. *What was signed is what is routed*: path and query are checked as they came,
percent signs and all, the path encoded once more, as every service but S3 has it. Dot segments
are not resolved: AWS's clients sign a path without them, and asking one with them is refused.
*The body is always part of it*: one that is declared unsigned is refused. *Unknown ids cost what
known ones do*: a signature is made and compared either way. As at AWS, the same request may come
again while its time is good.

Signatures in the query (presigned addresses), and temporary credentials, are not known here.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from studiolo.errors import AuthenticationError, TooLargeError
from studiolo.record.grant import Key

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "bedrock"
SKEW = 300.0
"""Seconds that the client's clock may be off, either way."""
_FORM = re.compile(
    r"Credential=([!-+\--.0-~]{1,128})/([0-9]{8})/([a-z0-9-]{1,64})/([a-z0-9-]{1,64})/aws4_request"
    r", *SignedHeaders=([!-+\--~]{1,4096}), *Signature=([0-9a-f]{64})",
    re.ASCII,
)
_DATE = "%Y%m%dT%H%M%SZ"


class SignatureError(AuthenticationError):
    """A request is not signed as it must be, or by nobody who is known."""


@dataclass(frozen=True)
class Claim:
    """What a request says of its signature. ``names``: of the headers that it covers."""

    id: str
    day: str
    region: str
    service: str
    names: tuple[str, ...]
    signature: str

    @classmethod
    def parse(cls, authorization: str) -> Claim:
        """From the header; raises :class:`SignatureError`."""
        kind, _, rest = authorization.partition(" ")
        found = _FORM.fullmatch(rest.strip()) if kind == ALGORITHM else None
        if found is None:
            raise SignatureError(
                "Authorization is not of the form "
                f"{ALGORITHM} Credential=…, SignedHeaders=…, Signature=…"
            )
        id, day, region, service, names, signature = found.groups()
        return cls(id, day, region, service, tuple(names.split(";")), signature)

    @property
    def scope(self) -> str:
        """Day, region and service, to which the signing key is narrowed."""
        return f"{self.day}/{self.region}/{self.service}/aws4_request"

    def expected(self, secret: str, date: str, canonical: bytes) -> str:
        """The signature by ``secret`` of a canonical request; ``date`` is its time."""
        key = f"AWS4{secret}".encode()
        for part in self.scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        hashed = hashlib.sha256(canonical).hexdigest()
        signed = f"{ALGORITHM}\n{date}\n{self.scope}\n{hashed}"
        return hmac.digest(key, signed.encode(), "sha256").hex()


def signed(headers: Headers) -> bool:
    """Whether a request says that it is signed."""
    return headers.get("authorization", "").startswith(ALGORITHM)


def verified(
    scope: Scope, body: bytes, find: Callable[[str], tuple[Key | None, str]], now: float
) -> Key:
    """The key that signed the request of ``scope`` and ``body``.

    ``find(access key id)`` gives the key, or None, and the secret to check with, as
    :meth:`Keys.find_aws`; ``now``: Unix seconds. Raises :class:`SignatureError`.
    """
    claim = Claim.parse(Headers(scope=scope)["authorization"])
    headers = _canonical_headers(scope)
    date = headers.get("x-amz-date", "")
    _check(claim, headers, date, now)
    hashed = hashlib.sha256(body).hexdigest()
    if headers.get("x-amz-content-sha256", hashed) != hashed:
        raise SignatureError("x-amz-content-sha256 is not the SHA-256 of the body")
    key, secret = find(claim.id)
    expected = claim.expected(secret, date, _canonical(scope, claim.names, headers, hashed))
    if not hmac.compare_digest(expected, claim.signature) or key is None:
        raise SignatureError(
            "the signature is not that of a key that is known here",
            remedy="`studiolo keys create` shows the access key id and the secret access key.",
        )
    return key


def _check(claim: Claim, headers: Mapping[str, str], date: str, now: float) -> None:
    """Raise :class:`SignatureError` for what no signature can make good."""
    if claim.service != SERVICE:
        raise SignatureError(f"it is signed for {claim.service!r} and not for {SERVICE!r}")
    if "x-amz-security-token" in headers:
        raise SignatureError(
            "x-amz-security-token: there are no temporary credentials here",
            remedy="Use the access key id and the secret access key of a key, and no token.",
        )
    if list(claim.names) != sorted(set(claim.names)):
        raise SignatureError("SignedHeaders must be in order, each once")
    must = {"host", *(name for name in headers if name.startswith("x-amz-"))}
    for name in (*claim.names, *must):
        if name not in headers or name not in claim.names:
            raise SignatureError(f"the header {name!r:.80} must be there, and signed")
    try:
        at = datetime.strptime(date, _DATE).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise SignatureError("x-amz-date must be a time as 20261122T093000Z") from None
    if not date.startswith(claim.day):
        raise SignatureError("Credential is of another day than x-amz-date")
    if abs(now - at) > SKEW:
        raise SignatureError(
            f"x-amz-date is {abs(now - at):,.0f} seconds off; {SKEW:,.0f} are allowed",
            remedy="Set the clock right.",
        )


def _canonical_headers(scope: Scope) -> dict[str, str]:
    """By name in small letters; space runs made one, several of one name joined."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        text = b" ".join(value.split()).decode("latin-1")
        found.setdefault(name.decode("latin-1").lower(), []).append(text)
    return {name: ",".join(values) for name, values in found.items()}


def _canonical(
    scope: Scope, names: tuple[str, ...], headers: Mapping[str, str], hashed: str
) -> bytes:
    """The canonical request: one text for each request that is another."""
    query: bytes = scope["query_string"]
    pairs = sorted(part.partition(b"=")[::2] for part in query.split(b"&")) if query else []
    lines = [
        scope["method"],
        quote(scope["raw_path"], safe="/~"),
        b"&".join(b"=".join(pair) for pair in pairs).decode("latin-1"),
        *(f"{name}:{headers[name]}" for name in names),
        "",
        ";".join(names),
        hashed,
    ]
    return "\n".join(lines).encode("latin-1")


async def held(receive: Receive, headers: Headers, limit: int) -> tuple[bytes, Receive]:
    """The body, for the signature covers it, and what gives it to the route once more.

    Raises :class:`TooLargeError` beyond ``limit`` bytes, if possible before they are read.
    """
    told = headers.get("content-length", "0")
    _check_size(int(told) if told.isdecimal() else 0, limit)
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        _check_size(size, limit)
        more = message.get("more_body", False)
    body, given = b"".join(parts), False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return body, again


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise TooLargeError(
            f"the body is larger than {limit:,} bytes", remedy="Send less, or in several requests."
        )

"""What botocore signs is verified; what differs from it in a byte is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]
from hypothesis import assume, given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from studiolo.errors import TooLargeError
from studiolo.record.keys import Keys, NewKey
from studiolo.record.records import Records
from studiolo.server.signing import Claim, SignatureError, held, signed, verified

HOST = "studiolo.test:8000"
Scope = dict[str, Any]


@dataclass(frozen=True)
class Held:
    """Keys, and one of them."""

    keys: Keys
    made: NewKey

    def sign(
        self,
        method: str = "POST",
        path: str = "/model/tiny/converse",
        query: str = "",
        headers: dict[str, str] | None = None,
        body: bytes = b"{}",
        *,
        service: str = "bedrock",
        region: str = "us-east-1",
        token: str | None = None,
    ) -> Scope:
        """What a server sees of the request that botocore signs."""
        url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
        request = AWSRequest(method, url, headers=dict(headers or {}), data=body)
        aws = self.made.aws
        credentials = Credentials(aws.access_key_id, aws.secret_access_key, token)
        SigV4Auth(credentials, service, region).add_auth(request)
        sent = [("Host", HOST), *request.headers.items()]
        return {
            "type": "http",
            "method": method,
            "raw_path": urlsplit(url).path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent],
        }

    def verify(self, scope: Scope, body: bytes = b"{}", now: float | None = None) -> str:
        return verified(scope, body, self.keys.find_aws, now or time.time()).id


@pytest.fixture(scope="module")
def ours(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIOLO_HOME", str(tiny_home))
        records = Records.open(str(tmp_path_factory.mktemp("signing") / "records.db"))
        yield Held(records.keys, records.keys.create(name="signer"))
        records.close()


NAME = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12)
SEGMENT = st.text(min_size=1, max_size=12).filter(lambda text: text not in (".", ".."))
ENCODABLE = SEGMENT.filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))
PATHS = st.lists(ENCODABLE, min_size=1, max_size=5).map(
    lambda parts: "/" + "/".join(quote(part, safe="") for part in parts)
)
QUERIES = st.lists(st.tuples(ENCODABLE, ENCODABLE), max_size=4).map(
    lambda pairs: "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in pairs)
)
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
HEADERS = st.dictionaries(
    NAME.map(lambda name: f"x-{name.strip('-')}z"),
    st.lists(VISIBLE, min_size=1, max_size=3).map("  ".join),
    max_size=4,
).filter(lambda headers: "x-amz-security-token" not in headers)


@given(st.sampled_from(["GET", "POST"]), PATHS, QUERIES, HEADERS, st.binary(max_size=60))
def test_what_botocore_signs_is_verified(
    ours: Held, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    scope = ours.sign(method, path, query, headers, body)
    assert signed(Headers(scope=scope))
    assert ours.verify(scope, body) == ours.made.key.id


@given(st.data())
def test_a_changed_byte_is_refused(ours: Held, data: st.DataObject) -> None:
    path, query, headers = data.draw(PATHS), data.draw(QUERIES), data.draw(HEADERS)
    body = data.draw(st.binary(min_size=1, max_size=40))
    scope = ours.sign("POST", path, query, headers, body)
    names = [name for name, _ in scope["headers"]]
    place = data.draw(st.sampled_from(["method", "raw_path", "query_string", "body", *names]))
    before: bytes = {
        "method": b"POST", "raw_path": path.encode(), "query_string": query.encode(), "body": body,
    }.get(place) or dict(scope["headers"]).get(place, b"")  # fmt: skip
    assume(before)
    at = data.draw(st.integers(0, len(before) - 1))
    byte = data.draw(st.integers(33, 126))
    assume(before[at] != byte and before[at] != ord(" "))
    after = before[:at] + bytes([byte]) + before[at + 1 :]
    if place == "body":
        body = after
    elif place == "method":
        scope["method"] = after.decode()
    elif place in scope:
        assume(place != "query_string" or _pairs(before) != _pairs(after))
        scope[place] = after
    else:
        scope["headers"] = [(n, after if n == place else v) for n, v in scope["headers"]]
    with pytest.raises(SignatureError):
        ours.verify(scope, body)


def _pairs(query: bytes) -> list[tuple[bytes, bytes, bytes]]:
    return sorted((n, b"", v) for n, _, v in (part.partition(b"=") for part in query.split(b"&")))


def test_the_signature_is_that_of_the_published_example() -> None:
    """``get-vanilla`` of AWS's Signature Version 4 test suite."""
    claim = Claim("AKIDEXAMPLE", "20150830", "us-east-1", "service", ("host", "x-amz-date"), "")
    canonical = (
        "GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    made = claim.expected(
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830T123600Z", canonical.encode()
    )
    assert made == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"


def test_the_path_is_encoded_twice_and_dots_are_not_resolved(ours: Held) -> None:
    arn = quote("arn:aws:bedrock:us-east-1::foundation-model/tiny", safe="")
    assert ours.verify(ours.sign(path=f"/model/{arn}/converse"))
    scope = ours.sign(path="/model/tiny/converse")
    for other in (
        b"/model/x/../tiny/converse",
        b"/model//tiny/converse",
        b"/./model/tiny/converse",
    ):
        with pytest.raises(SignatureError):
            ours.verify({**scope, "raw_path": other})


def test_other_orders_and_spaces_are_the_same_request(ours: Held) -> None:
    scope = ours.sign("GET", "/foundation-models", "b=2&a=1", {"x-note": "one two"}, b"")
    changed = [(n, b"  one   two " if n == b"x-note" else v) for n, v in scope["headers"]]
    moved = {**scope, "query_string": b"a=1&b=2", "headers": changed[::-1]}
    assert ours.verify(moved, b"") == ours.made.key.id


@pytest.mark.parametrize("seconds", [-299, 299])
def test_clocks_may_differ_a_little(ours: Held, seconds: float) -> None:
    assert ours.verify(ours.sign(), now=time.time() + seconds)


@pytest.mark.parametrize("seconds", [-302, 302, 86_400])
def test_clocks_may_not_differ_much(ours: Held, seconds: float) -> None:
    with pytest.raises(SignatureError, match="seconds off"):
        ours.verify(ours.sign(), now=time.time() + seconds)


def test_the_same_request_may_come_again(ours: Held) -> None:
    scope = ours.sign()
    assert ours.verify(scope) == ours.verify(scope)


def test_the_region_is_free_and_the_service_is_not(ours: Held) -> None:
    assert ours.verify(ours.sign(region="eu-central-1"))
    with pytest.raises(SignatureError, match="'s3'"):
        ours.verify(ours.sign(service="s3"))


def test_temporary_credentials_are_refused(ours: Held) -> None:
    with pytest.raises(SignatureError, match="x-amz-security-token"):
        ours.verify(ours.sign(token="temporary"))


def _without(scope: Scope, name: bytes) -> Scope:
    return {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != name]}


def _with(scope: Scope, name: bytes, value: bytes) -> Scope:
    return {**scope, "headers": [*scope["headers"], (name, value)]}


def test_host_and_aws_headers_must_be_signed(ours: Held) -> None:
    scope = ours.sign()
    for name in (b"host", b"x-amz-date"):
        with pytest.raises(SignatureError, match=name.decode()):
            ours.verify(_without(scope, name))
    with pytest.raises(SignatureError, match="x-amz-target"):
        ours.verify(_with(scope, b"x-amz-target", b"other"))
    authorization = dict(scope["headers"])[b"authorization"]
    narrowed = authorization.replace(b"host;", b"")
    with pytest.raises(SignatureError, match="host"):
        ours.verify(_with(_without(scope, b"authorization"), b"authorization", narrowed))


def test_the_body_must_be_signed(ours: Held) -> None:
    for hashed in ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64):
        scope = ours.sign(headers={"X-Amz-Content-SHA256": hashed})
        with pytest.raises(SignatureError, match="x-amz-content-sha256"):
            ours.verify(scope)
    right = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of {}
    assert ours.verify(ours.sign(headers={"X-Amz-Content-SHA256": right}))


def test_unknown_revoked_and_forged_keys_are_told_the_same(ours: Held) -> None:
    revoked = ours.keys.create(name="gone")
    scope = Held(ours.keys, revoked).sign()
    assert ours.verify(scope) == revoked.key.id
    ours.keys.revoke(revoked.key.id)
    told = set()
    aws = ours.made.aws
    unknown = b"STUDIOLO" + b"Z" * 12
    for faulty in (
        scope,
        _renamed(ours.sign(), aws.access_key_id.encode(), unknown),
        _renamed(ours.sign(), aws.access_key_id.encode(), b"AKIDEXAMPLE"),
        _renamed(ours.sign(), b"Signature=", b"Signature=" + b"0" * 64, cut=64),
    ):
        with pytest.raises(SignatureError) as refused:
            ours.verify(faulty)
        told.add(str(refused.value))
    assert len(told) == 1


def _renamed(scope: Scope, old: bytes, new: bytes, cut: int = 0) -> Scope:
    value = dict(scope["headers"])[b"authorization"]
    at = value.index(old)
    changed = value[:at] + new + value[at + len(old) + cut :]
    return _with(_without(scope, b"authorization"), b"authorization", changed)


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_what_is_no_claim_is_refused(text: str) -> None:
    for given_ in (text, f"AWS4-HMAC-SHA256 {text}"):
        with pytest.raises(SignatureError):
            Claim.parse(given_)


def _receiving(*messages: dict[str, Any]) -> Callable[[], Any]:
    left = list(messages)

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    return receive


def _part(body: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_is_held_and_given_again() -> None:
    gone = {"type": "http.disconnect"}

    async def run() -> None:
        receive = _receiving(_part(b"ab", True), _part(b"c", False), gone)
        body, again = await held(receive, Headers({}), 3)
        assert body == b"abc"
        assert await again() == _part(b"abc", False)
        assert await again() == gone

    asyncio.run(run())


def test_a_body_that_is_too_large_or_broken_off_is_not_held() -> None:
    async def run() -> None:
        with pytest.raises(TooLargeError):
            await held(_receiving(_part(b"ab", True), _part(b"cd", False)), Headers({}), 3)
        with pytest.raises(TooLargeError):
            await held(_receiving(), Headers({"content-length": "4"}), 3)
        with pytest.raises(ClientDisconnect):
            await held(_receiving(_part(b"ab", True), {"type": "http.disconnect"}), Headers({}), 3)

    asyncio.run(run())

"""Over HTTP: one request a file, taken up again where it broke off.

A resumed request asks with ``If-Range`` when the server gave an ETag, so bytes of two
versions are never joined; where the file is pinned, its checksum settles the matter
anyway. A file that no checksum pins is taken over ``https`` alone (or from this same
machine), since then the connection is all that vouches for it.

Connecting may take four seconds, so that a network without a way out is found out soon.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx

from studiolo.bundle.catalogue import UrlSource, Wanted
from studiolo.bundle.landing import Landing, PartialFile
from studiolo.errors import ChecksumError, SourceError

CONNECT_SECONDS = 4.0
READ_SECONDS = 30.0
_TRIES = 4
_MOST = 100
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def fetch(source: UrlSource, landing: Landing) -> None:
    """Bring the one file, or every file of a folder's address."""
    for wanted in landing.missing():
        folder = source.url.endswith("/")
        download(source.url + quote(wanted.name) if folder else source.url, wanted, landing)


def download(
    url: str, wanted: Wanted, landing: Landing, headers: Mapping[str, str] | None = None
) -> None:
    """Bring ``url`` into the landing as ``wanted``; a connection that breaks is taken up again.

    Gives up after four tries in a row that brought nothing. Raises :class:`SourceError`
    and :class:`ChecksumError`.
    """
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    try:
        client = httpx.Client(timeout=timeout, follow_redirects=True, headers=dict(headers or {}))
    except (ValueError, OSError, ImportError) as error:  # a proxy or certificate that cannot be
        raise SourceError(f"the network settings are unusable: {error}") from None
    with client, landing.partial(wanted) as partial:
        inherited, failures = partial.size > 0, 0
        for _ in range(_MOST):
            before = partial.size
            try:
                _attempt(client, url, partial)
                _etag_file(partial).unlink(missing_ok=True)
                partial.finish()
                return
            except ChecksumError:
                if not inherited:
                    raise
                # The bytes we began with were not this file's: begin again, once.
                inherited = False
                landing.note(f"{wanted.name}: what was left of an earlier pull is wrong; again")
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
                raise SourceError(f"{_host(url)} cannot be reached ({_brief(error)})") from None
            except httpx.InvalidURL as error:
                raise SourceError(f"{url} is not a web address: {error}") from None
            except (httpx.HTTPError, SourceError) as error:
                if isinstance(error, SourceError) and not isinstance(error, _BrokenOffError):
                    raise
                failures = 0 if partial.size > before else failures + 1
                if failures >= _TRIES:
                    raise SourceError(f"{_host(url)} broke off ({_brief(error)})") from None
                time.sleep(0.2 * 2**failures)
        raise SourceError(f"{_host(url)} broke off {_MOST} times")


class _BrokenOffError(SourceError):
    """The server was there, but did not deliver to the end; worth another try."""


def _attempt(client: httpx.Client, url: str, partial: PartialFile) -> None:
    """One request for what is missing; returns when the server says that was all."""
    wanted = partial.file
    if wanted.size is not None and partial.size == wanted.size and wanted.sha256 is not None:
        return
    headers = {"Accept-Encoding": "identity"}
    etag = _etag(partial, url)
    if partial.size and (etag or wanted.sha256):
        headers["Range"] = f"bytes={partial.size}-"
        if etag:
            headers["If-Range"] = etag
    else:
        partial.discard()
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416:  # what we have is not the beginning of what is there
            partial.discard()
            raise _BrokenOffError("HTTP 416")
        _check(response, url, wanted)
        start, length = _extent(response)
        if start != partial.size:
            partial.discard()
            if start:
                raise _BrokenOffError("it answered with another part of the file than was asked")
        if length is not None and wanted.size is not None and start + length != wanted.size:
            partial.discard()
            raise ChecksumError(
                f"{wanted.name} has {start + length:,} bytes at {_host(url)}, "
                f"but {wanted.size:,} are pinned"
            )
        if length is None and wanted.size is None and "Transfer-Encoding" not in response.headers:
            raise SourceError(f"{_host(url)} says not how long {wanted.name} is")
        _remember(partial, url, response.headers.get("ETag"))
        for chunk in response.iter_raw():  # as they come: what has come is kept if it breaks
            partial.write(chunk)
    if wanted.size is not None and partial.size < wanted.size:
        raise _BrokenOffError(f"it ended after {partial.size:,} of {wanted.size:,} bytes")


def _check(response: httpx.Response, url: str, wanted: Wanted) -> None:
    status, host = response.status_code, _host(url)
    secure = response.url.scheme == "https" or response.url.host in _LOOPBACK
    if not secure and wanted.sha256 is None:
        raise SourceError(f"{response.url} is not https, and no checksum pins the file")
    if status in (401, 403):
        raise SourceError(
            f"{host} refuses {wanted.name} (HTTP {status})",
            remedy="It may be private, or its terms may have to be accepted on its own page "
            "first; a token goes into the environment as HF_TOKEN.",
        )
    if status in (404, 410):
        raise SourceError(f"{host} has no {wanted.name} there (HTTP {status})")
    if status in (408, 425, 429) or status >= 500:
        raise _BrokenOffError(f"HTTP {status}")
    if status not in (200, 206):
        raise SourceError(f"{host} answered HTTP {status} for {wanted.name}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SourceError(f"{host} sent {wanted.name} compressed, unasked")


def _extent(response: httpx.Response) -> tuple[int, int | None]:
    """First byte and number of bytes that the body has; the number may be untold."""
    start = 0
    if response.status_code == 206:
        try:
            unit, _, rest = response.headers["Content-Range"].partition(" ")
            start = int(rest.partition("-")[0])
            if unit != "bytes" or start < 0:
                raise ValueError
        except (KeyError, ValueError):
            raise SourceError("the server's answer says not which part of the file it is") from None
    length = response.headers.get("Content-Length")
    return start, int(length) if length and length.isdecimal() else None


def _etag_file(partial: PartialFile) -> Path:
    return partial.path.with_name(partial.path.name + ".etag")


def _remember(partial: PartialFile, url: str, etag: str | None) -> None:
    path = _etag_file(partial)
    if etag and not etag.startswith("W/"):
        path.write_text(json.dumps({"url": url, "etag": etag}), encoding="utf-8")
    else:
        path.unlink(missing_ok=True)


def _etag(partial: PartialFile, url: str) -> str | None:
    try:
        kept = json.loads(_etag_file(partial).read_text(encoding="utf-8"))
        if kept["url"] == url and isinstance(kept["etag"], str) and kept["etag"].isascii():
            return str(kept["etag"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or url


def _brief(error: Exception) -> str:
    text = error.message if isinstance(error, SourceError) else str(error)
    return text.splitlines()[0][:120] if text else type(error).__name__

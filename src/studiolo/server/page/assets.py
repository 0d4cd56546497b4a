"""Serves the page and what it is made of: the files under ``static/``, as they are.

Notable choices. *Nothing may come from elsewhere and nothing inline*: the policy names this origin
alone, and no string ever becomes markup (``require-trusted-types-for``), whatever a model writes.
*Kept, and asked about each time*: an entity tag changes when a file does, so that an update is seen
at once and nothing is sent twice. What the page does is in the files; this module knows none of it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.errors import NotFoundError

STATIC = Path(__file__).parent / "static"
NAME = re.compile(r"(?:[a-z0-9-]+/)?[a-z0-9-]+\.(?:css|js|svg)")
"""No dot but the last, so that no name leads out of the folder."""
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """The page."""
    return _sent(request, STATIC / "index.html")


@router.api_route("/studio/{name:path}", methods=["GET", "HEAD"])
async def asset(request: Request, name: str) -> Response:
    """A file that the page is made of."""
    path = STATIC / name
    if NAME.fullmatch(name) is None or not path.is_file():
        raise NotFoundError(f"the page has no file {name[:100]!r}")
    return _sent(request, path)


def _sent(request: Request, path: Path) -> Response:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**HEADERS, "etag": tag}
    known = request.headers.get("if-none-match", "")
    if known == "*" or tag in (each.strip().removeprefix("W/") for each in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=KINDS[path.suffix])

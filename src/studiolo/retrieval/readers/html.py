"""The text of a page of HTML, a line for each block, with its headings.

Menus, feet, scripts and forms are left out; if the page says which part is its main one (``main``,
``article``), only that is read. Parsed by lexbor, which takes any bytes as HTML, as browsers do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from studiolo.errors import MissingExtraError
from studiolo.retrieval.document import Extract, Growing

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]+)")
_AROUND = (
    *("script", "style", "noscript", "template", "svg", "nav", "footer", "aside"),
    *("form", "button", "select", "iframe", "head", "dialog"),
)
_BLOCKS = frozenset(
    {
        *("address", "article", "blockquote", "body", "dd", "details", "div", "dl", "dt"),
        *("fieldset", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr"),
        *("li", "main", "ol", "p", "pre", "section", "summary", "table", "tbody", "thead", "tr"),
        "ul",
    }
)


def read_html(data: bytes, extra: str = "retrieval") -> Extract:
    """The page's main text; cells of a row are separated by ``|``.

    Raises :class:`MissingExtraError`, which names ``extra``, without selectolax.
    """
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError:
        raise MissingExtraError("reading HTML", extra) from None
    body = LexborHTMLParser(decoded(data)).body
    out = Growing()
    if body is not None:
        found = body.css("main") or body.css("article")
        for root in _outermost(found) or [body]:
            root.strip_tags(list(_AROUND))
            _write(root, out)
    return out.extract()


def decoded(page: bytes) -> str:
    """The characters of ``page``: UTF-8, or else what it says it is, or else windows-1252.

    As browsers have it (WHATWG Encoding), less their tables: what is called ISO 8859-1 is
    windows-1252, and a name that Python does not know is none.
    """
    try:
        return page.decode("utf-8-sig")
    except UnicodeDecodeError:
        said = _CHARSET.search(page[:1024])
    name = said[1].decode("ascii").lower() if said else ""
    if name in ("", "utf-8", "iso-8859-1", "latin1", "us-ascii"):
        name = "windows-1252"
    try:
        return page.decode(name, "replace")
    except (LookupError, ValueError):  # none, or one that is no encoding of text
        return page.decode("windows-1252", "replace")


def _outermost(nodes: list[LexborNode]) -> list[LexborNode]:
    """Those of ``nodes`` that lie in no other of them."""
    ids = {each.mem_id for each in nodes}
    found = []
    for node in nodes:
        parent = node.parent
        while parent is not None and parent.mem_id not in ids:
            parent = parent.parent
        if parent is None:
            found.append(node)
    return found


def _write(root: LexborNode, out: Growing) -> None:
    block: LexborNode | None = None
    said: list[str] = []
    for node in root.traverse(include_text=True):
        if node.tag == "br":
            said.append("\n")
        elif node.tag == "-text":
            own = _block(node)
            if (own and own.mem_id) != (block and block.mem_id):
                _say(said, block, out)
                said, block = [], own
            said.append(_text(node, block))
    _say(said, block, out)


def _block(node: LexborNode) -> LexborNode | None:
    """The nearest block around a text."""
    parent = node.parent
    while parent is not None and parent.tag not in _BLOCKS:
        parent = parent.parent
    return parent


def _text(node: LexborNode, block: LexborNode | None) -> str:
    text = node.text_content or ""
    if block is not None and block.tag == "pre":
        return text
    text = re.sub(r"\s+", " ", text)
    parent = node.parent
    if parent is not None and parent.tag in ("td", "th") and text.strip():
        return text.strip() + " | "
    return text


def _say(parts: list[str], block: LexborNode | None, out: Growing) -> None:
    """Write the lines of one block, and a blank line after it."""
    tag = "" if block is None else (block.tag or "")
    text = "".join(parts)
    level = int(tag[1]) if re.fullmatch(r"h[1-6]", tag) else None
    if tag == "pre":
        lines = [line.rstrip() for line in text.strip("\n").split("\n")]
    else:
        lines = [" ".join(line.split()).removesuffix(" |") for line in text.split("\n")]
        lines = [line for line in lines if line]
    if level is not None:
        lines = [" ".join(lines)] if lines else []
    if not any(lines):
        return
    for line in lines:
        out.line(line, level)
    if tag not in ("tr", "li"):
        out.line("")

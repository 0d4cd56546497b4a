"""The text of a page of the web, without what stands around it.

Menus, heads, feet, scripts and forms are left out; if the page says which part is its main one
(``main``, ``article``), only that is read. Blocks become lines. Parsed by lexbor, which takes any
bytes as HTML, as browsers do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studiolo.errors import MissingExtraError
from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.readers.reading import Fields, Row, whole

_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]+)")
_AROUND = (
    *("script", "style", "noscript", "template", "svg", "nav", "header", "footer", "aside"),
    *("form", "button", "select", "iframe", "head", "dialog"),
)
_BLOCKS = frozenset(
    {
        *("address", "article", "blockquote", "body", "br", "dd", "details", "div", "dl", "dt"),
        *("fieldset", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li"),
        *("main", "ol", "p", "pre", "section", "summary", "table", "tbody", "td", "th", "tr", "ul"),
    }
)


def read_html(path: Path, fields: Fields) -> Iterator[Row | Unreadable]:
    """The page's text: one document, or none if nothing is left."""
    text = main_text(whole(path))
    if text:
        yield Row(text)


def main_text(page: bytes) -> str:
    """The main text of ``page``, a line for each block.

    Raises :class:`MissingExtraError` without selectolax.
    """
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError:
        raise MissingExtraError("reading HTML", "corpus") from None
    tree = LexborHTMLParser(decoded(page))
    root = tree.body
    if root is None:
        return ""
    mains = root.css("main") or root.css("article")
    roots = [each for each in mains if not _within(each, mains)] or [root]
    for each in roots:
        each.strip_tags(list(_AROUND))
    return "\n".join(line for each in roots for line in _lines(each))


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


def _within(node: Any, others: list[Any]) -> bool:
    """Whether ``node`` lies in another of them."""
    ids = {each.mem_id for each in others}
    while (node := node.parent) is not None:
        if node.mem_id in ids:
            return True
    return False


def _lines(root: Any) -> Iterator[str]:
    line: list[str] = []
    block = None
    for node in root.traverse(include_text=True):
        if node.tag == "br":
            block = None
        elif node.tag == "-text":
            parent = node.parent
            pre = False
            while parent is not None and parent.tag not in _BLOCKS:
                parent = parent.parent
            own = None if parent is None else parent.mem_id
            pre = parent is not None and parent.tag == "pre"
            if own != block:
                yield from _said(line)
                line, block = [], own
            text = node.text_content or ""
            if pre:
                yield from (each for each in text.splitlines() if each.strip())
            else:
                line.append(text)
    yield from _said(line)


def _said(parts: list[str]) -> Iterator[str]:
    text = " ".join("".join(parts).split())
    if text:
        yield text

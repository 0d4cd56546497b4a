"""Labels that say of an output that it was made by AI: for people, and for whatever reads files.

Pure functions from an output to a labelled one. A text gets a last line; a PNG gets what its
viewers and platforms look for: text chunks (PNG specification, third edition, 11.3.3) with
``Software`` and ``Comment``, and an XMP packet whose ``Iptc4xmpExt:DigitalSourceType`` is the
IPTC's term for what a trained model makes. No pixel is touched; texts of the same keywords are
replaced, and all else stays.

A label is a courtesy and no proof: whoever wants to, takes it off. What holds better is a
watermark (``sampler.watermark``), and what can be checked is a receipt in the log, or a signed
manifest (:mod:`.credentials`).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from html import escape

from studiolo.errors import MalformedFileError

LABEL = "Made by AI"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC NewsCodes, "Digital Source Type": created by a trained model."""
PNG = b"\x89PNG\r\n\x1a\n"
XMP = "XML:com.adobe.xmp"
MAX_TEXT = 1 << 20
"""Characters of one PNG text, unpacked, that are read; the rest is left."""
_LABELLED = re.compile(rf"\n*\[{LABEL}(?:: [^\[\]\n]*)?\]\s*\Z")
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'xmp:CreatorTool="{tool}" Iptc4xmpExt:DigitalSourceType="{source}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


def label_text(text: str, by: str = "") -> str:
    """``text`` with a last line that says so, and ``by`` which model; labelled before, anew."""
    name = re.sub(r"[\[\]\s]+", " ", by).strip()
    return f"{unlabelled(text)}\n\n[{LABEL}{': ' if name else ''}{name}]\n"


def unlabelled(text: str) -> str:
    """``text`` without the label that :func:`label_text` gives; the same if it has none."""
    return _LABELLED.sub("", text)


def is_labelled(text: str) -> bool:
    """Whether the text ends with such a label."""
    return _LABELLED.search(text) is not None


def label_png(data: bytes, by: str = "") -> bytes:
    """The PNG ``data`` with texts that say so, and ``by`` which model; of earlier ones, no more.

    Raises :class:`MalformedFileError` for what is no PNG.
    """
    said = f"{LABEL}: {by}" if by else LABEL
    packet = _PACKET.format(tool=escape(f"Studiolo {by}".strip()), source=SOURCE_TYPE)
    texts = {"Software": "Studiolo", "Comment": said, XMP: packet}
    parts = [PNG]
    for kind, body in _chunks(data):
        if (
            kind in (b"iTXt", b"tEXt", b"zTXt")
            and body.split(b"\0", 1)[0].decode("latin-1") in texts
        ):
            continue
        parts.append(_chunk(kind, body))
        if kind == b"IHDR":
            parts += [_chunk(b"iTXt", _text(keyword, text)) for keyword, text in texts.items()]
    return b"".join(parts)


def png_texts(data: bytes) -> Mapping[str, str]:
    """The texts in a PNG, by keyword; of equal keywords the last.

    Raises :class:`MalformedFileError` for what is no PNG; a text that cannot be read is left out.
    """
    found = {}
    for kind, body in _chunks(data):
        try:
            if kind == b"tEXt":
                keyword, text = body.split(b"\0", 1)
                found[keyword.decode("latin-1")] = text.decode("latin-1")[:MAX_TEXT]
            elif kind == b"iTXt":
                keyword, rest = body.split(b"\0", 1)
                packed, rest = rest[0], rest[2:]
                *_, text = rest.split(b"\0", 2)
                if packed:
                    text = zlib.decompressobj().decompress(text, 4 * MAX_TEXT)
                found[keyword.decode("latin-1")] = text.decode("utf-8", "replace")[:MAX_TEXT]
        except (ValueError, IndexError, zlib.error):
            continue
    return found


def says_generated(texts: Mapping[str, str]) -> bool:
    """Whether texts of a PNG say that a trained model made it, in our words or IPTC's."""
    return texts.get("Comment", "").startswith(LABEL) or SOURCE_TYPE in texts.get(XMP, "")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk, up to the end of the picture."""
    if not data.startswith(PNG):
        raise MalformedFileError("the picture is no PNG: it does not begin as one")
    place = len(PNG)
    while True:
        if place + 12 > len(data):
            raise MalformedFileError(f"the PNG breaks off at byte {len(data):,}")
        (size,) = struct.unpack_from(">I", data, place)
        kind, end = data[place + 4 : place + 8], place + 12 + size
        if end > len(data):
            raise MalformedFileError(
                f"the PNG's chunk at byte {place:,} claims {size:,} bytes, of which "
                f"{len(data) - place - 12:,} are there"
            )
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if checksum != zlib.crc32(data[place + 4 : end - 4]):
            raise MalformedFileError(f"the PNG's chunk at byte {place:,} has a wrong checksum")
        if (place == len(PNG)) != (kind == b"IHDR"):
            raise MalformedFileError(f"the PNG's chunk at byte {place:,} is out of place")
        yield kind, data[place + 8 : end - 4]
        if kind == b"IEND":
            return
        place = end


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _text(keyword: str, text: str) -> bytes:
    """An uncompressed international text, of no language."""
    return keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8", "replace")

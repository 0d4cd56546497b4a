from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from studiolo.errors import MalformedFileError
from studiolo.guard.marks import (
    LABEL,
    PNG,
    SOURCE_TYPE,
    XMP,
    is_labelled,
    label_png,
    label_text,
    png_texts,
    says_generated,
    unlabelled,
)


def picture(**texts: str) -> bytes:
    out, info = io.BytesIO(), PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        info.add_itxt(keyword, text, zip=True)
    image = Image.effect_noise((40, 30), 50)
    image.save(out, "PNG", pnginfo=info)
    return out.getvalue()


PICTURE = picture(Author="Zoë", Comment="mine")


def test_a_text_says_so_in_its_last_line() -> None:
    assert label_text("It rained.\n") == "It rained.\n\n\n[Made by AI]\n"
    assert label_text("It rained.", by="smol [1]\n2") == "It rained.\n\n[Made by AI: smol 1 2]\n"


@given(text=st.text(max_size=60), by=st.text(max_size=20))
def test_a_label_is_found_and_taken_off_and_never_doubled(text: str, by: str) -> None:
    marked = label_text(text, by)
    assert is_labelled(marked)
    assert unlabelled(marked).rstrip("\n") == unlabelled(text).rstrip("\n")
    assert label_text(marked, by).count(LABEL) == marked.count(LABEL)


@pytest.mark.parametrize("text", ["", "Made by AI", "[Made by AI] is a label.", "[made by ai]"])
def test_a_text_about_labels_has_none(text: str) -> None:
    assert not is_labelled(text)
    assert unlabelled(text) == text


def test_a_picture_says_so_to_whoever_reads_it_and_looks_the_same() -> None:
    """Pillow, which is not ours, reads the labels and the same pixels."""
    marked = label_png(PICTURE, "smol & co")
    before, after = (Image.open(io.BytesIO(data)) for data in (PICTURE, marked))
    assert before.tobytes() == after.tobytes()
    assert after.info["Comment"] == "Made by AI: smol & co"
    assert after.info["Software"] == "Studiolo"
    assert after.info["Author"] == "Zoë"
    assert f'DigitalSourceType="{SOURCE_TYPE}"' in after.info[XMP]
    assert 'CreatorTool="Studiolo smol &amp; co"' in after.info[XMP]


def test_a_picture_is_read_as_pillow_wrote_it() -> None:
    assert png_texts(PICTURE) == {"Author": "Zoë", "Comment": "mine"}
    assert not says_generated(png_texts(PICTURE))
    assert says_generated(png_texts(label_png(PICTURE)))
    assert says_generated({XMP: f"… {SOURCE_TYPE} …"})


def test_labelled_again_it_is_the_same() -> None:
    once = label_png(PICTURE, "a")
    assert label_png(once, "a") == once
    assert label_png(label_png(PICTURE, "b"), "a") == once


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_a_text_that_unpacks_to_gigabytes_is_cut() -> None:
    packed = zlib.compress(bytes(1 << 28), 9)
    bomb = chunk(b"iTXt", b"Comment\0\x01\0\0\0" + packed)
    texts = png_texts(PICTURE[:33] + bomb + PICTURE[33:])
    assert len(texts["Comment"]) <= 1 << 20


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "does not begin as one"),
        (b"GIF89a", "does not begin as one"),
        (PNG, "breaks off at byte 8"),
        (PICTURE[:-5], "breaks off|claims"),
        (PICTURE[:40] + b"\xff\xff\xff\xff" + PICTURE[44:], "claims|checksum"),
        (PICTURE[:20] + b"x" + PICTURE[21:], "wrong checksum"),
        (PNG + chunk(b"IEND", b""), "out of place"),
        (PNG + chunk(b"IHDR", b"") * 2, "out of place"),
    ],
)
def test_a_broken_picture_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedFileError, match=why):
        label_png(data)
    with pytest.raises(MalformedFileError):
        png_texts(data)


@given(data=st.data())
def test_any_picture_is_read_or_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(8, len(PICTURE)))
    changed = PICTURE[:at] + data.draw(st.binary(max_size=30)) + PICTURE[at + 5 :]
    with suppress(MalformedFileError):
        png_texts(changed)
    body = data.draw(st.binary(max_size=80))
    kind = data.draw(st.sampled_from([b"iTXt", b"tEXt", b"zTXt"]))
    texts = png_texts(PICTURE[:33] + chunk(kind, body) + PICTURE[33:])
    assert texts["Author"] == "Zoë" or body.startswith(b"Author")
    assert says_generated(png_texts(label_png(PICTURE[:33] + chunk(kind, body) + PICTURE[33:])))

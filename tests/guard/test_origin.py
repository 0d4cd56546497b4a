from __future__ import annotations

import json
from dataclasses import replace

import pytest

from studiolo.guard.credentials import Manifest
from studiolo.guard.detector import Evidence
from studiolo.guard.marks import label_png
from studiolo.guard.origin import Mark, Origin, is_labelled, mark_in, text_of
from studiolo.record.entry import Entry
from studiolo.sampler.watermark import Watermark
from tests.guard.test_detector import KEY, marked
from tests.guard.test_marks import PICTURE

ENTRY = Entry(number=3, time="2026-11-25T22:00:00.000000Z", receipt="a" * 64,
              previous="b" * 64, signature="c" * 128)  # fmt: skip
MANIFEST = Manifest("ours", "Studiolo 1", "Studiolo ab", True, {"receipt": "r"}, ())


def said(origin: Origin) -> list[tuple[str, str]]:
    return [(each.about, each.certainty) for each in origin.statements()]


def mark(log10_p: float, scored: int = 50) -> Mark:
    return Mark("m", scored, 1, Evidence(scored, 0.6, log10_p), log10_p)


@pytest.mark.parametrize(
    ("log10_p", "certainty", "words"),
    [
        (-40.0, "strong", "one text in 10^40 looks like this"),
        (-6.0, "strong", "p = 10^-6"),
        (-3.0, "weak", "It may carry this installation's watermark (p = 0.001, 50 tokens scored)"),
        (-1.9, "none", "No watermark of this installation's was found (p = 0.013"),
        (0.0, "none", "(p = 1, 50 tokens scored)"),
    ],
)
def test_a_watermark_is_as_sure_as_its_p_value(log10_p: float, certainty: str, words: str) -> None:
    (_, found) = sorted(Origin("text", 9, mark=mark(log10_p)).statements(), key=lambda e: e.about)
    assert found.certainty == certainty
    assert words in found.says


def test_of_a_short_text_nothing_can_be_said() -> None:
    found = Origin("text", 9, mark=mark(0.0, 0)).statements()
    assert found[-1].says == "It is too short to carry a watermark."


def test_the_surest_comes_first() -> None:
    origin = Origin("text", 9, (ENTRY,), mark(-3.0), labelled=True)
    assert said(origin) == [("log", "proven"), ("watermark", "weak"), ("label", "claimed")]
    assert "entry 3 of the log, receipt aaaa" in origin.statements()[0].says
    assert "may have written" not in origin.statements()[0].says
    assert "others may have written" in replace(origin, short=True).statements()[0].says
    twice = replace(origin, logged=(ENTRY, ENTRY))
    assert "1 times more" in twice.statements()[0].says


@pytest.mark.parametrize(
    ("manifest", "certainty", "words"),
    [
        (MANIFEST, "proven", "made by a generative model, and nothing was changed since. Its rec"),
        (replace(MANIFEST, state="valid"), "claimed", "Nobody here vouches for that name."),
        (replace(MANIFEST, state="invalid", problems=("x.y",)), "none", "were changed (x.y)"),
    ],
)
def test_a_manifest_is_as_sure_as_its_signature(
    manifest: Manifest, certainty: str, words: str
) -> None:
    found = Origin("image/png", 9, manifest=manifest).statements()
    (about,) = [each for each in found if each.about == "credentials"]
    assert about.certainty == certainty
    assert words in about.says


def test_all_of_it_is_json() -> None:
    whole = Origin("text", 9, (ENTRY,), mark(-400.0), MANIFEST, None, True)
    value = json.loads(json.dumps(whole.to_dict(), allow_nan=False))
    assert value["watermark"]["p_value"] == 0.0
    assert value["watermark"]["log10_p"] == -400
    assert value["log"][0]["entry"] == 3
    assert [each["certainty"] for each in value["statements"]][:2] == ["proven", "proven"]


def test_readings_that_are_tried_are_paid_for() -> None:
    tokens = marked(40, 200, 5)
    one = mark_in("…", KEY, {"a": lambda text: tokens})
    assert one is not None
    assert one.tried == 1
    several = mark_in(
        "…",
        KEY,
        {"b": lambda text: tokens[::-1], "a": lambda text: tokens, "same": lambda text: tokens},
    )
    assert several is not None
    assert (several.model, several.tried) == ("a", 2)
    assert several.log10_p == pytest.approx(one.log10_p + 0.30103, abs=1e-5)
    assert mark_in("…", KEY, {}) is None
    other = mark_in("…", Watermark(bytes(32)), {"a": lambda text: tokens})
    assert other is not None
    assert other.log10_p > -4


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        ("Zoë".encode(), "Zoë"),
        (b"\xef\xbb\xbfa", "a"),
        (b"a\0b", None),
        (b"\xff\xfe", None),
        (b"\x89PNG", None),
    ],
)
def test_what_is_a_text(data: bytes, text: str | None) -> None:
    assert text_of(data) == text


def test_labels_of_texts_and_pictures() -> None:
    assert is_labelled(b"", "So.\n\n[Made by AI: smol]\n")
    assert not is_labelled(b"", "So.")
    assert is_labelled(label_png(PICTURE), None)
    assert not is_labelled(PICTURE, None)
    assert not is_labelled(PICTURE[:50], None)
    assert not is_labelled(b"GIF8", None)

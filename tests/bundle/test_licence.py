"""Terms stand before the first byte: accepted once, on record, asked again when they change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studiolo.bundle import store
from studiolo.bundle.pull import pull
from studiolo.errors import LicenceNotAcceptedError, StudioloError
from tests.bundle.serving import FILE, catalogue, noise, serve, url_source

TERMS = """terms = { url = "https://example.org/terms", summary = "Be kind." }"""


def test_terms_must_be_accepted_once(home: Path) -> None:
    content = noise(100)
    with serve({FILE: content}) as site:
        catalogue(home, {FILE: content}, url_source(site.address), extra=TERMS)
        with pytest.raises(LicenceNotAcceptedError, match="Be kind") as caught:
            pull("toy")
        assert "--accept-licence" in str(caught.value.remedy)
        assert site.asked == []
        pull("toy", accept_licence=True)
        record = json.loads((home / "licences.json").read_text())
        assert record["toy"]["terms"]["url"] == "https://example.org/terms"
        assert record["toy"]["accepted"].startswith("20")
        store.remove("toy")
        pull("toy")  # accepted before
        store.remove("toy")
        changed = TERMS.replace("kind", "kinder")
        catalogue(home, {FILE: content}, url_source(site.address), extra=changed)
        with pytest.raises(LicenceNotAcceptedError, match="kinder"):
            pull("toy")


def test_a_record_of_licences_that_cannot_be_read_is_named(home: Path) -> None:
    catalogue(home, {FILE: b"x"}, url_source("http://127.0.0.1:9"), extra=TERMS)
    (home / "licences.json").write_text("[")
    with pytest.raises(StudioloError, match=r"licences\.json"):
        pull("toy", accept_licence=True)

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.readers.debian import read_debian
from studiolo.training.corpus.readers.reading import Fields, Row
from tests.training.corpus.small import refused

STANZAS = """Package: cowsay
Description-md5: 0123
Description-en: configurable talking cow
 Cowsay turns text into a cow.
 .
  * with a list
Homepage: https://example.org

Package: nothing
Version: 1

Package: fortune
Description: a cookie


Package: broken
no field
Description-en: x
"""


def test_a_stanza_is_a_document_with_its_synopsis_first(tmp_path: Path) -> None:
    path = tmp_path / "Translation-en.gz"
    path.write_bytes(gzip.compress(STANZAS.encode()))
    assert list(read_debian(path, Fields())) == [
        Row("configurable talking cow\nCowsay turns text into a cow.\n\n * with a list", "cowsay"),
        Row("a cookie", "fortune"),
        Unreadable("4", "has a line that is no field: 'no field'"),
    ]


@settings(deadline=None)
@given(st.text(st.sampled_from("D: .\nabé"), max_size=80) | st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, data: str | bytes
) -> None:
    path = tmp_path_factory.mktemp("debian") / "a"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    why = refused(lambda: read_debian(path, Fields()))
    assert why is None or (isinstance(data, bytes) and str(path) in why)

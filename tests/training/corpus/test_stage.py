from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.training.corpus.document import Document
from studiolo.training.corpus.stage import Stage

TEXT = st.text(st.characters(codec=None), max_size=40)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), max_size=5))
def test_what_is_laid_aside_comes_back_as_often_as_asked(
    values: list[tuple[str, str, str, str]],
) -> None:
    documents = [Document(t, "s", i, licence, image) for t, i, licence, image in values]
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder) / "0.jsonl")
        with stage:
            for document in documents:
                stage.add(document)
        assert list(stage.documents("s")) == documents
        assert list(stage.documents("s")) == documents

"""Retrieval and answers on questions that people wrote about a real corpus: this project's pages.

``questions.jsonl`` has 60: forty that one passage of ``docs/`` answers, whose words are named, and
twenty that nothing there answers. A page that changes its words makes its question stale, and a few
may be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

import studiolo
from studiolo.retrieval.answer import ask
from studiolo.retrieval.asker import OWNER
from studiolo.retrieval.chunking import Chunking
from studiolo.retrieval.embedder import ModelEmbedder
from studiolo.retrieval.index import Index
from studiolo.retrieval.indexing import update
from studiolo.retrieval.search import How, search
from studiolo.retrieval.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES: tuple[str, ...] = (
    "sampler",
    "records",
    "receipts",
    "batch",
    "embeddings",
    "server",
    "adapters",
    "bundle",
)
PAGES += ("constraints", "runtime", "arithmetic", "export", "readers", "management")


@dataclass(frozen=True)
class Question:
    text: str
    source: str
    phrase: str


def one_line(text: str) -> str:
    return " ".join(text.split())


def read() -> tuple[list[Question], list[str]]:
    """Those that still can be answered, and those that cannot."""
    lines = (Path(__file__).parent / "questions.jsonl").read_text("utf-8").splitlines()
    answerable, others = [], []
    for line in map(json.loads, lines):
        if line["source"] is None:
            others.append(line["question"])
            continue
        page = one_line((ROOT / "docs" / line["source"]).read_text("utf-8"))
        if one_line(line["phrase"]) in page:
            answerable.append(Question(line["question"], line["source"], line["phrase"]))
    return answerable, others


ANSWERABLE, OTHERS = read()


@pytest.fixture(scope="module")
def asked(
    encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Index, ModelEmbedder]]:
    embedder = ModelEmbedder(studiolo.load_encoder(encoder, device="cpu"))
    folder = tmp_path_factory.mktemp("pages")
    for page in PAGES:
        (folder / f"{page}.md").write_bytes((ROOT / "docs" / f"{page}.md").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIOLO_HOME", str(tmp_path_factory.mktemp("home")))
        index = Index.create("pages", Settings.of(embedder, Chunking()))
        outcome = update(index, folder, embedder)
        assert outcome.added == len(PAGES)
        yield index, embedder


def test_few_questions_are_stale() -> None:
    assert len(ANSWERABLE) >= 36
    assert len(OTHERS) == 20


def test_the_passage_is_among_the_first_five(asked: tuple[Index, ModelEmbedder]) -> None:
    """Recall@5 and the mean reciprocal rank, of ten, for each way to search."""
    index, embedder = asked
    recall, mrr = {}, {}
    for how in get_args(How):
        ranks = []
        for question in ANSWERABLE:
            hits = search(index, question.text, embedder, asker=OWNER, k=10, how=how)
            ranks.append(
                next(
                    (
                        rank
                        for rank, hit in enumerate(hits, 1)
                        if hit.source == question.source
                        and one_line(question.phrase) in one_line(hit.text)
                    ),
                    None,
                )
            )
        recall[how] = sum(rank is not None and rank <= 5 for rank in ranks) / len(ranks)
        mrr[how] = sum(1 / rank for rank in ranks if rank) / len(ranks)
    print(recall, mrr)
    assert recall["hybrid"] >= 0.9
    assert mrr["hybrid"] >= 0.75
    assert recall["hybrid"] >= max(recall["vectors"], recall["words"]) - 0.03
    assert recall["vectors"] >= 0.75


def test_answers_quote_what_is_there_and_refuse_what_is_not(
    asked: tuple[Index, ModelEmbedder],
) -> None:
    index, embedder = asked
    right = refused = 0
    for question in ANSWERABLE:
        made = ask(index, question.text, embedder, asker=OWNER)
        places = [each for citation in made.citations for each in citation.references]
        for each in places:
            text = index.text(each.source, OWNER).text
            assert text[each.start : each.end] == each.text
            around = one_line(text[max(0, each.start - 30) : each.end + 30])
            if each.source == question.source and one_line(question.phrase)[:25] in around:
                right += 1
                break
        refused += made.kind == "not_found"
    wrongly = [q for q in OTHERS if ask(index, q, embedder, asker=OWNER).kind != "not_found"]
    print(right, refused, wrongly)
    assert right >= 0.65 * len(ANSWERABLE)
    assert refused <= 0.1 * len(ANSWERABLE)
    assert len(wrongly) <= 2

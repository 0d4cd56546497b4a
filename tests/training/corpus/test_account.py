from __future__ import annotations

from studiolo.training.corpus.account import bytes_per_token, emptied, report, total_of
from studiolo.training.corpus.document import Dropped
from studiolo.training.corpus.manifest import Portion
from studiolo.training.corpus.tally import Tally
from studiolo.training.corpus.writing import Written
from tests.training.corpus.small import outcome, recipe

ONE = Portion(documents=2, bytes=30, tokens=10, first=5)
TWO = Portion(documents=1, bytes=10, tokens=6, first=9)


def test_portions_are_added() -> None:
    assert total_of([ONE, TWO]) == Portion(documents=3, bytes=40, tokens=16)
    assert bytes_per_token(ONE, TWO) == 2.5
    assert bytes_per_token(Portion()) is None


def test_a_source_is_told_in_the_order_of_its_steps() -> None:
    tally = Tally()
    tally.file("text")
    for by in ("near", "licence", "mask"):
        tally.outcome(outcome("a", by=by, dropped=Dropped("x")))
    [source] = recipe({"name": "s", "path": "x", "weight": 2}).sources
    told = report(source, "d", tally, Written(ONE, TWO, {3: 4}))
    assert list(told.steps) == ["licence", "near", "mask"]
    assert (told.files, told.weight, told.lengths) == (1, 2, (0, 0, 4))
    assert told.bytes_per_token == 2.5


def test_that_nothing_is_left_is_said_with_the_steps() -> None:
    tally = Tally()
    for by in ("near", "near", "c4"):
        tally.outcome(outcome("a", by=by, dropped=Dropped("x")))
    said = emptied([tally, Tally()])
    assert "3 documents were read and none is left: dropped 2 by near, 1 by c4" in said.message
    assert "steps.NAME=false" in str(said.remedy)
    assert emptied([Tally()]).message == "sources: 0 documents were read and none is left"

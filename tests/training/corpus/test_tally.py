from __future__ import annotations

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.training.corpus.chain import Outcome
from studiolo.training.corpus.document import Document, Dropped, Unreadable
from studiolo.training.corpus.tally import EXAMPLES, MOST_LICENCES, SAMPLES, SHOWN, Tally, shortened
from tests.training.corpus.small import outcome


def test_all_are_counted_and_a_few_are_kept_to_look_at() -> None:
    tally = Tally()
    tally.file("text")
    for number in range(50):
        name = str(number)
        tally.outcome(outcome("é" * 300, name, changed=("normalise",)))
        why = "short" if number % 2 else "long"
        tally.outcome(outcome("x" * 300, name, by="quality", dropped=Dropped(why, "1 of 2")))
        tally.unreadable(Unreadable(name, "no JSON"))
    assert (tally.read.documents, tally.read.bytes) == (100, 50 * 900)
    assert (tally.kept.documents, tally.kept.bytes) == (50, 50 * 600)
    assert tally.dropped() == {"quality": 50}
    assert (tally.skipped.count, len(tally.skipped.examples)) == (50, EXAMPLES)
    steps = tally.steps(["normalise", "language", "quality"])
    assert list(steps) == ["normalise", "quality"]
    assert (steps["normalise"].changed, steps["quality"].dropped) == (50, 50)
    assert {why: reason.count for why, reason in steps["quality"].reasons.items()} == {
        "long": 25,
        "short": 25,
    }
    first = steps["quality"].reasons["short"].examples[0]
    assert (first.identity, first.detail, len(first.text)) == ("1", "1 of 2", SHOWN + 2)
    assert len(tally.samples) == SAMPLES
    assert tally.licences == {"MIT": 50}


def test_samples_do_not_depend_on_how_many_came_before() -> None:
    one, other = Tally(), Tally()
    for number in range(200):
        one.outcome(outcome("a", str(number)))
    for number in reversed(range(200)):
        other.outcome(outcome("a", str(number)))
    assert one.samples == other.samples


def test_a_field_that_is_no_licence_is_noticed() -> None:
    tally = Tally()
    for number in range(MOST_LICENCES):
        tally.outcome(Outcome(Document("a", "s", "i", f"mine-{number}"), 1))
    with pytest.raises(InvalidRequestError, match="more than 256 different licences") as caught:
        tally.outcome(Outcome(Document("a", "s", "i", "another"), 1))
    assert caught.value.field == "sources.s.licence_field"


def test_what_is_cut_bears_a_mark() -> None:
    assert shortened("abc def", 7) == "abc def"
    assert shortened("abc def", 4) == "abc …"

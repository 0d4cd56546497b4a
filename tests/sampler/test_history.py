"""The incremental counts against counting everything again."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from studiolo.sampler.history import History, Tally

ids = st.lists(st.integers(0, 150), max_size=400)


@given(ids, st.integers(0, 160))
def test_a_tally_equals_a_recount(tokens: list[int], vocab_size: int) -> None:
    found, counts = Tally(tokens).below(vocab_size)
    expected = Counter(token for token in tokens if token < vocab_size)
    assert dict(zip(found.tolist(), counts.tolist(), strict=True)) == expected
    assert found.tolist() == list(expected)


@given(ids, ids)
def test_appending_equals_starting_with_all(prompt: list[int], generated: list[int]) -> None:
    grown = History(prompt)
    for token in generated:
        grown.append(token)
    whole = History(prompt, generated)
    assert list(grown.generated) == list(whole.generated) == generated
    assert grown.prompt == tuple(prompt)
    for history in (grown, whole):
        assert set(history.seen.below(1000)[0].tolist()) == {*prompt, *generated}
        found, counts = history.said.below(1000)
        assert dict(zip(found.tolist(), counts.tolist(), strict=True)) == Counter(generated)


@given(ids, ids, st.integers(0, 150))
def test_a_fork_continues_alone(prompt: list[int], generated: list[int], token: int) -> None:
    history = History(prompt, generated)
    twin = history.fork(token)
    twin.append(token)
    assert list(history.generated) == generated
    assert twin.prompt == history.prompt
    for found, expected in (
        (history, History(prompt, generated)),
        (twin, History(prompt, [*generated, token, token])),
    ):
        assert list(found.generated) == list(expected.generated)
        for ours, theirs in ((found.seen, expected.seen), (found.said, expected.said)):
            assert [part.tolist() for part in ours.below(200)] == [
                part.tolist() for part in theirs.below(200)
            ]

from __future__ import annotations

import pytest

from studiolo.errors import MemoryLimitError
from studiolo.runtime.memory import Memory


def test_what_never_fits_is_refused_with_the_arithmetic() -> None:
    Memory(2_000_000).check(2_000_000)
    with pytest.raises(MemoryLimitError, match=r"3\.5 MB.*hold 2\.0 MB \(1\.5 MB too much\)"):
        Memory(2_000_000).check(3_500_000)


def test_the_last_eighth_is_for_those_who_hold_nothing() -> None:
    memory = Memory(80)
    assert memory.take(60, "a", holds=False)
    assert not memory.take(11, "a2", holds=True)
    assert memory.claimant is None
    assert memory.take(10, "a3", holds=True)
    assert memory.take(10, "b", holds=False)
    assert memory.used == 80


def test_whoever_does_not_fit_has_the_first_claim() -> None:
    memory = Memory(80)
    assert memory.take(50, "a", holds=False)
    assert not memory.take(60, "large", holds=False)
    assert not memory.take(1, "small", holds=False)
    assert memory.take(0, "nothing", holds=True)
    memory.give(50)
    assert not memory.take(1, "small", holds=False)
    assert memory.take(60, "large", holds=True)
    assert memory.take(10, "small", holds=False)


def test_a_claim_can_be_renounced() -> None:
    memory = Memory(80)
    assert memory.take(50, "a", holds=False)
    assert not memory.take(60, "large", holds=False)
    memory.renounce("a")
    assert not memory.take(1, "small", holds=False)
    memory.renounce("large")
    assert memory.take(1, "small", holds=False)

from __future__ import annotations

import pytest

from bench.contestants import Entrant
from bench.measure import NEW_TOKENS, Standing
from bench.process import ContestantError, Process
from bench.text_single import run_round

FAKE = Entrant("fake", "bench.contestants.fake_lm", "json", "", "any", "")
PROMPTS = {22: list(range(22)), 512: list(range(512))}


def test_a_contestant_answers_and_its_noise_does_not_reach_the_protocol() -> None:
    with Process(FAKE.module, "sound", threads=1) as process:
        assert process.version == "0"
        assert process.seconds_to_ready > 0
        answer = process.ask([7], 5, timed=True)
        assert answer["made"] == len(answer["ticks"]) == 5
        assert answer["peak_bytes"] > 1e6
        assert process.ask([7], 3, timed=False)["ids"] == [8, 9, 10]


def test_a_round_measures_every_column() -> None:
    into = Standing("fake")
    values = run_round(FAKE, "sound", 1, PROMPTS, into)
    assert set(values) == {"start", "first_22", "first_512", "rate_22", "rate_512", "peak"}
    assert into.ids[512] == list(range(512, 528))


def test_too_few_tokens_are_a_failure() -> None:
    with pytest.raises(ContestantError, match=f"not {NEW_TOKENS + 1}"):
        run_round(FAKE, "short", 1, PROMPTS, Standing("fake"))


def test_a_contestant_that_dies_is_named_with_its_last_words() -> None:
    with pytest.raises(ContestantError, match="this model is broken"):
        Process(FAKE.module, "broken", threads=1)

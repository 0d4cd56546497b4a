from __future__ import annotations

import torch

from studiolo.cli.walk import Fork, walk
from studiolo.sampler.settings import Decoding

P = torch.tensor([0.1, 0.5, 0.3, 0.06, 0.04])


def forks(steps: int = 400, **settings: object) -> list[Fork]:
    return list(walk(lambda _: P.log(), Decoding.checked(**settings), k=2, steps=steps, seed=3))


def test_greedy_takes_the_likeliest_and_the_cut_keeps_the_fewest_that_reach_top_p() -> None:
    fork = forks(1, top_p=0.85)[0]
    assert fork.candidates == [1, 2]
    assert fork.greedy == 1
    assert fork.kept.tolist() == [True, True, True, False, False]


def test_the_two_throws_differ_only_where_the_cut_does_something() -> None:
    assert all(f.temperature == f.chosen for f in forks())
    cut = forks(top_p=0.85)
    assert any(f.temperature != f.chosen for f in cut)
    assert {f.chosen for f in cut} == {0, 1, 2}
    assert {f.temperature for f in cut} == {0, 1, 2, 3, 4}


def test_at_temperature_zero_all_three_agree() -> None:
    assert all(f.greedy == f.temperature == f.chosen == 1 for f in forks(20, temperature=0.0))


def test_choices_outside_the_likeliest_k_get_a_row() -> None:
    for fork in forks(100):
        assert fork.rows[:2] == [1, 2]
        assert set(fork.rows) == {1, 2, fork.temperature, fork.chosen}


def test_the_walk_goes_on_with_what_was_chosen_and_the_same_seed_walks_the_same_way() -> None:
    seen: list[list[int]] = []

    def probabilities(generated: list[int]) -> torch.Tensor:
        seen.append(list(generated))
        return P.log()

    once = list(walk(probabilities, Decoding.checked(), k=2, steps=4, seed=3))
    assert seen == [[f.chosen for f in once[:i]] for i in range(4)]
    assert [f.chosen for f in forks(4)] == [f.chosen for f in once]

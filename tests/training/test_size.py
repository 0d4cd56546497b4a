from __future__ import annotations

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.training.recipe import Recipe, read_recipe
from studiolo.training.size import TOKENS_PER_PARAMETER, plan


def test_the_dial_alone_gives_a_whole_plan() -> None:
    found = plan(Recipe(name="x", size=12), 50_257)
    assert (found.config.width, found.config.heads, found.config.head_size) == (768, 12, 64)
    assert found.config.mlp_width == 2_048
    assert found.config.parameters == pytest.approx(124e6, rel=0.01)
    seen = found.steps * found.tokens_per_step
    assert seen == pytest.approx(TOKENS_PER_PARAMETER * found.config.parameters, rel=0.01)
    assert all(derived for name, _, derived in found.lines() if name != "training.accumulate")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8, 20, 64])
def test_every_size_is_possible_and_a_larger_one_is_larger(size: int) -> None:
    found, larger = (plan(Recipe(name="x", size=n), 1_000) for n in (size, size + 1))
    assert found.config.parameters < larger.config.parameters
    assert found.rate > larger.rate
    assert found.warmup < found.steps


def test_what_is_given_holds_and_what_follows_from_it_follows() -> None:
    found = plan(read_recipe("shakespeare-char"), 66)
    assert (found.config.width, found.config.head_size, found.config.mlp_width) == (128, 32, 352)
    assert found.tokens_per_step == 768
    assert found.steps == 2_000
    given = {name for name, _, derived in found.lines() if not derived}
    assert {"model.width", "training.batch", "training.steps"} <= given
    assert "model.mlp_width" not in given


def test_flops_are_counted_as_palm_does() -> None:
    found = plan(read_recipe("shakespeare-char"), 66)
    assert found.flops_per_token == 6 * found.config.parameters + 12 * 4 * 128 * 64


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.heads=5", "model.heads: 5 heads do not divide the width of 128.*\n.*is 4"),
        ("model.width=127", "model.heads: 4 heads do not divide.*\n.*model.width even"),
        ("model.kv_heads=3", "model.kv_heads: 4 heads cannot share 3"),
        ("schedule.warmup=2000", "schedule.warmup: 2,000 steps of warm-up leave none of 2,000"),
    ],
)
def test_sizes_that_cannot_be_are_named(override: str, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        plan(read_recipe("shakespeare-char", [override]), 66)

from __future__ import annotations

import pytest

from bench.measure import METRICS, Metric, Spread, Standing, agreement, ratio, summary, timings

RATE = Metric("rate_22", "", "tokens/s", bigger_is_better=True)
FIRST = Metric("first_22", "", "ms")


def test_spread_is_median_and_range() -> None:
    assert Spread.of([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)


def test_rate_counts_from_the_first_token_and_by_tokens_not_ticks() -> None:
    first, rate = timings([0.5, 0.6, 2.5], made=129)
    assert first == pytest.approx(500)
    assert rate == pytest.approx(64)


def test_ratios_pair_the_numbers_of_one_round_and_point_the_same_way() -> None:
    ours = Standing("ours", rounds=[{"rate_22": 10, "first_22": 4}, {"rate_22": 1, "first_22": 40}])
    peer = Standing("peer", rounds=[{"rate_22": 20, "first_22": 2}, {"rate_22": 2, "first_22": 20}])
    assert ratio(RATE, peer, ours) == Spread(2, 2, 2)
    assert ratio(FIRST, peer, ours) == Spread(2, 2, 2)


def test_a_failed_round_leaves_the_pairing_of_the_others() -> None:
    ours = Standing("ours", rounds=[{"rate_22": 10}, None, {"rate_22": 10}])
    peer = Standing("peer", rounds=[None, {"rate_22": 1}, {"rate_22": 5}])
    assert ratio(RATE, peer, ours) == Spread(0.5, 0.5, 0.5)
    assert ratio(RATE, Standing("absent"), ours) is None


def test_agreement_ends_at_the_first_difference() -> None:
    assert agreement([1, 2, 9, 4], [1, 2, 3, 4]) == 2
    assert agreement([], [1]) == 0


def test_summary_keeps_raw_rounds_and_agreement() -> None:
    values = {metric.key: 2.0 for metric in METRICS}
    ours = Standing("ours", rounds=[values], ids={22: [1, 2]})
    peer = Standing("peer", rounds=[values], ids={22: [1, 3]})
    result = summary([ours, peer], "ours", "ours")
    known = result["peer"]
    assert isinstance(known, dict)
    assert known["agreement"] == {"22": 1}
    assert known["rounds"] == [values]
    assert known["rate_22"]["times_ours"]["median"] == 1.0

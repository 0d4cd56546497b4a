from __future__ import annotations

from pathlib import Path

import pytest

from bench.growth import draw, measure, table_of, twin
from bench.measure import Spread
from bench.table import require_plotting
from studiolo.errors import MissingExtraError
from studiolo.nn.network import Piece
from studiolo.nn.packed_decoder import PackedDecoder
from studiolo.task.load import load

SPREADS = {(1, 32): Spread(2.0, 1.0, 3.0), (4, 32): Spread(4.0, 3.0, 5.0)}


def network_of(tiny: str) -> PackedDecoder:
    network = load(tiny, device="cpu", arithmetic="packed").model.network
    assert isinstance(network, PackedDecoder)
    return network


def test_twins_share_no_page(tiny: str) -> None:
    network = network_of(tiny)
    past = network.new_cache()
    network.step([Piece([1, 2, 3] * 12, past)])
    copy = twin(past)
    assert copy.length == past.length == 36
    assert not {id(page) for page in copy.pages} & {id(page) for page in past.pages}
    after = [network.step([Piece([5], cache)])[0] for cache in (past, copy)]
    assert (after[0] == after[1]).all()


def test_every_point_is_timed_or_left_out_with_its_bytes(tiny: str) -> None:
    network = network_of(tiny)
    times: dict[tuple[int, int], list[float]] = {}
    few = 2 * 3 * network.cache_bytes(7)
    left = measure(network, [1, 2, 3, 4] * 9, (1, 100), (4, 32), 2, few, times)
    assert {point: len(found) for point, found in times.items()} == {(1, 4): 2, (1, 32): 2}
    assert left == {(100, n): 100 * network.cache_bytes(n + 3) for n in (4, 32)}


def test_the_table_has_a_dash_where_a_point_is_left_out() -> None:
    table = table_of(SPREADS, {(64, 32): 10**9}, {32: 2_000_000}, "a title")
    assert [next(iter(column.cells)) for column in table.columns] == [
        "32",
        "2.0 (1.0–3.0)",
        "4.0 (3.0–5.0)",
        "–",
        "2.0",
    ]


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    try:
        require_plotting()
    except MissingExtraError:
        pytest.skip("matplotlib is not installed")
    draw(SPREADS, {32: 2_000_000}, tmp_path / "a.png", "a title")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")

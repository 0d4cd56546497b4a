"""What makes searches quick: an index of words, and, of many passages, one of vectors.

Without either every passage is looked at, which is exact and, for some ten thousand vectors, quick
enough. Beyond that they are put into cells by nearness (an inverted file, Sivic and Zisserman 2003)
and the nearest cells are looked at, with the vectors as they are: nothing but far-away passages can
be missed. Where a filter or an access list leaves too few in those cells, more are opened until
there are enough. Rows that came after an index was made are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from types import MappingProxyType
from typing import Any

MANY = 20_000
"""Passages from which vectors lie in cells."""
_GROWN = 4
"""Times as many passages as when the cells were made: then they are made anew."""

WORDS: Mapping[str, Any] = MappingProxyType(
    {
        "base_tokenizer": "simple",
        "language": "English",
        "stem": True,
        "remove_stop_words": True,
        "ascii_folding": True,
        "lower_case": True,
        "max_token_length": 40,
        "with_position": False,
    }
)
"""How words are told apart and reduced for BM25."""


def quicken(passages: Any) -> None:
    """Make what indexes are missing or outgrown in a table of passages."""
    from lancedb.index import FTS, IvfFlat

    count = passages.count_rows()
    if not count:
        return
    if not has_words(passages):
        passages.create_index("indexed", config=FTS(**WORDS))
    if count >= MANY and count >= _GROWN * _in_cells(passages):
        config = IvfFlat(distance_type="cosine", num_partitions=cells(count))
        passages.create_index("vector", config=config, replace=True)


def has_words(passages: Any) -> bool:
    """Whether words can be searched; not before the first run is done."""
    return any(each.columns == ["indexed"] for each in passages.list_indices())


def cells(count: int) -> int:
    """Cells for so many vectors, half the square root of their number."""
    return max(1, isqrt(count) // 2)


def opened(count: int) -> int:
    """Cells that a search looks at, at least: a fourth of them."""
    return max(1, cells(count) // 4)


def _in_cells(passages: Any) -> int:
    """Vectors that lie in cells already."""
    for each in passages.list_indices():
        if each.columns == ["vector"]:
            stats = passages.index_stats(each.name)
            return int(stats.num_indexed_rows) if stats is not None else 0
    return 0

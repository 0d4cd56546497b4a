from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.retrieval.facts import Type
from studiolo.retrieval.filters import MAX_DEPTH, OPERATORS, condition, literal, written

TYPES: Mapping[str, Type] = {"team": "text", "year": "number", "final": "truth", "tags": "texts"}


def leaf(name: str, key: str, value: object) -> dict[str, Any]:
    return {name: {"key": key, "value": value}}


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (leaf("equals", "tean", "x"), r"'tean' is no key of this index\nDid you mean team\?"),
        (leaf("equal", "team", "x"), r"'equal' is no operator\nDid you mean equals\?"),
        (leaf("equals", "year", "2024"), "year is a number, and '2024' is none"),
        (leaf("equals", "year", True), "year is a number, and True is none"),
        (leaf("equals", "final", 1), "final is a truth"),
        (leaf("equals", "year", float("nan")), "beyond the exact numbers"),
        (leaf("startsWith", "year", "2"), "startsWith is not for year, which is a number"),
        (leaf("listContains", "team", "x"), "listContains is not for team"),
        (leaf("equals", "tags", ["x"]), "equals is not for tags"),
        (leaf("in", "team", []), "needs a list of 1 to 1,000 values"),
        (leaf("in", "team", "finance"), "needs a list"),
        (leaf("equals", "team", "a\0b"), "zero byte"),
        (leaf("equals", "team", "\ud800"), "is no text"),
        ({"equals": {"key": "team"}}, 'needs {"key": …, "value": …}'),
        ({"andAll": []}, "andAll needs a list"),
        ({}, "must be an object with one operator"),
        ([], "must be an object with one operator"),
        ({"equals": 1, "in": 2}, "must be an object with one operator"),
        (leaf("equals", "meta_team", "x"), "'meta_team' is no key"),
        (leaf("equals", "access", "x"), "'access' is no key"),
    ],
)
def test_what_is_wrong_is_named(asked: object, why: str) -> None:
    with pytest.raises(InvalidRequestError, match="filter: ") as caught:
        condition(asked, TYPES)
    assert re.search(why if "?" in why else re.escape(why), str(caught.value))


def test_depth_is_bounded() -> None:
    asked: Any = leaf("equals", "team", "x")
    for _ in range(MAX_DEPTH):
        asked = {"orAll": [asked]}
    assert condition(asked, TYPES)
    with pytest.raises(InvalidRequestError, match="nested more than 8 deep"):
        condition({"andAll": [asked]}, TYPES)


def test_a_literal_ends_where_it_ends() -> None:
    assert literal("it's") == "'it''s'"
    assert literal("\\' OR '1'='1") == "'\\'' OR ''1''=''1'"


def test_values_are_written_as_literals() -> None:
    assert [written(each) for each in (None, "it's", True, 2.5, ["a", "b'"])] == [
        *("null", "'it''s'", "true", "CAST(2.5 AS DOUBLE)", "make_array('a', 'b''')")
    ]


TRICKY = [
    "",
    "a",
    "ab",
    "'",
    "''",
    "\\",
    "\\'",
    "%",
    "_",
    "a%b",
    "' OR true --",
    "ä",
    "😀",
    "\n",
    '"',
]
ROWS: list[dict[str, Any]] = [
    {"team": team, "year": year, "final": final, "tags": tags}
    for team, year, final, tags in zip(
        [*TRICKY, None],
        [None, *map(float, range(-3, 12))],
        [True, False, None] * 5 + [True],
        [TRICKY[:i] or None for i in range(16)],
        strict=True,
    )
]
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": operator.eq,
    "notEquals": operator.ne,
    "greaterThan": operator.gt,
    "greaterThanOrEquals": operator.ge,
    "lessThan": operator.lt,
    "lessThanOrEquals": operator.le,
    "in": lambda own, value: own in value,
    "notIn": lambda own, value: own not in value,
    "startsWith": lambda own, value: own.startswith(value),
    "stringContains": lambda own, value: value in own,
    "listContains": lambda own, value: value in own,
}


def holds(asked: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """What a filter means, in Python."""
    name, inside = next(iter(asked.items()))
    if name in ("andAll", "orAll"):
        each = [holds(one, row) for one in inside]
        return all(each) if name == "andAll" else any(each)
    own = row[inside["key"]]
    if own is None:
        return name.startswith("not")
    # Texts are ordered by their bytes.
    if isinstance(own, str) and name.startswith(("greater", "less")):
        return COMPARE[name](own.encode(), inside["value"].encode())
    return COMPARE[name](own, inside["value"])


texts, years = (
    st.sampled_from(TRICKY) | st.text(max_size=3),
    st.integers(-3, 12) | st.floats(-4, 13),
)
texts = texts.filter(lambda text: "\0" not in text)
ordered = st.sampled_from([name for name in COMPARE if name.startswith(("greater", "less"))])
equal = st.sampled_from(["equals", "notEquals"])
listed = st.sampled_from(["in", "notIn"])
leaves = st.one_of(
    st.builds(leaf, ordered | equal, st.just("team"), texts),
    st.builds(leaf, ordered | equal, st.just("year"), years),
    st.builds(leaf, equal, st.just("final"), st.booleans()),
    st.builds(leaf, listed, st.just("team"), st.lists(texts, min_size=1, max_size=4)),
    st.builds(leaf, listed, st.just("year"), st.lists(years, min_size=1, max_size=4)),
    st.builds(leaf, st.sampled_from(["startsWith", "stringContains"]), st.just("team"), texts),
    st.builds(leaf, st.just("listContains"), st.just("tags"), texts),
)
filters = st.recursive(
    leaves,
    lambda inner: st.builds(
        lambda name, each: {name: each},
        st.sampled_from(["andAll", "orAll"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import lancedb
    import pyarrow as pa

    columns = [("team", pa.string()), ("year", pa.float64()), ("final", pa.bool_())]
    schema = pa.schema(
        [("n", pa.int64())]
        + [(f"meta_{name}", kind) for name, kind in columns]
        + [("meta_tags", pa.list_(pa.string()))]
    )
    rows = [
        {"n": n, **{f"meta_{key}": value for key, value in row.items()}}
        for n, row in enumerate(ROWS)
    ]
    database = lancedb.connect(str(tmp_path_factory.mktemp("filters")))
    return database.create_table("rows", pa.Table.from_pylist(rows, schema=schema))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asked=filters)
def test_the_database_finds_what_the_filter_means(table: Any, asked: dict[str, Any]) -> None:
    found = table.search().where(condition(asked, TYPES)).select(["n"]).to_arrow()
    expected = [n for n, row in enumerate(ROWS) if holds(asked, row)]
    assert sorted(found["n"].to_pylist()) == expected


def test_every_operator_is_compared() -> None:
    assert set(OPERATORS) - {"andAll", "orAll"} == set(COMPARE)

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.bundle.lineage import DEEPEST, ancestry
from studiolo.bundle.manifest import BundleManifest, FilePin, Lineage, Origin, digest_of
from studiolo.errors import MalformedFileError


def manifest(name: str, *parents: str) -> BundleManifest:
    pin = FilePin(sha256=hashlib.sha256(name.encode()).hexdigest(), size=1)
    return BundleManifest(
        name=name,
        family="autoregressive",
        modality="text",
        licence="MIT",
        files={"model.safetensors": pin},
        source=Origin(kind="directory", where="here"),
        lineage=Lineage(parents=parents, data=("d" * 64,), recipe="e" * 64),
        digest=digest_of([pin.sha256]),
    )


def test_parents_are_found_by_digest_and_strangers_are_told_as_such() -> None:
    base = manifest("base", "f" * 64)
    tuned = manifest("tuned", base.digest)
    found = ancestry(tuned, {base.digest: base})
    assert [each.name for each in found.all()] == ["tuned", "base", "f" * 12]
    told = json.loads(json.dumps(found.values()))
    assert told["parents"][0]["parents"] == [{"digest": "f" * 64, "here": False}]
    assert told["parents"][0]["licence"] == "MIT"


@given(st.lists(st.sets(st.integers(0, 8), max_size=3), min_size=1, max_size=8))
def test_every_way_back_is_in_the_tree(parents: list[set[int]]) -> None:
    made: list[BundleManifest] = []
    ways: list[int] = []
    for number, before in enumerate(parents):
        known = sorted(i for i in before if i < number)
        made.append(manifest(f"m{number}", *(made[i].digest for i in known)))
        ways.append(1 + sum(ways[i] for i in known))
    found = ancestry(made[-1], {each.digest: each for each in made})
    assert len(list(found.all())) == ways[-1]


def test_what_cannot_be_is_refused() -> None:
    one = manifest("one")
    itself = one.model_copy(update={"lineage": Lineage(parents=(one.digest,))})
    with pytest.raises(MalformedFileError, match="from itself"):
        ancestry(itself, {})
    line = [manifest("m0")]
    for number in range(DEEPEST + 1):
        line.append(manifest(f"m{number + 1}", line[-1].digest))
    with pytest.raises(MalformedFileError, match="more than 64 generations"):
        ancestry(line[-1], {each.digest: each for each in line})

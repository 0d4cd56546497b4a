"""Whose settings count: the bundle's own, then the files'; what cannot be is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studiolo.bundle.manifest import BundleManifest, Origin, digest_of
from studiolo.bundle.store import Bundle
from studiolo.errors import MalformedFileError
from studiolo.sampler.settings import Decoding
from studiolo.task.defaults import recommended


def bundle(defaults: dict[str, float] | None = None) -> Bundle:
    if defaults is None:
        return Bundle("m", Path("there"), ())
    manifest = BundleManifest(
        name="m",
        family="autoregressive",
        modality="text",
        files={},
        defaults=defaults,
        source=Origin(kind="file", where="here"),
        digest=digest_of([]),
    )
    return Bundle("m", Path("there"), (), manifest)


@pytest.mark.parametrize(
    ("defaults", "generation", "expected"),
    [
        (None, {}, {}),
        (None, {"temperature": 0.7, "top_k": 40, "max_length": 20, "top_p": None}, "kept"),
        (None, {"do_sample": False, "top_p": 0.2, "repetition_penalty": 1.1}, "greedy"),
        (
            {"temperature": 0.3, "top_k": 5.0},
            {"temperature": 0.7},
            {"temperature": 0.3, "top_k": 5},
        ),
        ({}, {"temperature": 0.7}, {"temperature": 0.7}),
    ],
)
def test_the_bundle_stands_over_its_files(
    defaults: dict[str, float] | None, generation: dict[str, Any], expected: Any
) -> None:
    known = {
        "kept": {"temperature": 0.7, "top_k": 40},
        "greedy": {"temperature": 0.0, "repetition_penalty": 1.1},
    }
    wanted = known[expected] if isinstance(expected, str) else expected
    assert recommended(bundle(defaults), generation) == Decoding.checked(**wanted)


def test_what_no_setting_can_be_is_said_with_the_file() -> None:
    with pytest.raises(MalformedFileError, match=r"there/generation_config\.json: top_p"):
        recommended(bundle(), {"top_p": 7})

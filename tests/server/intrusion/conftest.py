from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studiolo.record.contents import Policy
from studiolo.record.grant import SCOPES, Scope
from tests.server.intrusion.guarded import Address, Guarded, addresses
from tests.server.serving import serving


@pytest.fixture(scope="package")
def guarded(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    path = tmp_path_factory.mktemp("guarded") / "records.db"
    with serving(path, policy=Policy(contents=True), slow=2.0) as served:
        keys = served.studio.records.keys
        own: tuple[Scope, ...] = ("inference", "batch", "models:read")
        yield Guarded(
            served,
            path,
            keys.create(name="full", scopes=own),
            keys.create(name="other", scopes=own),
            keys.create(name="narrow", models=("tiny-enc*",)),
            {scope: keys.create(name=scope, scopes=(scope,)) for scope in SCOPES},
        )


@pytest.fixture(scope="package")
def every(guarded: Guarded) -> list[Address]:
    found = list(addresses(guarded.served.server.config.loaded_app.routes))
    assert Address("POST", "/v1/chat/completions", hidden=False) in found
    return found

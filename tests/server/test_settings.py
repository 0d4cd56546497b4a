from __future__ import annotations

import dataclasses

import pytest

from studiolo.server.settings import Price, Settings


def test_the_defaults_fit_each_other() -> None:
    settings = Settings(model="a", encoder="b")
    assert settings.max_body <= settings.bodies
    assert settings.max_body <= settings.uploads
    assert settings.requests <= settings.connections
    assert not settings.open_
    assert settings.prices == {}
    assert (Price().prompt, Price().completion) == (0, 0)


def test_they_do_not_change_while_the_server_runs() -> None:
    settings = Settings(model="a", encoder="b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.open_ = True  # type: ignore[misc]

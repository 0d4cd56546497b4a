"""Ray is joined where it is named; a cluster of one's own is private, and leaves nothing behind."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from pathlib import Path

import pytest

from studiolo.errors import MissingExtraError
from studiolo.task.joining import PRIVATE, STORE, join

pytestmark = [
    # Ray leaves sockets and log files to the interpreter's end.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(sys.platform == "win32", reason="Ray's sockets lie elsewhere"),
]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing of Ray."""
    for name in (*PRIVATE, "RAY_ADDRESS", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def files() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("studiolo-*/ray"))


def test_a_cluster_of_ones_own_is_private_and_leaves_nothing() -> None:
    before = files()
    ray, leave = join()
    try:
        (folder,) = files() - before
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        assert {name: os.environ[name] for name in PRIVATE} == PRIVATE
        assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
        (node,) = ray.nodes()
        assert node["Resources"]["object_store_memory"] == STORE

        again, leave_again = join()
        assert again is ray
        leave_again()
        assert ray.is_initialized(), "whoever joined first leaves last"
    finally:
        leave()
        gc.collect()  # here and not in another test
    assert not ray.is_initialized()
    assert files() == before


@pytest.mark.usefixtures("bare")
def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'studiolo\[ray\]'"):
        join()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"
    assert os.environ["RAY_AUTH_MODE"] == "token"


@pytest.mark.usefixtures("bare")
def test_where_a_cluster_is_named_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError):
        join()
    assert not any(name in os.environ for name in (*PRIVATE, "RAY_AUTH_TOKEN"))

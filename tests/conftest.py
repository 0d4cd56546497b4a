"""What every test may ask for: a home of its own, the starter model, and proofs.

A *proof* is a test whose full count takes too long for every run. It asks
``proof(name, short=..., full=...)`` how much to do: the short count as a rule, the full
one under ``--prove NAME`` (``make prove NAME=...``), which then writes the outcome into
the row of that name in ``docs/proofs.md``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proofs import Outcome, record

# Before torch is first imported: its pools ask for this once. A test machine may show
# many cores and lend few, and threads that fight for them make times meaningless.
os.environ.setdefault("OMP_NUM_THREADS", str(min(4, os.cpu_count() or 1)))
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).resolve().parent.parent
OUTCOME = pytest.StashKey[Outcome]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--prove", metavar="NAME", help="run the proof NAME in full and record it")


def pytest_configure(config: pytest.Config) -> None:
    name = config.getoption("--prove")
    if name:
        config.stash[OUTCOME] = Outcome(name, time.monotonic())


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Callable[..., int]:
    """``proof(name, *, short, full) -> int``: how many cases this run should do."""
    if request.node.get_closest_marker("proof") is None:
        pytest.fail("a test that uses `proof` must be marked @pytest.mark.proof")
    outcome = request.config.stash.get(OUTCOME, None)

    def count(name: str, *, short: int, full: int) -> int:
        if outcome is None:
            return short
        if name != outcome.name:
            pytest.skip(f"this is the proof {name!r}")
        outcome.asked[request.node.nodeid] = full
        outcome.what = outcome.what or (request.function.__doc__ or "").strip().split("\n")[0]
        return full

    return count


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:  # pragma: no cover - pytest's own plumbing
    report = yield
    outcome = item.config.stash.get(OUTCOME, None)
    if outcome is not None and call.when == "call" and item.nodeid in outcome.asked:
        outcome.passed[item.nodeid] = report.passed  # type: ignore[attr-defined]
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    outcome = session.config.stash.get(OUTCOME, None)
    if outcome is None:
        return
    if not outcome.asked:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
        return
    record(ROOT / "docs" / "proofs.md", outcome)


@pytest.fixture(scope="session")
def starter() -> Path:
    """The directory of the installed starter model, pulled once if it is not there.

    It lives in the user's ordinary home, so that it is not fetched for every run.
    """
    from studiolo.bundle.catalogue import DEFAULT_MODEL
    from studiolo.bundle.pull import ensure

    return ensure(DEFAULT_MODEL).path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty STUDIOLO_HOME that this test alone sees."""
    path = tmp_path / "studiolo-home"
    path.mkdir()
    monkeypatch.setenv("STUDIOLO_HOME", str(path))
    return path

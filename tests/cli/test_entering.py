from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import studiolo
from studiolo.cli.entering import enter
from studiolo.errors import RecordsError
from studiolo.record.chain import log_directory
from studiolo.record.fingerprint import of_text
from studiolo.record.lookup import entries_with
from studiolo.record.signing import SigningKey
from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("home")


def test_every_sample_is_found_by_its_text(tiny: str) -> None:
    lm = studiolo.load(tiny, device="cpu")
    made = lm.generate("the cat", max_tokens=12, n=3, seed=1)
    receipt = enter(lm, made)
    assert receipt is not None
    key = SigningKey.installed(make=False).public
    for each in (made, *made.alternatives):
        (entry,) = entries_with(log_directory(), of_text(each.text), key)
        assert entry.receipt == receipt.digest


def test_what_was_cut_short_has_no_receipt(tiny: str) -> None:
    lm = studiolo.load(tiny, device="cpu")
    made = lm.generate("the cat", max_tokens=3)
    assert enter(lm, replace(made, finish_reason="cancelled")) is None
    assert not log_directory().exists()


def test_where_nothing_can_be_written(
    tiny: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "log").write_text("no folder")
    lm = studiolo.load(tiny, device="cpu")
    made = lm.generate("the cat", max_tokens=3)
    assert enter(lm, made) is not None
    assert capsys.readouterr().err.startswith("not in the log of receipts: ")
    with pytest.raises(RecordsError):
        enter(lm, made, must=True)


def test_a_conversation_is_entered_answer_by_answer(run: Run, tiny: str) -> None:
    ended = run("chat", "-m", tiny, "--max-tokens", "4", stdin="hello\nagain\n/exit\n")
    assert ended.code == 0
    assert run("verify", "--json").json["entries"] == 2

from __future__ import annotations

from pathlib import Path

import pytest

from studiolo.errors import BusyError
from studiolo.record.ledger import Entry
from studiolo.record.records import Records
from studiolo.server.settings import Settings
from studiolo.server.studio import Studio
from studiolo.task.house import House


def test_closing_ends_the_engine_and_writes_what_waits(tmp_path: Path) -> None:
    house = House(device="cpu", model_memory=1, request_memory=1)
    settings = Settings(model="a", encoder="b", requests=1)
    studio = Studio.of(settings, house, Records.open(str(tmp_path / "records.db")))
    studio.records.ledger.note(Entry("req_1", 1.0, 0.5, "openai", "GET /x", 200))
    place = studio.room.enter("")
    with pytest.raises(BusyError):
        studio.room.enter("")
    place.leave()
    studio.close()
    assert house.engine.closed
    again = Records.open(str(tmp_path / "records.db"))
    assert [each.id for each in again.ledger.requests(None, admin=True)] == ["req_1"]
    again.close()

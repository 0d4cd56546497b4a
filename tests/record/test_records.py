from __future__ import annotations

import pytest

from studiolo.record.contents import Policy
from studiolo.record.records import Records
from tests.record.killed import entry

pytestmark = pytest.mark.usefixtures("home")


def test_all_of_them_are_of_one_database_and_are_there_again(url: str) -> None:
    records = Records.open(url, Policy(contents=True))
    made = records.keys.create(name="a")
    records.ledger.note(entry(3))
    records.contents.put("req_3", key=made.key.id, user=None, prompt="p")
    upload = records.uploads.put(b"x", filename="f", purpose="batch", key=made.key.id)
    batch = records.batches.create(key=made.key.id, endpoint="/", input_file=upload.id)
    records.close()
    again = Records.open(url)
    assert again.keys.find(made.secret) == made.key
    assert again.ledger.requests(None, admin=True) == (entry(3),)
    assert again.contents.content("req_3", made.key.id) is not None
    assert again.uploads.find(upload.id, made.key.id) == upload
    assert again.batches.find(batch.id, made.key.id) == batch
    assert not again.contents.put("req_4", key=None, user=None, prompt="p")
    again.close()

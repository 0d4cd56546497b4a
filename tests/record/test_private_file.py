from __future__ import annotations

import stat
import threading
from pathlib import Path

from studiolo.record.private_file import make_once


def test_made_in_a_new_folder_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    make_once(path, b"secret")
    assert path.read_bytes() == b"secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["b"]


def test_the_first_prevails(tmp_path: Path) -> None:
    path = tmp_path / "x"
    datas = [bytes([i]) * 32 for i in range(16)]
    threads = [threading.Thread(target=make_once, args=(path, data)) for data in datas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = path.read_bytes()
    assert first in datas
    make_once(path, b"later")
    assert path.read_bytes() == first

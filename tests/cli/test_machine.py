from __future__ import annotations

from pathlib import Path

from studiolo.cli import machine


def test_the_machine_has_a_name_cores_and_memory() -> None:
    assert machine.cpu_name()
    assert machine.usable_cores() >= 1
    assert (machine.memory_bytes() or 2**40) > 100_000_000
    assert set(machine.cpu_flags()) <= set(machine.TELLING_FLAGS)


def test_free_space_is_asked_of_the_disk_that_would_hold_the_path(tmp_path: Path) -> None:
    assert machine.free_bytes(tmp_path / "not" / "yet" / "there") > 0

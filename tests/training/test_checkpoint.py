from __future__ import annotations

import errno
import math
from pathlib import Path

import pytest
import torch

from studiolo.errors import MalformedFileError, NoSpaceError, SourceError
from studiolo.training import checkpoint
from studiolo.training.checkpoint import Checkpoints

TENSORS = {"a": torch.arange(6.0).view(2, 3).T, "random": torch.arange(9, dtype=torch.uint8)}


def test_what_is_saved_comes_back_to_the_bit(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "c")
    assert kept.newest() is None
    kept.save(7, TENSORS, {"loss": 0.1 + 0.2, "none": None, "seconds": math.pi}, best=7)
    saved = Checkpoints(tmp_path / "c").newest()
    assert saved is not None
    assert saved.step == 7
    assert saved.values == {"step": 7, "loss": 0.1 + 0.2, "none": None, "seconds": math.pi}
    assert all(torch.equal(saved.tensors[name], tensor) for name, tensor in TENSORS.items())


def test_the_last_two_and_the_best_are_kept(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    for step, best in ((1, 1), (2, 2), (3, 2), (4, 2), (5, 2)):
        kept.save(step, TENSORS, {}, best=best)
    assert kept.steps() == [2, 4, 5]
    kept.save(6, TENSORS, {}, best=-1)
    assert kept.steps() == [5, 6]
    kept.save(5, TENSORS, {}, best=-1)
    assert kept.steps() == [5, 6]


def test_what_was_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(1, TENSORS, {}, best=1)
    (tmp_path / "step-00000002.safetensors.part").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    assert Checkpoints(tmp_path).steps() == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "notes.txt",
        "step-00000001.safetensors",
    ]


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, NoSpaceError), (errno.EACCES, SourceError)]
)
@pytest.mark.parametrize("where", ["write_tensors", "force_directory"])
def test_a_failed_write_leaves_the_one_before(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: type[Exception],
    where: str,
) -> None:
    kept = Checkpoints(tmp_path)
    kept.save(1, TENSORS, {"x": 1}, best=1)

    def failing(*_: object, **__: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(checkpoint, where, failing)
    with pytest.raises(error, match="step-00000002"):
        kept.save(2, TENSORS, {}, best=2)
    monkeypatch.undo()
    assert 1 in Checkpoints(tmp_path).steps()
    assert kept.load(1).values["x"] == 1
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_a_damaged_one_is_named_with_what_to_do(tmp_path: Path, cut: int) -> None:
    kept = Checkpoints(tmp_path)
    kept.save(3, TENSORS, {}, best=3)
    path = kept.path(3)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(MalformedFileError, match=r"step-00000003.*\n.*goes on from the one before"):
        kept.newest()


def test_a_file_of_another_sort_is_no_checkpoint(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    kept = Checkpoints(tmp_path)
    save_file({"a": torch.zeros(1)}, kept.path(1))
    with pytest.raises(MalformedFileError, match="is no checkpoint"):
        kept.load(1)
    with pytest.raises(SourceError, match="cannot be read"):
        kept.load(2)

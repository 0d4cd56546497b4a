"""A whole corpus, in moments: what it holds, and that it is the same every time."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studiolo.errors import (
    InvalidRequestError,
    MalformedFileError,
    NoSpaceError,
    StudioloError,
)
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.corpus.build import DRAFT, Build, here
from studiolo.training.corpus.manifest import read_manifest
from studiolo.training.corpus.shards import TRAINING, VALIDATION, ShardWriter, map_shard
from tests.training.corpus.small import built, prose, recipe, texts

PLAIN = {"quality": False, "repetition": False}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def documents(folder: Path, part: str = TRAINING) -> list[str]:
    """The texts of a part, spelt back from the shards."""
    manifest, tokenizer = read_manifest(folder), Tokenizer.from_directory(folder)
    shard = map_shard(folder, part, manifest)
    cut = np.split(shard.ids, shard.starts[1:])
    assert all(ids[-1] == manifest.end for ids in cut if len(ids))
    return [tokenizer.decode(ids.tolist()) for ids in cut]


def test_every_document_that_passes_is_in_the_shards_once(tmp_path: Path) -> None:
    texts(tmp_path / "in", 40)
    manifest = built(
        tmp_path / "out",
        {"name": "s", "path": str(tmp_path / "in"), "licence": "MIT", "validation": 0.2},
    )
    training = documents(tmp_path / "out")
    held_out = documents(tmp_path / "out", VALIDATION)
    assert sorted([*training, *held_out]) == sorted(prose(n) for n in range(40))
    assert 1 < len(held_out) < 20
    [source] = manifest.sources
    assert (source.read.documents, source.kept.documents, source.files) == (40, 40, 40)
    assert source.kept.bytes == sum(len(prose(n).encode()) for n in range(40))
    assert manifest == read_manifest(tmp_path / "out")
    assert manifest.licence == "MIT"
    assert manifest.bytes_per_token is not None
    assert manifest.bytes_per_token * (
        manifest.training.tokens + manifest.validation.tokens
    ) == pytest.approx(source.kept.bytes)
    assert set(os.listdir(tmp_path)) == {"in", "out"}


def test_the_same_recipe_and_data_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    texts(tmp_path / "in", 30)
    source = {"name": "s", "path": "in", "weight": 1.5, "validation": 0.1}
    one, other = built(tmp_path / "a", source), built(tmp_path / "b", source)
    assert one == other
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    assert built(tmp_path / "c", source, seed=2).digest != one.digest


def test_what_each_step_drops_is_told_with_examples(tmp_path: Path) -> None:
    evaluation = tmp_path / "exam.jsonl"
    evaluation.write_text(json.dumps({"q": prose(900)}), encoding="utf-8")
    rows = [
        {"text": prose(1), "id": "kept"},
        {"text": prose(1), "id": "copy"},
        {"text": prose(1) + " The end.", "id": "near"},
        {"text": "Just a short text with an end.", "id": "short"},
        {"text": "Before it. " + prose(900), "id": "leaked"},
        {"text": prose(2), "licence": "Proprietary", "id": "theirs"},
        {"text": "Nach dem Regen waren die Straßen nass. " * 9, "id": "german"},
    ]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "broken\n", encoding="utf-8")
    manifest = built(
        tmp_path / "out",
        {
            "name": "s",
            "path": str(path),
            "licence": "MIT",
            "licence_field": "licence",
            "identity_field": "id",
            "validation": 0,
        },
        on_error="skip",
        steps={
            "decontaminate": {"against": [str(evaluation)]},
            "licence": {"deny": ["proprietary"]},
            "language": {"keep": ["en"], "confidence": 0},
            "c4": False,
            "fineweb": False,
        },
    )
    [source] = manifest.sources
    told = {
        name: [
            (why, reason.count, reason.examples[0].identity) for why, reason in step.reasons.items()
        ]
        for name, step in source.steps.items()
        if step.dropped
    }
    assert told == {
        "licence": [("is denied", 1, "in.jsonl#theirs")],
        "language": [("is in another language", 1, "in.jsonl#german")],
        "quality": [("number of words", 1, "in.jsonl#short")],
        "decontaminate": [("is in an evaluation set", 1, "in.jsonl#leaked")],
        "exact": [("is an exact copy", 1, "in.jsonl#copy")],
        "near": [("is nearly a copy", 1, "in.jsonl#near")],
    }
    assert source.unreadable.count == 1
    assert source.unreadable.examples[0].identity == "in.jsonl#8"
    assert documents(tmp_path / "out") == [prose(1)]


def test_copies_are_found_across_sources_and_the_first_stays(tmp_path: Path) -> None:
    texts(tmp_path / "a", 6)
    texts(tmp_path / "b", 8, first=3)
    one = {"name": "one", "path": str(tmp_path / "a"), "licence": "MIT", "validation": 0}
    two = {"name": "two", "path": str(tmp_path / "b"), "licence": "CC-BY-SA-4.0", "validation": 0}
    manifest = built(tmp_path / "out", one, two)
    assert [source.kept.documents for source in manifest.sources] == [6, 5]
    assert manifest.licence == "CC-BY-SA-4.0"
    assert manifest.sources[1].training.first == manifest.sources[0].training.tokens


def test_personal_data_are_masked_by_who_is_handed_in(tmp_path: Path) -> None:
    texts(tmp_path / "in", 4)
    made = recipe({"name": "s", "path": str(tmp_path / "in"), "validation": 0}, mask=True)
    with pytest.raises(InvalidRequestError, match=r"mask: .* no masker"):
        Build(made, tmp_path / "out")
    Build(made, tmp_path / "out", masker=lambda text: text.replace("baker", "[TRADE]")).carry_out()
    found = documents(tmp_path / "out")
    assert found == [prose(n).replace("baker", "[TRADE]") for n in range(4)]
    assert any("[TRADE]" in text for text in found)


def test_licences_that_cannot_be_kept_together_are_an_error_before_anything_is_read(
    tmp_path: Path,
) -> None:
    texts(tmp_path / "a", 2)
    path = str(tmp_path / "a")
    sources = [
        {"name": "one", "path": path, "licence": "CC-BY-SA-4.0"},
        {"name": "two", "path": path, "licence": "CC-BY-NC-4.0"},
    ]
    with pytest.raises(InvalidRequestError, match=r"source one comes under CC-BY-SA-4\.0"):
        Build(recipe(*sources), tmp_path / "out")
    let_in = recipe(*sources, steps={"licence": {"deny": ["CC-BY-NC-4.0"]}})
    assert Build(let_in, tmp_path / "out").carry_out().licence == "CC-BY-SA-4.0"


def test_licences_of_rows_conflict_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"text": prose(n), "l": ("GPL-3.0-only", "CC-BY-SA-4.0")[n]} for n in (0, 1)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    source = {"name": "s", "path": str(path), "licence_field": "l", "steps": {"fineweb": False}}
    with pytest.raises(InvalidRequestError, match="source s"):
        built(tmp_path / "out", source)
    assert set(os.listdir(tmp_path)) == {"a.jsonl"}


def test_an_empty_corpus_says_which_step_dropped_all(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("short", encoding="utf-8")
    (tmp_path / "in" / "b.txt").write_text(" ", encoding="utf-8")
    source = {"name": "s", "path": str(tmp_path / "in")}
    with pytest.raises(
        InvalidRequestError, match="2 documents were read and none is left: dropped 1 by quality"
    ):
        built(tmp_path / "out", source)
    assert not (tmp_path / "out").exists()
    path = tmp_path / "one.txt"
    for number in range(100):  # one whose hash holds it out
        path.write_text(prose(number), encoding="utf-8")
        held_out = {"name": "s", "path": str(path), "validation": 0.5}
        try:
            built(tmp_path / f"out{number}", held_out)
        except InvalidRequestError as error:
            assert "none is trained on" in error.message  # noqa: PT017 - one of many
            break
    else:
        pytest.fail("half of all are held out")


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.pdf", "a.parquet"])
def test_what_cannot_be_read_ends_the_build_or_is_counted(tmp_path: Path, name: str) -> None:
    texts(tmp_path / "in", 2)
    (tmp_path / "in" / name).write_bytes(b"\xff\xfe{")
    source = {"name": "s", "path": str(tmp_path / "in"), "validation": 0}
    with pytest.raises(MalformedFileError, match=rf"source s: {name}.*: is no") as caught:
        built(tmp_path / "out", source)
    assert "on_error=skip" in str(caught.value)
    manifest = built(tmp_path / "out", {**source, "on_error": "skip"})
    [told] = manifest.sources
    assert (told.kept.documents, told.unreadable.count) == (2, 1)


def test_the_tokenizer_may_be_a_models_own(tmp_path: Path, tiny: str) -> None:
    texts(tmp_path / "in", 3)
    source = {"name": "s", "path": str(tmp_path / "in"), "validation": 0}
    manifest = built(tmp_path / "out", source, tokenizer=tiny)
    assert manifest.vocabulary == Tokenizer.from_directory(Path(tiny)).vocab_size
    assert documents(tmp_path / "out") == [prose(n) for n in range(3)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tokenizer": "none/such"}, "none/such"),
        ({"steps": {"language": {"keep": ["elvish"]}}}, "elvish"),
        ({"steps": {"decontaminate": {"against": ["none.txt"]}}}, "none.txt"),
    ],
)
def test_what_would_end_a_build_is_tried_before_anything_is_read(
    tmp_path: Path, home: Path, changes: dict[str, Any], words: str
) -> None:
    texts(tmp_path / "in", 2)
    made = recipe({"name": "s", "path": str(tmp_path / "in")}, **changes)
    told: list[str] = []
    build = Build(made, tmp_path / "out", progress=lambda what, *_: told.append(what))
    with pytest.raises(StudioloError, match=words):
        build.carry_out()
    assert told == []


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    texts(tmp_path / "in", 2)
    made = recipe({"name": "s", "path": str(tmp_path / "in"), "validation": 0})
    (tmp_path / "out").mkdir()
    Build(made, tmp_path / "out").carry_out()
    with pytest.raises(InvalidRequestError, match="is not an empty folder"):
        Build(made, tmp_path / "out")


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts(tmp_path / "in", 2)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ShardWriter, "add", full)
    with pytest.raises(NoSpaceError, match="the disk is full; nothing of the corpus is left"):
        built(tmp_path / "out", {"name": "s", "path": str(tmp_path / "in"), "validation": 0})
    assert os.listdir(tmp_path) == ["in"]


def test_names_and_texts_that_are_no_unicode_are_told_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    try:
        (folder / os.fsdecode(b"caf\xe9.txt")).write_text(prose(1), encoding="utf-8")
    except OSError:
        pytest.skip("the disk takes no such name")
    rows = [{"text": prose(2) + "\ud800", "\ud800": 1}, {"text": "\ud800 x"}, {"\ud800": 1}]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    source = {"name": "s", "path": str(folder), "validation": 0, "on_error": "skip"}
    steps = {"normalise": False, "fineweb": False}
    manifest = built(tmp_path / "out", source, steps=steps)
    [told] = manifest.sources
    assert {each.identity for each in told.samples} == {"a.jsonl#1", "caf\ufffd.txt"}
    assert (told.unreadable.count, told.steps["quality"].dropped) == (1, 1)
    assert documents(tmp_path / "out")[0] == prose(2) + "\ufffd"


def test_the_folder_one_stands_in_may_become_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts(tmp_path / "in", 2)
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    built(Path(), {"name": "s", "path": str(tmp_path / "in"), "validation": 0})
    assert read_manifest(tmp_path / "out").training.documents == 2


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    texts(tmp_path / "in", 5)
    told: list[tuple[str, int, int]] = []
    made = recipe({"name": "s", "path": str(tmp_path / "in"), "validation": 0, "weight": 2})
    Build(made, tmp_path / "out", progress=lambda *each: told.append(each)).carry_out()
    size = sum(len(prose(n)) for n in range(5))
    assert ("reading s", size, size) in told
    assert told[-1] == ("writing", 2 * size, 2 * size)


BUILDING = """
import sys
from pathlib import Path
from studiolo.training.corpus.build import Build
from studiolo.training.corpus.recipe import checked_corpus_recipe
value = {"name": "r", "tokenizer": {"train": {"vocabulary": 300, "bytes": 100000}},
    "sources": [{"name": "s", "path": sys.argv[1]}]}
Build(checked_corpus_recipe(value), Path(sys.argv[2])).carry_out()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_build_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    texts(tmp_path / "in", 400)
    command = [sys.executable, "-c", BUILDING, str(tmp_path / "in"), str(tmp_path / "out")]
    draft = tmp_path / f".out{DRAFT}"
    for _ in range(3):
        process = subprocess.Popen(command)
        while not draft.exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(random.Random(time.time()).random() * 0.4)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "out").exists() or read_manifest(tmp_path / "out")
    subprocess.run(command, check=True)
    assert len(documents(tmp_path / "out")) > 380
    assert not draft.exists()


MEASURED = (
    """
import resource
def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])
"""
    + BUILDING.replace("Build(checked", "before = peak()\nBuild(checked")
    + "print(peak() - before)\n"
)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's own count")
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    """Eight times the documents, in one file, need no more than a little more memory."""

    def grown(count: int) -> int:
        """KiB by which the peak rises over a build of so many documents."""
        path = tmp_path / f"{count}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for number in range(count):
                file.write(json.dumps({"text": prose(number, 30)}) + "\n")
        command = [sys.executable, "-c", MEASURED, str(path), str(tmp_path / f"out{count}")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    few, many = grown(500), grown(4000)
    assert many < few + 6_000  # while 9 MB more of text come in


def test_whoever_carries_files_decides_nothing(tmp_path: Path) -> None:
    texts(tmp_path / "in", 9)
    made = recipe({"name": "s", "path": str(tmp_path / "in")})

    def ahead(chain: Any, every: Iterable[Any]) -> Iterator[Any]:
        """All is worked on before any is given back."""
        yield from [(file, iter(list(outcomes))) for file, outcomes in here(chain, every)]

    one = Build(made, tmp_path / "a").carry_out()
    assert Build(made, tmp_path / "b", hands=ahead).carry_out() == one

"""Whatever happens to a pull, the next one ends with a whole bundle, or says why not."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from studiolo.bundle import store
from studiolo.bundle.landing import Note, PartialFile, Progress, PullEvent
from studiolo.bundle.pull import ensure, pull
from studiolo.errors import (
    ChecksumError,
    InvalidRequestError,
    NoSpaceError,
    SourceError,
    StudioloError,
    UnknownModelError,
)
from tests.bundle.serving import (
    FILE,
    catalogue,
    closed_port,
    noise,
    serve,
    sha256,
    url_source,
    wheel,
)


def leftovers(home: Path) -> list[Path]:
    downloads = home / "downloads"
    return list(downloads.iterdir()) if downloads.exists() else []


def test_a_pull_installs_exactly_what_is_pinned(home: Path) -> None:
    content = noise(3_000_000)
    events: list[PullEvent] = []
    with serve({FILE: content}) as site:
        catalogue(home, {FILE: content}, url_source(site.address))
        bundle = pull("toy", report=events.append)
    assert bundle.path == home / "models" / "toy"
    assert (bundle.path / FILE).read_bytes() == content
    assert bundle.weights == bundle.path / FILE
    assert bundle.manifest.files[FILE].sha256 == sha256(content)
    assert bundle.manifest.source.kind == "url"
    store.verify(bundle)
    assert leftovers(home) == []
    done = [event.done for event in events if isinstance(event, Progress)]
    assert done == sorted(done)
    assert done[-1] == len(content)


def test_a_second_pull_asks_nobody(home: Path) -> None:
    content = noise(1000)
    with serve({FILE: content}) as site:
        catalogue(home, {FILE: content}, url_source(site.address))
        first = pull("toy")
        asked = len(site.asked)
        assert pull("toy") == first
        assert ensure("toy") == first
        assert len(site.asked) == asked


def test_the_next_source_is_tried_and_one_line_says_so(home: Path, tmp_path: Path) -> None:
    content = noise(1000)
    (tmp_path / FILE).write_bytes(content)
    notes: list[str] = []

    def listen(event: PullEvent) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    with serve({FILE: content}, mood="lying") as lying:
        catalogue(
            home,
            {FILE: content},
            url_source(f"http://127.0.0.1:{closed_port()}")
            + url_source(lying.address)
            + f'[[models.toy.sources]]\nkind = "file"\npath = "{tmp_path / FILE}"\n',
        )
        bundle = pull("toy", report=listen)
    assert bundle.manifest.source.kind == "file"
    assert len(notes) == 2
    assert "cannot be reached" in notes[0]
    assert "SHA-256" in notes[1]
    assert all("\n" not in note for note in notes)


def test_wrong_bytes_everywhere_is_a_checksum_error(home: Path) -> None:
    content = noise(1000)
    with serve({FILE: content}, mood="lying") as site:
        catalogue(home, {FILE: content}, url_source(site.address))
        with pytest.raises(ChecksumError, match="SHA-256"):
            pull("toy")
    assert store.find("toy") is None


def test_no_network_names_every_source(home: Path) -> None:
    first, second = closed_port(), closed_port()
    catalogue(
        home,
        {FILE: b"x"},
        url_source(f"http://127.0.0.1:{first}") + url_source(f"http://127.0.0.1:{second}"),
    )
    with pytest.raises(SourceError) as caught:
        pull("toy")
    assert not isinstance(caught.value, ChecksumError)
    assert str(first) in caught.value.message
    assert str(second) in caught.value.message
    assert caught.value.remedy


def test_unknown_names_suggest_the_nearest(home: Path) -> None:
    with pytest.raises(UnknownModelError) as caught:
        pull("smolm2-135m-instruct")
    assert caught.value.nearest[0] == "smollm2-135m-instruct"


@pytest.mark.parametrize("name", ["", "..", "a/../b", "/etc", "a b", "-x", "x" * 129, "a\nb"])
def test_no_name_leads_out_of_the_home(home: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"GGUF")
    with pytest.raises(StudioloError):
        pull(str(path), name=name)
    assert leftovers(home) == []


def test_too_little_space_is_said_before_anything_is_fetched(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = noise(1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with serve({FILE: content}) as site:
        catalogue(home, {FILE: content}, url_source(site.address))
        with pytest.raises(NoSpaceError, match="toy needs"):
            pull("toy")
        assert site.asked == []


def test_a_disk_that_fills_up_midway_keeps_what_has_arrived(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = noise(4 << 20)
    write = PartialFile.write

    class Full:
        def __init__(self, handle: object) -> None:
            self._handle = handle

        def __getattr__(self, name: str) -> object:
            return getattr(self._handle, name)

        def write(self, _: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def filling(self: PartialFile, chunk: bytes) -> None:
        if self.size > 1 << 20:
            self._handle = Full(self._handle)  # type: ignore[assignment]
        write(self, chunk)

    with serve({FILE: content}) as site:
        catalogue(home, {FILE: content}, url_source(site.address))
        with monkeypatch.context() as patch:
            patch.setattr(PartialFile, "write", filling)
            with pytest.raises(NoSpaceError, match="full"):
                pull("toy")
        assert store.find("toy") is None
        pull("toy")
        assert site.asked[-1][1] is not None, "the second pull should have gone on midway"
    assert (home / "models" / "toy" / FILE).read_bytes() == content


def test_a_damaged_bundle_is_replaced_by_the_next_pull(home: Path) -> None:
    content = noise(1000)
    with serve({FILE: content}) as site:
        catalogue(home, {FILE: content}, url_source(site.address))
        bundle = pull("toy")
        (bundle.path / "bundle.json").write_text("{")
        assert pull("toy").manifest.files[FILE].size == 1000
        (bundle.path / FILE).write_bytes(b"short")
        store.verify(pull("toy"))
    assert leftovers(home) == []


def test_a_gguf_of_the_users_own(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"GGUF and more")
    bundle = pull(str(path))
    assert bundle.name == "mine"
    assert bundle.weights is not None
    assert bundle.weights.read_bytes() == path.read_bytes()
    assert pull(str(path)) == bundle
    assert pull("mine") == bundle
    path.write_bytes(b"GGUF, changed since")
    assert pull(str(path)).digest != bundle.digest
    other = tmp_path / "other" / "mine.gguf"
    other.parent.mkdir()
    other.write_bytes(b"GGUF of somebody else")
    with pytest.raises(InvalidRequestError, match="another model"):
        pull(str(other))
    assert pull(str(other), name="theirs").name == "theirs"
    with pytest.raises(InvalidRequestError, match="catalogue"):
        pull(str(other), name="gemma-3-270m")


def test_a_folder_of_the_users_own(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "trained"
    (folder / "1_Pooling").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"):
        (folder / name).write_bytes(name.encode())
    (folder / "optimizer.bin").write_bytes(b"pickle")
    bundle = pull(f"{folder}/")
    assert set(bundle.names) == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "1_Pooling/config.json",
    }
    assert bundle.weights is None
    opened = store.find(folder)
    assert opened is not None
    assert opened.digest == bundle.digest


def test_a_path_with_nothing_there_points_to_the_hub(home: Path) -> None:
    with pytest.raises(SourceError) as caught:
        ensure("Qwen/Qwen3-0.6B")
    assert "hf:Qwen/Qwen3-0.6B" in str(caught.value.remedy)
    with pytest.raises(SourceError, match="nothing at"):
        ensure(Path("gemma-3-270m"))


def test_a_web_address(home: Path) -> None:
    content = noise(5000)
    with serve({FILE: content}) as site:
        bundle = pull(f"{site.address}/{FILE}?token=secret")
        assert bundle.name == "toy"
        assert "secret" not in (bundle.path / "bundle.json").read_text()
        with pytest.raises(InvalidRequestError, match=r"\.gguf"):
            pull(f"{site.address}/model.bin")
    assert bundle.manifest.files[FILE].sha256 == sha256(content)


@pytest.mark.parametrize("what", ["https://[", "https:///", "http://a b/x.gguf", "hf:x", "hf:a/b/"])
def test_addresses_that_cannot_be(home: Path, what: str) -> None:
    with pytest.raises(StudioloError):
        pull(what)


def test_a_home_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STUDIOLO_HOME", str(tmp_path / "file" / "home"))
    path = tmp_path / FILE
    path.write_bytes(b"GGUF")
    with pytest.raises(StudioloError, match="file"):
        pull(str(path))


PULL = "from studiolo.bundle.pull import pull; pull('toy', report=lambda e: print(e, flush=True))"


def start(home: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PULL],
        env={**os.environ, "STUDIOLO_HOME": str(home), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_pull_once(home: Path) -> None:
    content = noise(600_000)
    with serve({FILE: content}, rate=400_000) as site:
        catalogue(home, {FILE: content}, url_source(site.address))
        both = [start(home), start(home)]
        said = [process.communicate(timeout=60) for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert len(site.asked) == 1
    assert sum("waiting" in out for out, _ in said) == 1
    assert (home / "models" / "toy" / FILE).read_bytes() == content
    assert leftovers(home) == []


def test_ctrl_c_keeps_what_has_arrived(home: Path) -> None:
    content = noise(2_000_000)
    with serve({FILE: content}, rate=1_000_000) as site:
        catalogue(home, {FILE: content}, url_source(site.address))
        process = start(home)
        assert process.stdout is not None
        while "done=0," in (line := process.stdout.readline()):
            pass
        assert "Progress" in line
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode != 0
        site.rate = 0
        pull("toy")
        assert site.asked[-1][1] is not None
    assert (home / "models" / "toy" / FILE).read_bytes() == content


@pytest.mark.proof
@pytest.mark.parametrize("source", ["server", "index"])
def test_killed_pulls(source: str, home: Path, tmp_path: Path, proof: Callable[..., int]) -> None:
    """SIGKILL at a random moment of a pull: the next pull ends with a correct bundle."""
    content = noise(3_000_000)
    environment: dict[str, str] = {}
    with serve({FILE: content}, rate=3_000_000) as site:
        if source == "server":
            sources = url_source(site.address)
        else:
            half = len(content) // 2
            parts = [content[:half], content[half:]]
            rows = []
            for number, part in enumerate(parts, 1):
                wheel(tmp_path / "wheels", f"toy-part{number}", "1.0", {"toy/part.bin": part})
                rows.append(
                    f'{{ package = "toy-part{number}==1.0", member = "toy/part.bin", '
                    f'size = {len(part)}, sha256 = "{sha256(part)}" }}'
                )
            sources = (
                '[[models.toy.sources]]\nkind = "index"\n'
                f'[models.toy.sources.files]\n"{FILE}" = [{", ".join(rows)}]\n'
            )
            environment = {
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(tmp_path / "wheels"),
                "PIP_CONFIG_FILE": os.devnull,
            }
        catalogue(home, {FILE: content}, sources)
        started = time.monotonic()
        undisturbed = start(home, **environment)
        said = undisturbed.communicate(timeout=60)
        assert undisturbed.returncode == 0, said
        whole = time.monotonic() - started

        chance = random.Random(source)
        killed = 0
        for _ in range(proof("pull-kills", short=2, full=10)):
            store.remove("toy")
            process = start(home, **environment)
            time.sleep(chance.uniform(0.15, 1.0) * whole)
            killed += process.poll() is None
            process.kill()
            process.communicate()
            again = start(home, **environment)
            said = again.communicate(timeout=60)
            assert again.returncode == 0, said
            bundle = store.find("toy")
            assert bundle is not None
            store.verify(bundle)
            assert (bundle.path / FILE).read_bytes() == content
            assert sorted(path.name for path in bundle.path.iterdir()) == ["bundle.json", FILE]
            assert leftovers(home) == []
            with store.lock("toy", lambda: pytest.fail("the lock is still held")):
                pass
        assert killed > 0, "no process was alive when it was to be killed"

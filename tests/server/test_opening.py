"""How a server is opened: the operator's files, keys from the environment, traces if wanted."""

from __future__ import annotations

import asyncio
import pickle
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from studiolo.errors import InvalidRequestError, MalformedFileError, UnknownModelError
from studiolo.record.records import Records
from studiolo.record.secret import watermark
from studiolo.server.inside import look
from studiolo.server.opening import Opening
from studiolo.server.settings import Price
from studiolo.server.studio import Studio
from studiolo.server.tracing import TracedHouse
from studiolo.task.text import LanguageModel
from tests.server.serving import MEMORY, SETTINGS

REMOTES = """
[remotes.far]
dialect = "openai"
url = "http://127.0.0.1:1/v1"
model = "theirs"
key_env = "FAR_KEY"
prices = { prompt = 3, completion = 4 }
"""


def opened(opening: Opening, path: Path, ending: ExitStack) -> Studio:
    kept = Records.open(str(path / "records.db"))
    ending.callback(kept.close)
    return opening.open(kept, ending)


def test_files_are_named_or_found_in_the_home(tmp_path: Path, home: Path) -> None:
    assert Opening.read(SETTINGS, ("tiny",), MEMORY).remotes == {}
    (home / "remotes.toml").write_text(REMOTES)
    (home / "prices.toml").write_text("[models.tiny]\nprompt = 1\n")
    found = Opening.read(SETTINGS, ("tiny", "far"), MEMORY)
    assert set(found.remotes) == {"far"}
    assert found.here == ("tiny",)
    assert found.settings.prices == {"far": Price(3.0, 4.0), "tiny": Price(1.0, 0.0)}
    (tmp_path / "other.toml").write_text("")
    other = Opening.read(
        SETTINGS, (), MEMORY, remotes=tmp_path / "other.toml", priced=tmp_path / "other.toml"
    )
    assert (other.remotes, other.settings.prices) == ({}, {})
    with pytest.raises(MalformedFileError, match="cannot be read: No such file"):
        Opening.read(SETTINGS, (), MEMORY, remotes=tmp_path / "none.toml")
    (home / "prices.toml").write_text("[models.tiny]\nprompt = -1\n")
    with pytest.raises(MalformedFileError, match=r"models.tiny.prompt"):
        Opening.read(SETTINGS, (), MEMORY)


def test_a_studio_is_opened_with_its_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "remotes.toml").write_text(REMOTES)
    read = Opening.read(
        SETTINGS,
        ("tiny", "far"),
        MEMORY,
        device="cpu",
        remotes=tmp_path / "remotes.toml",
        kv_cache="bfloat16",
    )
    opening: Opening = pickle.loads(pickle.dumps(read))  # as it gets to a replica
    assert opening == read
    with ExitStack() as ending, pytest.raises(InvalidRequestError, match="FAR_KEY"):
        opened(opening, tmp_path, ending)
    monkeypatch.setenv("FAR_KEY", "sk-1")
    with ExitStack() as ending:
        studio = opened(opening, tmp_path, ending)
        assert [each.name for each in look(studio.house)] == ["tiny"]
        assert set(studio.house.elsewhere) == {"far"}
        lm = studio.house._opened["tiny"]
        assert isinstance(lm, LanguageModel)
        assert lm.model.network.identity == "packed 2 bfloat16 cache"
        assert not isinstance(studio.house, TracedHouse)
    assert studio.house.engine.closed


def test_an_encoder_may_be_a_path_as_a_model_may(
    tmp_path: Path, tiny: str, tiny_encoder: str
) -> None:
    settings = replace(SETTINGS, model=tiny, encoder=tiny_encoder)
    with ExitStack() as ending:
        studio = opened(Opening(settings, (tiny,), MEMORY, device="cpu"), tmp_path, ending)
        names = {name: owner for name, _, owner in studio.house.known()}
        assert names == dict.fromkeys((tiny, tiny_encoder, "tiny", "tiny-encoder"), "studiolo")
        vectors, tokens = asyncio.run(studio.house.embed(tiny_encoder, ["the cat"]))
        assert (len(vectors), tokens > 0) == (1, True)
        with pytest.raises(UnknownModelError):
            asyncio.run(studio.house.embed(f"{tiny_encoder}/../tiny-encoder", ["a"]))


def test_traces_are_taken_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with ExitStack() as ending:
        studio = opened(Opening(SETTINGS, (), MEMORY), tmp_path, ending)
        assert isinstance(studio.house, TracedHouse)


@pytest.mark.usefixtures("home")
def test_texts_are_marked_where_the_operator_wants_it(tmp_path: Path, tiny: str) -> None:
    for wanted in (True, False):
        settings = replace(SETTINGS, watermark=wanted)
        with ExitStack() as ending:
            studio = opened(Opening(settings, (tiny,), MEMORY, "cpu"), tmp_path, ending)
            lm = studio.house._opened[tiny]
            assert isinstance(lm, LanguageModel)
            assert lm.watermark == (watermark() if wanted else None)

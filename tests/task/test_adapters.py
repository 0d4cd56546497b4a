"""A model with adapters: texts of their own, the same in any company; files that are read once."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

import studiolo
from studiolo.bundle.adapter import adapter_digest, read_adapter
from studiolo.errors import InvalidRequestError, MalformedFileError, UnsupportedModelError
from studiolo.family.autoregressive import Autoregressive, TokenSample
from studiolo.family.prefix import PrefixCache
from studiolo.nn.adapter import Adapter
from studiolo.nn.config import DecoderConfig
from studiolo.runtime.loop import steps
from studiolo.sampler.decoding import generator
from studiolo.task.adapters import Adapters
from tests import reference
from tests.adapters import drawn, for_directory, write

PROMPT = "the cat sat on the mat, and after the rain the streets were wet"
IDS = range(5, 45)
ASK: dict[str, Any] = {"max_tokens": 12, "seed": 3, "ignore_eos": True, "log_probs": 2}


@pytest.fixture(scope="module")
def poet(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return for_directory(tiny, tmp_path_factory.mktemp("adapters") / "poet", seed=1)


@pytest.fixture(scope="module")
def clerk(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return for_directory(tiny, tmp_path_factory.mktemp("adapters") / "clerk", seed=2)


def test_each_text_is_its_own_adapters(
    lm: studiolo.LanguageModel, poet: Path, clerk: Path, home: Path
) -> None:
    plain, one, two = (
        lm.generate(PROMPT, adapter=each, **ASK) for each in (None, poet, str(clerk))
    )
    assert len({each.token_ids for each in (plain, one, two)}) == 3
    assert lm.generate(PROMPT, **ASK).log_probs == plain.log_probs
    (home / "adapters").mkdir()
    (home / "adapters" / "bard").symlink_to(poet)
    assert lm.generate(PROMPT, adapter="bard", **ASK).log_probs == one.log_probs
    with pytest.raises(InvalidRequestError, match="adapter: none is called 'poet'"):
        lm.generate(PROMPT, adapter="poet", **ASK)
    messages = [{"role": "user", "content": "the rain"}]
    answers = {lm.chat(messages, adapter=each, **ASK).token_ids for each in (None, poet)}
    assert len(answers) == 2
    assert one.asked.adapter is not None
    assert (one.asked.adapter.name, one.asked.adapter.weights) == ("poet", adapter_digest(poet))
    assert plain.asked.adapter is None


@pytest.mark.parametrize("arithmetic", ["packed", "float"])
def test_equal_prompts_with_other_adapters_are_not_read_for_each_other(
    tiny: str, poet: Path, clerk: Path, arithmetic: str
) -> None:
    """Together in one step, and one after another where beginnings are kept; beams too."""
    lm = studiolo.load(tiny, device="cpu", arithmetic=arithmetic)
    wearing = [None, poet, clerk, poet, None, clerk]
    ways: list[dict[str, Any]] = [{"beams": 3, "max_tokens": 8}, {**ASK, "log_probs": None}]
    for way in ways:
        requests = [lm.prepare(IDS, adapter=each, **way).request for each in wearing]
        alone: list[TokenSample] = []
        for request in requests:
            plain = Autoregressive(lm.model.network, speculate=False)
            alone.append(made(plain, request)[0])
        assert len({each.tokens for each in alone}) == 3
        model = Autoregressive(lm.model.network, PrefixCache(10_000_000))
        for _ in range(2):
            together = made(model, *requests)
            assert [each.tokens for each in together] == [each.tokens for each in alone]
        assert all(each.known == 32 for each in together)


def made(model: Autoregressive, *requests: Any) -> list[TokenSample]:
    progresses = [model.begin(request, generator(3)) for request in requests]
    for _ in steps(model, progresses):
        pass
    return [model.finish(progress) for progress in progresses]


def test_one_of_another_model_is_refused(lm: studiolo.LanguageModel, tmp_path: Path) -> None:
    other = write(tmp_path / "other", drawn(reference.make("llama"), "q_proj"))
    with pytest.raises(UnsupportedModelError, match=r"which is no product .*llama of 2 blocks"):
        lm.generate(PROMPT, adapter=other)
    with pytest.raises(MalformedFileError, match="An adapter is a directory with"):
        lm.generate(PROMPT, adapter=tmp_path)


def test_it_is_read_once_and_again_when_its_files_are_others(
    lm: studiolo.LanguageModel, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def noted(path: Path, config: DecoderConfig) -> Adapter:
        read.append(path)
        return read_adapter(path, config)

    monkeypatch.setattr("studiolo.task.adapters.read_adapter", noted)
    path = for_directory(tiny, tmp_path / "a", seed=1)
    twin = for_directory(tiny, tmp_path / "b", seed=1)
    known = Adapters(lm.model.network)
    first = known.get(path)
    assert known.get(path) is known.get(twin) is first  # the same files
    assert read == [path]
    for_directory(tiny, path, seed=2)
    second = known.get(path)
    assert second.digest != first.digest
    assert read == [path, path]
    assert known.get(twin) is first


def test_what_is_kept_is_bounded_and_let_go_of(
    lm: studiolo.LanguageModel, tiny: str, tmp_path: Path
) -> None:
    paths = [for_directory(tiny, tmp_path / f"{i}", seed=i) for i in range(3)]
    known = Adapters(lm.model.network)
    known.get(paths[0])
    size = known.nbytes
    assert size > 10_000
    known = Adapters(lm.model.network, limit=2 * size)
    first, second = known.get(paths[0]), known.get(paths[1])
    held = weakref.ref(first)
    assert known.get(paths[0]) is first
    known.get(paths[2])  # the second has not been asked for for longest
    assert known.nbytes == 2 * size
    assert known.get(paths[0]) is first
    assert known.get(paths[1]) is not second
    known.get(paths[2])
    del first
    gc.collect()
    assert held() is None
    narrow = Adapters(lm.model.network, limit=1)
    assert narrow.get(paths[0]) is narrow.get(paths[0])


def test_many_threads_read_one_adapter_once(
    lm: studiolo.LanguageModel, poet: Path, clerk: Path
) -> None:
    known = Adapters(lm.model.network)
    got: list[tuple[Path, object]] = []

    def ask(path: Path) -> None:
        got.append((path, known.get(path)))

    threads = [threading.Thread(target=ask, args=(path,)) for path in (poet, clerk) * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(path, id(each)) for path, each in got}) == 2
    assert len(got) == 16

"""Looking inside: what is open, what it holds, who is under way."""

from __future__ import annotations

import threading

import pytest

from studiolo.errors import MalformedFileError
from studiolo.server.inside import Inside, look
from studiolo.task.house import House
from tests.server.held import held
from tests.server.serving import MEMORY


def test_models_requests_and_prefixes_are_seen() -> None:
    with House(
        device="cpu", model_memory=MEMORY, request_memory=MEMORY, prefix_memory=1 << 20
    ) as house:
        assert look(house) == []
        house.load("tiny-encoder")
        with held(house, waiting=2):
            encoder, tiny = look(house)
            assert (encoder.name, encoder.is_open, encoder.prefixes) == ("tiny-encoder", True, None)
            assert (tiny.name, tiny.live, tiny.waiting) == ("tiny", 1, 2)
            assert tiny.prefixes is not None
            assert (tiny.prefixes.limit, tiny.prefixes.saved) == (1 << 20, 0)
            assert tiny.bytes == house.engine.models.loaded["tiny"]
        (_, tiny) = look(house)
        assert (tiny.live, tiny.waiting) == (0, 0)
        assert tiny.seconds > 0
        house.unload("tiny")
        assert [each.name for each in look(house)] == ["tiny-encoder"]


def test_a_model_on_its_way_is_not_waited_for() -> None:
    with House(device="cpu", model_memory=MEMORY, request_memory=MEMORY) as house:
        gate, begun = threading.Event(), threading.Event()

        def slowly() -> None:
            begun.set()
            gate.wait()
            raise MalformedFileError("it is broken")

        house.engine.add("slow", slowly, 7)  # type: ignore[arg-type]  # it gives nothing

        def load() -> None:
            with pytest.raises(MalformedFileError):
                house.engine.models.acquire("slow")

        loading = threading.Thread(target=load)
        loading.start()
        begun.wait()
        assert look(house) == [Inside("slow", False, 7)]
        gate.set()
        loading.join()

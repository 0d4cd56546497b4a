"""What is told of models: places of this machine are not."""

from __future__ import annotations

from studiolo.server.management import facts
from studiolo.task.house import House
from tests.server.serving import MEMORY


def test_models_by_path_and_elsewhere_are_told_of_without_places(tiny: str) -> None:
    class Far:
        pass

    with House(
        device="cpu",
        model_memory=MEMORY,
        request_memory=MEMORY,
        elsewhere={"far": Far(), "tiny-encoder": Far()},  # type: ignore[dict-item]
    ) as house:
        house.load(tiny)
        told = {each["name"]: each for each in facts.models(house)}
        assert set(told) == {"far", "tiny", "tiny-encoder", tiny}
        assert told["tiny-encoder"] == {
            "object": "model", "name": "tiny-encoder", "state": "elsewhere",
        }  # fmt: skip
        assert told[tiny]["state"] == "loaded"
        assert told["tiny"]["state"] == "installed"
    assert facts.broken_models() == []
    assert {"smollm2-135m-instruct"} <= {each["name"] for each in facts.catalogue()}

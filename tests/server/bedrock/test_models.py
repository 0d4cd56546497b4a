"""The list of models, by boto3's client of the control plane."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.server.bedrock.asking import aws
from tests.server.serving import Served, serving


def test_models_are_listed(control: Any) -> None:
    found = control.list_foundation_models()["modelSummaries"]
    assert [each["modelId"] for each in found] == ["tiny", "tiny-encoder"]
    text, vectors = found
    assert text["modelArn"] == "arn:aws:bedrock:local::foundation-model/tiny"
    assert (text["outputModalities"], text["responseStreamingSupported"]) == (["TEXT"], True)
    assert (vectors["outputModalities"], vectors["responseStreamingSupported"]) == (
        ["EMBEDDING"], False,
    )  # fmt: skip
    assert text["modelLifecycle"]["status"] == "ACTIVE"
    assert isinstance(text["modelLifecycle"]["startOfLifeTime"], datetime)


@pytest.mark.parametrize(
    ("narrowed", "names"),
    [
        ({"byOutputModality": "TEXT"}, ["tiny"]),
        ({"byOutputModality": "EMBEDDING"}, ["tiny-encoder"]),
        ({"byOutputModality": "IMAGE"}, []),
        ({"byInferenceType": "ON_DEMAND"}, ["tiny", "tiny-encoder"]),
        ({"byInferenceType": "PROVISIONED"}, []),
        ({"byCustomizationType": "FINE_TUNING"}, []),
        ({"byProvider": "Studiolo"}, ["tiny", "tiny-encoder"]),
        ({"byProvider": "Amazon"}, []),
    ],
)
def test_lists_are_narrowed(control: Any, narrowed: dict[str, str], names: list[str]) -> None:
    found = control.list_foundation_models(**narrowed)["modelSummaries"]
    assert [each["modelId"] for each in found] == names


def test_one_model(control: Any) -> None:
    found = control.list_foundation_models()["modelSummaries"][0]
    for identifier in ("tiny", found["modelArn"]):
        details = control.get_foundation_model(modelIdentifier=identifier)["modelDetails"]
        assert details == found
    with pytest.raises(control.exceptions.ResourceNotFoundException, match="Did you mean tiny"):
        control.get_foundation_model(modelIdentifier="tinny")


def test_what_is_wrong_is_named(control: Any, served: Served) -> None:
    with pytest.raises(control.exceptions.ValidationException, match="byOutputModality: is one of"):
        control.list_foundation_models(byOutputModality="SMELL")
    answer = served.http().get("/foundation-models?byColour=red")
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert answer.json()["message"].startswith("byColour: ")


def test_a_key_sees_its_own(tmp_path: Path) -> None:
    with serving(tmp_path / "records.db") as served:
        made = served.studio.records.keys.create(name="one", models=("tiny",)).aws
        with aws("bedrock", served.url, made.access_key_id, made.secret_access_key) as control:
            found = control.list_foundation_models()["modelSummaries"]
            assert [each["modelId"] for each in found] == ["tiny"]
            with pytest.raises(control.exceptions.ResourceNotFoundException):
                control.get_foundation_model(modelIdentifier="tiny-encoder")

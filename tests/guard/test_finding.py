from __future__ import annotations

from typing import get_args

import boto3  # type: ignore[import-untyped]
import pytest

from studiolo.errors import InvalidRequestError
from studiolo.guard.finding import Finding, Kind, kinds_of


def test_the_kinds_are_those_of_bedrock() -> None:
    client = boto3.client(
        "bedrock", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    shape = client.meta.service_model.shape_for("GuardrailPiiEntityType")
    assert {each.value for each in Kind} == set(shape.enum)
    assert len(Kind) == 31


def test_findings_move() -> None:
    assert Finding(2, 5, Kind.EMAIL, 0.9).moved(10) == Finding(12, 15, Kind.EMAIL, 0.9)
    assert get_args(Kind) == ()


def test_kinds_by_name() -> None:
    assert kinds_of(["email", " PHONE "]) == {Kind.EMAIL, Kind.PHONE}
    with pytest.raises(InvalidRequestError, match="'EMAI' is no kind") as caught:
        kinds_of(["EMAI"], field="--kinds")
    assert caught.value.field == "--kinds"
    assert "Did you mean EMAIL" in str(caught.value.remedy)

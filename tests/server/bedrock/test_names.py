"""Models by name, and by ARN."""

from __future__ import annotations

import pytest

from studiolo.server.bedrock.names import arn_of, name_of


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        ("tiny", "tiny"),
        ("smollm2-135m-instruct:q4", "smollm2-135m-instruct:q4"),
        ("arn:aws:bedrock:us-east-1::foundation-model/tiny", "tiny"),
        (
            "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:inference-profile/us.tiny:0",
            "us.tiny:0",
        ),
        ("arn:aws:bedrock:us-east-1:123456789012:custom-model/a.b/c", "a.b/c"),
        ("arn:aws:s3:::bucket/tiny", "arn:aws:s3:::bucket/tiny"),
        ("owner/name", "owner/name"),
    ],
)
def test_names(identifier: str, name: str) -> None:
    assert name_of(identifier) == name


def test_our_own_arns_name_the_model() -> None:
    assert name_of(arn_of("tiny")) == "tiny"

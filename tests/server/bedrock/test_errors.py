"""Errors by AWS's codes and statuses, as ``ClientError`` tells them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    ClientError,
    EventStreamError,
)

from studiolo.errors import (
    AuthenticationError,
    BusyError,
    ContextOverflowError,
    DeadlineError,
    NoSpaceError,
    NotFoundError,
    PermissionDeniedError,
    RequestCancelledError,
    TooLargeError,
    UnknownModelError,
    UpstreamError,
)
from studiolo.record.grant import Limits
from studiolo.server.bedrock.errors import body_of, code_of, failed, status_of
from studiolo.server.dialects import MethodError
from studiolo.server.signing import SignatureError
from tests.server.bedrock.asking import SAID, aws, seeded, told_by
from tests.server.serving import Served, serving


@pytest.mark.parametrize(
    ("error", "code", "status", "in_stream"),
    [
        (ContextOverflowError(9, 1, 5), "ValidationException", 400, "validationException"),
        (SignatureError("x"), "InvalidSignatureException", 403, None),
        (AuthenticationError("x"), "UnrecognizedClientException", 403, None),
        (PermissionDeniedError("x"), "AccessDeniedException", 403, None),
        (UnknownModelError("x", []), "ResourceNotFoundException", 404, None),
        (NotFoundError("x"), "UnknownOperationException", 404, None),
        (MethodError("x", "POST"), "UnknownOperationException", 405, None),
        (DeadlineError("x"), "ModelTimeoutException", 408, "modelStreamErrorException"),
        (TooLargeError("x"), "RequestEntityTooLargeException", 413, None),
        (UpstreamError("x"), "ModelErrorException", 424, "modelStreamErrorException"),
        (BusyError("x"), "ThrottlingException", 429, "throttlingException"),
        (
            RequestCancelledError("x"),
            "ServiceUnavailableException",
            503,
            "serviceUnavailableException",
        ),
        (NoSpaceError("x"), "InternalServerException", 500, "internalServerException"),
        (ValueError("secret"), "InternalServerException", 500, "internalServerException"),
    ],
)
def test_codes_and_statuses(
    error: Exception, code: str, status: int, in_stream: str | None
) -> None:
    assert (code_of(error), status_of(error)) == (code, status)
    assert "secret" not in body_of(error)["message"]
    if in_stream is not None:
        buffer = EventStreamBuffer()
        buffer.add_data(failed(error))
        (told,) = buffer
        assert told.headers[":exception-type"] == in_stream
        assert json.loads(told.payload)["message"] == body_of(error)["message"]


def code(error: pytest.ExceptionInfo[Any]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_errors_become_the_clients_own(runtime: Any, served: Served) -> None:
    with pytest.raises(runtime.exceptions.ResourceNotFoundException, match="'nobody'") as missing:
        runtime.converse(modelId="nobody", messages=SAID)
    assert code(missing) == ("ResourceNotFoundException", 404)
    row = served.entry(missing.value.response["ResponseMetadata"]["RequestId"])
    assert (row.dialect, row.model, row.status) == ("bedrock", "nobody", 404)
    with pytest.raises(runtime.exceptions.ValidationException, match=r"10,0.*4,096") as long:
        runtime.converse(**seeded(1, tokens=10_000))
    assert "inferenceConfig.maxTokens" in str(long.value)
    with pytest.raises(runtime.exceptions.ValidationException, match="makes vectors, not texts"):
        runtime.converse(modelId="tiny-encoder", messages=SAID)
    with pytest.raises(runtime.exceptions.ResourceNotFoundException):
        runtime.converse_stream(modelId="nobody", messages=SAID)


def test_bodies_and_headers_are_awss(served: Served) -> None:
    answer = served.http().post("/model/tiny/converse", content=b"{")
    assert answer.status_code == 400
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert answer.headers["x-amzn-requestid"].startswith("req_")
    assert answer.json().keys() == {"message"}
    wrong = served.http().get("/model/tiny/converse")
    assert (wrong.status_code, wrong.headers["x-amzn-errortype"]) == (
        405, "UnknownOperationException",
    )  # fmt: skip


def test_a_late_answer_is_told_of_also_in_a_stream(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "records.db", timeout=1e-6) as served,
        aws("bedrock-runtime", served.url) as client,
    ):
        with pytest.raises(ClientError) as late:
            client.converse(**seeded(1, tokens=2000))
        assert code(late) == ("ModelTimeoutException", 408)
        with pytest.raises(EventStreamError) as told:
            told_by(client.converse_stream(**seeded(1, tokens=2000))["stream"])
        assert told.value.response["Error"]["Code"] == "modelStreamErrorException"
        body = json.dumps({"prompt": "the", "max_gen_len": 2000})
        with pytest.raises(EventStreamError, match="modelStreamErrorException"):
            told_by(client.invoke_model_with_response_stream(modelId="tiny", body=body)["body"])


def test_keys_limits_and_sizes(tmp_path: Path) -> None:
    with serving(tmp_path / "records.db", max_body=2000) as served:
        keys = served.studio.records.keys
        often = Limits(requests_per_minute=1)
        mine = keys.create(name="one", scopes=("inference",), models=("tiny",), limits=often).aws
        reader = keys.create(name="two", scopes=("models:read",)).aws

        def ask(id: str, secret: str, attempts: int = 1, **more: Any) -> Any:
            with aws("bedrock-runtime", served.url, id, secret, attempts) as client:
                return client.converse(**{**seeded(1), **more})

        with pytest.raises(ClientError) as nobody:
            ask("AKIDEXAMPLE", "wrong")
        assert code(nobody) == ("InvalidSignatureException", 403)
        with pytest.raises(ClientError) as denied:
            ask(reader.access_key_id, reader.secret_access_key)
        assert code(denied) == ("AccessDeniedException", 403)
        with pytest.raises(ClientError) as other:
            ask(mine.access_key_id, mine.secret_access_key, modelId="tiny-encoder")
        assert code(other) == ("AccessDeniedException", 403)
        with pytest.raises(ClientError) as large:
            ask(mine.access_key_id, mine.secret_access_key, system=[{"text": "x" * 3000}])
        assert code(large) == ("RequestEntityTooLargeException", 413)
        assert ask(mine.access_key_id, mine.secret_access_key)["stopReason"]
        with pytest.raises(ClientError) as limited:
            ask(mine.access_key_id, mine.secret_access_key, attempts=2)
        assert code(limited) == ("ThrottlingException", 429)
        metadata = limited.value.response["ResponseMetadata"]
        assert metadata["RetryAttempts"] == 1
        assert int(metadata["HTTPHeaders"]["retry-after"]) > 0
        unsigned = served.http().get("/foundation-models")
        assert (unsigned.status_code, unsigned.headers["x-amzn-errortype"]) == (
            403, "UnrecognizedClientException",
        )  # fmt: skip


def test_what_is_not_here_is_told_in_awss_words(runtime: Any, control: Any) -> None:
    guarded = {"guardrailIdentifier": "a", "guardrailVersion": "1", "source": "INPUT"}
    asked: list[tuple[Any, dict[str, Any]]] = [
        (control.list_guardrails, {}),
        (control.list_inference_profiles, {}),
        (control.list_custom_models, {}),
        (control.list_model_customization_jobs, {}),
        (control.get_foundation_model_availability, {"modelId": "a.tiny"}),
        (runtime.list_async_invokes, {}),
        (runtime.apply_guardrail, {**guarded, "content": []}),
    ]
    for call, options in asked:
        with pytest.raises(ClientError) as unknown:
            call(**options)
        assert code(unknown) == ("UnknownOperationException", 404)
        assert "there is no such address here" in str(unknown.value)

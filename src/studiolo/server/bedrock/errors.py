"""Errors as AWS tells them: a code in a header, or the name of an exception in a stream.

Sources: Amazon Bedrock API Reference, the errors of each operation and "Common Errors".
"""

from __future__ import annotations

from studiolo.errors import (
    AuthenticationError,
    BusyError,
    DeadlineError,
    NotFoundError,
    PermissionDeniedError,
    StudioloError,
    TooLargeError,
    UnknownModelError,
    UpstreamError,
)
from studiolo.server.bedrock.framing import exception
from studiolo.server.signing import SignatureError
from studiolo.task.openai.errors import told

KINDS: tuple[tuple[type[StudioloError], str, int], ...] = (
    (SignatureError, "InvalidSignatureException", 403),
    (AuthenticationError, "UnrecognizedClientException", 403),
    (PermissionDeniedError, "AccessDeniedException", 403),
    (UnknownModelError, "ResourceNotFoundException", 404),
    (NotFoundError, "UnknownOperationException", 404),
    (DeadlineError, "ModelTimeoutException", 408),
    (TooLargeError, "RequestEntityTooLargeException", 413),
    (UpstreamError, "ModelErrorException", 424),
    (BusyError, "ThrottlingException", 429),
)
"""The code and the status of each kind; of others, by their own status, :func:`_other`."""
IN_STREAMS = {
    "InternalServerException",
    "ServiceUnavailableException",
    "ThrottlingException",
    "ValidationException",
}
"""What both kinds of streams may tell by these names."""


def code_of(error: Exception) -> str:
    """What AWS calls an error of this kind."""
    return _kind(error)[0]


def status_of(error: Exception) -> int:
    """The HTTP status that AWS gives it."""
    return _kind(error)[1]


def body_of(error: Exception) -> dict[str, str]:
    """The body that tells of ``error``."""
    return {"message": told(error)}


def failed(error: Exception) -> bytes:
    """The last message of a stream that ``error`` ends."""
    code, status = _kind(error)
    if code in IN_STREAMS:
        return exception(code[0].lower() + code[1:], body_of(error))
    original = {"originalStatusCode": status, "originalMessage": told(error)}
    return exception("modelStreamErrorException", {**body_of(error), **original})


def _kind(error: Exception) -> tuple[str, int]:
    for kind, code, status in KINDS:
        if isinstance(error, kind):
            return code, status
    return _other(error.status if isinstance(error, StudioloError) else 500)


def _other(status: int) -> tuple[str, int]:
    if status == 405:
        return "UnknownOperationException", 405
    if status == 503:
        return "ServiceUnavailableException", 503
    if status < 500:
        return "ValidationException", 400
    return "InternalServerException", 500

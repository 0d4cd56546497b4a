"""Every error that Studiolo raises on purpose, at any public door.

Each message names the thing, the value, the limit and the remedy. A caller who
catches :class:`StudioloError` has caught them all; the command line prints the
message alone and exits with :attr:`StudioloError.exit_code`, a server answers with
:attr:`StudioloError.status`.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class StudioloError(Exception):
    """Base of the family.

    ``message`` says what is wrong, with the offending value; ``remedy``, when
    there is one, says what to do about it.
    """

    exit_code = 1
    status = 500

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(message if remedy is None else f"{message}\n{remedy}")


class InvalidRequestError(StudioloError):
    """A setting or argument is outside what it may be: ``field`` names it."""

    exit_code = 2
    status = 400

    def __init__(self, field: str, message: str, *, remedy: str | None = None) -> None:
        self.field = field
        super().__init__(f"{field}: {message}", remedy=remedy)


class ContextOverflowError(InvalidRequestError):
    """The prompt, or it and the tokens asked for, do not fit the model's context.

    ``prompt`` and ``new``: tokens. The field is ``max_tokens`` where asking for fewer helps, else
    ``field``, and there ``remedy`` may be another.
    """

    def __init__(
        self,
        prompt: int,
        new: int,
        limit: int,
        *,
        field: str = "prompt",
        remedy: str = "Shorten the prompt, or choose a model with more context.",
    ) -> None:
        self.needed, self.limit = prompt + new, limit
        left = limit - prompt
        super().__init__(
            field if left < 1 or new < 1 else "max_tokens",
            f"{self.needed:,} tokens are needed but the model's context holds {limit:,} "
            f"({self.needed - limit:,} too many)",
            remedy=remedy
            if left < 1 or new < 1
            else f"After a prompt of {prompt:,} tokens, {left:,} fit; ask for no more, shorten the "
            "prompt, or choose a model with more context.",
        )


class ChatTemplateError(InvalidRequestError):
    """The model's chat template is missing, broken, or rejects the messages."""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__("messages", message, remedy=remedy)


class UnknownModelError(StudioloError):
    """No catalogue entry, installed bundle or path has this name."""

    exit_code = 2
    status = 404

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.nearest = get_close_matches(name, list(known), n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(self.nearest)}? " if self.nearest else ""
        super().__init__(
            f"no model is called {name!r}",
            remedy=f"{hint}`studiolo models --all` lists every name; "
            "`studiolo pull hf:owner/name` fetches any other.",
        )


class LicenceNotAcceptedError(StudioloError):
    """The model's terms must be accepted by the user before it is fetched."""

    status = 409


class SourceError(StudioloError):
    """A model's source could not deliver: unreachable, refused, or not there."""

    status = 502


class ChecksumError(SourceError):
    """The bytes delivered are not the bytes that the catalogue pins."""


class NoSpaceError(StudioloError):
    """The disk is too full for what is to be written."""


class MalformedFileError(StudioloError):
    """A file is truncated, contradicts itself, or claims what cannot be."""


class UnsupportedModelError(StudioloError):
    """The file is sound, but this architecture or feature is not supported."""

    status = 400


class RecordsError(StudioloError):
    """The records cannot be reached, read or written.

    ``refused``: the database is well and will not have this row, now or later.
    """

    status = 503

    def __init__(self, message: str, *, remedy: str | None = None, refused: bool = False) -> None:
        self.refused = refused
        super().__init__(message, remedy=remedy)


class ReplayError(StudioloError):
    """What a receipt tells of cannot be made again here, so that nothing can be compared."""

    exit_code = 3


class MissingExtraError(StudioloError):
    """An optional part is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the extra {extra!r}, which is not installed",
            remedy=f"pip install 'studiolo[{extra}]'",
        )


class BusyError(StudioloError):
    """Nothing is wrong but the moment: the same request may be let in a little later.

    ``retry_after``: seconds after which to try again.
    """

    status = 429

    def __init__(
        self, message: str, *, remedy: str | None = None, retry_after: float = 1.0
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, remedy=remedy)


class MemoryLimitError(StudioloError):
    """What is asked for does not fit the memory it may use; the message shows the arithmetic."""

    status = 400


class AuthenticationError(StudioloError):
    """Nobody is known by what the request brought to say whose it is."""

    status = 401


class PermissionDeniedError(StudioloError):
    """Whoever asks is known, and may not do this."""

    status = 403


class NotFoundError(StudioloError):
    """There is nothing by this id or address, or nothing that the asker may see."""

    status = 404


class TooLargeError(StudioloError):
    """A body or file is larger than is accepted; the message names both sizes."""

    status = 413


class InterruptedStepError(StudioloError):
    """A step of many requests was broken off; nothing of it counts, and it may be taken again."""


class ConflictError(StudioloError):
    """The thing is in a state in which this cannot be done to it."""

    status = 409


class UpstreamError(StudioloError):
    """A model elsewhere did not answer, or answered with an error."""

    status = 502


class RequestCutError(StudioloError):
    """A request was ended before it was done. ``sample``: what there was by then, or None."""

    sample: object = None


class RequestCancelledError(RequestCutError):
    """Whoever asked, or whoever runs the engine, did not want the rest."""

    status = 503


class DeadlineError(RequestCutError):
    """The time that a request was given ran out."""

    status = 408

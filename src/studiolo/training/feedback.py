"""Feedback becomes data: what people said of answers, as lines that training reads.

As *answers* (``training/examples.example``): a correction, or an answer that was found good. As
*preferences* (``examples.pair``): a correction is chosen over the answer that it corrects; of
several answers to one prompt, one that was found good over one that was found bad. Notable
choices. *Only what was agreed to*: a rating without consent is counted and nothing else. *Ratings
of one answer to one prompt count together*, by their mean, so that none is taught both as right and
as wrong. *What cannot be said in a line is left out, and counted*, rather than said almost: prompts
with tools, of token ids, to be filled in. Texts go through a masker, if somebody has one, before
they are compared or written. Knows how the server keeps prompts and outputs; the records hand them
over. Knows no model and no tokenizer.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from studiolo.errors import InvalidRequestError, NoSpaceError
from studiolo.record.feedback import Rated
from studiolo.record.journal import draft_of, replace_file

Kind = Literal["preferences", "answers"]
Masker = Callable[[str], str]
"""Text to text, with personal data replaced."""
_ROLES = ("system", "user", "assistant")


@dataclass
class Counts:
    """What became of the ratings: ``ratings`` is the sum of all below ``lines``.

    ``lines``: that were written. ``used``: ratings that stand behind them. ``unpaired``: of
    preferences, those that found no other side; ``not_good``: of answers, those that were not
    above 0. ``unfit``: of what no line can be made.
    """

    ratings: int = 0
    lines: int = 0
    used: int = 0
    without_consent: int = 0
    without_content: int = 0
    unfit: int = 0
    unpaired: int = 0
    not_good: int = 0


@dataclass(frozen=True)
class _Said:
    """One rating: ``answer`` is None where it is no single text, ``whole`` if it was not cut."""

    prompt: str | list[dict[str, str]]
    answer: str | None
    whole: bool
    correction: str | None
    rating: float


@dataclass
class _Asked:
    """All that was said of the answers to one prompt: corrections, and the rest by answer."""

    corrected: list[_Said] = field(default_factory=list)
    answers: dict[str, list[_Said]] = field(default_factory=dict)


def export_feedback(
    rated: Iterable[Rated], kind: Kind, out: Path, masker: Masker | None = None
) -> Counts:
    """Write the data set to ``out``, readable by its owner alone; a file there is replaced.

    Raises :class:`InvalidRequestError` for a place that cannot be written to, and
    :class:`NoSpaceError` if the disk is full.
    """
    if out.is_dir() or not out.parent.is_dir():
        why = "a folder" if out.is_dir() else f"in a folder that is not there, {out.parent}"
        raise InvalidRequestError("out", f"{out} is {why}; name a file in a folder that exists")
    lines, counts = feedback_lines(rated, kind, masker)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    draft = draft_of(out)
    try:
        # What is written over a file keeps its mode: people's words are not for everybody.
        draft.touch(0o600)
        draft.chmod(0o600)
        replace_file(out, text.encode("utf-8"))
    except OSError as error:
        draft.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpaceError(f"{out}: the disk is full", remedy="Free some space.") from error
        raise InvalidRequestError("out", f"{out} cannot be written: {error.strerror}") from error
    return counts


def feedback_lines(
    rated: Iterable[Rated], kind: Kind, masker: Masker | None = None
) -> tuple[list[dict[str, Any]], Counts]:
    """The lines, none of them twice, and what became of the ratings.

    The order is that of ``rated``: of prompts, by the first rating of an answer to it.
    """
    counts = Counts()
    asked: dict[str, _Asked] = {}
    for each in rated:
        counts.ratings += 1
        if not each.rating.consent:
            counts.without_consent += 1
        elif each.prompt is None or each.output is None:
            counts.without_content += 1
        elif (said := _said(each, masker or _same)) is None:
            counts.unfit += 1
        else:
            # By the prompt as it was: two that masking makes alike are still two.
            group = asked.setdefault(json.dumps(each.prompt, sort_keys=True), _Asked())
            if said.correction is not None:
                group.corrected.append(said)
            elif said.answer is None:
                counts.unfit += 1
            else:
                group.answers.setdefault(said.answer, []).append(said)
    make = _preferences if kind == "preferences" else _answers
    found: dict[str, dict[str, Any]] = {}
    for group in asked.values():
        for line in make(group, counts):
            found.setdefault(json.dumps(line), line)
    counts.lines = len(found)
    return list(found.values()), counts


def _answers(asked: _Asked, counts: Counts) -> Iterator[dict[str, Any]]:
    """Corrections, then the answers that were found good."""
    for said in asked.corrected:
        counts.used += 1
        yield _answer(said.prompt, said.correction or "")
    for answer, ratings in asked.answers.items():
        if _mean(ratings) <= 0:
            counts.not_good += len(ratings)
        elif not _whole(ratings):
            counts.unfit += len(ratings)
        else:
            counts.used += len(ratings)
            yield _answer(ratings[0].prompt, answer)


def _preferences(asked: _Asked, counts: Counts) -> Iterator[dict[str, Any]]:
    """Corrections over what they correct, then what was found good over what was found bad.

    Each good answer stands over a bad one and each bad one under a good one, in turn: as many
    lines as there are of the greater number, not of their product.
    """
    for said in asked.corrected:
        if said.answer is None:
            counts.unfit += 1
        elif said.answer == said.correction:
            counts.unpaired += 1
        else:
            counts.used += 1
            yield _pair(said.prompt, said.correction or "", said.answer)
    good: list[tuple[str, list[_Said]]] = []
    bad: list[tuple[str, list[_Said]]] = []
    for answer, ratings in asked.answers.items():
        mean = _mean(ratings)
        if mean > 0 and not _whole(ratings):
            counts.unfit += len(ratings)
        elif mean:
            (good if mean > 0 else bad).append((answer, ratings))
        else:
            counts.unpaired += len(ratings)
    if not good or not bad:
        counts.unpaired += sum(len(ratings) for _, ratings in (*good, *bad))
        return
    counts.used += sum(len(ratings) for _, ratings in (*good, *bad))
    for i in range(max(len(good), len(bad))):
        (chosen, ratings), (rejected, _) = good[i % len(good)], bad[i % len(bad)]
        yield _pair(ratings[0].prompt, chosen, rejected)


def _answer(prompt: str | list[dict[str, str]], answer: str) -> dict[str, Any]:
    if isinstance(prompt, str):
        return {"prompt": prompt, "completion": answer}
    return {"messages": [*prompt, {"role": "assistant", "content": answer}]}


def _pair(prompt: str | list[dict[str, str]], chosen: str, rejected: str) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def _mean(ratings: Sequence[_Said]) -> float:
    return sum(said.rating for said in ratings) / len(ratings)


def _whole(ratings: Sequence[_Said]) -> bool:
    """An answer that was cut once and whole another time ends there all the same."""
    return any(said.whole for said in ratings)


def _said(rated: Rated, masker: Masker) -> _Said | None:
    """None if prompt or correction is none that a line can hold."""

    def text(value: str) -> str:
        return masker(value.encode("utf-8", "replace").decode("utf-8"))  # no lone surrogates

    prompt, correction = _prompt(rated.prompt, text), rated.rating.correction
    if correction is not None:
        correction = text(correction)
    if not prompt or correction == "":
        return None
    answer, whole = None, False
    match rated.output:
        case {"choices": [{"text": str(made), "finish_reason": reason, **more}]}:
            if not more.get("tool_calls"):
                answer, whole = text(made) or None, reason != "length"
    return _Said(prompt, answer, whole, correction, rated.rating.rating)


def _prompt(kept: object, text: Masker) -> str | list[dict[str, str]] | None:
    """As training reads it; None for what has more to it than text, or no text at all."""
    match kept:
        case {"prompt": str(prompt), **more} if not more:
            return text(prompt)
        case {"messages": [*messages], **more} if messages and not more:
            found = [_message(message, text) for message in messages]
            said = [message for message in found if message is not None]
            roles = [message["role"] for message in said]
            # An answer to nothing cannot be learnt, and one to be gone on with is no prompt.
            if len(said) < len(found) or roles[0] == "assistant" or roles[-1] == "assistant":
                return None
            return said
        case _:
            return None


def _message(message: object, text: Masker) -> dict[str, str] | None:
    """None for one that is not of text alone, such as a call of a tool or its result."""
    match message:
        case {"role": str(role), "content": str(content), **more} if role in _ROLES:
            if isinstance(message, Mapping) and not more:
                return {"role": role, "content": text(content)}
    return None


def _same(text: str) -> str:
    return text

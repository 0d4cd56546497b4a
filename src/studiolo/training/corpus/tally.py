"""Counting what becomes of a source's documents, with a few to look at; bounded, however many come.

Examples of what is dropped are the first few for each reason; samples of what is kept are those
with the least hash, which are spread over all and the same every time.
"""

from __future__ import annotations

from heapq import heappush, heappushpop

from studiolo.errors import InvalidRequestError
from studiolo.training.corpus.chain import Outcome
from studiolo.training.corpus.chance import chance
from studiolo.training.corpus.document import Document, Unreadable, printable
from studiolo.training.corpus.manifest import Example, Portion, Reason, StepReport

EXAMPLES = 3
SAMPLES = 4
SHOWN = 240
"""Characters of an example."""
SAMPLED = 1_200
"""Characters of a sample."""
MOST_LICENCES = 256


class Reasons:
    """Counts by reason, and the first examples of each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[Example]] = {}

    def add(self, why: str, identity: str, detail: str, text: str) -> None:
        """One more."""
        self._counts[why] = self._counts.get(why, 0) + 1
        examples = self._examples.setdefault(why, [])
        if len(examples) < EXAMPLES:
            shown = shortened(text, SHOWN)
            examples.append(Example(identity=identity, detail=printable(detail[:400]), text=shown))

    @property
    def total(self) -> int:
        """Of all reasons."""
        return sum(self._counts.values())

    def report(self) -> dict[str, Reason]:
        """By reason, the commonest first."""
        ordered = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return {
            why: Reason(count=count, examples=tuple(self._examples[why])) for why, count in ordered
        }


class Tally:
    """Of one source."""

    def __init__(self) -> None:
        self.kinds: dict[str, int] = {}
        self.licences: dict[str, int] = {}
        self._read = [0, 0]
        self._kept = [0, 0]
        self._unreadable = Reasons()
        self._dropped: dict[str, Reasons] = {}
        self._changed: dict[str, int] = {}
        self._samples: list[tuple[float, int, Example]] = []

    def file(self, kind: str) -> None:
        """A file was opened."""
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def unreadable(self, said: Unreadable) -> None:
        """Something was no document."""
        self._unreadable.add("", said.identity, said.why, "")

    def outcome(self, outcome: Outcome) -> None:
        """A document came out of the steps.

        Raises :class:`InvalidRequestError` for more licences than there are.
        """
        document = outcome.document
        self._read[0] += 1
        self._read[1] += outcome.read
        for name in outcome.changed:
            self._changed[name] = self._changed.get(name, 0) + 1
        if outcome.dropped is not None:
            reasons = self._dropped.setdefault(outcome.by, Reasons())
            said = outcome.dropped
            reasons.add(said.why, document.identity, said.detail, document.text)
            return
        self._kept[0] += 1
        self._kept[1] += len(document.text.encode("utf-8", "replace"))
        self.licences[document.licence] = self.licences.get(document.licence, 0) + 1
        if len(self.licences) > MOST_LICENCES:
            raise InvalidRequestError(
                f"sources.{document.source}.licence_field",
                f"holds more than {MOST_LICENCES} different licences, the last of them "
                f"{document.licence!r:.80}",
                remedy="Is it really the field of the licence?",
            )
        self._sample(document)

    def dropped(self) -> dict[str, int]:
        """Number of documents by the step that dropped them."""
        return {name: reasons.total for name, reasons in self._dropped.items()}

    @property
    def read(self) -> Portion:
        """What came in."""
        return Portion(documents=self._read[0], bytes=self._read[1])

    @property
    def kept(self) -> Portion:
        """What is left."""
        return Portion(documents=self._kept[0], bytes=self._kept[1])

    @property
    def skipped(self) -> Reason:
        """What was no document."""
        return self._unreadable.report().get("", Reason(count=0))

    @property
    def samples(self) -> tuple[Example, ...]:
        """A few of what is left."""
        return tuple(example for _, _, example in sorted(self._samples, reverse=True))

    def steps(self, names: list[str]) -> dict[str, StepReport]:
        """By step, in the order of ``names``; only those that did something."""
        found = {}
        for name in names:
            reasons = self._dropped.get(name, Reasons())
            changed = self._changed.get(name, 0)
            if changed or reasons.total:
                found[name] = StepReport(
                    changed=changed, dropped=reasons.total, reasons=reasons.report()
                )
        return found

    def _sample(self, document: Document) -> None:
        entry = (
            -chance("sample", document.identity),
            -self._kept[0],
            Example(identity=document.identity, text=shortened(document.text, SAMPLED)),
        )
        if len(self._samples) < SAMPLES:
            heappush(self._samples, entry)
        elif entry[:2] > self._samples[0][:2]:
            heappushpop(self._samples, entry)


def shortened(text: str, most: int) -> str:
    """The beginning of ``text``, with a mark where it goes on."""
    return printable(text if len(text) <= most else text[:most].rstrip() + " …")

r"""Denied topics: a sentence that means what a definition or one of its examples means.

.. math:: s(x) = \max_{e \in \text{definition, examples}} \cos(x, e)

A sentence is of the topic if :math:`s` reaches the topic's threshold. Examples count for more than
a definition: a question for advice is near other such questions, and less near a sentence about
them. It is as good as the encoder, and hears no irony. Deliberately unknown here: what is done.
"""

from __future__ import annotations

from collections.abc import Sequence

from studiolo.guard.meaning import Embedder, likeness, sentences, vectors
from studiolo.guard.policy import Topic

Found = tuple[int, int, str, float]
"""Start, end, name, score."""


class Topics:
    """Finds sentences of any of ``topics``; their examples are embedded once, here."""

    def __init__(self, topics: Sequence[Topic], embed: Embedder) -> None:
        self._topics, self._embed = topics, embed
        self._known = [vectors(embed, [each.definition, *each.examples]) for each in topics]

    def find(self, text: str) -> list[Found]:
        """The sentences of ``text`` that reach the threshold of a topic."""
        spans = sentences(text)
        read = vectors(self._embed, [text[a:b] for a, b in spans])
        found = []
        for topic, known in zip(self._topics, self._known, strict=True):
            if not spans:
                break
            scores = likeness(read, known).max(axis=1)
            found += [
                (a, b, topic.name, float(score))
                for (a, b), score in zip(spans, scores, strict=True)
                if score >= topic.threshold
            ]
        return found

"""Does it say the same again and again? Gopher's thresholds (Rae et al. 2021, table A1).

Fractions of lines and paragraphs that were there before, by number and by characters; the share of
characters in the commonest run of 2, 3 and 4 words; the share of characters in runs of 5 to 10
words that occur more than once, each character counted once. Words are what stands between spaces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from studiolo.training.corpus.document import Document, Dropped
from studiolo.training.corpus.steps.rules import Part, Rules


class RepetitionRules(Rules):
    """Most that may be repeated, as fractions."""

    lines: Part = 0.30
    paragraphs: Part = 0.30
    line_characters: Part = 0.20
    paragraph_characters: Part = 0.20
    commonest: dict[int, Part] = Field(
        {2: 0.20, 3: 0.18, 4: 0.16}, description="by words of a run: characters of the commonest"
    )
    repeated: dict[int, Part] = Field(
        {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10},
        description="by words of a run: characters in runs that occur again",
    )


def repetition(document: Document, rules: RepetitionRules) -> Document | Dropped:
    """Drop what repeats itself more than a rule allows; the first that is broken is told."""
    text = document.text
    parts = {
        "line": [line for line in text.split("\n") if line.strip()],
        "paragraph": [each for each in text.split("\n\n") if each.strip()],
    }
    for name, most, most_characters in (
        ("line", rules.lines, rules.line_characters),
        ("paragraph", rules.paragraphs, rules.paragraph_characters),
    ):
        number, characters = again(parts[name])
        if number > most:
            return Dropped(f"repeated {name}s", _over(number, most))
        if characters > most_characters:
            return Dropped(f"characters in repeated {name}s", _over(characters, most_characters))
    words = text.split()
    lengths = [len(word) for word in words]
    total = max(1, sum(lengths))
    for n, most in sorted(rules.commonest.items()):
        share = commonest(words, n) / total
        if share > most:
            return Dropped(f"commonest run of {n} words", _over(share, most))
    for n, most in sorted(rules.repeated.items()):
        share = repeated(words, lengths, n) / total
        if share > most:
            return Dropped(f"repeated runs of {n} words", _over(share, most))
    return document


def again(parts: Sequence[str]) -> tuple[float, float]:
    """Of ``parts`` that have been there before: the fraction of them, and of their characters."""
    seen: set[str] = set()
    number = characters = 0
    for part in parts:
        if part in seen:
            number += 1
            characters += len(part)
        seen.add(part)
    return number / max(1, len(parts)), characters / max(1, sum(map(len, parts)))


def commonest(words: Sequence[str], n: int) -> int:
    """Characters of all occurrences of the commonest run of ``n``; 0 if none occurs twice."""
    counted = Counter(zip(*(words[place:] for place in range(n)), strict=False))
    if not counted:
        return 0
    most = max(counted.values())
    if most < 2:
        return 0
    return max(sum(map(len, run)) * most for run, times in counted.items() if times == most)


def repeated(words: Sequence[str], lengths: Sequence[int], n: int) -> int:
    """Characters that stand in any run of ``n`` that was there before."""
    seen: set[tuple[str, ...]] = set()
    characters = end = 0
    for start, run in enumerate(zip(*(words[place:] for place in range(n)), strict=False)):
        if run in seen:
            characters += sum(lengths[max(start, end) : start + n])
            end = start + n
        seen.add(run)
    return characters


def _over(value: float, limit: float) -> str:
    return f"{value:.3f}, more than {limit}"

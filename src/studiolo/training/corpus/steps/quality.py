"""Is it prose? The quality heuristics of Gopher (Rae et al. 2021, appendix A.1.1).

Words are what stands between spaces. For text in the Latin alphabet, and mostly English: the
stop words are. Code, poems and lists fail them by right.
"""

from __future__ import annotations

from pydantic import Field

from studiolo.training.corpus.document import Document, Dropped
from studiolo.training.corpus.steps.rules import Number, Part, Rules

STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
_BULLETS = ("-", "*", "•", "●", "‣", "–")


class QualityRules(Rules):
    """The paper's thresholds."""

    fewest_words: Number = 50
    most_words: Number = 100_000
    shortest_mean: float = Field(3.0, ge=0, description="mean length of words, in characters")
    longest_mean: float = Field(10.0, ge=0)
    symbols: float = Field(0.1, ge=0, description="most hash signs or ellipses for each word")
    bullets: Part = Field(0.9, description="most lines that begin with a bullet, of all")
    ellipses: Part = Field(0.3, description="most lines that end with an ellipsis, of all")
    alphabetic: Part = Field(0.8, description="least words with a letter, of all")
    stop_words: Number = Field(2, description="least different ones of the be to of and that …")


def quality(document: Document, rules: QualityRules) -> Document | Dropped:
    """Drop what breaks a rule; the first that is broken is told."""
    text = document.text
    found = text.split()
    count = len(found)
    if not rules.fewest_words <= count <= rules.most_words:
        bounds = f"not {rules.fewest_words:,} to {rules.most_words:,}"
        return Dropped("number of words", f"{count:,}, {bounds}")
    count = max(count, 1)
    mean = sum(map(len, found)) / count
    if not rules.shortest_mean <= mean <= rules.longest_mean:
        bounds = f"not {rules.shortest_mean} to {rules.longest_mean}"
        return Dropped("mean length of words", f"{mean:.2f}, {bounds}")
    ellipses = text.count("…") + text.count("...")
    for name, number in (("hash signs", text.count("#")), ("ellipses", ellipses)):
        if number / count > rules.symbols:
            return Dropped(f"{name} for each word", _over(number / count, rules.symbols))
    lines = [line for line in text.splitlines() if line.strip()]
    bullets = sum(line.lstrip().startswith(_BULLETS) for line in lines) / max(len(lines), 1)
    if bullets > rules.bullets:
        return Dropped("lines with a bullet", _over(bullets, rules.bullets))
    trailing = sum(line.rstrip().endswith(("…", "...")) for line in lines) / max(len(lines), 1)
    if trailing > rules.ellipses:
        return Dropped("lines with an ellipsis at the end", _over(trailing, rules.ellipses))
    alphabetic = sum(any(map(str.isalpha, word)) for word in found) / count
    if alphabetic < rules.alphabetic:
        return Dropped("words with a letter", f"{alphabetic:.2f}, less than {rules.alphabetic}")
    stops = len(STOP_WORDS & {word.strip(".,;:!?\"'()").lower() for word in found})
    if stops < rules.stop_words:
        return Dropped("stop words", f"{stops}, fewer than {rules.stop_words}")
    return document


def _over(value: float, limit: float) -> str:
    return f"{value:.2f}, more than {limit}"

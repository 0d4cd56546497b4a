"""The words of a sentence that carry what it says, reduced so that forms of one are equal.

For comparing a claim with its evidence: function words are left out, endings of English are cut
lightly, and numbers, codes and names keep every character, since a claim that differs in one of
those says something else.
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:[._'’/:@-][^\W_]+)*|[^\W_]", re.UNICODE)
_STOP = (
    "a about after all also am an and any are as at be because been before being between both but "
    "by can could did do does doing down during each else few for from further had has have having "
    "he her here hers him his how i if in into is it its itself just may me might more most must "
    "my of off on once only or other our out over own same shall she should so some such than that "
    "the their them then there these they this those through to too under until up upon us very "
    "was we were what when where which while who whom whose why will with without would you your "
    "yes let's please tell say says said get gets got one"
)
_NEGATIONS = (
    "no not never none nobody nothing neither nor cannot don't doesn't didn't isn't "
    "aren't wasn't weren't won't can't couldn't shouldn't wouldn't hasn't haven't hadn't nowhere "
    "nicht kein keine nie"
)
STOP, NEGATIONS = frozenset(_STOP.split()), frozenset(_NEGATIONS.split())


def words(text: str) -> list[str]:
    """All words in lower case, in order, as they stand."""
    return [match[0].lower() for match in _WORD.finditer(_plain(text).replace("’", "'"))]


def content(text: str) -> list[str]:
    """The words that carry the meaning, reduced; negations are not among them."""
    found = []
    for word in words(text):
        if word in STOP or word in NEGATIONS:
            continue
        found.append(word if exact(word) else stem(word))
        # The parts of a compound are said too: `max-bytes` says bytes.
        parts = re.split(r"[._'/:@-]", word)
        if len(parts) > 1 and not exact(word):
            found[-1:] = [stem(part) for part in parts if part and part not in STOP]
    return [word for word in found if len(word) > 1 or word.isdigit()]


def exact(word: str) -> bool:
    """Whether a word is a number or has one in it, so that every character counts."""
    return any(character.isdigit() for character in word)


def numbers(text: str) -> set[str]:
    """The numbers of a text, without the commas that divide thousands."""
    return set(re.findall(r"\d+(?:\.\d+)*", _plain(text)))


def _plain(text: str) -> str:
    """One spelling of each character, and no comma that divides thousands."""
    return re.sub(r"(?<=\d),(?=\d{3}\b)", "", unicodedata.normalize("NFKC", text))


def negated(text: str) -> bool:
    """Whether a text denies something: an odd number of its words do."""
    found = words(text)
    count = sum(word in NEGATIONS or word.endswith("n't") for word in found)
    return count % 2 == 1


def stem(word: str) -> str:
    """A word without its ending; light, as in Harman (1991) for the plural, and -ing, -ed, -ly."""
    word = word.removesuffix("'s").removesuffix("'")
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending, least in (("ing", 6), ("ed", 5), ("ly", 5)):
        if len(word) >= least and word.endswith(ending):
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "sl":
                word = word[:-1]
            break
    return word[:-1] if len(word) > 4 and word.endswith("e") else word

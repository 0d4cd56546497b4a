"""Personal data that look like anything: known by the words before them alone.

A password, a PIN, a user's name have no form; ``password: hunter2`` has. What follows the label is
taken if it can be a value and is not the next word of a sentence: behind a colon or an equals sign
anything, behind “is” only what no word of prose looks like. Deliberately unknown here: forms that
stand for themselves (``patterns``).
"""

from __future__ import annotations

import re

from studiolo.guard.finding import Kind
from studiolo.guard.rule import Rule, rule, words

_I = re.IGNORECASE
_Q = r"[\"'`“‘]?"
_IS = r"(?:\s*(?:number|no\.?|code|id|#)){0,2}\s*(?:is|was|are|=|:|#|-)?\s*"
_PLAIN_WORDS = (
    "is was the a an to for of and or not required incorrect invalid missing wrong reset changed "
    "expired protected here there this that it null none true false yes no your my"
)
_PLAIN = frozenset(_PLAIN_WORDS.split())


def _no_prose(value: str) -> bool:
    """Whether no word of a sentence looks like this: digits, signs, or capitals inside."""
    plain = value.rstrip(".,;:!?")
    mixed = any(c.isdigit() or c in "!@#$%^&*_+=~?" for c in plain)
    return len(plain) >= 4 and (mixed or any(c.isupper() for c in plain[1:]))


def _value(value: str) -> bool:
    return value.lower().rstrip(".,;:!?") not in _PLAIN


def _numbered(value: str) -> bool:
    return any(c.isdigit() for c in value)


_LABEL = (
    r"(?<![^\W_])(?:pass ?word|passwort|passwd|pass ?phrase|passcode|pwd|pw|mot de passe|"
    r"contraseña)s?"
)
_USER = (
    r"(?<![^\W_])(?:user ?name|user[ _-]?id|login(?: ?name)?|log[- ]?in|screen ?name|handle|user|"
    r"benutzername)"
)
_CVV = (
    r"(?<!\w)(?:CVV2?|CVC2?|CVN|CID|CAV2?|security code|card verification (?:code|value|number)|"
    r"verification (?:code|value))"
)
_MONTH = (
    "Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|"
    "Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?"
)
_DATE = rf"(?:0?[1-9]|1[0-2])\s?[/-]\s?(?:20)?\d{{2}}|(?:{_MONTH})\.?,? (?:20)\d{{2}}"
_LICENCE = (
    r"(?<!\w)(?:driver'?s?'?|driving)[ -]?(?:licen[cs]e|permit)|(?<!\w)licen[cs]e (?:number|"
    r"no\.?|#)|(?<!\w)DL(?: ?(?:number|no\.?|#))?(?=\s*[:#])|(?<!\w)driver ?id"
)
_PLATE = (
    r"(?<!\w)(?:(?:licen[cs]e|number|vehicle|registration|car) plates?|plates?(?: number|"
    r" no\.?)?|(?:vehicle|car) registration|registration (?:number|mark|no\.?)|VRN|VRM|"
    r"reg(?: number| no\.?)?)"
)

LABELLED: tuple[Rule, ...] = (
    rule(
        Kind.PASSWORD,
        rf"{_LABEL}(?:\"|')?\s{{0,3}}(?:is\s*)?[:=]+>?\s{{0,3}}{_Q}(?P<v>[^\s\"'`“”]{{3,64}}?)(?"
        r"=[.,;!?]?(?:[\s\"'`“”]|$))",
        0.95,
        check=_value,
        flags=_I,
    ),
    rule(
        Kind.PASSWORD,
        rf"{_LABEL} (?:(?:was |has been )?(?:re)?set to|is now|is|was|to|of|"
        rf"=)\s{{1,3}}{_Q}(?P<v>[^\s\"'`“”]{{4,64}}?)(?=[.,;!?]?(?:[\s\"'`“”]|$))",
        0.85,
        check=_no_prose,
        flags=_I,
    ),
    rule(
        Kind.PASSWORD,
        rf"{_LABEL}\s{{1,3}}[\"'`“‘]?(?P<v>(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[^\s\"'`“”]{{6,64}}?)(?"
        r"=[.,;!?]?(?:[\s\"'`“”]|$))",
        0.7,
        check=_no_prose,
        flags=_I,
    ),
    rule(
        Kind.PASSWORD,
        rf"{_LABEL} (?:is|was|of)\s{{1,3}}[\"'`“‘](?P<v>[^\"'`“”’\n]{{3,64}})[\"'`”’]",
        0.9,
        flags=_I,
    ),
    rule(
        Kind.USERNAME,
        rf"{_USER}(?:\"|')?\s{{0,3}}(?:is\s*)?[:=]\s{{0,3}}{_Q}(?P<v>[\w.@+-]{{2,64}}?)(?=[.,;!?"
        r"]?(?:[\s\"'`“”)]|$))",
        0.9,
        check=_value,
        flags=_I,
    ),
    rule(
        Kind.USERNAME,
        rf"{_USER} (?:is|was|as|of)?\s{{0,3}}{_Q}(?P<v>@?[\w.@+-]{{3,64}}?)(?=[.,;!?]?(?"
        r":[\s\"'`“”)]|$))",
        0.8,
        check=_no_prose,
        flags=_I,
    ),
    rule(
        Kind.USERNAME,
        r"(?<!\w)(?:user ?name|screen ?name|handle) (?:is|"
        r"was) [\"'`“‘]?(?P<v>@?[\w.+-]{3,64}?)(?=[.,;!?]?(?:[\s\"'`“”)]|$))",
        0.75,
        check=_value,
        flags=_I,
    ),
    rule(
        Kind.USERNAME,
        r"(?<![\w@./])@[A-Za-z_][\w.]{1,29}(?<!\.)(?!\w)",
        0.2,
        words(
            "twitter",
            "instagram",
            "tiktok",
            "github",
            "telegram",
            "handle",
            "user ?name",
            "follow",
            "mastodon",
            "dm",
            "account",
        ),
        sure=0.8,
    ),
    rule(
        Kind.USERNAME,
        r"(?<!\w)(?:log(?:ged)? ?in|sign(?:ed)? ?in) (?:as|"
        r"with) [\"'`“‘]?(?P<v>[\w.@+-]{3,64}?)(?=[.,;!?]?(?:[\s\"'`“”)]|$))",
        0.7,
        check=_no_prose,
        flags=_I,
    ),
    rule(
        Kind.PIN,
        rf"(?<![^\W_])PINs?(?![^\W_]){_IS}(?:to )?{_Q}(?P<v>\d{{4,8}})(?![\w]|[.-]\d)",
        0.95,
    ),
    rule(
        Kind.PIN,
        r"(?<![^\W_])(?:pin code|pin number|personal identification number|pin)(?: is| was|:|"
        rf"=)\s*(?:to )?{_Q}(?P<v>\d{{4,8}})(?![\w]|[.-]\d)",
        0.9,
        flags=_I,
    ),
    rule(
        Kind.CREDIT_DEBIT_CARD_CVV,
        rf"{_CVV}{_IS}(?:on the back )?(?:is )?{_Q}(?P<v>\d{{3,4}})(?![\w]|[.-]\d)",
        0.95,
        flags=_I,
    ),
    rule(
        Kind.CREDIT_DEBIT_CARD_EXPIRY,
        r"(?<!\w)(?:exp(?:\.|iry|ires|iration|iring)?|valid (?:thru|through|until|to)|"
        r"good (?:thru|through))(?: date)?(?:\s*(?:is|on|in|:|=|date|"
        rf"end of))*\s*(?P<v>{_DATE})(?![\w]|[/.-]\d)",
        0.6,
        words("card", "credit", "debit", "visa", "mastercard", "amex", "cvv", "cvc"),
        flags=_I,
    ),
    rule(
        Kind.CREDIT_DEBIT_CARD_EXPIRY,
        r"(?<![\w/.-])(?:0[1-9]|1[0-2])/(?:20)?[2-4]\d(?![\w]|[/.-]\d)",
        0.2,
        words("card", "credit", "debit", "visa", "mastercard", "amex", "cvv", "cvc", "expir\\w+"),
        sure=0.8,
    ),
    rule(
        Kind.DRIVER_ID,
        rf"(?:{_LICENCE}){_IS}(?P<v>[A-Z0-9](?:[ -]?[A-Z0-9]){{4,19}})(?![\w]|-\w)",
        0.9,
        check=_numbered,
        flags=_I,
    ),
    rule(
        Kind.LICENSE_PLATE,
        rf"{_PLATE}{_IS}{_Q}(?P<v>(?-i:[A-Z0-9](?:[ -]?[A-Z0-9]){{2,9}}))(?![\w]|-\w)",
        0.85,
        check=_numbered,
        flags=_I,
    ),
    rule(
        Kind.VEHICLE_IDENTIFICATION_NUMBER,
        rf"(?<!\w)VIN{_IS}(?P<v>[A-HJ-NPR-Z0-9]{{11,17}})(?!\w)",
        0.9,
        check=_numbered,
        flags=_I,
    ),
    rule(
        Kind.US_BANK_ACCOUNT_NUMBER,
        r"(?<!\w)(?:(?:bank|checking|savings)? ?(?:account|"
        rf"acct\.?)){_IS}(?P<v>\d(?:[ -]?\d){{5,16}})(?![\w]|[.-]\d)",
        0.93,
        flags=_I,
    ),
    rule(
        Kind.AWS_SECRET_KEY,
        r"aws_?secret_?(?:access_?)?key[\"']?\s*[:=]\s*[\"']?(?P<v>[A-Za-z0-9/+]{40})(?"
        r"![A-Za-z0-9/+=])",
        0.98,
        flags=_I,
    ),
)

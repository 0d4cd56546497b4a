"""Personal data that have a form of their own: numbers that check themselves, keys, addresses.

Where a form is shared by much else (nine digits, eight letters), a match counts only beside a word
that says what it is. Notable choice: these stand in for most of Presidio's recognisers, which take
a bare form for a weak sign of everything at once, or ask the network for a list of suffixes.
``borrowed`` has those that are taken from there. Deliberately unknown here: what needs a label
before it (``labelled``), streets and postcodes (``places``), names (``names``).
"""

from __future__ import annotations

import re

from studiolo.guard import checks
from studiolo.guard.finding import Kind
from studiolo.guard.rule import Rule, rule, words

_I = re.IGNORECASE
_TLD = (
    "com|org|net|edu|gov|mil|int|info|biz|io|ai|app|dev|co|me|tv|eu|uk|us|ca|de|fr|es|it|nl|be|ch|"
    "at|"
    "se|no|dk|fi|ie|pt|br|mx|in|jp|cn|kr|au|nz|za|ru|ua|cz|gr|hu|ro|tr|online|store|tech|"
    "cloud|shop|club|blog|health|agency|news|xyz|site"
)
_COUNTRIES = (
    "A[DEFGILMOQRSTUWXZ]|B[ABDEFGHIJLMNOQRSTVWYZ]|C[ACDFGHIKLMNORUVWXYZ]|D[EJKMOZ]|E[CEGHRST]|"
    "F[IJKMOR]|G[ABDEFGHILMNPQRSTUWY]|H[KMNRTU]|I[DELMNOQRST]|J[EMOP]|K[EGHIMNPRWYZ]|"
    "L[ABCIKRSTUVY]|"
    "M[ACDEFGHKLMNOPQRSTUVWXYZ]|N[ACEFGILOPRUZ]|OM|P[AEFGHKLMNRSTWY]|QA|R[EOSUW]|"
    "S[ABCDEGHIJKLMNORSTVXYZ]|T[CDFGHJKLMNORTVWZ]|U[AGMSYZ]|V[ACEGINU]|W[FS]|XK|Y[ET]|Z[AMW]"
)
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"

_PHONE = words(
    "phones?",
    "tel",
    "telephone",
    "telefon",
    "téléphone",
    "cell",
    "cellphone",
    "mobile",
    "mob",
    "handy",
    "call(?:s|ed|ing)?",
    "dial",
    "fax",
    "text(?: me)?",
    "sms",
    "whatsapp",
    "reach(?:ed)?",
    "ring",
    "contact",
    "hotline",
    "extension",
)
_CARD = words("card", "credit", "debit", "visa", "mastercard", "amex", "maestro", "discover", "jcb")
_SSN = words("social security", "ssns?", "ss ?#", "soc\\.? sec\\.?", "social")
_SIN = words("sin", "social insurance", "assurance sociale", "nas")
_ITIN = words("itin", "taxpayer id(?:entification)?", "tax(?:payer)? id", "individual tax")
_ACCOUNT = words("accounts?", "acct", "a/c", "bank", "checking", "savings")
_ROUTING = words("routing", "aba", "rtn", "transit", "wire")
_SWIFT = words("swift", "bic", "swift[/-]bic", "bank (?:identifier )?code")
_NHS = words("nhs", "national health", "patient (?:number|no|id)")
_UTR = words("utr", "unique tax(?:payer)?", "self[- ]assessment", "hmrc", "tax reference")
_HEALTH = words(
    "ohip",
    "phn",
    "ramq",
    "msp",
    "hcn",
    "health (?:card|insurance|number|care number|no)",
    "(?:personal|provincial) health",
    "carte soleil",
    "medicare card",
    "carecard",
    "health",
)
_VERSION = re.compile(r"(?:\bversion|\brelease|\bv)\.?\s*$", _I)


def _machine(value: str) -> bool:
    return checks.address(value)


PATTERNS: tuple[Rule, ...] = (
    rule(
        Kind.EMAIL,
        r"(?<![\w.+%-])[\w+%'-](?:[\w.+%'-]{0,62}[\w+%'-])?(?:@|"
        r"\s?[\[(]\s?at\s?[\])]\s?)(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,6}[^\W\d_]{2,24}(?![\w@])",
        0.95,
    ),
    rule(
        Kind.URL,
        r"(?<![\w@])(?:[a-z][a-z0-9+.-]{1,15}://|www\.)[^\s<>\"'`{}|"
        r"\\^\[\]]{2,2000}?(?=[.,;:!?)]*(?:[\s<>\"'`{}|\\^\[\]]|$))",
        0.9,
        flags=_I,
    ),
    rule(
        Kind.URL,
        rf"(?<![\w@./-])(?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.){{1,5}}(?:{_TLD})(?"
        r"::\d{2,5})?(?:/[^\s<>\"'`{}|\\^\[\]]{0,2000}?)?(?=[.,;:!?)]*(?:[\s<>\"'`]|$))",
        0.7,
    ),
    rule(
        Kind.IP_ADDRESS,
        rf"(?<![\w.])(?<!ersion )(?<!ection )(?<!hapter )(?:{_OCTET}\.){{3}}{_OCTET}(?![\w]|\.\d)",
        0.8,
        check=_machine,
    ),
    rule(
        Kind.IP_ADDRESS,
        r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:[0-9a-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])",
        0.8,
        check=_machine,
        flags=_I,
    ),
    rule(
        Kind.MAC_ADDRESS,
        r"(?<![\w:-])(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![\w:-])",
        0.9,
        flags=_I,
    ),
    rule(Kind.MAC_ADDRESS, r"(?<![\w.])(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}(?![\w.])", 0.8, flags=_I),
    rule(
        Kind.AWS_ACCESS_KEY,
        r"(?<![A-Za-z0-9])(?:AKIA|ASIA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA|ABIA|"
        r"ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])",
        0.98,
    ),
    rule(
        Kind.AWS_SECRET_KEY,
        r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
        0.4,
        re.compile(r"aws|secret|access.?key|AKIA|ASIA|credential", _I),
        checks.secret,
    ),
    rule(
        Kind.CREDIT_DEBIT_CARD_NUMBER,
        r"(?<![\w.-])[1-6](?:[ \n-]?\d){11,18}(?![\w]|[.-]\d)",
        0.9,
        _CARD,
        checks.card,
        sure=1.0,
    ),
    rule(
        Kind.VEHICLE_IDENTIFICATION_NUMBER,
        r"(?<![\w-])(?=[A-Z]*\d)[A-HJ-NPR-Z0-9]{17}(?![\w-])",
        0.9,
        check=checks.vin,
    ),
    rule(
        Kind.VEHICLE_IDENTIFICATION_NUMBER,
        r"(?<![\w-])(?=[A-Z]{0,16}\d)[A-HJ-NPR-Z0-9]{17}(?![\w-])",
        0.2,
        words("vin", "vehicle", "chassis", "car"),
        flags=_I,
    ),
    rule(
        Kind.SWIFT_CODE,
        rf"(?<![\w-])[A-Z]{{4}}(?:{_COUNTRIES})[A-Z0-9]{{2}}(?:[A-Z0-9]{{3}})?(?![\w-])",
        0.2,
        _SWIFT,
    ),
    rule(
        Kind.SWIFT_CODE,
        rf"(?<![\w-])(?=[A-Z]{{6,}}\d)[A-Z]{{4}}(?:{_COUNTRIES})[A-Z0-9]{{2}}(?:[A-Z0-9]{{3}})(?"
        r"![\w-])",
        0.55,
    ),
    rule(  # beside its name also one that was never issued: many are mistyped or made up
        Kind.US_SOCIAL_SECURITY_NUMBER,
        r"(?<![\w.-])\d{3}([- .])\d{2}\1\d{4}(?![\w]|[.-]\d)",
        0.1,
        _SSN,
    ),
    rule(
        Kind.US_SOCIAL_SECURITY_NUMBER,
        r"(?<![\w.-])\d{3}([- .])\d{2}\1\d{4}(?![\w]|[.-]\d)",
        0.85,
        _SSN,
        checks.ssn,
    ),
    rule(Kind.US_SOCIAL_SECURITY_NUMBER, r"(?<![\w.-])\d{9}(?![\w]|[.-]\d)", 0.1, _SSN, checks.ssn),
    rule(
        Kind.US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER,
        r"(?<![\w.-])9\d{2}([- ]?)(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])\1\d{4}(?![\w]|[.-]\d)",
        0.1,
        _ITIN,
    ),
    rule(
        Kind.US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER,
        r"(?<![\w.-])9\d{2}-(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])-\d{4}(?![\w]|[.-]\d)",
        0.8,
    ),
    rule(
        Kind.CA_SOCIAL_INSURANCE_NUMBER,
        r"(?<![\w.-])[1-79]\d{2}([- ])\d{3}\1\d{3}(?![\w]|[ .-]\d)",
        0.7,
        _SIN,
        checks.sin,
    ),
    rule(
        Kind.CA_SOCIAL_INSURANCE_NUMBER,
        r"(?<![\w.-])\d{3}([- ]?)\d{3}\1\d{3}(?![\w]|[.-]\d)",
        0.1,
        _SIN,
        checks.luhn,
    ),
    rule(
        Kind.CA_HEALTH_NUMBER,
        r"(?<![\w.-])(?:[A-Z]{4}[ -]?\d{4}[ -]?\d{4}|\d{4}[ -]?\d{3}[ -]?\d{3}(?:[ -]?[A-Z]{2})?|"
        r"\d{5}-\d{4}|\d{3}[ -]?\d{3}[ -]?\d{3,4}|\d{8,12})(?![\w]|[.-]\d)",
        0.1,
        _HEALTH,
        sure=0.75,
    ),
    rule(
        Kind.UK_NATIONAL_HEALTH_SERVICE_NUMBER,
        r"(?<![\w.-])\d{3}([ -]?)\d{3}\1\d{4}(?![\w]|[.-]\d)",
        0.3,
        _NHS,
        checks.nhs,
        sure=1.0,
    ),
    rule(
        Kind.UK_NATIONAL_HEALTH_SERVICE_NUMBER,
        r"(?<![\w.+-])\d{3} \d{3} \d{4}(?![\w]|[.-]\d)",
        0.6,
        check=checks.nhs,
    ),
    rule(
        Kind.UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER,
        r"(?<![\w.-])\d{5} ?\d{5}K?(?![\w]|[.-]\d)",
        0.1,
        _UTR,
    ),
    rule(
        Kind.US_BANK_ROUTING_NUMBER,
        r"(?<![\w.-])\d{4}([- ]?)\d{4}\1\d(?![\w]|[.-]\d)",
        0.1,
        _ROUTING,
        checks.routing,
        sure=1.0,
    ),
    rule(
        Kind.US_BANK_ACCOUNT_NUMBER,
        r"(?<![\w.-])(?!\d{4}-\d\d-\d\d)\d{4}(?:[ -]?\d){4,13}(?![\w]|[.-]\d)",
        0.1,
        _ACCOUNT,
        sure=0.55,
    ),
    rule(
        Kind.US_PASSPORT_NUMBER,
        r"(?<![\w.-])(?:[A-Z]\d{8}|\d{9})(?![\w]|[.-]\d)",
        0.1,
        words("passport", "travel document"),
        sure=0.9,
    ),
    rule(
        Kind.PHONE,
        r"(?<![\w.+/-])(?:\+?1[-. ]?|001[-. ]?)?(?:\(\d{3}\) ?|"
        r"\d{3}[-. ])\d{3}[-. ]\d{4}(?: ?(?:x|ext\.?|extension) ?\d{1,6})?(?![\w]|[-.]\d)",
        0.75,
        _PHONE,
    ),
    rule(
        Kind.PHONE,
        r"(?<![\w.+])\+\d{1,3}[ .-]?(?:\(0?\d{0,5}\)[ .-]?)?\d(?:[ ./-]{0,2}\d){5,13}(?: ?(?:x|"
        r"ext\.?) ?\d{1,6})?(?![\w])",
        0.8,
        _PHONE,
    ),
    rule(Kind.PHONE, r"(?<![\w.+/-])0\d(?:([ .-])\d\d)(?:\1\d\d){3}(?![\w]|[-.]\d)", 0.7, _PHONE),
    rule(
        Kind.PHONE,
        r"(?<![\w.+/-])(?:\(0\d{1,5}\)[ -]?\d{2,5}(?:[ -]?\d{2,5}){0,3}|"
        r"0\d{2,5}(?:[ /-]\d{2,8}){1,4})(?![\w]|[-.]\d)",
        0.6,
        _PHONE,
    ),
    rule(
        Kind.PHONE,
        r"(?<![\w.+/-])(?:\(?\d{2,5}\)?[ ./-]?){1,4}\d{3,5}(?: ?(?:x|ext\.?) ?\d{1,6})?(?![\w]|"
        r"[-.]\d)",
        0.1,
        _PHONE,
        lambda value: 7 <= len(re.sub(r"(?:x|ext).*|\D", "", value)) <= 15,
        sure=0.65,
    ),
    rule(
        Kind.AGE,
        r"(?<![\w.,$€£-])(?:1[01]\d|[1-9]?\d)(?:[- ]years?[- ]old|[- ]?y/?o\b|[- ]?y\.o\.|"
        r"[- ](?:months?|weeks?|days?)[- ]old|[- ]years of age)(?![\w])",
        0.9,
        flags=_I,
    ),
    rule(
        Kind.AGE,
        r"(?<!\w)(?:aged|at the age of|age of|my age is|age is|age:|age)\s{0,2}(?P<v>(?:1[01]\d|"
        r"[1-9]?\d)(?: years?)?)(?![\w%]|[.,-]\d)",
        0.85,
        flags=_I,
    ),
    rule(
        Kind.AGE,
        r"(?<!\w)(?:I'm|I am|he is|he's|she is|she's|turn(?:ed|s|ing)?|is now) (?P<v>(?:1[01]\d|"
        r"[1-9]\d))(?=[,.;!?]| and| now| today|$)",
        0.6,
        flags=_I,
    ),
)

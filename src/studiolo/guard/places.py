"""Addresses: streets with numbers, postcodes with towns, boxes, and what stands beside them.

Of several countries' habits: number first (English, French), street first (German, Dutch, Spanish,
Italian), the towns' lines with their codes. A town by itself is no address: “Paris is the capital
of France” tells nothing about anybody. But where names of places are known (``names``), a town
joins the street beside it, and one in which somebody is said to live is theirs. Deliberately
unknown here: whether a street exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from studiolo.guard.finding import Finding, Kind
from studiolo.guard.rule import Rule, rule

_SUFFIX = (
    "alley|annex|arcade|avenue|ave|av|bayou|beach|bend|bluffs?|bottom|boulevard|blvd|branch|bridge|"
    "brooks?|burgs?|bypass|camp|canyon|cape|causeway|centers?|centre|chase|circles?|cir|cliffs?|"
    "close|club|"
    "common|corners?|corner|course|courts?|ct|coves?|creek|crescent|cres|crest|crossing|crossroad|"
    "curve|dale|dam|divide|drives?|dr|estates?|expressway|extensions?|falls?|ferry|fields?|flats?|"
    "fords?|forest|forges?|forks?|fort|freeway|gardens?|gdns|gateway|glens?|greens?|groves?|"
    "harbors?|haven|"
    "heights|highway|hwy|hills?|hill|hollow|inlet|islands?|isle|junctions?|keys?|knolls?|lakes?|"
    "land|landing|lane|ln|lights?|loaf|locks?|lodge|loop|mall|manors?|meadows?|mews|mills?|mission|"
    "motorway|mount|mountains?|neck|orchard|oval|overpass|parade|parks?|parkways?|pkwy|pass|"
    "passage|path|"
    "pike|pines?|place|pl|plains?|plaza|points?|ports?|prairie|quay|radial|ramp|ranch|rapids?|rest|"
    "ridges?|rise|river|roads?|rd|route|row|rue|run|shoals?|shores?|skyway|springs?|spurs?|"
    "squares?|sq|"
    "station|stravenue|stream|streets?|st|summit|terrace|ter|throughway|trace|track|trafficway|"
    "trail|tunnel|turnpike|underpass|unions?|valleys?|via|viaduct|views?|villages?|ville|vista|"
    "walks?|walk|walls?|way|wells?|wharf|wynd|yard"
)
_SURE_SUFFIX = (
    "avenue|ave|boulevard|blvd|close|court|ct|crescent|drive|dr|gardens|grove|highway|hwy|lane|ln|"
    "parkway|pkwy|place|pl|road|rd|square|sq|street|st|terrace|way|mews|row|hill|walk"
)
_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|"
    "NY|"
    "NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|PR|GU|VI|AS|MP|FM|MH|PW|AA|AE|AP"
)
_STATE_NAMES = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|"
    "Hawaii|"
    "Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|"
    "Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New (?:Hampshire|Jersey|Mexico|York)|"
    "(?:North|South) (?:Carolina|Dakota)|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode Island|Tennessee|"
    "Texas|Utah|Vermont|Virginia|Washington|West Virginia|Wisconsin|Wyoming"
)
_AUSTRALIA = "NSW|VIC|QLD|SA|WA|TAS|NT|ACT"
_PROVINCES = "AB|BC|MB|NB|NL|NS|NT|NU|ON|PE|QC|SK|YT"
_UK = r"(?:GIR ?0AA|[A-PR-UWYZ][A-HK-Y]?\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2})"
_CA = r"[ABCEGHJ-NPRSTVXY]\d[A-Z] ?\d[A-Z]\d"
_ZIP = r"\d{5}(?:-\d{4})?"
_CAP = r"(?:[A-ZÀ-ÖØ-Þ][\w'’.-]{0,30}|\d{1,3}(?:st|nd|rd|th))"
_TOWN = (
    r"[A-ZÀ-ÖØ-Þ][\w'’.-]{1,30}(?: (?:(?:upon|on|under|le|la|de|of|am|an der|bei|sur|"
    r"en) )?[A-ZÀ-ÖØ-Þ][\w'’.-]{1,30}){0,3}"
)
_UNIT_ALONE = (
    r"(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Room|Rm|Bldg|Building|"
    r"Studio)\.? ?#?[\w-]{1,6}|#\d{1,5}"
)
_UNIT = rf"(?:[, \n]{{1,3}}(?:{_UNIT_ALONE}))"
_TAIL = (
    rf"(?:{_UNIT}?(?:[,\n]\s?{_TOWN}(?!\w)){{0,3}}(?:[, \n]{{1,3}}(?:(?:{_STATES}|{_STATE_NAMES}|"
    rf"{_PROVINCES})\.?,? {{0,2}}(?:{_ZIP}|{_CA})|{_UK}|{_ZIP})(?!\w))|{_UNIT})?"
)
_DE = (
    r"(?:stra(?:ß|ss)e|str\.|weg|allee|platz|gasse|ring|damm|ufer|markt|hof|steig|chaussee|"
    r"straat|laan|gracht|plein)"
)
_FR = r"(?:rue|avenue|av\.|boulevard|bd|place|chemin|impasse|allée|quai|cours|route|passage|square)"
_ES = (
    r"(?:Calle|C/|Avenida|Avda?\.|Plaza|Paseo|Camino|Ronda|Via|Viale|Corso|Piazza|Largo|Rua|"
    r"Travessa|Glorieta|Rambla|Cuesta|Callejón|Urbanización|Alameda|Pasaje|Cañada|Acceso|Vial|"
    r"Pasadizo)"
)

PLACES: tuple[Rule, ...] = (
    rule(
        Kind.ADDRESS,
        rf"(?<![\w.,-])(?:(?:{_UNIT_ALONE})[, \n]{{1,2}})?\d{{1,6}}[A-Za-z]?(?:[-–/]\d{{1,5}})?,?"
        rf" (?:[NSEW]{{1,2}}\.? )?(?:{_CAP} ){{1,4}}(?i:{_SUFFIX})(?![\w'])\.?(?: "
        rf"[NSEW]{{1,2}}(?!\w))?{_TAIL}",
        0.85,
    ),
    rule(
        Kind.ADDRESS,
        r"(?<![\w.,-])\d{1,6}[A-Za-z]? (?:[NSEWnsew]\.? )?(?:[a-z]{3,20} "
        rf"){{1,2}}(?:{_SURE_SUFFIX})(?![\w'])\.?{_TAIL}",
        0.6,
    ),
    rule(
        Kind.ADDRESS,
        rf"(?<![\w.,-])(?:(?:{_UNIT_ALONE}|Level \d{{1,3}})[, "
        rf"/\n]{{1,2}})?\d{{1,6}}[A-Za-z]?(?:[-–/]\d{{1,5}})? {_TOWN}(?:{_UNIT})?[,\n] "
        rf"?(?:{_TOWN},?[ \n])?(?:{_TOWN},?\s(?:{_STATES}|{_PROVINCES}|{_AUSTRALIA}),? (?:{_ZIP}|"
        rf"{_CA}|\d{{4}})|{_UK})(?![\w-])",
        0.85,
    ),
    rule(
        Kind.ADDRESS,
        rf"(?<![\w-])(?:(?:{_UNIT_ALONE}|Studio \w{{1,4}})[, \n]{{1,2}})(?:\d{{1,4}} "
        rf")?{_TOWN}\n(?:{_TOWN}\n)?{_UK}(?![\w-])",
        0.85,
        flags=re.IGNORECASE,
    ),
    rule(
        Kind.ADDRESS,
        rf"(?<![\w-]){_TOWN},?\s(?:{_STATES}|{_STATE_NAMES}|{_PROVINCES})\.?,? (?:{_ZIP}|"
        rf"{_CA})(?![\w-])",
        0.8,
    ),
    rule(Kind.ADDRESS, rf"(?<![\w-])(?:{_TOWN},?\s)?{_UK}(?![\w-])", 0.75),
    rule(Kind.ADDRESS, rf"(?<![\w-])(?:{_TOWN},?\s)?{_CA}(?![\w-])", 0.7),
    rule(
        Kind.ADDRESS,
        r"(?<!\w)[A-ZÄÖÜ][\wäöüß-]{1,30}?(?:[ -][A-ZÄÖÜ][\wäöüß-]{1,30}){0,2}?[ "
        rf"-]?(?i:{_DE}) ?\d{{1,4}}[a-z]?(?:[-/]\d{{1,4}}[a-z]?)?(?!\w)(?:[, \n]{{1,3}}\d{{5}} "
        rf"{_TOWN}|[, \n]{{1,3}}\d{{4}} ?(?:[A-Z]{{2}} )?{_TOWN})?",
        0.85,
    ),
    rule(
        Kind.ADDRESS,
        rf"(?<![\w.,-])\d{{1,4}}(?: ?(?:bis|ter|[A-D]))?,? {_FR} (?:(?:de|du|des|la|le|les|d'|l'|"
        rf"de la) ?)?{_TOWN}(?:[, \n]{{1,3}}\d{{2}} ?\d{{3}} {_TOWN})?",
        0.85,
    ),
    rule(
        Kind.ADDRESS,
        rf"(?<!\w){_FR} (?:(?:de|du|des|la|le|les|d'|l'|de la) ?)?{_TOWN}[, \n]{{1,3}}\d{{2}} "
        rf"?\d{{3}} {_TOWN}",
        0.8,
    ),
    rule(
        Kind.ADDRESS,
        rf"(?<!\w){_ES} (?:(?:de|del|la|las|los|di|della|dei|do|"
        rf"da) )*{_TOWN},? (?:n[.º°]? ?)?\d{{1,4}}(?!\w)(?: (?:Apt\.|Puerta|"
        rf"Piso) ?\w{{1,4}})?(?:[, \n]{{1,3}}\d{{5}} {_TOWN}|"
        rf"[, \n]{{1,3}}{_TOWN}, \d{{5}}(?!\d))?",
        0.8,
    ),
    rule(
        Kind.ADDRESS,
        r"(?<!\w)(?:P\.? ?O\.? ?Box|Postfach|Apartado|BP|PSC|"
        rf"Unit) \d{{1,6}}(?:,? Box \d{{1,6}})?(?:[, \n]{{1,3}}(?:{_TOWN},? )?(?:[A-Z]{{2,3}} "
        rf")?(?:{_STATES}) {_ZIP})?",
        0.6,
    ),
    rule(
        Kind.ADDRESS,
        rf"(?<!\w)(?:US[SNC][A-Z]{{0,2}} {_CAP}\s)?(?:FPO|APO|DPO),? A[AEP] {_ZIP}",
        0.8,
    ),
    rule(
        Kind.ADDRESS,
        rf"(?<![\w.,-])\d{{5}} {_TOWN}(?=[.,;]?(?:\s|$))",
        0.1,
        re.compile(
            r"(?:address|adresse|lives?|living|wohn\w*|anschrift|straße|platz)\W+(?:\w+\W+){0,8}$",
            re.I,
        ),
        sure=0.7,
    ),
    rule(
        Kind.ADDRESS,
        r"(?<!\w)(?:postal |home |mailing |street |billing |shipping |delivery |"
        r"current )?address(?: is|:)\s{1,3}(?P<v>[^\n.;@]{6,100}?\d[^\n.;@]{0,60}?)(?=[.;\n]|$)",
        0.7,
        check=lambda value: not re.search(r"\d\.\d|https?:|:\w\w:", value),
        flags=re.IGNORECASE,
    ),
)

_LIVES = re.compile(
    r"(?:\b(?:live|lives|lived|living|reside|resides|residing|resident|born|grew up|based|moved|"
    r"moving|home|stays?|staying|address)\b(?: \w+){0,2} (?:in|of|at|to|from|is|near)|"
    r"\baddress:?|\bhometown(?: is|:)|\bfrom:)\s+(?:the )?$",
    re.IGNORECASE,
)
_JOINED = re.compile(r"[,\s]{1,3}|,? (?:in|near|at) ")


def with_towns(
    text: str, streets: Iterable[Finding], towns: Iterable[tuple[int, int]], before: str = ""
) -> Iterator[Finding]:
    """The addresses of ``streets``, each with the ``towns`` beside it, and homes in towns alone.

    ``towns``: spans of places' names in ``text``, which ``before`` came before.
    """
    found = sorted(streets)
    for start, end in sorted(towns):
        if _LIVES.search((before + text[:start])[-64:]):
            found.append(Finding(start, end, Kind.ADDRESS, 0.6))
    found.sort()
    grown: list[Finding] = []
    left = sorted(towns)
    for each in found:
        start, end = each.start, each.end
        for a, b in left:
            if (end <= a and _JOINED.fullmatch(text[end:a])) or a < end < b:
                end = b
        for a, b in reversed(left):
            if b <= start and re.fullmatch(r"[,\s]{1,3}", text[b:start]):
                start = a
        last = grown[-1] if grown else None
        if last is not None and (start <= last.end or _JOINED.fullmatch(text[last.end : start])):
            score = max(last.score, each.score)
            grown[-1] = Finding(last.start, max(last.end, end), Kind.ADDRESS, score)
        else:
            grown.append(Finding(start, end, Kind.ADDRESS, each.score))
    for each in grown:
        bare = len(text[each.start : each.end].rstrip(" .,;\n"))
        yield Finding(each.start, each.start + bare, each.kind, each.score)

"""Numbers that check themselves: the arithmetic by which a digit string is known to be one.

Each function takes the value with its separators and says whether it can have been issued. They
are what lets a mask be wide without masking every number. Deliberately unknown here: texts.
"""

from __future__ import annotations

import ipaddress
import re


def digits(value: str) -> list[int]:
    """The decimal digits of ``value``, in order."""
    return [int(each) for each in value if each in "0123456789"]


def luhn(value: str) -> bool:
    """ISO/IEC 7812-1, annex B: every second digit from the right doubled, the sum a ten's multiple.

    A run of one digit passes by chance and is refused.
    """
    found = digits(value)
    total = sum(
        each if i % 2 == 0 else sum(divmod(2 * each, 10)) for i, each in enumerate(reversed(found))
    )
    return len(set(found)) > 1 and total % 10 == 0


def card(value: str) -> bool:
    """12 to 19 digits of a payment network's range (ISO/IEC 7812) that pass :func:`luhn`."""
    found = "".join(str(each) for each in digits(value))
    ranges = (
        r"4\d{12}|4\d{15}|4\d{18}|5[0-8]\d{10,17}|2[2-7]\d{14}|3[0-9]\d{11,14}|6\d{11,18}|"
        r"(?:2131|1800)\d{11}"
    )
    return re.fullmatch(ranges, found) is not None and luhn(found)


def iban(value: str) -> bool:
    """ISO 13616: country and check digits moved to the end, letters as 10…35, modulo 97 is 1."""
    plain = re.sub(r"[\s-]", "", value).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", plain):
        return False
    return int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97 == 1


_VIN_VALUES = {
    **{str(i): i for i in range(10)},
    **dict(zip("ABCDEFGH", range(1, 9), strict=True)),
    **dict(zip("JKLMN", range(1, 6), strict=True)),
    "P": 7,
    "R": 9,
    **dict(zip("STUVWXYZ", range(2, 10), strict=True)),
}
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def vin(value: str) -> bool:
    """49 CFR 565.15(c): the ninth of 17 characters is the weighted sum of the others modulo 11."""
    plain = value.upper()
    if len(plain) != 17 or any(each not in _VIN_VALUES for each in plain) or len(set(plain)) == 1:
        return False
    total = sum(_VIN_VALUES[c] * w for c, w in zip(plain, _VIN_WEIGHTS, strict=True))
    return plain[8] == "0123456789X"[total % 11]


def routing(value: str) -> bool:
    """ABA routing number: weights 3, 7, 1 over nine digits, and a Federal Reserve prefix."""
    found = digits(value)
    if len(found) != 9 or not any(found):
        return False
    prefix = 10 * found[0] + found[1]
    issued = prefix <= 12 or 21 <= prefix <= 32 or 61 <= prefix <= 72 or prefix == 80
    weighed = zip(found, (3, 7, 1) * 3, strict=True)
    return issued and sum(a * b for a, b in weighed) % 10 == 0


def ssn(value: str) -> bool:
    """The ranges that the Social Security Administration issues (20 CFR 422; areas since 2011)."""
    found = "".join(str(each) for each in digits(value))
    if len(found) != 9 or found in ("123456789", "078051120", "219099999"):
        return False
    area, group, serial = found[:3], found[3:5], found[5:]
    return not (area in ("000", "666") or area >= "900" or group == "00" or serial == "0000")


def nhs(value: str) -> bool:
    """NHS number: weights 10…2 over nine digits, eleven minus the remainder is the tenth."""
    found = digits(value)
    if len(found) != 10 or len(set(found)) == 1:
        return False
    check = 11 - sum(a * b for a, b in zip(found, range(10, 1, -1), strict=False)) % 11
    return check % 11 == found[9] and check != 10


def utr(value: str) -> bool:
    """HMRC's Unique Taxpayer Reference: the first of ten digits checks the others, modulo 11."""
    found = digits(value)
    if len(found) != 10:
        return False
    weighed = zip(found[1:], (6, 7, 8, 9, 10, 5, 4, 3, 2), strict=True)
    return found[0] == int("21987654321"[sum(a * b for a, b in weighed) % 11])


def sin(value: str) -> bool:
    """Canadian Social Insurance Number: nine digits by :func:`luhn`; none begins with 8 or 0."""
    found = digits(value)
    return len(found) == 9 and found[0] not in (0, 8) and luhn(value)


def address(value: str) -> bool:
    """An IPv4 or IPv6 address that names a machine, as :mod:`ipaddress` reads it."""
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        return False
    return not found.is_unspecified


def secret(value: str) -> bool:
    """Whether 40 characters are as mixed as an AWS secret is, and no hexadecimal digest."""
    return (
        any(each.islower() for each in value)
        and any(each.isupper() for each in value)
        and any(each.isdigit() for each in value)
        and len(set(value)) >= 16
    )

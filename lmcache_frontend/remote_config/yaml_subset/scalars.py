# SPDX-License-Identifier: Apache-2.0
"""What a plain word stands for: nothing, a boolean, a number or itself. Pure.

YAML 1.1 as PyYAML 6 has it, since that is what LMCache reads with: ``on`` and ``yes`` are booleans, ``017`` is octal,
``12:30`` counts in sixties, while ``0o17``, ``1e3`` and ``y`` are texts. Source: https://yaml.org/type/ and the
patterns of PyYAML's resolver.
"""

from __future__ import annotations

import math
import re

from lmcache_frontend.remote_config.yaml_subset.faults import Refusal

Scalar = None | bool | int | float | str

# CPython refuses to read integers of more than 4300 digits.
NUMBER_LIMIT_CHARACTERS = 4000

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {
    spelling: truth
    for truth, words in ((True, ("yes", "true", "on")), (False, ("no", "false", "off")))
    for word in words
    for spelling in (word, word.capitalize(), word.upper())
}

_may_be_number = re.compile(r"[-+.0-9]").match
_is_int = re.compile(
    r"""[-+]?(?: 0b[01_]+
               | 0x[0-9a-fA-F_]+
               | 0[0-7_]*
               | [1-9][0-9_]*(?: :[0-5]?[0-9] )* )""",
    re.VERBOSE,
).fullmatch
_is_float = re.compile(
    r""" [-+]?[0-9][0-9_]*\.[0-9_]*(?: [eE][-+][0-9]+ )?
       | \.[0-9][0-9_]*(?: [eE][-+][0-9]+ )?
       | [-+]?[0-9][0-9_]*(?: :[0-5]?[0-9] )+\.[0-9_]*
       | [-+]?\.(?: inf|Inf|INF )
       | \.(?: nan|NaN|NAN )""",
    re.VERBOSE,
).fullmatch
_is_date = re.compile(
    r""" [0-9]{4}-[0-9]{2}-[0-9]{2}
       | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}
         (?: [Tt] | [ ]+ ) [0-9]{1,2}:[0-9]{2}:[0-9]{2}(?: \.[0-9]* )?
         (?: [ ]*(?: Z | [-+][0-9]{1,2}(?: :[0-9]{2} )? ) )?""",
    re.VERBOSE,
).fullmatch


class UnreadableScalar(ValueError):
    """A plain word that is refused; ``refusal`` is None where PyYAML fails at it too."""

    def __init__(self, reason: str, refusal: Refusal | None = None) -> None:
        super().__init__(reason)
        self.refusal = refusal


def resolve(word: str) -> Scalar:
    """Give the value of a plain scalar, line breaks folded already.

    Raises: UnreadableScalar for dates, merge keys and numbers that cannot be made.
    """
    if word in _NULLS:
        return None
    if word in _BOOLEANS:
        return _BOOLEANS[word]
    if word == "<<":
        raise UnreadableScalar(Refusal.MERGE.value, Refusal.MERGE)
    if word == "=":
        raise UnreadableScalar(Refusal.EQUALS.value, Refusal.EQUALS)
    return _number_or_text(word) if _may_be_number(word) else word


def _number_or_text(word: str) -> Scalar:
    is_float = _is_float(word) is not None
    if not is_float and not _is_int(word):
        if _is_date(word):
            raise UnreadableScalar(Refusal.DATE.value.format(word), Refusal.DATE)
        return word
    if len(word) > NUMBER_LIMIT_CHARACTERS:
        raise UnreadableScalar(Refusal.LONG_NUMBER.value.format(NUMBER_LIMIT_CHARACTERS), Refusal.LONG_NUMBER)
    digits = word.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    try:
        return sign * (_float(digits) if is_float else _int(digits))
    except (ValueError, OverflowError):
        raise UnreadableScalar(f"{word[:20]!r} looks like a number and is none: put it in quotes") from None


def _int(digits: str) -> int:
    if ":" in digits:
        total = 0
        for part in digits.split(":"):
            total = total * 60 + int(part)
        return total
    if digits.startswith(("0b", "0x")):
        return int(digits[2:], 2 if digits[1] == "b" else 16)
    return int(digits, 8 if digits.startswith("0") else 10)


def _float(digits: str) -> float:
    if digits == ".inf":
        return math.inf
    if digits == ".nan":
        return math.nan
    if ":" not in digits:
        return float(digits)
    # Summed from the last part on, as PyYAML does: the order decides the last bit.
    total, base = 0.0, 1
    for part in reversed(digits.split(":")):
        total += float(part) * base
        base *= 60
    return total

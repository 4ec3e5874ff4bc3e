"""Keys of telephone numbers and addresses: equal for the same line or mailbox, and good for nothing but comparing.

Laws: the mirror keeps no number and no address, only keys; how a number was typed does not matter. A key is not a secret:
whoever knows a number can make its key.
Source: catalogue §11, ``dq_duplicate_phones``, ``dq_duplicate_emails``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final

_WHOLE: Final = 10  # digits from which a number counts as one
_NO_DIGITS: Final = re.compile(r"[^0-9]+")
_RUSSIAN: Final = 11  # digits of a number in the zone +7, its country code or the domestic 8 included


@lru_cache(maxsize=65536)  # the same numbers come again and again
def phone_key(number: str | None) -> str | None:
    """The key of a number; None without one.

    Digits only, a leading 8 of 11 digits is the 7 of Russia and Kazakhstan; what has no digits stands for itself.
    """
    if number is None or not (text := number.strip()):
        return None
    digits = digits_of(text)
    return _digest(digits or text.casefold())


def client_phone_key(number: str | None) -> str | None:
    """The key of a client's number; None where it is too short to tell clients apart (an extension, a typing error)."""
    return phone_key(number) if number is not None and len(digits_of(number)) >= _WHOLE else None


@lru_cache(maxsize=65536)
def email_key(address: str | None) -> str | None:
    """The key of an address, spaces around it and capitals disregarded; None without one."""
    text = (address or "").strip().lower()
    return _digest(text) if text else None


def digits_of(number: str) -> str:
    """The digits of a number as they are compared."""
    digits = _NO_DIGITS.sub("", number)
    return f"7{digits[1:]}" if len(digits) == _RUSSIAN and digits[0] == "8" else digits


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=8, person=b"b24metrics").hexdigest()

"""One field, two names: ``CATEGORY_ID`` in the legacy families, ``categoryId`` in ``crm.item.*``.

Laws: the UPPER_CASE name is the field's own name; the other one is made from it. ``item_name`` and ``legacy_name`` undo
each other for every name that the portal can send. User fields follow the vendor's exception: a code that mixes letters
and digits keeps its letters as they are (``UF_CRM_566EB0AC`` ↔ ``ufCrm_566EB0AC``), because camel case could not be
undone; a code of letters alone, or of a smart process's number and digits, is camelised like any other name
(``UF_CRM_COLOR`` ↔ ``ufCrmColor``, ``UF_CRM_3_1747309727`` ↔ ``ufCrm3_1747309727``).
Source: vendor, "Universal CRM methods" (user field names, ``useOriginalUfNames``).
"""

from __future__ import annotations

import re
from functools import lru_cache

_KNOWN_NAMES = 8192  # a portal has some hundreds of field names; the bound is for one that makes them up

_PLAIN_LEGACY = re.compile(r"[A-Z_]+|UF_CRM_\d{1,4}_(?:[\d_]+|[A-Z_]+)")
_PLAIN_ITEM = re.compile(r"[A-Za-z_]+|ufCrm\d{1,4}(?:_[\d_]+|[A-Za-z_]+)")
_WORD_BREAK = re.compile(r"(?<=[A-Za-z0-9])(?=[A-Z])|(?<=[A-Za-z])(?=\d)")


def is_user_field(name: str) -> bool:
    """Whether a key of a record names a user field, in either spelling."""
    return name.startswith("UF_") or (name.startswith("uf") and len(name) > 2 and not name[2].islower())


@lru_cache(maxsize=_KNOWN_NAMES)
def item_name(legacy: str) -> str:
    """The name in ``crm.item.*`` of a field with this UPPER_CASE name."""
    if legacy.startswith("UF_") and not _PLAIN_LEGACY.fullmatch(legacy):
        if legacy.startswith("UF_CRM_"):
            return "ufCrm_" + legacy[7:]
        return "uf" + legacy[3:]
    first, *words = legacy.split("_")
    name = first.lower()
    for word in words:
        # Between two numbers the underscore stays: without it they would run together.
        glue = "_" if name[-1:].isdigit() and word[:1].isdigit() else ""
        name += glue + word.capitalize()
    return name


@lru_cache(maxsize=_KNOWN_NAMES)
def legacy_name(name: str) -> str:
    """The UPPER_CASE name of a field spelled in either way."""
    if name.upper() == name:
        return name
    if name.startswith("uf") and not _PLAIN_ITEM.fullmatch(name):
        if name.startswith("ufCrm"):
            return "UF_CRM" + name[5:].upper()
        if name[2:4].isupper():
            return "UF_" + name[2:].upper()
    return _WORD_BREAK.sub("_", name).upper()

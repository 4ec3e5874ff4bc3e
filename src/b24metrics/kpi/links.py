"""Where a record stands in the portal.

Laws: an address is made of the host and numbers only; what has no page of its own (a telephone call, an activity) is shown
at the record of the CRM that it belongs to; without one there is no address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PATHS: Mapping[str, str] = {
    "deal": "crm/deal/details",
    "lead": "crm/lead/details",
    "contact": "crm/contact/details",
    "company": "crm/company/details",
    "quote": "crm/quote/details",
    "invoice": "crm/type/31/details",
    "user": "company/personal/user",
    "manager": "company/personal/user",
}
#: Entity types of the portal → kinds of records.
_KINDS: Mapping[int, str] = {1: "lead", 2: "deal", 3: "contact", 4: "company", 7: "quote", 31: "invoice"}
#: From here on types are the portal's own (smart processes).
_FIRST_OWN_TYPE: Final = 128


def link(host: str, kind: str, number: int | None) -> str:
    """The page of a record; "" where it has none."""
    path = _PATHS.get(kind)
    return f"https://{host}/{path}/{number}/" if path and number and number > 0 else ""


def owner_link(host: str, entity_type_id: int | None, number: int | None) -> str:
    """The page of the CRM record that something belongs to; "" where it belongs to none."""
    if entity_type_id is not None and entity_type_id >= _FIRST_OWN_TYPE and number and number > 0:
        return f"https://{host}/crm/type/{entity_type_id}/details/{number}/"
    return link(host, _KINDS.get(entity_type_id or 0, ""), number)

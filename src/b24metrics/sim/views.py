"""Reading CRM objects in both dialects, and taking what clients write.

Laws: ``select`` decides what is rendered, never what is filtered; unknown names are ignored; permissions hide rows
silently. Source: vendor, "crm.deal.list", "crm.item.list", "Object fields".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from b24metrics.sim import filters, php, render
from b24metrics.sim.calls import Session, UserField
from b24metrics.sim.data import Row, Where
from b24metrics.sim.filters import Target
from b24metrics.sim.tables import EntityType, Field, Kind, Table

MULTIFIELDS = ("PHONE", "EMAIL", "WEB", "IM", "LINK")
WITH_MULTIFIELDS = frozenset({1, 3, 4})

#: Flat names for multifields in ``crm.item.list``: type, kind of value ('' is any).
ALIASES: Mapping[str, tuple[str, str]] = {
    "phone": ("PHONE", ""),
    "phoneWork": ("PHONE", "WORK"),
    "phoneMobile": ("PHONE", "MOBILE"),
    "email": ("EMAIL", ""),
    "emailWork": ("EMAIL", "WORK"),
    "emailHome": ("EMAIL", "HOME"),
    "imol": ("IM", "OPENLINE"),
}

#: Column that says whose record it is.
_OWNER_COLUMNS = {"activity": "RESPONSIBLE_ID", "task": "RESPONSIBLE_ID", "phone_call": "PORTAL_USER_ID"}


def hide(session: Session, table: Table, where: Where) -> None:
    """Leave out the rows that the caller may not see."""
    users = session.sight.users
    column = "ASSIGNED_BY_ID" if "ASSIGNED_BY_ID" in table.by_name else _OWNER_COLUMNS.get(table.name)
    if users is not None and column:
        where.add(_among(column, users))


def _among(column: str, users: frozenset[int]) -> str:
    return f"{column} IN ({', '.join(map(str, sorted(users)))})" if users else "FALSE"


def hide_history(session: Session, entity: EntityType, where: Where) -> None:
    """Stage history is seen with its object."""
    users = session.sight.users
    if users is not None:
        where.add(f'OWNER_ID IN (SELECT ID FROM "{entity.table.name}" WHERE {_among("ASSIGNED_BY_ID", users)})')


@dataclass(frozen=True, slots=True)
class Selection:
    """What a list shows, in order."""

    fields: Mapping[str, Field]  # wire name → field
    user_fields: Mapping[str, UserField]
    multifields: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    everything: bool = False

    @property
    def columns(self) -> list[str]:
        """Columns to fetch besides the ID."""
        names = [field.name for field in self.fields.values() if field.stored and field.kind is not Kind.ID]
        if "CONTACT_IDS" in names:
            names.append("CONTACT_ID")
        if "COMPANY_IDS" in names:
            names.append("COMPANY_ID")
        if self.user_fields:
            names.append("UF")
        return list(dict.fromkeys(names))


def legacy_selection(
    table: Table, given: Sequence[object], declared: Mapping[str, UserField], *, multi: bool
) -> Selection:
    """What a legacy ``select`` means; nothing given is ``*`` and ``UF_*``. The ID always comes."""
    wanted = [php.text(name) for name in given] or ["*", "UF_*"]
    plain = list(table.legacy) if "*" in wanted else [name for name in table.legacy if name in wanted or name == "ID"]
    codes = list(declared) if "UF_*" in wanted else [code for code in declared if code in wanted]
    return Selection(
        {name: table.legacy[name] for name in plain},
        {code: declared[code] for code in codes},
        tuple(kind for kind in MULTIFIELDS if multi and kind in wanted),
    )


def item_selection(
    table: Table, given: Sequence[object], declared: Mapping[str, UserField], *, multi: bool, original: bool
) -> Selection:
    """What an item ``select`` means; nothing given is ``*``. Multifields only come with ``*``."""
    wanted = [php.text(name) for name in given] or ["*"]
    everything = "*" in wanted
    names = (
        table.items
        if everything
        else {n: f for n, f in table.items.items() if n == "id" or not {n, f.name}.isdisjoint(wanted)}
    )
    shown = {(code if original else field.item_name): field for code, field in declared.items()}
    return Selection(
        names,
        {name: field for name, field in shown.items() if everything or not {name, field.code}.isdisjoint(wanted)},
        MULTIFIELDS if multi and everything else (),
        () if not multi else tuple(name for name in ALIASES if name in wanted),
        everything,
    )


def _columns(rows: Sequence[Row], names: Sequence[str]) -> dict[str, tuple[object, ...]]:
    if not rows:
        return {}
    return dict(zip(["ID", *names], zip(*rows, strict=True), strict=True))


def _client_lists(columns: dict[str, tuple[object, ...]]) -> None:
    """A list of contacts or companies that was not stored is the primary one alone."""
    for many, one in (("CONTACT_IDS", "CONTACT_ID"), ("COMPANY_IDS", "COMPANY_ID")):
        if many in columns:
            columns[many] = tuple(
                listed if listed is not None else [single] if single else []
                for listed, single in zip(columns[many], columns[one], strict=True)
            )


def _bags(columns: Mapping[str, tuple[object, ...]]) -> list[dict[str, object]]:
    return [json.loads(bag) if isinstance(bag, str) else {} for bag in columns.get("UF", ())]


def legacy_rows(
    session: Session, selection: Selection, rows: Sequence[Row], owner_type: int = 0
) -> list[dict[str, object]]:
    """Fetched rows (ID and `Selection.columns`) as the legacy family shows them."""
    if not rows:
        return []
    columns = _columns(rows, selection.columns)
    renderer = session.renderer
    shown: dict[str, Sequence[object]] = {
        name: renderer.legacy(field, columns[field.name]) if field.stored else [field.empty] * len(rows)
        for name, field in selection.fields.items()
    }
    bags = _bags(columns)
    for code, field in selection.user_fields.items():
        shown[code] = [_shown(field, bag.get(code), session, typed=False) for bag in bags]
    names = list(shown)
    records = [dict(zip(names, values, strict=True)) for values in zip(*shown.values(), strict=True)]
    if selection.multifields:
        for record, found in zip(records, _multifields(session, owner_type, rows), strict=True):
            for kind in selection.multifields:
                values = [
                    {"ID": str(v["ID"]), "VALUE_TYPE": v["VALUE_TYPE"], "VALUE": v["VALUE"], "TYPE_ID": kind}
                    for v in found
                    if v["TYPE_ID"] == kind
                ]
                if values:
                    record[kind] = values
    return records


def item_rows(
    session: Session, entity: EntityType, selection: Selection, rows: Sequence[Row]
) -> list[dict[str, object]]:
    """Fetched rows (ID and `Selection.columns`) as ``crm.item.*`` shows them."""
    if not rows:
        return []
    columns = _columns(rows, selection.columns)
    _client_lists(columns)
    renderer = session.renderer
    shown: dict[str, Sequence[object]] = {
        name: renderer.item(field, columns[field.name]) if field.stored else [None] * len(rows)
        for name, field in selection.fields.items()
    }
    bags = _bags(columns)
    for name, field in selection.user_fields.items():
        shown[name] = [_shown(field, bag.get(field.code), session, typed=True) for bag in bags]
    names = list(shown)
    records = [dict(zip(names, values, strict=True)) for values in zip(*shown.values(), strict=True)]
    if selection.multifields or selection.aliases:
        for record, found in zip(records, _multifields(session, entity.id, rows), strict=True):
            for alias in selection.aliases:
                kind, value_type = ALIASES[alias]
                matching = [v["VALUE"] for v in found if v["TYPE_ID"] == kind and value_type in {"", v["VALUE_TYPE"]}]
                record[alias] = matching[0] if matching else ""
            if selection.multifields:
                record["fm"] = [
                    {"id": v["ID"], "valueType": v["VALUE_TYPE"], "value": v["VALUE"], "typeId": v["TYPE_ID"]}
                    for v in found
                ]
    if selection.everything:
        for record in records:
            record["entityTypeId"] = entity.id
    return records


def _shown(field: UserField, value: object, session: Session, *, typed: bool) -> object:
    return render.user_field(field.type, multiple=field.multiple, value=value, zone=session.zone, typed=typed)


def _multifields(session: Session, owner_type: int, rows: Sequence[Row]) -> list[list[dict[str, object]]]:
    """Per row its phones, mails and so on."""
    ids = [row[0] for row in rows]
    found = session.data.records(
        f"SELECT * FROM multifield WHERE ENTITY_TYPE_ID = ? AND ELEMENT_ID IN ({', '.join('?' for _ in ids)}) ORDER BY ID",
        [owner_type, *ids],
    )
    by_owner: dict[object, list[dict[str, object]]] = {}
    for value in found:
        by_owner.setdefault(value["ELEMENT_ID"], []).append(value)
    return [by_owner.get(number, []) for number in ids]


# ---------------------------------------------------------------- filters


def legacy_target(table: Table, declared: Mapping[str, UserField], name: str) -> Target | None:
    """What a legacy filter or order name means; unknown names are dropped."""
    field = table.legacy.get(name)
    if field is not None and field.stored:
        return Target(f'"{name}"', field.kind) if name != "ID" else Target("ID", Kind.ID)
    user_field = declared.get(name)
    return user_field.target if user_field else None


def item_target(table: Table, declared: Mapping[str, UserField], name: str, *, original: bool) -> Target | None:
    """What an item filter or order name means; None is an error there."""
    field = table.item_field(name)
    if field is not None and field.stored:
        return Target(f'"{field.name}"', field.kind) if field.name != "ID" else Target("ID", Kind.ID)
    for code, user_field in declared.items():
        if name == code or (name == user_field.item_name and not original):
            return user_field.target
    return None


# ---------------------------------------------------------------- writing


def stored(field: Field, value: object, reader: filters.Reader) -> object:
    """A value that a client wrote, as it is stored; empty means NULL.

    Raises:
        UnreadableDateError: a date that is none.
    """
    if field.kind in {Kind.INTS, Kind.TEXTS}:
        return [filters.typed(field.kind, member, reader) for member in php.as_list(value)]
    if field.kind is Kind.JSON:
        return json.dumps(value) if php.is_array(value) else None
    if value is None or (php.blank(value) and field.kind not in {Kind.TEXT, Kind.STATUS}):
        return False if field.kind in {Kind.YN, Kind.BOOL} else None
    if field.kind is Kind.REF:
        return php.integer(value) or None
    return filters.typed(field.kind, value, reader)


def stored_user_field(field: UserField, value: object, reader: filters.Reader) -> object:
    """A user field that a client wrote, as it is stored in the bag."""
    if field.multiple:
        return [_stored_one(field.type, member, reader) for member in php.as_list(value)]
    return None if php.blank(value) or php.is_array(value) else _stored_one(field.type, value, reader)


def _stored_one(user_type: str, value: object, reader: filters.Reader) -> object:
    kind = render.USER_FIELD_KINDS.get(user_type, Kind.TEXT)
    found = filters.typed(kind, value, reader)
    if isinstance(found, date):
        return found.isoformat()
    return float(php.text(value) or 0) if kind is Kind.NUMBER else found

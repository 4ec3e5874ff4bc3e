"""CRM objects: the legacy families ``crm.deal.*`` … and the universal ``crm.item.*``.

Source: vendor, "crm.deal.list", "crm.item.list", "crm.item.get", "crm.item.fields", and their siblings.
"""

from __future__ import annotations

from collections.abc import Mapping

from b24metrics.sim import filters, php, tables, views
from b24metrics.sim.calls import Answer, Call, UserField, directions, method, paged, record_write, untied
from b24metrics.sim.data import Where
from b24metrics.sim.filters import Op, Target, UnreadableDateError
from b24metrics.sim.records import Hand
from b24metrics.sim.refusals import Refusal, legacy
from b24metrics.sim.tables import EntityType, Field, Kind

#: Object types that exist but are not spoken to by ``crm.item.*``.
FOREIGN_TYPES = frozenset({5, 8, 14})


#: Types of references whose description names the type of the other side.
_PARENTS = {"crm_lead": 1, "crm_deal": 2, "crm_company": 4, "crm_quote": 7}


def hand(call: Call) -> Hand:
    """The caller as the one who writes."""
    return Hand(call.now, call.user_id, php.text(call.arg("auth_connector")))


def entity_type(call: Call, name: str = "entityTypeId") -> EntityType:
    """The object type that a call names.

    Raises:
        Refusal: not given, not supported, unknown.
    """
    number = php.integer(call.need(name))
    if number in FOREIGN_TYPES:
        raise Refusal("ENTITY_TYPE_NOT_SUPPORTED", f"Entity type {number} is not supported")
    entity = call.portal.records.entity(number)
    if entity is None:
        raise Refusal("NOT_FOUND", "Smart process not found")
    return entity


def source(entity: EntityType) -> str:
    return f'"{entity.table.name}"'


def declared(call: Call, entity: EntityType) -> Mapping[str, UserField]:
    return call.session.user_fields(entity.table.user_fields)


# ---------------------------------------------------------------- legacy families


class Family:
    """``crm.{deal,lead,contact,company,quote}.*``."""

    def __init__(self, entity: EntityType) -> None:
        self.entity = entity
        self.multi = entity.id in views.WITH_MULTIFIELDS
        self.operators = filters.FULL if entity.id == 1 else filters.LEGACY

    def register(self) -> None:
        for verb in ("list", "get", "fields", "add", "update", "delete"):
            method(f"crm.{self.entity.family}.{verb}", "crm")(getattr(self, verb))

    def _check(self, call: Call) -> None:
        if self.entity.table.name in call.session.sight.denied:
            raise legacy("Access denied.")

    def list(self, call: Call) -> Answer:
        self._check(call)
        given, order = call.array("filter"), call.array("order")
        known = declared(call, self.entity)
        where = Where()

        def resolve(name: str) -> Target | None:
            if self.multi and name in {"PHONE", "EMAIL"}:
                return None
            return views.legacy_target(self.entity.table, known, name)

        filters.flat(given, self.operators, resolve, call.session.reader, where)
        self._by_contact_data(given, where)
        views.hide(call.session, self.entity.table, where)
        selection = views.legacy_selection(self.entity.table, php.as_list(call.arg("select")), known, multi=self.multi)
        by = directions(order, lambda name: _sql(views.legacy_target(self.entity.table, known, name)))
        start = call.start()
        rows, total, following, counted = paged(
            call, source(self.entity), selection.columns, where, by, start=start, rounded=True
        )
        shown = views.legacy_rows(call.session, selection, rows, self.entity.id)
        return Answer(shown, total, following, counted, max(0, start))

    def _by_contact_data(self, given: php.Params, where: Where) -> None:
        """Phones and mails: exact match only."""
        for key, value in given.items():
            op, name = filters.split_key(key, self.operators)
            if self.multi and name in {"PHONE", "EMAIL"} and op in {Op.EQ, Op.IN}:
                values = [php.text(member) for member in php.as_list(value)]
                where.add(
                    "ID IN (SELECT ELEMENT_ID FROM multifield WHERE ENTITY_TYPE_ID = ? AND TYPE_ID = ? "
                    f"AND VALUE IN ({', '.join('?' for _ in values)}))",
                    self.entity.id, name, *values,
                )  # fmt: skip

    def _number(self, call: Call) -> int:
        number = php.integer(call.arg("id"))
        if number <= 0:
            raise legacy("ID is not defined or invalid.")
        return number

    def get(self, call: Call) -> object:
        self._check(call)
        number = self._number(call)
        selection = views.legacy_selection(
            self.entity.table, ["*", "UF_*", *views.MULTIFIELDS], declared(call, self.entity), multi=self.multi
        )
        where = Where()
        where.add("ID = ?", number)
        rows = call.data.page(source(self.entity), selection.columns, where, limit=1)
        if not rows:
            raise legacy("Not found")
        views.hide(call.session, self.entity.table, where)
        if not call.data.count(source(self.entity), where):
            raise legacy("Access denied.")
        return views.legacy_rows(call.session, selection, rows, self.entity.id)[0]

    def fields(self, call: Call) -> object:
        described: dict[str, object] = {name: describe(field) for name, field in self.entity.table.legacy.items()}
        if "CONTACT_IDS" in self.entity.table.by_name:
            described["CONTACT_IDS"] = describe(self.entity.table.by_name["CONTACT_IDS"])
        if self.multi:
            for kind in views.MULTIFIELDS:
                described[kind] = describe(Field(kind, Kind.TEXTS, type="crm_multifield"))
        for code, user_field in declared(call, self.entity).items():
            described[code] = describe_user_field(call, user_field)
        return described

    def _given(self, call: Call, *, immutable: bool) -> dict[str, object]:
        given = call.arg("fields")
        if not php.is_array(given):
            raise legacy("Parameter 'fields' must be array.")
        known = {
            name: field
            for name, field in self.entity.table.by_name.items()
            if (field.legacy or name == "CONTACT_IDS") and not (immutable and field.immutable)
        }
        return written(call, php.as_map(given), known, dict(declared(call, self.entity)), multi=self.multi)

    def add(self, call: Call) -> object:
        self._check(call)
        number = call.portal.records.create(self.entity, self._given(call, immutable=False), hand(call))
        record_write(call, number)
        return number

    def update(self, call: Call) -> object:
        self._check(call)
        changes = self._given(call, immutable=True)
        if not call.portal.records.update(self.entity, self._number(call), changes, hand(call)):
            raise legacy("Not found")
        record_write(call, True)
        return True

    def delete(self, call: Call) -> object:
        self._check(call)
        if not call.portal.records.delete(self.entity, self._number(call), hand(call)):
            raise legacy("Not found")
        record_write(call, True)
        return True


def _sql(target: Target | None) -> str | None:
    return target.sql if target else None


def describe(field: Field) -> dict[str, object]:
    """One entry of ``*.fields``."""
    entry: dict[str, object] = {
        "type": field.vendor_type,
        "isRequired": field.required,
        "isReadOnly": field.read_only,
        "isImmutable": field.immutable,
        "isMultiple": field.multiple,
        "isDynamic": False,
    }
    if field.deprecated:
        entry["isDeprecated"] = True
    if field.directory:
        entry["statusType"] = field.directory
    entry["title"] = field.title
    if field.vendor_type in _PARENTS and not field.multiple:
        entry["settings"] = {"parentEntityTypeId": _PARENTS[field.vendor_type]}
    return entry


def describe_user_field(call: Call, field: UserField) -> dict[str, object]:
    """A user field among the others; enumerations bring their items."""
    entry: dict[str, object] = {
        "type": field.type,
        "isRequired": field.mandatory,
        "isReadOnly": False,
        "isImmutable": False,
        "isMultiple": field.multiple,
        "isDynamic": True,
    }
    if field.type == "enumeration":
        entry["items"] = [
            {"ID": str(row["ID"]), "VALUE": row["VALUE"]}
            for row in call.data.records(
                "SELECT ID, VALUE FROM userfield_enum WHERE USER_FIELD_ID = ? ORDER BY SORT, ID", [field.number]
            )
        ]
    label = field.label
    return {**entry, "title": field.code, "listLabel": label, "formLabel": label, "filterLabel": label, "settings": []}


def written(
    call: Call,
    given: php.Params,
    known: Mapping[str, Field],
    codes: Mapping[str, UserField],
    *,
    multi: bool,
) -> dict[str, object]:
    """What a client wrote as storage values; what nobody knows or may write is ignored.

    Raises:
        Refusal: a date that is none.
    """
    reader = call.session.reader
    changes: dict[str, object] = {}
    try:
        for name, value in given.items():
            field = known.get(name)
            if field is not None and field.stored and not field.read_only:
                changes[field.name] = views.stored(field, value, reader)
            elif name in codes:
                changes[codes[name].code] = views.stored_user_field(codes[name], value, reader)
            elif multi and name in views.MULTIFIELDS:
                changes[name] = [php.as_map(member) for member in php.as_list(value)]
    except UnreadableDateError as fault:
        raise Refusal("WRONG_DATETIME_FORMAT", f"Wrong datetime format: {fault}") from fault
    return changes


# ---------------------------------------------------------------- crm.item.*


def _original(call: Call) -> bool:
    return php.yes(call.params.get("useOriginalUfNames"))


def _check_item(call: Call, entity: EntityType) -> None:
    if entity.table.name in call.session.sight.denied:
        raise Refusal("ACCESS_DENIED", "Access denied", 400)


def item_order(given: php.Params, resolve: filters.Resolve) -> list[tuple[str, bool]]:
    """An order as controllers read it.

    Raises:
        Refusal: a direction that is none; ``resolve`` refuses unknown names.
    """
    order: list[tuple[str, bool]] = []
    for name, direction in given.items():
        target = resolve(name)
        word = php.text(direction).strip().upper()
        if word not in {"ASC", "DESC"}:
            raise Refusal(
                "INVALID_ARG_VALUE",
                f"Invalid order: allowed sort directions are ASC, DESC. But got '{php.text(direction)}' for field '{name}'",
            )
        if target is not None:
            order.append((target.sql, word == "DESC"))
    return untied(order) if order else [("ID", False)]


@method("crm.item.list", "crm")
def item_list(call: Call) -> Answer:
    entity = entity_type(call)
    _check_item(call, entity)
    known, original = declared(call, entity), _original(call)
    where = Where()

    def allowed(what: str) -> filters.Resolve:
        def resolve(name: str) -> Target | None:
            target = views.item_target(entity.table, known, name, original=original)
            if target is None:
                raise Refusal("INVALID_ARG_VALUE", f"Invalid {what}: field '{name}' is not allowed in {what}")
            return target

        return resolve

    filters.nested(php.as_map(call.arg("filter")), filters.FULL, allowed("filter"), call.session.reader, where)
    by = item_order(php.as_map(call.arg("order")), allowed("order"))
    views.hide(call.session, entity.table, where)
    selection = views.item_selection(
        entity.table,
        php.as_list(call.arg("select")),
        known,
        multi=entity.id in views.WITH_MULTIFIELDS,
        original=original,
    )
    start = call.start()
    rows, total, following, counted = paged(
        call, source(entity), selection.columns, where, by, start=start, rounded=False
    )
    items = views.item_rows(call.session, entity, selection, rows)
    return Answer({"items": items}, total, following, counted, max(0, start))


def _item(call: Call, entity: EntityType, number: int) -> dict[str, object]:
    """The whole item.

    Raises:
        Refusal: missing or not to be seen.
    """
    selection = views.item_selection(
        entity.table,
        [],
        declared(call, entity),
        multi=entity.id in views.WITH_MULTIFIELDS,
        original=_original(call),
    )
    where = Where()
    where.add("ID = ?", number)
    rows = call.data.page(source(entity), selection.columns, where, limit=1)
    if not rows:
        raise Refusal("NOT_FOUND", "Item not found")
    views.hide(call.session, entity.table, where)
    if not call.data.count(source(entity), where):
        raise Refusal("ACCESS_DENIED", "Access denied", 400)
    return views.item_rows(call.session, entity, selection, rows)[0]


@method("crm.item.get", "crm")
def item_get(call: Call) -> object:
    entity = entity_type(call)
    _check_item(call, entity)
    return {"item": _item(call, entity, php.integer(call.need("id")))}


@method("crm.item.fields", "crm")
def item_fields(call: Call) -> object:
    entity = entity_type(call)
    described: dict[str, object] = {
        name: {**describe(field), "upperName": field.name} for name, field in entity.table.items.items()
    }
    for code, user_field in declared(call, entity).items():
        name = code if _original(call) else user_field.item_name
        described[name] = {**describe_user_field(call, user_field), "upperName": code}
    return {"fields": described}


def _given_item(call: Call, entity: EntityType) -> dict[str, object]:
    codes = declared(call, entity)
    named = {**codes, **({} if _original(call) else {field.item_name: field for field in codes.values()})}
    given = php.as_map(call.need("fields"))
    known = {name: field for name in given if (field := entity.table.item_field(name))}
    changes = written(call, given, known, named, multi=False)
    for value in php.as_list(given.get("fm")):
        member = php.as_map(value)
        kind = php.text(member.get("typeId"))
        if kind in views.MULTIFIELDS:
            listed = changes.setdefault(kind, [])
            assert isinstance(listed, list)
            listed.append({"VALUE": member.get("value"), "VALUE_TYPE": member.get("valueType", "WORK")})
    return changes


@method("crm.item.add", "crm")
def item_add(call: Call) -> object:
    entity = entity_type(call)
    _check_item(call, entity)
    number = call.portal.records.create(entity, _given_item(call, entity), hand(call))
    record_write(call, number)
    return {"item": _item(call, entity, number)}


@method("crm.item.update", "crm")
def item_update(call: Call) -> object:
    entity = entity_type(call)
    _check_item(call, entity)
    number = php.integer(call.need("id"))
    if not call.portal.records.update(entity, number, _given_item(call, entity), hand(call)):
        raise Refusal("NOT_FOUND", "Item not found")
    record_write(call, number)
    return {"item": _item(call, entity, number)}


@method("crm.item.delete", "crm")
def item_delete(call: Call) -> object:
    entity = entity_type(call)
    _check_item(call, entity)
    number = php.integer(call.need("id"))
    if not call.portal.records.delete(entity, number, hand(call)):
        raise Refusal("NOT_FOUND", "Item not found")
    record_write(call, number)
    return []


@method("crm.entity.mergeBatch", "crm")
def merge_batch(call: Call) -> object:
    """Duplicates become one: the first that is named stays, the others vanish; their ids are told."""
    given = php.as_map(call.arg("params"))
    entity = tables.ENTITY_TYPES.get(php.integer(given.get("entityTypeId")))
    numbers = list(dict.fromkeys(php.integer(number) for number in php.as_list(given.get("entityIds"))))
    if entity is None or entity.id not in {1, 2, 3, 4} or len(numbers) < 2:
        return {"STATUS": "ERROR", "ENTITY_IDS": []}
    users = call.session.sight.users
    records = [call.data.record(entity.table, number) for number in numbers]
    if any(one is None or (users is not None and one["ASSIGNED_BY_ID"] not in users) for one in records):
        return {"STATUS": "ERROR", "ENTITY_IDS": []}
    survivor, *duplicates = numbers
    call.portal.records.merge(entity, survivor, duplicates, hand(call))
    record_write(call, duplicates)
    return {"STATUS": "SUCCESS", "ENTITY_IDS": [str(number) for number in duplicates]}


# ---------------------------------------------------------------- links between clients


def _linked(key: str, numbers: list[int], primary: int) -> list[dict[str, object]]:
    ordered = sorted(dict.fromkeys(numbers), key=lambda number: number != primary)
    return [
        {key: number, "SORT": 10 * (index + 1), "ROLE_ID": 0, "IS_PRIMARY": "Y" if number == primary else "N"}
        for index, number in enumerate(ordered)
    ]


def _links(entity: EntityType, key: str) -> None:
    """``crm.deal.contact.items.get`` and its siblings: from the object's own list."""
    many, one = f"{key}S", key

    def run(call: Call) -> object:
        number = php.integer(call.arg("id"))
        if number <= 0:
            raise legacy("The parameter id is invalid or not defined.")
        record = call.data.record(entity.table, number)
        if record is None:
            raise legacy("Not found")
        primary = php.integer(record[one])
        listed = [php.integer(member) for member in php.as_list(record[many])] or ([primary] if primary else [])
        return _linked(key, listed, primary)

    method(f"crm.{entity.family}.{key.removesuffix('_ID').lower()}.items.get", "crm")(run)


@method("crm.company.contact.items.get", "crm")
def company_contacts(call: Call) -> object:
    number = php.integer(call.arg("id"))
    if call.data.record(tables.COMPANY, number) is None:
        raise legacy("Not found")
    rows = call.data.rows(
        "SELECT ID FROM contact WHERE COMPANY_ID = ? OR list_contains(COMPANY_IDS, ?) ORDER BY ID", [number, number]
    )
    numbers = [php.integer(row[0]) for row in rows]
    return _linked("CONTACT_ID", numbers, numbers[0] if numbers else 0)


for _entity in tables.ENTITY_TYPES.values():
    if _entity.family:
        Family(_entity).register()
    if "CONTACT_IDS" in _entity.table.by_name and _entity.family:
        _links(_entity, "CONTACT_ID")
    if "COMPANY_IDS" in _entity.table.by_name:
        _links(_entity, "COMPANY_ID")

"""Stage history, directories, pipelines, currencies, smart process types, user fields.

Source: vendor, "crm.stagehistory.list", "crm.status.*", "crm.category.*", "crm.currency.*", "userfieldconfig.*".
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from b24metrics.sim import filters, php, tables, views
from b24metrics.sim.calls import Answer, Call, UserField, method, paged
from b24metrics.sim.data import Where
from b24metrics.sim.filters import Target
from b24metrics.sim.methods.crm import FOREIGN_TYPES, describe, entity_type, item_order
from b24metrics.sim.records import Records
from b24metrics.sim.refusals import Refusal, legacy
from b24metrics.sim.tables import EntityType, Field, Kind, Table

# ---------------------------------------------------------------- stage history


@method("crm.stagehistory.list", "crm")
def stage_history(call: Call) -> Answer:
    number = php.integer(call.need("entityTypeId"))
    entity = call.portal.records.entity(number)
    if number != 5 and (entity is None or not entity.has_history):
        raise Refusal("ENTITY_TYPE_NOT_SUPPORTED", "Entity type is not supported")
    if call.session.user.get("USER_TYPE") != "employee":
        raise Refusal("allowed_only_intranet_user")
    if entity is not None and entity.table.name in call.session.sight.denied:
        raise Refusal("ACCESS_DENIED", "Access denied", 400)
    names = _history_names(number)

    def target(name: str) -> Target | None:
        field = names.get(name)
        if field is None:
            return None
        return Target("ID", Kind.ID) if name == "ID" else Target(f'"{field.name}"', field.kind)

    def allowed(name: str) -> Target:
        found = target(name)
        if found is None:
            raise Refusal("INVALID_ARG_VALUE", f"Invalid filter: field '{name}' is not allowed in filter")
        return found

    where = Where()
    where.add("ENTITY_TYPE_ID = ?", number)
    filters.nested(php.as_map(call.arg("filter")), filters.FULL, allowed, call.session.reader, where)
    if entity is not None:
        views.hide_history(call.session, entity, where)
    order = {name: way for name, way in php.as_map(call.arg("order")).items() if name in names}
    by = item_order(order, target)
    wanted = [php.text(name) for name in php.as_list(call.arg("select"))]
    shown = {n: f for n, f in names.items() if not wanted or "*" in wanted or n in wanted or n == "ID"}
    columns = [field.name for name, field in shown.items() if name != "ID"]
    start = call.start()
    rows, total, following, counted = paged(call, "stage_history", columns, where, by, start=start, rounded=False)
    fetched = list(zip(*rows, strict=True)) if rows else [() for _ in shown]
    order_of = {"ID": 0, **{name: index + 1 for index, name in enumerate(n for n in shown if n != "ID")}}
    rendered = {name: call.session.renderer.item(field, fetched[order_of[name]]) for name, field in shown.items()}
    items = [dict(zip(rendered, values, strict=True)) for values in zip(*rendered.values(), strict=True)]
    return Answer({"items": items}, total, following, counted, max(0, start))


def _history_names(entity_type_id: int) -> Mapping[str, Field]:
    """Wire names of a history row: leads and old invoices say STATUS where others say STAGE."""
    names = dict(tables.STAGE_HISTORY.legacy)
    if entity_type_id in {1, 5}:
        names["STATUS_SEMANTIC_ID"] = names.pop("STAGE_SEMANTIC_ID")
        names["STATUS_ID"] = names.pop("STAGE_ID")
    return names


# ---------------------------------------------------------------- plain tables


def plain_rows(
    call: Call, table: Table, rows: list[dict[str, object]], *, typed: bool = False
) -> list[dict[str, object]]:
    """Records of a small table as the legacy family shows them, or with typed values."""
    if not rows:
        return []
    render = call.session.renderer.item if typed else call.session.renderer.legacy
    shown = {name: render(field, [row[field.name] for row in rows]) for name, field in table.legacy.items()}
    return [dict(zip(shown, values, strict=True)) for values in zip(*shown.values(), strict=True)]


# ---------------------------------------------------------------- directories

_EXTRA = ("STATUS", "QUOTE_STATUS", "DEAL_STAGE")


def _status_row(call: Call, row: dict[str, object]) -> dict[str, object]:
    shown = plain_rows(call, tables.STATUS, [row])[0]
    directory = php.text(row["ENTITY_ID"])
    if row["EXTRA_SEMANTICS"] is not None and (directory in _EXTRA or directory.startswith("DEAL_STAGE_")):
        shown["EXTRA"] = {"SEMANTICS": row["EXTRA_SEMANTICS"], "COLOR": row["COLOR"]}
    return shown


@method("crm.status.list", "crm")
def status_list(call: Call) -> Answer:
    if "status" in call.session.sight.denied:
        raise Refusal("Access denied.", "Insufficient permissions.")
    given = call.arg("filter")
    if not php.blank(given) and not php.is_array(given):
        raise Refusal("Invalid parameters.", "Incorrect parameters passed.")
    where = Where()

    def resolve(name: str) -> Target | None:
        field = tables.STATUS.legacy.get(name)
        return Target(f'"{name}"', field.kind) if field else None

    for key, value in php.as_map(given).items():
        _, name = filters.split_key(key, filters.LEGACY)
        if name == "ENTITY_ID" and php.is_array(value):
            raise Refusal("Filter by ENTITY_ID must be a string", "Filter by ENTITY_ID must be a string")
    filters.flat(php.as_map(given), filters.LEGACY, resolve, call.session.reader, where)
    order = [
        (f'"{name}"', php.text(way).lower().startswith("desc"))
        for name, way in php.as_map(call.arg("order")).items()
        if name in tables.STATUS.legacy
    ]
    by = ", ".join(f"{column} {'DESC' if down else 'ASC'}" for column, down in order) or "SORT"
    rows = call.data.records(f"SELECT * FROM status WHERE {where.sql} ORDER BY {by}, ID", where.values)
    return Answer([_status_row(call, row) for row in rows], len(rows))


@method("crm.status.get", "crm")
def status_get(call: Call) -> object:
    record = call.data.record(tables.STATUS, php.integer(call.arg("id")))
    if record is None:
        raise Refusal("Status is not found.", "Directory item not found.")
    return _status_row(call, record)


@method("crm.status.fields", "crm")
def status_fields(_call: Call) -> object:
    return {name: describe(field) for name, field in tables.STATUS.legacy.items()}


@method("crm.status.entity.items", "crm")
def status_items(call: Call) -> object:
    directory = php.text(call.arg("entityId"))
    rows = call.data.rows("SELECT NAME, SORT, STATUS_ID FROM status WHERE ENTITY_ID = ? ORDER BY SORT, ID", [directory])
    if not directory or not rows:
        raise Refusal(
            "The parameter entityId is not defined or invalid.", "The directory ID is not specified or is incorrect."
        )
    return [{"NAME": name, "SORT": sort, "STATUS_ID": code} for name, sort, code in rows]


@method("crm.status.entity.types", "crm")
def status_types(call: Call) -> object:
    listed: list[dict[str, object]] = []
    records = call.portal.records
    for row in call.data.rows("SELECT ENTITY_ID, min(CATEGORY_ID) FROM status GROUP BY 1 ORDER BY min(ID)"):
        directory = php.text(row[0])
        entry: dict[str, object] = {"ID": directory, "NAME": directory.replace("_", " ").capitalize()}
        entity = _of_directory(call, directory)
        if entity is None:
            listed.append({**entry, "SEMANTIC_INFO": []})
            continue
        entry["SEMANTIC_INFO"] = _semantic_info(records, entity, php.integer(row[1]))
        if entity.id not in {1, 7}:
            entry |= {"ENTITY_TYPE_ID": entity.id, "CATEGORY_ID": php.integer(row[1])}
            entry["PREFIX"] = f"C{php.integer(row[1])}" if entity.id == 2 and row[1] else ""
        listed.append(entry)
    return listed


def _of_directory(call: Call, directory: str) -> EntityType | None:
    """The object type whose stages a directory holds."""
    if directory == "STATUS":
        return tables.ENTITY_TYPES[1]
    if directory == "QUOTE_STATUS":
        return tables.ENTITY_TYPES[7]
    if directory.startswith("DEAL_STAGE"):
        return tables.ENTITY_TYPES[2]
    if directory.startswith("SMART_INVOICE_STAGE_"):
        return tables.ENTITY_TYPES[31]
    if directory.startswith("DYNAMIC_"):
        return call.portal.records.entity(php.integer(directory.removeprefix("DYNAMIC_")))
    return None


def _semantic_info(records: Records, entity: EntityType, category: int) -> object:
    stages = records.stages(entity, category)
    kinds = {stage: records.semantics(entity, category, stage) for stage in stages}
    won = next((stage for stage in stages if kinds[stage] == "S"), "")
    sorts = records.data.value(
        "SELECT SORT FROM status WHERE ENTITY_ID = ? AND STATUS_ID = ?", [entity.directory(category), won]
    )
    return {
        "START_FIELD": stages[0] if stages else "",
        "FINAL_SUCCESS_FIELD": won,
        "FINAL_UNSUCCESS_FIELD": next((stage for stage in stages if kinds[stage] == "F"), ""),
        "FINAL_SORT": sorts or 0,
    }


# ---------------------------------------------------------------- pipelines


def _category_type(call: Call) -> int:
    number = php.integer(call.need("entityTypeId"))
    if number in {1, 7} | FOREIGN_TYPES:
        raise Refusal("ENTITY_TYPE_NOT_SUPPORTED", f"Entity type {number} does not support categories")
    return entity_type(call).id


def _category_row(row: Mapping[str, object]) -> dict[str, object]:
    shown: dict[str, object] = {
        "id": row["ID"],
        "name": row["NAME"],
        "sort": row["SORT"],
        "entityTypeId": row["ENTITY_TYPE_ID"],
        "isDefault": "Y" if row["IS_DEFAULT"] else "N",
    }
    if not (row["ID"] == 0 and row["ENTITY_TYPE_ID"] == 2):  # the default deal pipeline lacks both
        shown |= {"originId": row["ORIGIN_ID"] or "", "originatorId": row["ORIGINATOR_ID"] or ""}
    return shown


@method("crm.category.list", "crm")
def category_list(call: Call) -> Answer:
    rows = call.data.records(
        "SELECT * FROM category WHERE ENTITY_TYPE_ID = ? ORDER BY SORT, ID", [_category_type(call)]
    )
    return Answer({"categories": [_category_row(row) for row in rows]}, len(rows))


@method("crm.category.get", "crm")
def category_get(call: Call) -> object:
    rows = call.data.records(
        "SELECT * FROM category WHERE ENTITY_TYPE_ID = ? AND ID = ?",
        [_category_type(call), php.integer(call.need("id"))],
    )
    if not rows:
        raise Refusal("NOT_FOUND", "Category not found")
    return {"category": _category_row(rows[0])}


@method("crm.category.fields", "crm")
def category_fields(call: Call) -> object:
    _category_type(call)
    types = {"id": "integer", "sort": "integer", "entityTypeId": "integer", "isDefault": "boolean"}
    names = {
        "id": "ID", "name": "NAME", "sort": "SORT", "entityTypeId": "ENTITY_TYPE_ID", "isDefault": "IS_DEFAULT",
        "originId": "ORIGIN_ID", "originatorId": "ORIGINATOR_ID",
    }  # fmt: skip
    return {
        "fields": {
            name: {
                "type": types.get(name, "string"),
                "isRequired": name == "entityTypeId",
                "isReadOnly": name in types and name != "sort",
                "isImmutable": False,
                "isMultiple": False,
                "isDynamic": False,
                "title": upper,
                "upperName": upper,
            }
            for name, upper in names.items()
        }
    }


@method("crm.dealcategory.list", "crm")
def deal_category_list(call: Call) -> Answer:
    """The deprecated twin; the default pipeline is not in it."""
    rows = call.data.records("SELECT * FROM category WHERE ENTITY_TYPE_ID = 2 AND ID > 0 ORDER BY SORT, ID")
    shown = [{"ID": str(row["ID"]), "NAME": row["NAME"], "SORT": str(row["SORT"]), "IS_LOCKED": "N"} for row in rows]
    return Answer(shown, len(rows))


@method("crm.dealcategory.default.get", "crm")
def deal_category_default(call: Call) -> object:
    row = call.data.records("SELECT * FROM category WHERE ENTITY_TYPE_ID = 2 AND ID = 0")
    return {"ID": "0", "NAME": row[0]["NAME"] if row else "General", "SORT": "0"}


# ---------------------------------------------------------------- currencies


@method("crm.currency.list", "crm")
def currency_list(call: Call) -> Answer:
    if "currency" in call.session.sight.denied:
        raise legacy("Access denied.")
    rows = call.data.records("SELECT * FROM currency ORDER BY SORT, CURRENCY")
    return Answer(plain_rows(call, tables.CURRENCY, rows), 0)  # total is 0 whatever comes


@method("crm.currency.base.get", "crm")
def currency_base(call: Call) -> object:
    return call.session.settings["BASE_CURRENCY"]


# ---------------------------------------------------------------- types and modes


@method("crm.settings.mode.get", "crm")
def mode(call: Call) -> object:
    return call.session.settings["CRM_MODE"]


@method("crm.type.list", "crm")
def type_list(call: Call) -> Answer:
    rows = call.data.records("SELECT * FROM smart_type ORDER BY ID")
    total, start = len(rows), max(0, call.start())
    shown = _smart_types(call, rows[start : start + 50])
    return Answer({"types": shown}, total, start + 50 if start + 50 < total else None)


@method("crm.type.get", "crm")
def type_get(call: Call) -> object:
    record = call.data.record(tables.SMART_TYPE, php.integer(call.need("id")))
    if record is None:
        raise Refusal(0, "SPA not found")
    return {"type": _smart_types(call, [record])[0]}


def _smart_types(call: Call, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    names = {name: tables.camel(name) for name in tables.SMART_TYPE.legacy}
    shown = plain_rows(call, tables.SMART_TYPE, rows, typed=True)
    return [{names[name]: value for name, value in row.items()} for row in shown]


@method("crm.enum.ownertype", "crm")
def owner_types(call: Call) -> object:
    dynamic = call.data.rows("SELECT ENTITY_TYPE_ID, TITLE FROM smart_type ORDER BY ENTITY_TYPE_ID")
    known = [
        *((e.id, e.name, e.code, e.short) for e in tables.ENTITY_TYPES.values()),
        (5, "Invoice (old version)", "INVOICE", "I"),
        *((number, title, f"DYNAMIC_{number}", f"T{php.integer(number):x}") for number, title in dynamic),
    ]
    return [
        {"ID": number, "NAME": title, "SYMBOL_CODE": code, "SYMBOL_CODE_SHORT": short}
        for number, title, code, short in known
    ]


_ENUMS = {
    "activitytype": ["", "Meeting", "Call", "Task", "E-mail"],
    "activitydirection": ["", "Incoming", "Outgoing"],
    "activitypriority": ["", "low", "medium", "high"],
    "activitystatus": ["", "Pending", "Completed", "Completed automatically"],
    "contenttype": ["", "plain text", "bbCode", "HTML"],
}


def _enum(name: str, values: list[str]) -> None:
    @method(f"crm.enum.{name}", "crm")
    def run(_call: Call) -> object:
        return [
            {"ID": number, "NAME": value, "SYMBOL_CODE": None, "SYMBOL_CODE_SHORT": None}
            for number, value in enumerate(values)
        ]


for _name, _values in _ENUMS.items():
    _enum(_name, _values)

# ---------------------------------------------------------------- user fields


def _enum_rows(call: Call, field: UserField) -> list[dict[str, object]]:
    rows = call.data.records("SELECT * FROM userfield_enum WHERE USER_FIELD_ID = ? ORDER BY SORT, ID", [field.number])
    return plain_rows(call, tables.USERFIELD_ENUM, rows)


def _legacy_user_field(call: Call, field: UserField, *, labels: bool) -> dict[str, object]:
    shown = plain_rows(call, tables.USERFIELD, [dict(field.record)])[0]
    if field.type == "enumeration":
        shown["LIST"] = _enum_rows(call, field)
    if labels:
        shown |= {"EDIT_FORM_LABEL": field.label, "LIST_COLUMN_LABEL": field.label, "LIST_FILTER_LABEL": field.label}
        shown |= {"ERROR_MESSAGE": None, "HELP_MESSAGE": None}
    return shown


def _user_fields_of(call: Call, owner: str) -> Answer:
    given = call.array("filter")
    call.array("order")
    fields = [
        field
        for field in call.session.user_fields(owner).values()
        if all(
            php.text(field.record[name]) == php.text(value)
            for name, value in given.items()
            if name in {"ID", "FIELD_NAME", "USER_TYPE_ID", "XML_ID"}
        )
    ]
    shown = [_legacy_user_field(call, field, labels="LANG" in given) for field in fields]
    return Answer(shown, len(shown))


@method("user.userfield.list", "user.userfield")
def user_fields_of_people(call: Call) -> Answer:
    if not call.session.is_admin:
        raise legacy("Access denied.")
    return _user_fields_of(call, "USER")


def _user_field_list(entity: EntityType) -> None:
    @method(f"crm.{entity.family}.userfield.list", "crm")
    def run(call: Call) -> Answer:
        return _user_fields_of(call, entity.table.user_fields)

    @method(f"crm.{entity.family}.userfield.get", "crm")
    def get(call: Call) -> object:
        number = php.integer(call.arg("id"))
        if number <= 0:
            raise legacy("ID is not defined or invalid.")
        for field in call.session.user_fields(entity.table.user_fields).values():
            if field.number == number:
                return _legacy_user_field(call, field, labels=True)
        raise legacy("The entity with ID '" + str(number) + "' is not found.")


for _entity in tables.ENTITY_TYPES.values():
    if _entity.family:
        _user_field_list(_entity)


def _config(field: UserField) -> dict[str, object]:
    """A user field in camel case; labels and items only from ``get``."""
    flags = {name: "Y" if field.record[name] else "N" for name in ("MULTIPLE", "MANDATORY", "SHOW_IN_LIST")}
    settings = field.record["SETTINGS"]
    return {
        "id": str(field.number),
        "entityId": field.record["ENTITY_ID"],
        "fieldName": field.code,
        "userTypeId": field.type,
        "xmlId": field.record["XML_ID"],
        "sort": php.text(field.record["SORT"]),
        "multiple": flags["MULTIPLE"],
        "mandatory": flags["MANDATORY"],
        "showFilter": field.record["SHOW_FILTER"],
        "showInList": flags["SHOW_IN_LIST"],
        "editInList": "Y" if field.record["EDIT_IN_LIST"] else "N",
        "isSearchable": "Y" if field.record["IS_SEARCHABLE"] else "N",
        "settings": json.loads(settings) if isinstance(settings, str) else [],
    }


def _configured(call: Call) -> list[UserField]:
    """User fields of the module.

    Raises:
        Refusal: no module, or its scope is missing.
    """
    module = php.text(call.need("moduleId"))
    if module not in call.session.credential.scopes:
        raise Refusal("insufficient_scope")
    entities = call.data.rows("SELECT DISTINCT ENTITY_ID FROM userfield ORDER BY 1")
    return [field for row in entities for field in call.session.user_fields(php.text(row[0])).values()]


@method("userfieldconfig.list", "userfieldconfig")
def userfield_config_list(call: Call) -> Answer:
    given = php.as_map(call.arg("filter"))
    fields = [
        field
        for field in _configured(call)
        if given.get("entityId") in {None, field.record["ENTITY_ID"]}
        and given.get("fieldName") in {None, field.code}
        and given.get("userTypeId") in {None, field.type}
    ]
    start = max(0, call.start())
    page = fields[start : start + 50]
    following = start + 50 if start + 50 < len(fields) else None
    return Answer({"fields": [_config(field) for field in page]}, len(fields), following)


@method("userfieldconfig.get", "userfieldconfig")
def userfield_config_get(call: Call) -> object:
    number = php.integer(call.need("id"))
    for field in _configured(call):
        if field.number != number:
            continue
        language = php.text(call.session.settings["LANGUAGE_ID"])
        label = {language: field.label}
        shown = _config(field) | {"languageId": {language: language}}
        shown |= {"editFormLabel": label, "listColumnLabel": label, "listFilterLabel": label}
        if field.type == "enumeration":
            shown["enum"] = [
                {
                    "id": row["ID"],
                    "userFieldId": str(field.number),
                    "value": row["VALUE"],
                    "def": row["DEF"],
                    "sort": row["SORT"],
                    "xmlId": row["XML_ID"],
                }
                for row in _enum_rows(call, field)
            ]
        return {"field": shown}
    raise Refusal("0", "Field not found")

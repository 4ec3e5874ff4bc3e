"""Product rows, payments, old invoices, the catalogue.

Source: vendor, "crm.item.productrow.list", "crm.item.productrow.get", "crm.deal.productrows.get", "crm.item.payment.list", "crm.invoice.list",
"catalog.product.list".
"""

from __future__ import annotations

from collections.abc import Mapping

from b24metrics.sim import filters, php, tables, views
from b24metrics.sim.calls import Answer, Call, directions, method, paged
from b24metrics.sim.data import Where
from b24metrics.sim.methods.crm import describe
from b24metrics.sim.methods.directories import plain_rows
from b24metrics.sim.refusals import Refusal, legacy

# ---------------------------------------------------------------- product rows

_LIKE_PRICE = ("PRICE_EXCLUSIVE", "PRICE_NETTO", "PRICE_BRUTTO", "PRICE_ACCOUNT")


def _owner_row(row: Mapping[str, object]) -> dict[str, object]:
    """A stored row with the prices that follow from the price."""
    return {**row, **{name: row["PRICE"] for name in _LIKE_PRICE if row[name] is None}}


@method("crm.item.productrow.list", "crm")
def product_rows(call: Call) -> Answer:
    given = php.as_map(call.arg("filter"))
    for name in ("ownerType", "ownerId"):
        if f"={name}" not in given and name not in given:
            raise Refusal("INVALID_ARG_VALUE", f"Invalid filter: {name} is required in filter")
    names = {tables.camel(name): field for name, field in tables.PRODUCT_ROW.legacy.items()}

    def resolve(name: str) -> filters.Target:
        if name not in names:
            raise Refusal("INVALID_ARG_VALUE", f"Invalid filter: field '{name}' is not allowed in filter")
        return filters.Target(f'"{names[name].name}"', names[name].kind)

    where = Where()
    filters.flat(given, filters.FULL, resolve, call.session.reader, where)
    by = directions(php.as_map(call.arg("order")), lambda name: f'"{names[name].name}"' if name in names else None)
    columns = [field.name for field in names.values() if field.name != "ID"]
    start = call.start()
    rows, total, following, _ = paged(call, "product_row", columns, where, by, start=start, rounded=False)
    records = [_owner_row(dict(zip(["ID", *columns], row, strict=True))) for row in rows]
    shown = [
        {tables.camel(name): value for name, value in row.items()}
        for row in plain_rows(call, tables.PRODUCT_ROW, records, typed=True)
    ]
    return Answer({"productRows": shown}, total, following)


@method("crm.item.productrow.get", "crm")
def product_row(call: Call) -> object:
    record = call.data.record(tables.PRODUCT_ROW, php.integer(call.need("id")))
    if record is None:
        raise Refusal("NOT_FOUND", "Item not found")
    shown = plain_rows(call, tables.PRODUCT_ROW, [_owner_row(record)], typed=True)[0]
    return {"productRow": {tables.camel(name): value for name, value in shown.items()}}


def _legacy_row(row: Mapping[str, object]) -> dict[str, object]:
    """The mixed types of the old method: ids as text, prices as numbers, the price in base currency as text again."""
    full = _owner_row(row)
    shown: dict[str, object] = {}
    for name, field in tables.PRODUCT_ROW.legacy.items():
        value = full[name]
        if name in {"ID", "OWNER_ID"}:
            shown[name] = str(value)
        elif name == "PRICE_ACCOUNT":
            shown[name] = f"{float(php.text(value) or 0):.2f}"
        elif isinstance(value, bool):
            shown[name] = "Y" if value else "N"
        elif field.kind is tables.Kind.NUMBER and isinstance(value, float):
            shown[name] = php.number(value)
        else:
            shown[name] = value
        if name == "PRODUCT_NAME":
            shown |= {"ORIGINAL_PRODUCT_NAME": value, "PRODUCT_DESCRIPTION": None}
    return {**shown, "RESERVE_ID": None, "DATE_RESERVE_END": None, "RESERVE_QUANTITY": None}


def _legacy_rows(entity: tables.EntityType) -> None:
    @method(f"crm.{entity.family}.productrows.get", "crm")
    def run(call: Call) -> object:
        number = php.integer(call.arg("id"))
        if number <= 0:
            raise legacy("The parameter id is invalid or not defined.")
        if call.data.record(entity.table, number) is None:
            raise legacy("Not found")
        rows = call.data.records(
            "SELECT * FROM product_row WHERE OWNER_TYPE = ? AND OWNER_ID = ? ORDER BY SORT, ID",
            [entity.short, number],
        )
        return [_legacy_row(row) for row in rows]


for _number in (1, 2, 7):
    _legacy_rows(tables.ENTITY_TYPES[_number])

# ---------------------------------------------------------------- payments


def _payment(call: Call, row: dict[str, object]) -> dict[str, object]:
    shown = plain_rows(call, tables.PAYMENT, [row], typed=True)[0]
    return {tables.camel(name): value for name, value in shown.items() if not name.startswith("OWNER_")}


@method("crm.item.payment.list", "crm")
def payment_list(call: Call) -> object:
    number, kind = php.integer(call.need("entityId")), php.integer(call.need("entityTypeId"))
    if "payment" in call.session.sight.denied:
        raise Refusal(0, "Access denied")
    where = Where()
    where.add("OWNER_TYPE_ID = ? AND OWNER_ID = ?", kind, number)
    names = {tables.camel(name): field for name, field in tables.PAYMENT.legacy.items()}
    filters.flat(
        php.as_map(call.arg("filter")),
        filters.FULL,
        lambda name: filters.Target(f'"{names[name].name}"', names[name].kind) if name in names else None,
        call.session.reader,
        where,
    )
    rows = call.data.records(f"SELECT * FROM payment WHERE {where.sql} ORDER BY ID", where.values)
    return [_payment(call, row) for row in rows]


@method("crm.item.payment.get", "crm")
def payment_get(call: Call) -> object:
    record = call.data.record(tables.PAYMENT, php.integer(call.need("id")))
    if record is None:
        raise Refusal(0, "Payment has not been found")
    return _payment(call, record)


# ---------------------------------------------------------------- old invoices


@method("crm.invoice.list", "crm")
def invoice_list(call: Call) -> Answer:
    table = tables.OLD_INVOICE
    if "old_invoice" in call.session.sight.denied:
        raise legacy("Access denied.")
    where = Where()
    filters.flat(
        call.array("filter"),
        filters.LEGACY,
        lambda name: views.legacy_target(table, {}, name),
        call.session.reader,
        where,
    )
    by = directions(
        call.array("order"), lambda name: target.sql if (target := views.legacy_target(table, {}, name)) else None
    )
    selection = views.legacy_selection(table, php.as_list(call.arg("select")), {}, multi=False)
    start = call.start()
    rows, total, following, counted = paged(call, table.name, selection.columns, where, by, start=start, rounded=True)
    return Answer(views.legacy_rows(call.session, selection, rows), total, following, counted, max(0, start))


@method("crm.invoice.get", "crm")
def invoice_get(call: Call) -> object:
    record = call.data.record(tables.OLD_INVOICE, php.integer(call.arg("id")))
    if record is None:
        raise legacy("Not found")
    return plain_rows(call, tables.OLD_INVOICE, [record])[0]


@method("crm.invoice.fields", "crm")
def invoice_fields(_call: Call) -> object:
    return {name: describe(field) for name, field in tables.OLD_INVOICE.legacy.items()}


# ---------------------------------------------------------------- catalogue

_PRODUCT = {
    "id": "ID", "iblockId": "IBLOCK_ID", "name": "NAME", "active": "ACTIVE", "dateCreate": "DATE_CREATE",
    "timestampX": "TIMESTAMP_X",
}  # fmt: skip


@method("catalog.product.list", "catalog")
def catalog_products(call: Call) -> Answer:
    select = [php.text(name) for name in php.as_list(call.arg("select"))]
    given = php.as_map(call.arg("filter"))
    if not {"id", "iblockId"} <= set(select) or not any(key.lstrip("=@") == "iblockId" for key in given):
        raise Refusal("0", "Required select fields: id, iblockId; required filter fields: iblockId")
    fields = {name: tables.PRODUCT.by_name[column] for name, column in _PRODUCT.items()}

    def resolve(name: str) -> filters.Target | None:
        if name == "id":
            return filters.Target("ID", tables.Kind.ID)
        return filters.Target(f'"{fields[name].name}"', fields[name].kind) if name in fields else None

    where = Where()
    filters.flat(given, filters.FULL, resolve, call.session.reader, where)
    by = directions(php.as_map(call.arg("order")), lambda name: target.sql if (target := resolve(name)) else None)
    columns = [column for column in _PRODUCT.values() if column != "ID"]
    start = call.start()
    rows, total, following, _ = paged(call, "product", columns, where, by, start=start, rounded=False)
    render = call.session.renderer.item
    values = dict(zip(_PRODUCT, zip(*rows, strict=True), strict=True)) if rows else {}
    shown = {name: render(fields[name], column) for name, column in values.items() if name in select}
    products = [dict(zip(shown, row, strict=True)) for row in zip(*shown.values(), strict=True)]
    return Answer({"products": products}, total, following)

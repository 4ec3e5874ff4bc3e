"""How each listing method is spelled: one table, and the two functions that read it.

Laws: a new listing method is a row here, never a branch elsewhere. A listing that a portal could misread (an operator
that the method drops, a bound set twice) is refused before it is sent. Rows that come back are held against the bounds
that were asked for, because some methods ignore filters that they do not know and then return everything.
Source: vendor, pages of the methods; observed differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import lt
from typing import Any, TypeVar, cast

from b24metrics.errors import UnreadableReply, UnreadableRow
from b24metrics.portal.request import Answer, Listing, Page, Ref, Request, Together, readable

T = TypeVar("T")

PAGE = 50
"""Rows of a page, not adjustable for classic methods."""


class Paging(StrEnum):
    """How a method hands out its rows."""

    KEYSET = "keyset"  # order by id, filter >id, start=-1: no counting, no shifting
    OFFSET = "offset"  # start = 0, 50, 100 …
    NONE = "none"  # everything at once
    LIMIT = "limit"  # limit and offset
    PAGES = "pages"  # REST 3.0: pagination {limit, offset}
    CURSOR = "cursor"  # REST 3.0: pagination {limit, afterCursor}; hasMore


class Order(StrEnum):
    """How a method wants its order."""

    MAP = "map"  # order[ID]=ASC
    WORDS = "words"  # sort=ID & order=ASC
    NONE = "none"


# Operators, by what a method understands (a prefix of the field name). Others are refused here, because the portal
# would drop them silently and return too much.
_TELEPHONY = frozenset({"", "!", ">=", ">", "<=", "<", "><", "!><", "?", "=", "!=", "%", "!%"})
_TASKS = frozenset({"", "!", ">", ">=", "<", "<=", "%"})
_PLAIN = frozenset({""})


@dataclass(frozen=True, slots=True)
class Dialect:
    """One method's way of listing.

    Attributes:
        rows: keys that lead from the result to the rows; empty: the result is the rows.
        id_out: the id's key in a row, None where rows have no id. id_in: its name in filter, order and select.
        order, sort_key, order_key: the shape of the order and the parameters that carry it; ``ascending``, ``descending``
        are spelled as the method documents them.
        filter_key: parameter that carries the filter; empty: filters are top-level parameters.
        select_key: parameter that carries the fields; None: the method has none.
        start_key: parameter of the offset. wrap: parameter in which all of these are wrapped.
        page: rows of a full page. deaf: conditions that the method does not know are ignored, not refused.
        operators: the operators that the method understands; None: all that are usual.
        at_is_plain: ``@`` is dropped by the method; a plain key with a list means the same.
        rest3: lives under ``/rest/api/``. triples: filter is a list of [field, operator, value].
        repeatable: False where listing changes something (a queue that hands out and forgets).
    """

    method: str
    paging: Paging = Paging.KEYSET
    rows: tuple[str, ...] = ()
    id_out: str | None = "ID"
    id_in: str = "ID"
    order: Order = Order.MAP
    sort_key: str = "sort"
    order_key: str = "order"
    ascending: str = "ASC"
    descending: str = "DESC"
    filter_key: str = "filter"
    select_key: str | None = "select"
    start_key: str = "start"
    wrap: str | None = None
    page: int = PAGE
    deaf: bool = False
    operators: frozenset[str] | None = None
    at_is_plain: bool = False
    rest3: bool = False
    triples: bool = False
    repeatable: bool = True


_LEGACY = Dialect("", deaf=True)
_ITEM = Dialect("", rows=("items",), id_out="id", id_in="id")
_WHOLE = Dialect("", Paging.NONE, order=Order.MAP, select_key=None)
_REST3 = Dialect(
    "", Paging.PAGES, rows=("items",), id_out="id", id_in="id", rest3=True, triples=True, start_key="pagination"
)

_ROWS: tuple[Dialect, ...] = (
    # CRM, legacy families
    *(replace(_LEGACY, method=f"crm.{kind}.list") for kind in ("lead", "deal", "contact", "company", "quote")),
    replace(_LEGACY, method="crm.activity.list"),
    replace(_LEGACY, method="crm.invoice.list"),
    replace(_LEGACY, method="crm.product.list"),
    replace(_LEGACY, method="crm.requisite.list"),
    # CRM, universal
    replace(_ITEM, method="crm.item.list"),
    replace(_ITEM, method="crm.stagehistory.list", id_out="ID", id_in="ID"),
    replace(_ITEM, method="crm.item.productrow.list", paging=Paging.OFFSET, rows=("productRows",)),
    replace(_ITEM, method="crm.type.list", paging=Paging.OFFSET, rows=("types",)),
    replace(
        _ITEM, method="crm.automatedsolution.list", paging=Paging.OFFSET, rows=("automatedSolutions",), select_key=None
    ),
    replace(_WHOLE, method="crm.category.list", rows=("categories",), id_out="id", id_in="id", order=Order.NONE),
    replace(_WHOLE, method="crm.item.payment.list", id_out="id", id_in="id"),
    replace(_WHOLE, method="crm.item.delivery.list", id_out="id", id_in="id"),
    # CRM, directories
    replace(_WHOLE, method="crm.status.list"),
    replace(_WHOLE, method="crm.status.entity.items", id_out=None, order=Order.NONE),
    replace(_WHOLE, method="crm.status.entity.types", id_out=None, order=Order.NONE),
    replace(_WHOLE, method="crm.currency.list", id_out=None),  # keyed by CURRENCY; its total is always 0
    replace(_WHOLE, method="crm.dealcategory.list"),
    *(
        replace(_WHOLE, method=f"crm.{kind}.userfield.list")
        for kind in ("lead", "deal", "contact", "company", "quote", "invoice", "requisite")
    ),
    *(
        replace(_WHOLE, method=f"crm.{kind}.productrows.get", order=Order.NONE)
        for kind in ("lead", "deal", "quote", "invoice")
    ),
    *(
        replace(_WHOLE, method=method, id_out=None, order=Order.NONE)
        for method in (
            "crm.deal.contact.items.get",
            "crm.lead.contact.items.get",
            "crm.quote.contact.items.get",
            "crm.contact.company.items.get",
            "crm.company.contact.items.get",
            "crm.activity.binding.list",
            "crm.activity.type.list",
        )
    ),
    replace(_LEGACY, method="crm.timeline.comment.list", paging=Paging.OFFSET),
    replace(_ITEM, method="crm.timeline.logmessage.list", paging=Paging.OFFSET, rows=("logMessages",), page=10),
    replace(_ITEM, method="userfieldconfig.list", paging=Paging.OFFSET, rows=("fields",)),
    # Telephony
    Dialect(
        "voximplant.statistic.get",
        order=Order.WORDS,
        sort_key="SORT",
        order_key="ORDER",
        filter_key="FILTER",
        select_key=None,
        deaf=True,
        operators=_TELEPHONY,
        at_is_plain=True,
    ),
    # People
    Dialect("user.get", order=Order.WORDS, filter_key="FILTER", deaf=True),
    Dialect("user.search", Paging.OFFSET, order=Order.WORDS, filter_key="FILTER", deaf=True),
    Dialect(
        "department.get",
        Paging.OFFSET,
        order=Order.WORDS,
        filter_key="",
        select_key=None,
        start_key="START",
        deaf=True,
        operators=_PLAIN,
    ),
    replace(_WHOLE, method="user.userfield.list"),
    # Tasks: asked in capitals, answered in camelCase
    Dialect("tasks.task.list", rows=("tasks",), id_out="id", ascending="asc", descending="desc", operators=_TASKS),
    Dialect("task.elapseditem.getlist", Paging.OFFSET, order=Order.MAP, order_key="ORDER", filter_key="FILTER"),
    # Open lines
    Dialect("imopenlines.config.list.get", Paging.LIMIT, wrap="PARAMS", start_key="offset", page=200),
    # Calendar: everything at once, parameters on top
    *(
        replace(_WHOLE, method=method, filter_key="", order=Order.NONE)
        for method in ("calendar.event.get", "calendar.event.get.nearest", "calendar.section.get")
    ),
    replace(_WHOLE, method="calendar.resource.list", filter_key="", order=Order.NONE),
    # Catalogue
    Dialect("catalog.product.list", rows=("products",), id_out="id", id_in="id"),
    Dialect("catalog.catalog.list", Paging.OFFSET, rows=("catalogs",), id_out="id", id_in="id"),
    # Events (an application only). The queue forgets what it hands out, so a lost answer must not be repeated.
    Dialect("event.offline.list", Paging.OFFSET),
    Dialect("event.offline.get", Paging.NONE, rows=("events",), order=Order.MAP, select_key=None, repeatable=False),
    replace(_WHOLE, method="event.get", id_out=None, filter_key="", order=Order.NONE),
    # REST 3.0
    replace(_REST3, method="timeman.record.list"),
    replace(_REST3, method="humanresources.node.list"),
    replace(_REST3, method="main.eventlog.list"),
    replace(
        _REST3,
        method="call.followup.list",
        paging=Paging.CURSOR,
        id_out="callId",
        id_in="callId",
        order=Order.NONE,
        triples=False,
    ),
)

DIALECTS: Mapping[str, Dialect] = {row.method.casefold(): row for row in _ROWS}
"""Method in lower case → its dialect."""

_GENERAL = Dialect("", Paging.OFFSET, id_out=None, order=Order.NONE)


def dialect_of(method: str) -> Dialect:
    """The dialect of a method; one that is not in the table is read by offset, its rows found by their looks."""
    found = DIALECTS.get(method.casefold())
    return found if found is not None else replace(_GENERAL, method=method)


# ---------------------------------------------------------------- asking


def page_request(listing: Listing[T], *, counted: bool = False, after: Ref | None = None) -> Request[Page[T]]:
    """The request for the first page of a listing; it may travel in a Batch.

    ``counted`` lets the portal count the whole listing (slow on large tables); ``after`` takes the lower bound from an
    earlier request of the same batch instead of ``listing.floor``.

    Raises:
        ValueError: the method cannot express the listing; the text says what to change.
    """
    dialect = dialect_of(listing.method)
    keyset = dialect.paging is Paging.KEYSET
    params = _spelled(listing, dialect, listing.floor if after is None else after)
    if keyset:
        params[dialect.start_key] = 0 if counted else -1

    def decode(answer: Any) -> Page[T]:
        return read_page(listing, answer)

    return Request(listing.method, params, decode, repeatable=dialect.repeatable, rest3=dialect.rest3, whole=True)


def count_request(listing: Listing[Any]) -> Request[int]:
    """How many rows the listing has, counted by the portal. Dear on large tables: 1 s and more."""
    dialect = dialect_of(listing.method)
    if dialect.paging not in {Paging.KEYSET, Paging.OFFSET, Paging.NONE}:
        raise ValueError(f"{listing.method} does not count its rows")
    lean = listing if dialect.select_key is None or dialect.id_out is None else listing.selecting(dialect.id_in)
    params = _spelled(lean, dialect, listing.floor)
    if dialect.paging is not Paging.NONE:
        params[dialect.start_key] = 0

    def decode(answer: Any) -> int:
        found = cast("Answer", answer)
        rows = rows_of(dialect, found.result)
        if found.total is None and rows:  # an empty listing may come without total; one with rows may not
            raise UnreadableReply(f"{listing.method}: the portal did not count the rows")
        return max(found.total or 0, len(rows))

    return Request(listing.method, params, decode, whole=True)


def first_id_request(listing: Listing[Any]) -> Request[int | None]:
    """The smallest id of a keyset listing; None when it is empty."""
    return _edge(listing, newest=False)


def last_id_request(listing: Listing[Any]) -> Request[int | None]:
    """The greatest id of a keyset listing; None when it is empty."""
    return _edge(listing, newest=True)


def _edge(listing: Listing[Any], *, newest: bool) -> Request[int | None]:
    dialect = dialect_of(listing.method)
    if dialect.paging is not Paging.KEYSET:
        raise ValueError(f"{listing.method} is not walked by id")
    lean = listing if dialect.select_key is None else listing.selecting(dialect.id_in)
    params = _spelled(lean, dialect, listing.floor, newest=newest)
    params[dialect.start_key] = -1

    def decode(result: Any) -> int | None:
        rows = rows_of(dialect, result)
        return row_id(dialect, rows[0]) if rows else None

    return Request(listing.method, params, decode)


def _spelled(listing: Listing[Any], dialect: Dialect, floor: int | Ref, *, newest: bool = False) -> dict[str, Any]:
    """All parameters of a listing but the start of a keyset walk."""
    keyset = dialect.paging is Paging.KEYSET
    conditions = _conditions(listing, dialect)
    if keyset:
        if isinstance(floor, Ref) or floor > 0:
            conditions[f">{dialect.id_in}"] = floor
        if listing.ceiling is not None:
            conditions[f"<={dialect.id_in}"] = listing.ceiling
    elif listing.ceiling is not None:
        raise ValueError(f"{listing.method} is not walked by id: it cannot end at id {listing.ceiling}")

    inner: dict[str, Any] = {}
    if dialect.triples:
        if conditions:
            inner["filter"] = _triples(conditions)
    elif dialect.filter_key == "":
        inner.update(conditions)
    elif conditions:
        inner[dialect.filter_key] = conditions
    if listing.select:
        if dialect.select_key is None:
            raise ValueError(f"{listing.method} cannot choose fields")
        inner[dialect.select_key] = _with_id(listing.select, dialect)

    given = dict(listing.params)
    if keyset and not {dialect.order_key.casefold(), "sort"}.isdisjoint(key.casefold() for key in given):
        raise ValueError(f"{listing.method} is walked by id: any other order would lose rows")
    if dialect.id_out is not None and dialect.paging is not Paging.NONE and dialect.order_key not in given:
        direction = dialect.descending if newest else dialect.ascending
        if dialect.order is Order.MAP:
            inner[dialect.order_key] = {dialect.id_in: direction}
        elif dialect.order is Order.WORDS:
            inner[dialect.sort_key] = dialect.id_in
            inner[dialect.order_key] = direction  # telephony ignores anything but capitals

    match dialect.paging:
        case Paging.OFFSET:
            inner[dialect.start_key] = floor
        case Paging.LIMIT:
            inner |= {"limit": dialect.page, dialect.start_key: floor}
        case Paging.PAGES:
            inner["pagination"] = {"limit": dialect.page, "offset": floor}
        case Paging.CURSOR:
            inner["pagination"] = {"limit": dialect.page, **given.pop("pagination", {})}
        case Paging.NONE if isinstance(floor, int) and floor > 0:
            inner[dialect.start_key] = floor  # the portal pages after all, see read_page
        case _:
            pass
    if dialect.wrap is not None:
        inner = {dialect.wrap: {**inner, **given.pop(dialect.wrap, {})}}
    return {**inner, **given}


def _with_id(select: Sequence[str], dialect: Dialect) -> list[str]:
    """The chosen fields and the id, without which a walk does not know where it stands."""
    known = {name.casefold() for name in select}
    if dialect.id_out is None or "*" in known or dialect.id_in.casefold() in known:
        return list(select)
    return [dialect.id_in, *select]


def operator_of(key: str) -> tuple[str, str]:
    """A filter key as (operator, field)."""
    name = key.lstrip("!=<>@%?")
    return key[: len(key) - len(name)], name


def _conditions(listing: Listing[Any], dialect: Dialect) -> dict[str, Any]:
    """The filter as the method understands it.

    Raises:
        ValueError: an operator that the method would drop silently, a bound on the id that belongs to the listing, or
            an empty list of values, which would match everything.
    """
    conditions: dict[str, Any] = {}
    for key, value in Listing(listing.method).where(listing.filter).filter.items():
        operator, name = operator_of(key)
        if dialect.paging is Paging.KEYSET and name == dialect.id_in and operator in {">", "<="}:
            raise ValueError(f"{listing.method}: bound the ids with .after() and .upto(), not with {key!r}")
        spelled = key
        if dialect.at_is_plain and operator == "@":
            operator, spelled = "", name
        if dialect.operators is not None and operator not in dialect.operators:
            raise ValueError(f"{listing.method} silently ignores {operator!r} in {key!r}: use another condition")
        conditions[spelled] = value
    return conditions


_TRIPLE_OPERATORS = {
    "": "=",
    "=": "=",
    "!": "!=",
    "!=": "!=",
    ">": ">",
    ">=": ">=",
    "<": "<",
    "<=": "<=",
    "@": "in",
    "><": "between",
}


def _triples(conditions: Mapping[str, Any]) -> list[list[Any]]:
    """A filter as REST 3.0 wants it: [field, operator, value] each."""
    triples = []
    for key, value in conditions.items():
        operator, name = operator_of(key)
        if operator not in _TRIPLE_OPERATORS:
            raise ValueError(f"REST 3.0 knows no operator {operator!r} (in {key!r})")
        plural = operator == "" and isinstance(value, (list, tuple, set, frozenset))
        triples.append([name, "in" if plural else _TRIPLE_OPERATORS[operator], value])
    return triples


# ---------------------------------------------------------------- reading


def rows_of(dialect: Dialect, result: Any) -> list[Any]:
    """The raw rows of a result.

    Raises:
        UnreadableReply: there are none where the dialect looks; never taken for an empty listing.
    """
    found = result
    for key in dialect.rows:
        if isinstance(found, list) and not found:  # PHP: an empty map is []
            return []
        if not isinstance(found, Mapping) or key not in found:
            raise UnreadableReply(f"{dialect.method}: no {'.'.join(dialect.rows)!r} in the result")
        found = found[key]
    if isinstance(found, list):
        return found
    if isinstance(found, Mapping):
        if dialect.method.casefold() not in DIALECTS:
            return _rows_by_looks(dialect, found)
        if all(isinstance(row, Mapping) for row in found.values()):
            return list(found.values())  # PHP: a list with gaps is a map
    raise UnreadableReply(f"{dialect.method}: the rows are {_kind(found)}, not a list")


def _rows_by_looks(dialect: Dialect, found: Mapping[str, Any]) -> list[Any]:
    """Rows of a method that is not in the table: the one list inside, or a map from ids to records."""
    lists = [value for value in found.values() if isinstance(value, list)]
    if len(lists) == 1:
        return lists[0]
    if found and all(isinstance(row, Mapping) for row in found.values()):
        return list(found.values())
    raise UnreadableReply(f"{dialect.method}: cannot tell which part of the result are the rows; use a Request")


def row_id(dialect: Dialect, row: Any) -> int:
    """The id of a raw row.

    Raises:
        UnreadableReply: the row has none, or it is no number.
    """
    try:
        return int(str(row[dialect.id_out]))
    except (KeyError, TypeError, ValueError):
        raise UnreadableReply(f"{dialect.method}: a row without a readable {dialect.id_out!r}") from None


def read_page(listing: Listing[T], answer: Answer) -> Page[T]:
    """The page that an answer holds, decoded and held against the bounds of its listing.

    Raises:
        UnreadableReply: no rows where they should be; ids out of order or outside the bounds, as happens when a portal
            ignores a filter: going on would lose or double records.
        UnreadableRow: a record that does not decode.
    """
    dialect = dialect_of(listing.method)
    kept = rows = rows_of(dialect, answer.result)
    if dialect.paging is Paging.KEYSET:
        kept, cursor = _proven(listing, dialect, rows)
        more = len(rows) >= dialect.page and (listing.ceiling is None or cursor < listing.ceiling)
        onward = listing.after(cursor)
    elif dialect.paging is Paging.CURSOR:
        cursor, more, onward = _cursor_page(listing, answer)
    else:
        cursor = listing.floor + len(rows)
        if answer.next is not None and answer.next > listing.floor:
            cursor, more = answer.next, True  # also where the method is said to return everything at once
        else:
            more = dialect.paging in {Paging.LIMIT, Paging.PAGES} and len(rows) >= dialect.page
        onward = listing.after(cursor)
    return Page(
        items=_decoded(listing, dialect, kept),
        size=len(rows),
        cursor=cursor,
        more=more,
        onward=onward,
        total=answer.total,
        cost=answer.timing.duration,
    )


def _proven(listing: Listing[Any], dialect: Dialect, rows: Sequence[Any]) -> tuple[list[Any], int]:
    """The rows of a keyset page and its last id, after proof that the ids rise and lie within the bounds."""
    ids = _plain_ids(dialect, rows)
    if ids and all(map(lt, (listing.floor, *ids), ids)) and (listing.ceiling is None or ids[-1] <= listing.ceiling):
        return list(rows), ids[-1]
    # One by one, which finds rows that come twice and says what is wrong with which.
    kept: list[Any] = []
    last = listing.floor
    for row in rows:
        at = row_id(dialect, row)
        if at == last and kept:  # an activity bound to several of the objects asked for comes once per object
            continue
        if at <= listing.floor or (listing.ceiling is not None and at > listing.ceiling):
            bounds = f"above {listing.floor}" + ("" if listing.ceiling is None else f" and up to {listing.ceiling}")
            raise UnreadableReply(
                f"{listing.method}: record {at} came though only ids {bounds} were asked for: "
                "the portal ignores the filter, so nothing it lists can be trusted to be complete"
            )
        if at < last:
            raise UnreadableReply(
                f"{listing.method}: record {at} came after record {last}: the portal ignores the order, "
                "so a walk by id would lose records"
            )
        kept.append(row)
        last = at
    return kept, last


def _plain_ids(dialect: Dialect, rows: Sequence[Any]) -> list[int] | None:
    """The ids of rows that all have a usual one."""
    try:
        said = [row[dialect.id_out] for row in rows]
        return list(map(int, said)) if {*map(type, said)} <= _USUAL else None
    except (KeyError, TypeError, ValueError):
        return None


_USUAL = frozenset({str, int})


def _cursor_page(listing: Listing[T], answer: Answer) -> tuple[int, bool, Listing[T]]:
    """Cursor (none that is a number), more, and the listing that goes on from the portal's own mark."""
    result = answer.result if isinstance(answer.result, Mapping) else {}
    mark = result.get("afterCursor")
    if not result.get("hasMore"):
        return listing.floor, False, listing
    if not isinstance(mark, Mapping):
        raise UnreadableReply(f"{listing.method}: more rows are promised without a cursor to reach them")
    pagination = {**listing.params.get("pagination", {}), "afterCursor": dict(mark)}
    return listing.floor, True, listing.having(pagination=pagination)


def _decoded(listing: Listing[T], dialect: Dialect, rows: Sequence[Any]) -> tuple[T, ...]:
    found = listing.decode.together(rows) if isinstance(listing.decode, Together) else None
    return tuple(_decoded_row(listing, dialect, row) for row in rows) if found is None else tuple(found)


def _decoded_row(listing: Listing[T], dialect: Dialect, row: Any) -> T:
    if not isinstance(row, Mapping):
        raise UnreadableRow(f"{listing.method}: a row is {_kind(row)}, not a record", method=listing.method)
    at = row.get(dialect.id_out) if dialect.id_out is not None else None
    return readable(listing.decode, row, listing.method, at)


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    return {type(None): "null", bool: "a boolean", str: "text", int: "a number", float: "a number", list: "a list"}.get(
        type(value), "an object"
    )

"""What a feed is: how one listing is copied, and how its records become rows.

Laws: a feed says what to ask, where its rows go and how far a copy can be trusted; it asks and writes nothing. Its
name is written in the mirror and never changes. A column of the mirror is the entity's field of the same name, or
``computed``.

Five kinds:
``Changed``   records carry the moment of their last change: ask for everything changed since, re-reading an overlap.
``Appended``  records are never changed: ask for everything behind the last id, re-reading the last few, because rows
              become visible in the order of their transactions, not of their ids.
``Reloaded``  small directories without either: ask for everything, now and then; what is gone gets a tombstone.
``Spanned``   calendars: ask for the weeks around today, person by person.
``Attached``  what no listing has (payments, product rows): ask owner by owner, for those that are new or have changed;
              who is still to be asked for is kept in the mirror (``owed``), written together with the owner.
An overlap must exceed the longest request (60 s) and the portal's clock granularity, for a page that was read before a
change may be written after it; the next round then reads it again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import Any, cast

import pyarrow as pa

from b24metrics.crm.entity import Entity, Reader
from b24metrics.errors import UnreadableRow
from b24metrics.mirror.records import Made, Nested, Records, Unmade, Wanted
from b24metrics.mirror.rows import arrow_schema, page_of_columns
from b24metrics.mirror.schema import Table
from b24metrics.portal.dialects import PAGE
from b24metrics.portal.request import Listing, Request, Together


@dataclass(frozen=True, slots=True)
class Changed:
    """Records that carry the moment of their last change.

    Attributes:
        condition: the filter "not before", as the vendor spells it. stamp: the entity's field with that moment.
        overlap: how far behind the cursor a round begins. every: least time between two rounds of this feed.
    """

    condition: str
    stamp: str
    overlap: timedelta = timedelta(minutes=5)
    every: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Appended:
    """Records that are never changed. ``overlap``: how many ids behind the cursor a round begins."""

    overlap: int = 20


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A directory that is read whole.

    ``every``: least time between two readings.
    """

    every: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Spanned:
    """What stands in calendars around today, asked for person by person; it replaces what was known of that span.

    Attributes:
        first: how far back the very first reading looks. back, ahead: how far later ones look.
    """

    first: timedelta = timedelta(days=400)
    back: timedelta = timedelta(days=31)
    ahead: timedelta = timedelta(days=60)
    every: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Attached:
    """What no listing has: asked for owner by owner, and replaced owner by owner.

    Attributes:
        ask: the question about one owner; what cannot be read comes as Unread.
        owner: the column of the feed's table that holds the owner's id.
        of: the table of the owners, which the feed of that name fills. where: which of them owe anything, a condition over that table's columns.
        again: which of them owe it anew ``every`` so often, for what changes without a trace; empty: none.
        owners: they themselves, where no table knows them.
    """

    ask: Callable[[int], Request[Sequence[Any]]]
    owner: str
    of: Table | None = None
    where: str = "TRUE"
    again: str = ""
    every: timedelta = timedelta(days=1)
    owners: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Computed:
    """A column that is no field: from a record, of which only ``of`` are looked at, and the portal's time of the page."""

    make: Callable[[Any, datetime], object]
    of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reckoned:
    """The same of all records at once: from the columns ``of`` and the portal's time of the page."""

    make: Callable[..., pa.Array]
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of another table that a record brings along, replaced whenever the record is read.

    Attributes:
        owner: the column of ``table`` that holds the record's id. names: the other columns, key first; a row that has no
        value for its key is none.
        rows: the values of ``names`` for one record; None: the record does not say, so what is known stays.
        of: the fields that ``rows`` looks at. nested: if that is one list of records of this kind, and ``names`` are their
        fields.
        within: the part of the table that belongs to such records, column → value.
    """

    table: Table
    owner: str
    names: tuple[str, ...]
    rows: Callable[[Any], Iterable[tuple[object, ...]] | None]
    of: tuple[str, ...] = ()
    nested: type[Entity] | None = None
    within: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)  # a feed is itself: hashable, although what it holds is not
class Feed:
    """How one listing is copied.

    Attributes:
        entity: what the listing yields. computed: columns that are no field of it.
        scope: the permission that the webhook needs, for messages.
        within: the part of the table that the listing covers, column → value.
        owes: feeds that have to be asked about a record when it is new or has changed.
    """

    name: str
    listing: Listing[Any]
    entity: type[Entity]
    table: Table
    kind: Changed | Appended | Reloaded | Spanned | Attached
    scope: str = "crm"
    computed: Mapping[str, Computed | Reckoned] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    within: Mapping[str, int] = field(default_factory=dict)
    owes: tuple[Feed, ...] = ()

    @property
    def backfills(self) -> bool:
        """Whether its past is copied in ranges of ids: not that of directories, nor of a second look at a table."""
        return isinstance(self.kind, Appended) or (isinstance(self.kind, Changed) and not self.kind.every)

    @property
    def every(self) -> timedelta:
        """Least time between two rounds of this feed."""
        return timedelta(0) if isinstance(self.kind, (Appended, Attached)) else self.kind.every

    @cached_property
    def _plain(self) -> tuple[str, ...]:
        return tuple(
            name for name in self.table.columns if name in self.entity.model_fields and name not in self.computed
        )

    @cached_property
    def _wanted(self) -> Wanted:
        nested = {
            name: (part.nested, _kinds(part.table, part.names))
            for part in self.parts
            if part.nested is not None
            for name in part.of
        }
        looked_at = {
            *chain.from_iterable(one.of for one in self.computed.values() if isinstance(one, Computed)),
            *chain.from_iterable(part.of for part in self.parts),
        }
        return Wanted(self._types, looked_at, nested)

    @cached_property
    def _types(self) -> Mapping[str, pa.DataType]:
        return _kinds(self.table, self._plain)

    @property
    def stamped(self) -> bool:
        """Whether its rows tell when they were changed, so that an older page cannot undo a newer one."""
        return isinstance(self.kind, Changed) and self.kind.stamp == "modified_at"

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that this feed writes."""
        tail = ("deleted_at",) if self.table.tombstone else ()
        return ("portal", *self._plain, *self.computed, *tail)

    def read(self, records: Sequence[Any]) -> tuple[Records, list[Unread]]:
        """Records that came, also as rows (``untouched``), apart from those that cannot be read."""
        decode = self.listing.decode
        if isinstance(decode, Reader) and all(type(one) is dict for one in records):
            found = Unmade.of(decode, records, self._wanted)
            if found is not None:
                return found, []
        made = list(_made(tolerant(self.listing).decode, records))
        return Made([one for one in made if not isinstance(one, Unread)]), [
            one for one in made if isinstance(one, Unread)
        ]

    def page(self, portal: str, records: Records | Sequence[Any], at: datetime) -> pa.Table:
        """Records as rows of the feed's table; ``at``: the portal's time when they were read."""
        held = _held(records)
        fields = {name: held.column(name) for name in self._plain}
        made = {
            name: [one.make(seen, at) for seen in held.seen(one.of)]
            if isinstance(one, Computed)
            else one.make(*(_array(fields[name], self._types[name]) for name in one.of), at)
            for name, one in self.computed.items()
        }
        # What is listed is not deleted: the tombstone of a record that came back is lifted.
        tail = {"deleted_at": None} if self.table.tombstone else {}
        return page_of_columns(self.table, {**fields, **made}, len(held), portal=portal, **tail)

    def part_pages(self, portal: str, records: Records | Sequence[Any]) -> list[tuple[Part, pa.Array, pa.Table]]:
        """For each part: the ids of the records that say what belongs to them, and the rows that do."""
        held = _held(records)
        pages = []
        for part in self.parts:
            found = (held.nested(part.of[0]) if part.nested else None) or _part_of(part, held.seen(part.of))
            named = {part.owner: found.owner, **found.columns}
            rows = page_of_columns(part.table, named, len(found.owner), portal=portal, **part.within)
            for name in part.table.key:
                if rows[name].null_count:
                    rows = rows.filter(rows[name].is_valid())
            pages.append((part, found.owners, rows))
        return pages


@dataclass(slots=True)
class Stretch:
    """Records of a feed on their way into the mirror, of one answer or of several: then each record is in one of them only.

    They are read as soon as they come: as columns they take a fifth of the memory that rows take.
    """

    feed: Feed
    parts: Sequence[Records]
    unread: Sequence[Unread]

    @classmethod
    def read(cls, feed: Feed, records: Sequence[Any]) -> Stretch:
        """Records as they came, also as rows (``untouched``)."""
        read, unread = feed.read(records)
        return cls(feed, [read], unread)

    @classmethod
    def of(cls, stretches: Sequence[Stretch]) -> Stretch:
        """All of them together."""
        parts = chain.from_iterable(one.parts for one in stretches)
        return cls(stretches[0].feed, [*parts], [*chain.from_iterable(one.unread for one in stretches)])

    def __len__(self) -> int:
        """Those that can be read."""
        return sum(map(len, self.parts))

    def leave_out(self, ids: Collection[int]) -> None:
        """Forget these records and what belongs to them."""
        self.parts = [part.without(ids) for part in self.parts]

    def page(self, portal: str, at: datetime) -> pa.Table:
        """As ``Feed.page``."""
        return _joined([self.feed.page(portal, part, at) for part in self.parts])

    def part_pages(self, portal: str) -> list[tuple[Part, pa.Array, pa.Table]]:
        """As ``Feed.part_pages``."""
        found = zip(*(self.feed.part_pages(portal, part) for part in self.parts), strict=True)
        return [
            (same[0][0], pa.concat_arrays([owners for _, owners, _ in same]), _joined([rows for _, _, rows in same]))
            for same in found
        ]


def _joined(pages: Sequence[pa.Table]) -> pa.Table:
    return pages[0] if len(pages) == 1 else pa.concat_tables(pages).combine_chunks()


def _kinds(table: Table, names: tuple[str, ...]) -> dict[str, pa.DataType]:
    return {column.name: column.type for column in arrow_schema(table, names)}


def _array(values: Sequence[Any] | pa.Array, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind)


def _held(records: Records | Sequence[Any]) -> Records:
    return records if isinstance(records, (Made, Unmade)) else Made(cast("Sequence[Any]", records))


def _part_of(part: Part, records: Iterable[Any]) -> Nested:
    """What belongs to records, one by one."""
    said = {one.id: rows for one in records if (rows := part.rows(one)) is not None}
    found = {owner: tuple(rows) for owner, rows in said.items()}
    owner = [owner for owner, rows in found.items() for _ in rows]
    columns = list(zip(*chain.from_iterable(found.values()), strict=True)) or [()] * len(part.names)
    return Nested(pa.array(found, pa.int64()), owner, dict(zip(part.names, columns, strict=True)))


def _made(decode: Callable[[Any], object], records: Sequence[Any]) -> Iterable[object]:
    """Records where rows came: page by page, so that a row that cannot be read costs only its neighbours time."""
    for n in range(0, len(records), PAGE):
        page = records[n : n + PAGE]
        rows = all(type(one) is dict for one in page)
        together = decode.together(page) if rows and isinstance(decode, Together) else None
        yield from (decode(one) if type(one) is dict else one for one in page) if together is None else together


@dataclass(frozen=True, slots=True)
class Unread:
    """A record that came and could not be read: it is noted and does not stop the others."""

    record_id: str
    reason: str


def tolerant(listing: Listing[Any]) -> Listing[Any]:
    """The same listing; what cannot be read comes as Unread."""
    return replace(listing, decode=_Tolerant(listing.decode))


@dataclass(frozen=True, slots=True)
class _Tolerant:
    """A decoder that does not raise."""

    read: Callable[[Any], object]

    def __call__(self, row: Any) -> object:
        try:
            return self.read(row)
        except UnreadableRow as error:
            return Unread("?" if error.record_id is None else str(error.record_id), str(error))

    def together(self, rows: Sequence[Any]) -> Sequence[object] | None:
        return self.read.together(rows) if isinstance(self.read, Together) else None


def untouched(listing: Listing[Any]) -> Listing[Any]:
    """The same listing; rows come as they are, for ``Feed.read``, which reads those of many pages together."""
    return replace(listing, decode=_Untouched(listing.decode))


class _Untouched(_Tolerant):
    """A decoder that leaves it to others."""

    def together(self, rows: Sequence[Any]) -> Sequence[object] | None:
        return rows if all(type(row) is dict for row in rows) else None

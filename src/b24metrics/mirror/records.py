"""Records on their way into the mirror, field by field: entities that were made, or rows that need not become any.

Laws: both say the same of the same rows. Rows are read together or not at all: where one of them cannot be read, or is
unlike the others, entities have to be made of them, which tells what is wrong with which.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, compress
from operator import attrgetter
from typing import Any, Protocol, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from b24metrics.crm.entity import Columns, Entity, Reader
from b24metrics.errors import UnreadableRow
from b24metrics.mirror.casts import cast_column


class Records(Protocol):
    """Some records of one kind."""

    def __len__(self) -> int: ...

    def column(self, name: str) -> Sequence[Any] | pa.Array:
        """A field that is a column of the mirror."""
        ...

    def seen(self, names: Sequence[str]) -> Iterable[Any]:
        """For each record something that has its id and these fields."""
        ...

    def nested(self, name: str) -> Nested | None:
        """The records in a field that is a list of them; None where they are to be had one by one."""
        ...

    def without(self, ids: Collection[int]) -> Records:
        """The others."""
        ...


@dataclass(frozen=True, slots=True)
class Nested:
    """Records inside of records. ``owners``: who says what he has. ``owner``, ``columns``: of each record that he has."""

    owners: pa.Array
    owner: pa.Array
    columns: Mapping[str, Sequence[Any] | pa.Array]

    def without(self, ids: Collection[int]) -> Nested:
        """Those of the other owners."""
        stays = [number not in ids for number in self.owner.to_pylist()]
        columns = {name: _chosen(values, stays) for name, values in self.columns.items()}
        others = [number not in ids for number in self.owners.to_pylist()]
        return Nested(_chosen(self.owners, others), _chosen(self.owner, stays), columns)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the mirror wants of rows.

    Attributes:
        kinds: fields that are columns → their types. looked_at: fields that are looked at. nested: fields that are lists of
        records → their kind, and what is wanted of these.
    """

    kinds: Mapping[str, pa.DataType]
    looked_at: Collection[str] = ()
    nested: Mapping[str, tuple[type[Entity], Mapping[str, pa.DataType]]] | None = None


class Made:
    """Entities, or whatever else has the fields."""

    def __init__(self, records: Sequence[Any]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def column(self, name: str) -> Sequence[Any]:
        return list(map(attrgetter(name), self._records))

    def seen(self, names: Sequence[str]) -> Iterable[Any]:  # noqa: ARG002 - they have them all
        return self._records

    def nested(self, name: str) -> None:
        """One by one."""

    def without(self, ids: Collection[int]) -> Made:
        return Made([one for one in self._records if one.id not in ids])


class Unmade:
    """Rows of one shape that could be read together; only what is wanted of them is held."""

    def __init__(self, count: int, found: _Read) -> None:
        self._count = count
        self._found = found

    @classmethod
    def of(cls, reader: Reader[Any], rows: Sequence[Any], wanted: Wanted) -> Unmade | None:
        """Rows as ``reader`` reads them; None, and never an error, where they have to be read one by one."""
        try:
            columns = reader.entity.columns(rows, **reader.given)
            found = None if columns is None else _read(columns, wanted)
        except (UnreadableRow, ValueError, TypeError, LookupError, ArithmeticError, AttributeError):
            return None
        return None if found is None else cls(len(rows), found)

    def __len__(self) -> int:
        return self._count

    def column(self, name: str) -> Sequence[Any] | pa.Array:
        return self._found.columns[name]

    def seen(self, names: Sequence[str]) -> Iterable[Any]:
        looked_at = (self._found.looked_at[name] for name in names)
        return map(_seen(("id", *names))._make, zip(self._ids, *looked_at, strict=True))

    def nested(self, name: str) -> Nested | None:
        return self._found.nested.get(name)

    def without(self, ids: Collection[int]) -> Unmade:
        stays = [number not in ids for number in self._ids]
        return Unmade(
            sum(stays),
            _Read(
                {name: _chosen(values, stays) for name, values in self._found.columns.items()},
                {name: _chosen(values, stays) for name, values in self._found.looked_at.items()},
                {name: inner.without(ids) for name, inner in self._found.nested.items()},
            ),
        )

    @property
    def _ids(self) -> Sequence[Any]:
        """None of a kind without ids."""
        ids = self._found.columns.get("id", (None,) * self._count)
        return cast("Sequence[Any]", ids.to_pylist() if isinstance(ids, pa.Array) else ids)


def _chosen(values: Sequence[Any] | pa.Array, which: Sequence[bool]) -> Any:
    return values.filter(pa.array(which, pa.bool_())) if isinstance(values, pa.Array) else list(compress(values, which))


@dataclass(frozen=True, slots=True)
class _Read:
    columns: Mapping[str, Sequence[Any] | pa.Array]
    looked_at: Mapping[str, Sequence[Any]]
    nested: Mapping[str, Nested]


def _read(columns: Columns, wanted: Wanted) -> _Read | None:
    """What is wanted of rows, and proof that everything else of them can be read as well.

    Raises:
        ValueError: something cannot be read.
    """
    deep = wanted.nested or {}
    looked_at = {name: columns.read(name) for name in wanted.looked_at if name not in deep}
    found: dict[str, Sequence[Any] | pa.Array] = {}
    for name, kind in wanted.kinds.items():
        quick = cast_column(columns.readers[name], columns.values[name], kind) if name in columns.values else None
        found[name] = columns.read(name) if quick is None else quick
    for name in columns.values.keys() - found.keys() - looked_at.keys() - deep.keys():
        columns.read(name)
    nested = {}
    for name, (entity, kinds) in deep.items():
        inner = _nested(found["id"], columns.values.get(name, (None,) * columns.count), entity, kinds)
        if inner is None:
            return None
        nested[name] = inner
    return _Read(found, looked_at, nested)


def _nested(
    ids: pa.Array, lists: Sequence[Any], entity: type[Entity], kinds: Mapping[str, pa.DataType]
) -> Nested | None:
    if not {*map(type, lists)} <= {list, type(None)} or not isinstance(ids, pa.Array):
        return None
    if pc.count_distinct(ids).as_py() < len(ids):  # of several records with one id the last has a say
        return None
    said = [one is not None for one in lists]
    rows = list(chain.from_iterable(filter(None, lists)))
    owners = ids if all(said) else ids.filter(pa.array(said))
    if not rows:
        return Nested(owners, ids.slice(0, 0), {name: pa.nulls(0, kind) for name, kind in kinds.items()})
    columns = entity.columns(rows)
    found = None if columns is None else _read(columns, Wanted(kinds))
    if found is None:
        return None
    whose = np.repeat(np.arange(len(lists)), [len(one or ()) for one in lists])
    return Nested(owners, ids.take(pa.array(whose)), found.columns)


@lru_cache
def _seen(fields: tuple[str, ...]) -> Any:
    return namedtuple("Seen", fields)  # noqa: PYI024 - the fields are known only now

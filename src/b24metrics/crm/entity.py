"""What all entities share: frozen records that read either spelling of a row.

Laws: a field of an entity is None where the portal has nothing to say or was not asked (``model_fields_set`` tells the
two apart); user fields keep their UPPER_CASE names in ``user_fields`` and their values as they came; everything else that
no field claims is kept in ``extra``, spelled as on the wire. A row that cannot be read raises UnreadableRow, which names
method, id and fields and never a value.

A field's name on the wire is its own name in capitals (``title`` ↔ ``TITLE``, ``title``) unless ``wire(…)`` says another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import call, itemgetter
from typing import Any, ClassVar, Final, Generic, NamedTuple, NoReturn, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from b24metrics.crm.columns import column
from b24metrics.crm.naming import is_user_field, item_name, legacy_name
from b24metrics.crm.values import items
from b24metrics.crm.wiretypes import AsItCame, Read, Spelling
from b24metrics.errors import UnreadableRow

OWN = frozenset({"user_fields", "extra"})
"""Fields of every entity that no key of a row is named after."""


class Wire(NamedTuple):
    """The names of one field: in the legacy families, in ``crm.item.*`` (None: that family lacks it), elsewhere."""

    legacy: str | None
    item: str | None
    others: tuple[str, ...] = ()


def wire(legacy: str | None = None, *others: str, item: str | None = None, default: object = None) -> Any:
    """A field that is called otherwise on the wire.

    Args:
        legacy: its UPPER_CASE name; None where only ``crm.item.*`` has it, and then ``item`` is needed.
        others: further names under which some method sends the same thing.
        item: its name in ``crm.item.*`` where camel case of ``legacy`` is not it; ``""`` where that family lacks it.
        default: what the field is when nothing was said.

    Without any name the field is no part of a row: ``prepare`` makes it of others.
    """
    if item is None and legacy is not None:
        item = item_name(legacy)
    return Field(default=default, json_schema_extra={"wire": [legacy, item or None, *others]})


def wire_of(name: str, field: FieldInfo) -> Wire:
    """The names of an entity's field."""
    said = field.json_schema_extra
    if isinstance(said, dict) and "wire" in said:
        legacy, item, *others = cast("list[str | None]", said["wire"])
        return Wire(legacy, item, tuple(other for other in others if other))
    return Wire(name.upper(), item_name(name.upper()))


class Entity(BaseModel):
    """One record of the portal. ``Deal.read(row)`` makes one from either spelling."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    #: Fields that listings ask for unless told otherwise; empty where the method takes no ``select``.
    asked: ClassVar[tuple[str, ...]] = ()
    #: Keys that echo the question, or that ``prepare`` reads: they are not kept in ``extra``.
    spent: ClassVar[frozenset[str]] = frozenset()

    _wires: ClassVar[Mapping[str, Wire]] = {}
    _names: ClassVar[Mapping[str, str]] = {}
    _readers: ClassVar[Mapping[str, Callable[[Any], object]]] = {}
    _blank: ClassVar[dict[str, object]] = {}
    _required: ClassVar[frozenset[str]] = frozenset()
    _prepares: ClassVar[bool] = False

    user_fields: AsItCame = Field(default_factory=dict)
    extra: AsItCame = Field(default_factory=dict)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls._wires = {name: wire_of(name, field) for name, field in cls.model_fields.items() if name not in OWN}
        names: dict[str, str] = {}
        for field, (legacy, item, others) in cls._wires.items():
            for spelled in (legacy, item, *others, *map(item_name, others)):
                if spelled:
                    names.setdefault(spelled, field)
        cls._names = names
        cls._readers = {
            name: next((one.by for one in field.metadata if isinstance(one, Read)), _as_it_is)
            for name, field in cls.model_fields.items()
        }
        cls._blank = {name: None if field.is_required() else field.default for name, field in cls.model_fields.items()}
        cls._required = frozenset(name for name, field in cls.model_fields.items() if field.is_required())
        cls._prepares = cls.prepare.__func__ is not Entity.prepare.__func__  # type: ignore[attr-defined]

    @classmethod
    def prepare(cls, values: dict[str, Any], row: Mapping[str, Any], method: str, /) -> None:
        """A place for what one value cannot say alone: called with values by field name, before they are read."""

    @classmethod
    def prepare_all(cls, values: Sequence[dict[str, Any]], rows: Sequence[Mapping[str, Any]], method: str, /) -> None:
        """``prepare`` for each of many rows."""
        for one, row in zip(values, rows, strict=True):
            cls.prepare(one, row, method)

    @classmethod
    def prepare_columns(cls, columns: dict[str, Sequence[Any]], keys: Sequence[str], /) -> bool:  # noqa: ARG003
        """``prepare`` for rows with these keys, as far as columns can be prepared: they are changed in place.

        Lists of records stay as they came. False where rows have to be prepared one by one.
        """
        return not cls._prepares

    @classmethod
    def read(cls, row: object, method: str = "", **given: object) -> Self:
        """An entity from one row of an answer, in either spelling.

        Args:
            row: the row as JSON gave it.
            method: the REST method that sent it, for error messages.
            given: fields that the question knows and the row does not repeat.

        Raises:
            UnreadableRow: the row is no map, or one of its values is not what the vendor describes.
        """
        if type(row) is not dict and not isinstance(row, Mapping):
            raise UnreadableRow(f"{method or cls.__name__}: a record came that is no map", method=method)
        shape = _shape(cls, tuple(row), tuple(given))
        try:
            return cls._made(shape, row, method, given)
        except ValueError:
            pass  # out of here, so that the refusal drags no other error along that carries the row's values
        # Once more by the book, which finds all that is wrong and not only the first of it.
        values = shape.values(row, given)
        try:
            cls.prepare(values, row, method)
            return cast("Self", cls.__pydantic_validator__.validate_python({**values, **shape.leftovers(row)}))
        except ValidationError as error:
            faults = _faults(cls, row, error)
        except ValueError as fault:
            faults = {"": str(fault)}
        raise _refusal(cls, row, method, faults)

    @classmethod
    def _made(cls, shape: _Shape, row: Mapping[str, Any], method: str, given: Mapping[str, Any]) -> Self:
        """The entity without the validator: each reader is called once, by the shape of the row (a third of the time).

        Raises:
            ValueError: the row cannot be read.
        """
        fields = cls._blank.copy()
        if cls._prepares:
            values = shape.values(row, given)
            cls.prepare(values, row, method)
            said = {*values, *OWN}
            readers = cls._readers
            fields.update((name, readers[name](value)) for name, value in values.items())
        else:
            said = shape.said
            fields.update(zip(shape.names, map(call, shape.readers, shape.pick(row)), strict=True))
            for name in given:
                if name not in shape.names:
                    fields[name] = cls._readers[name](given[name])
        if not cls._required <= said:
            raise ValueError("a field is missing")
        fields.update(shape.leftovers(row))
        return cls._of(fields, said)

    @classmethod
    def together(cls, rows: Sequence[Any], method: str = "", **given: object) -> list[Self] | None:
        """``[read(row, method, **given) for row in rows]``, in half the time: column by column.

        None, and never an error, where rows do not have the same keys, or one cannot be read.
        """
        if not rows:
            return []
        keys = _same_keys(rows)
        if keys is None:
            return None
        shape = _shape(cls, keys, tuple(given))
        names, said, fields = shape.names, shape.said, cls._blank.copy()
        try:
            if cls._prepares:
                prepared = [shape.values(row, given) for row in rows]
                cls.prepare_all(prepared, rows, method)
                names = tuple(prepared[0])
                if any(values.keys() != prepared[0].keys() for values in prepared):
                    return None
                said = {*names, *OWN}
                found = zip(*map(_picker(names), prepared), strict=True)
            else:
                fields.update((name, cls._readers[name](given[name])) for name in given if name not in names)
                found = zip(*map(shape.pick, rows), strict=True)
            columns = [(name, column(cls._readers[name], values)) for name, values in zip(names, found, strict=True)]
        except (UnreadableRow, ValueError, TypeError, LookupError, ArithmeticError, AttributeError):
            return None
        if not cls._required <= said:
            return None
        fields.update(_NO_MORE)
        made = [fields.copy() for _ in rows]
        for name, read in columns:
            if fields[name] is not None or read.count(None) < len(read):  # else that is there already
                for one, value in zip(made, read, strict=True):
                    one[name] = value
        if shape.user_fields or shape.extra:
            for one, row in zip(made, rows, strict=True):
                one.update(shape.leftovers(row))
        return [cls._of(one, said) for one in made]

    @classmethod
    def columns(cls, rows: Sequence[Any], **given: object) -> Columns | None:
        """Rows field by field, for whoever needs no entities; nothing is read yet.

        None where rows do not have the same keys, lack what they must have, or have to be prepared one by one.
        """
        keys = _same_keys(rows)
        if keys is None:
            return None
        shape = _shape(cls, keys, tuple(given))
        came = dict(zip(keys, zip(*map(dict.values, rows), strict=True), strict=True))
        values: dict[str, Sequence[Any]] = {name: (value,) * len(rows) for name, value in given.items()}
        values.update((name, came[key]) for name, key in zip(shape.names, shape.keys, strict=True))
        if not cls.prepare_columns(values, keys) or not cls._required <= values.keys():
            return None
        return Columns(
            len(rows),
            values,
            {name: cls._readers[name] for name in values},
            cls._blank,
            {name: came[key] for name, key in shape.user_fields.items()},
        )

    @classmethod
    def _of(cls, fields: dict[str, object], said: set[str]) -> Self:
        """The entity that has these fields, all of them. ``said`` may be shared: a copy gets a set of its own."""
        entity = cls.__new__(cls)
        _put(entity, "__dict__", fields)
        _put(entity, "__pydantic_fields_set__", said)
        _put(entity, "__pydantic_extra__", None)
        _put(entity, "__pydantic_private__", None)
        return entity

    @classmethod
    def reader(cls, method: str, **given: object) -> Reader[Self]:
        """``read`` bound to its method, as Requests and Listings want it."""
        return Reader(cls, method, given)

    @classmethod
    def spelled(cls, fields: Iterable[str], spelling: Spelling = Spelling.LEGACY) -> tuple[str, ...]:
        """Names of fields as a family of methods wants them in ``select``; the id always comes first.

        Args:
            fields: names of this entity's fields, or user fields by their UPPER_CASE names (or ``UF_*``), or ``*``.
            spelling: the family.

        Raises:
            ValueError: no such field, or that family of methods lacks it.
        """
        names = ["id"] if "id" in cls._wires else []
        return tuple(dict.fromkeys(cls._spell(field, spelling) for field in (*names, *fields)))

    @classmethod
    def _spell(cls, field: str, spelling: Spelling) -> str:
        if field == "*":
            return field
        if field.startswith("UF_"):
            return field if spelling is Spelling.LEGACY or field == "UF_*" else item_name(field)
        known = cls._wires.get(field)
        if known is None:
            raise ValueError(
                f"{cls.__name__} has no field {field!r}; fields: {', '.join(cls._wires)}; "
                "user fields are named as on the portal, UF_…"
            )
        name = known.legacy if spelling is Spelling.LEGACY else known.item
        if known.legacy is None and known.item is None:
            raise ValueError(f"{cls.__name__}.{field} is made of other fields and cannot be asked for")
        if name is None:
            other = Spelling.ITEM if spelling is Spelling.LEGACY else Spelling.LEGACY
            raise ValueError(
                f"{cls.__name__}.{field} is not offered by the {spelling} methods: use spelling=Spelling.{other.name}"
            )
        return name


E = TypeVar("E", bound=Entity)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Reader(Generic[E]):
    """``entity.read`` bound to its method. ``given``: fields that the question knows and the rows do not repeat."""

    entity: type[E]
    method: str
    given: Mapping[str, object]

    def __call__(self, row: object) -> E:
        """One record. Raises as ``Entity.read``."""
        return self.entity.read(row, self.method, **self.given)

    def together(self, rows: Sequence[Any]) -> list[E] | None:
        """All records of a page; None where they have to be read one by one, which tells what is wrong with which."""
        return self.entity.together(rows, self.method, **self.given)


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows of one shape, field by field, as they came.

    Attributes:
        values: field → one value for each row. readers: what makes the entity's value of it. blank: field → what it is where
        rows have no word of it. user_fields: name → values.
    """

    count: int
    values: Mapping[str, Sequence[Any]]
    readers: Mapping[str, Callable[[Any], object]]
    blank: Mapping[str, object]
    user_fields: Mapping[str, Sequence[Any]]

    def read(self, name: str) -> list[Any]:
        """The values of a field as entities have them.

        Raises:
            ValueError: one of them cannot be read.
        """
        if name in self.values:
            return column(self.readers[name], self.values[name])
        if name == "user_fields" and self.user_fields:
            each = zip(*self.user_fields.values(), strict=True)
            return [dict(zip(self.user_fields, values, strict=True)) for values in each]
        return [_NO_MORE.get(name, self.blank[name])] * self.count


_ID = re.compile(r"\d{1,19}|[A-Z]{3}")

_FIELD, _USER_FIELD, _EXTRA, _SPENT = "field", "user field", "extra", "spent"


class Nothing(dict[str, object]):
    """An empty map that stays empty, shared by all who have nothing: a map for each would double the collector's work."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("an entity cannot be changed")

    __setitem__ = update = setdefault = __ior__ = _refuse

    def __reduce__(self) -> str:
        return "NOTHING"  # copies and pickles are the same one


NOTHING: Final = Nothing()

_NO_MORE: Final[Mapping[str, object]] = dict.fromkeys(OWN, NOTHING)
"""What no field claims, of a row where fields claim all."""

_put = object.__setattr__  # entities are frozen for everybody else


def _as_it_is(value: object) -> object:
    """For fields that ``prepare`` makes."""
    return value


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the keys of a row mean; rows of one listing share it.

    Attributes:
        names: fields, in the order of ``keys``, ``pick`` and ``readers``. said: names, what is given, and ``OWN``.
        user_fields, extra: name → key of the row.
    """

    names: tuple[str, ...]
    keys: tuple[str, ...]
    readers: tuple[Callable[[Any], object], ...]
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    said: set[str]
    user_fields: Mapping[str, str]
    extra: Mapping[str, str]

    def values(self, row: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Values by field as they came."""
        return {**given, **dict(zip(self.names, self.pick(row), strict=True))}

    def leftovers(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What no field claims."""
        return {
            "user_fields": {name: row[key] for name, key in self.user_fields.items()} if self.user_fields else NOTHING,
            "extra": {name: row[key] for name, key in self.extra.items()} if self.extra else NOTHING,
        }


@lru_cache(maxsize=1024)
def _shape(cls: type[Entity], keys: tuple[str, ...], given: tuple[str, ...]) -> _Shape:
    fields: dict[str, str] = {}
    late: dict[str, str] = {}  # under a name that is none of the declared ones
    user_fields: dict[str, str] = {}
    extra: dict[str, str] = {}
    for key in keys:
        name = cls._names.get(key)
        if name is not None:
            fields[name] = key
            continue
        place, name = _place(cls, key)
        if place is _FIELD:
            late.setdefault(name, key)
        elif place is _USER_FIELD:
            user_fields[name] = key
        elif place is _EXTRA:
            extra[name] = key
    fields.update((name, key) for name, key in late.items() if name not in fields and name not in given)
    return _Shape(
        names=tuple(fields),
        keys=tuple(fields.values()),
        readers=tuple(cls._readers[name] for name in fields),
        pick=_picker(tuple(fields.values())),
        said={*fields, *given, *OWN},
        user_fields=user_fields,
        extra=extra,
    )


def _same_keys(rows: Sequence[Any]) -> tuple[str, ...] | None:
    """The keys of rows that all have the same ones, in the same order."""
    if set(map(type, rows)) != {dict}:
        return None
    keys = list(rows[0])
    return tuple(keys) if all(list(row) == keys for row in rows) else None


def _picker(keys: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda row: tuple(row[key] for key in keys)


@lru_cache(maxsize=16384)
def _place(cls: type[Entity], key: str) -> tuple[str, str]:
    """Where a key belongs that is none of the declared names, and under which name."""
    if key in cls.spent:
        return _SPENT, key
    legacy = legacy_name(key)
    field = cls._names.get(legacy)
    if field is not None:
        return _FIELD, field
    return (_USER_FIELD, legacy) if is_user_field(key) else (_EXTRA, key)


def _faults(cls: type[Entity], row: Mapping[str, object], error: ValidationError) -> dict[str, str]:
    """What is wrong, by the names that the row itself used."""
    spelled = {cls._names.get(key) or _place(cls, key)[1]: key for key in row}
    faults: dict[str, str] = {}
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        field = str(fault["loc"][0])
        known = cls._wires.get(field)
        key = spelled.get(field) or (known and known.legacy) or field
        faults[key] = "missing" if fault["type"] == "missing" else fault["msg"].removeprefix("Value error, ")
    return faults


def _refusal(cls: type[Entity], row: Mapping[str, object], method: str, faults: Mapping[str, str]) -> UnreadableRow:
    record_id = _id_of(cls, row)
    which = f"a {cls.__name__} without a readable id" if record_id is None else f"{cls.__name__} {record_id}"
    why = ", ".join(f"{key} ({fault})" if key else fault for key, fault in faults.items())
    return UnreadableRow(
        f"{which}{f' of {method}' if method else ''} cannot be read: {why}. "
        "If the portal shows it as usual, please report the method and these names.",
        method=method,
        record_id=record_id,
        fields=tuple(key for key in faults if key),
    )


def _id_of(cls: type[Entity], row: Mapping[str, object]) -> int | str | None:
    """The record's id as it came, if it looks like one: a number, or a currency's three letters."""
    known = cls._wires.get("id")
    for key in (known.legacy, known.item) if known else ():
        value = row.get(key) if key else None
        if type(value) is int or (type(value) is str and _ID.fullmatch(value)):
            return value
    return None


def one(read: Callable[[object], E], *path: str) -> Callable[[object], E]:
    """A decoder of a result that is one record, at ``path`` (``item``, ``category`` …) or the result itself."""

    def decode(result: object) -> E:
        return read(inside(result, *path))

    return decode


def one_or_none(read: Callable[[object], E], *path: str) -> Callable[[object], E | None]:
    """The same where the portal answers an unknown id with nothing (``[]``, ``false``, ``null``)."""

    def decode(result: object) -> E | None:
        found = inside(result, *path)
        return read(found) if found else None

    return decode


def many(read: Callable[[object], E], *path: str) -> Callable[[object], tuple[E, ...]]:
    """A decoder of a result that is all records at once, as a list or as a map."""

    def decode(result: object) -> tuple[E, ...]:
        return tuple(read(row) for row in items(inside(result, *path)))

    return decode


def plain(read: Callable[[object], V], method: str, *path: str) -> Callable[[object], V]:
    """A decoder of a result that is one plain value, at ``path`` or the result itself."""

    def decode(result: object) -> V:
        try:
            return read(inside(result, *path))
        except ValueError as fault:
            why = str(fault)
        raise UnreadableRow(f"{method}: the answer cannot be read: {why}", method=method)

    return decode


def inside(result: object, *path: str) -> object:
    """The value at a path of keys; a step that is not there is passed over, for some methods answer without it."""
    for key in path:
        if isinstance(result, Mapping) and key in result:
            result = result[key]
    return result

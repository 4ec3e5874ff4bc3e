"""What we want from a portal, as values.

Laws: nothing here knows addresses, HTTP or time. A Request is one call of one method; a Listing is a call that unfolds
into pages; a Batch is several Requests that travel together. All are frozen, so they can be kept, compared, queued and
repeated. How a listing is spelled for its method stands in ``dialects``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, cast, runtime_checkable

from typing_extensions import TypeVar

from b24metrics.errors import B24Error, UnreadableRow

T = TypeVar("T", default=Any)
T_co = TypeVar("T_co", covariant=True)

MAX_COMMANDS = 50
"""Requests that one batch carries; the portal refuses the 51st and later."""


# The vendor names what a method does by its last word: crm.deal.add, tasks.task.result.addFromComment.
_WRITES = re.compile(
    r"(?:add(?!ress)|update|delete|remove|set(?!ting)|register|unregister|finish|attach|send|create|start|stop|merge|"
    r"activate|deactivate|force)|(?:open|close|pause|bind|unbind|move|share|like|vote|pin|unpin|join|leave|answer|skip|"
    r"spam|intercept|transfer|hide|mute|unmute|clear|error|complete|renew|defer|approve|disapprove|delegate|import|"
    r"save|reset|read|command|end|enabled|silent)(?![a-z])"
)
_WRITES_ALL_THE_SAME = frozenset({"im.notify", "event.offline.get"})


def writes(method: str) -> bool:
    """Whether a method changes something, judged by its name: when in doubt it does not."""
    return method.casefold() in _WRITES_ALL_THE_SAME or bool(_WRITES.match(method.rpartition(".")[2]))


def as_it_came(value: Any) -> Any:
    """Decode nothing: the result as JSON gave it."""
    return value


@runtime_checkable
class Together(Protocol[T_co]):
    """A decoder that can also read all records of a page at once, which takes less time."""

    def __call__(self, value: Any, /) -> T_co:
        """One record."""
        ...

    def together(self, rows: Sequence[Any], /) -> Sequence[T_co] | None:
        """What it makes of each, in order; None, and never an error, where they have to be read one by one."""
        ...


def readable(decode: Callable[[Any], T], value: Any, method: str, record_id: object = None) -> T:
    """What ``decode`` makes of a value.

    Raises:
        UnreadableRow: it fails; method, id and fields are named, never values: those are personal data.
    """
    at: object = record_id
    names: tuple[str, ...]
    try:
        return decode(value)
    except UnreadableRow as error:
        at, names, why = error.record_id if error.record_id is not None else at, error.fields, str(error)
    except B24Error:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        names, what = _complaint(error)
        which = "the result" if at is None else f"record {at}"
        why = f"{which} does not read: {', '.join(names) or 'its shape'} ({what})"
    # Raised out here, so that no traceback walks through the decoder, whose words may quote values.
    raise UnreadableRow(f"{method}: {why}", method=method, record_id=None if at is None else str(at), fields=names)


def _complaint(error: Exception) -> tuple[tuple[str, ...], str]:
    """Which fields, and what is wrong with the first, told without values."""
    tell = getattr(error, "errors", None)  # pydantic's, without importing it here
    if callable(tell):
        found = tell()
        if isinstance(found, Sequence) and found and isinstance(found[0], Mapping):
            places = (".".join(str(step) for step in each.get("loc", ())) for each in found)
            return tuple(dict.fromkeys(places)), str(found[0].get("type", type(error).__name__))
    if isinstance(error, KeyError) and error.args:
        return (str(error.args[0]),), "missing"
    return (), type(error).__name__


@dataclass(frozen=True, slots=True)
class Timing:
    """What a call cost, as the portal tells it. Everything may be missing: portals differ.

    Attributes:
        finish: epoch seconds by the portal's clock. duration: wall seconds inside the portal.
        processing: seconds of the method body; newer portals send a flat 0.
        operating: seconds of this method's budget in use. reset_at: epoch seconds, portal's clock, when the oldest
        minute of that use is forgiven.
    """

    finish: float | None = None
    duration: float | None = None
    processing: float | None = None
    operating: float | None = None
    reset_at: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the portal said to one call, alone or inside a batch.

    Attributes:
        result: any JSON value. total: rows of a counted listing. next: offset of the next page, if there is one.
    """

    result: Any
    total: int | None = None
    next: int | None = None
    timing: Timing = Timing()


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One call of one REST method.

    Attributes:
        method: as the vendor spells it. params: JSON-like values; dates, aware instants, Decimal and enums are welcome.
        decode: turns the result into what the caller wants.
        repeatable: False for writes: a lost answer is then reported (LostReply), never repeated. When not given, the
        last word of the method decides (``writes``).
        rest3: the method lives under ``/rest/api/`` (REST 3.0: JSON only, cannot travel in a Batch).
        whole: ``decode`` gets the whole Answer (total, next, timing) instead of its result.
    """

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    decode: Callable[[Any], T] = as_it_came
    repeatable: bool = None  # type: ignore[assignment]  # settled below, so that readers always find a bool
    rest3: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if cast("bool | None", self.repeatable) is None:
            object.__setattr__(self, "repeatable", not writes(self.method))

    def read(self, answer: Answer) -> T:
        """The typed result of an answer to this request.

        Raises:
            UnreadableRow: it does not decode; the text names fields, never values.
        """
        return readable(self.decode, answer if self.whole else answer.result, self.method)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A method that lists records, page after page.

    Attributes:
        decode: turns one raw row into a record; if it is a Together, all rows of a page where it can.
        filter: field (with the vendor's operator prefix) → value. select: field names; empty means the method's default.
        params: everything else that the method wants (``entityTypeId``, ``moduleId`` …).
        floor: rows begin after this id (keyset methods) or at this offset (others); 0 means the beginning.
        ceiling: last id that belongs to the listing, inclusive; None means no bound (keyset methods only).
    """

    method: str
    decode: Callable[[Mapping[str, Any]], T] = as_it_came
    filter: Mapping[str, Any] = field(default_factory=dict)
    select: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    floor: int = 0
    ceiling: int | None = None

    def where(self, conditions: Mapping[str, Any]) -> Listing[T]:
        """The same listing under further conditions; a condition that is already there is replaced.

        Raises:
            ValueError: an empty list of values, which on the wire would match everything.
        """
        for key, value in conditions.items():
            if isinstance(value, (list, tuple, set, frozenset)) and not value:
                raise ValueError(f"{self.method}: {key!r} lists no values; on the wire that would match everything")
        return replace(self, filter={**self.filter, **conditions})

    def selecting(self, *names: str) -> Listing[T]:
        """The same listing with only these fields asked for."""
        return replace(self, select=names)

    def having(self, **params: Any) -> Listing[T]:
        """The same listing with further top-level parameters."""
        return replace(self, params={**self.params, **params})

    def after(self, cursor: int) -> Listing[T]:
        """What follows ``cursor``: records with greater ids, or rows from that offset where a method pages by offset."""
        return replace(self, floor=int(cursor))

    def upto(self, last_id: int | None) -> Listing[T]:
        """Only records with ids up to and including ``last_id``; None lifts the bound."""
        return replace(self, ceiling=None if last_id is None else int(last_id))


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The records of one reply, up to fifty as a rule.

    Attributes:
        items: decoded records. size: raw rows in the reply. cursor: the last id seen, or the next offset:
        ``listing.after(page.cursor)`` begins where this page ends. more: another page may exist.
        total: rows of the whole listing where the portal counted them. cost: method seconds, None when not told.
        onward: the listing of everything that follows this page.
    """

    items: tuple[T, ...]
    size: int
    cursor: int
    more: bool
    onward: Listing[T]
    total: int | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Ref:
    """A place in the result of an earlier request of the same batch: ``Ref("deals")[0]["ASSIGNED_BY_ID"]``."""

    name: str
    path: tuple[str | int, ...] = ()

    def __getitem__(self, step: str | int) -> Ref:
        return Ref(self.name, (*self.path, step))

    def __str__(self) -> str:
        return self.spelled(self.name)

    def spelled(self, key: str) -> str:
        """As the portal reads it, with ``key`` for the name of the request."""
        return f"$result[{key}]" + "".join(f"[{step}]" for step in self.path)


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that travel together, in order, by name. More than fifty are split.

    Attributes:
        halt: stop at the first failure; the rest is not run.
    """

    requests: Mapping[str, Request[Any]]
    halt: bool = False

    @classmethod
    def of(cls, requests: Iterable[Request[Any]], *, halt: bool = False) -> Batch:
        """A batch of nameless requests: they are called ``"0"``, ``"1"`` … in order."""
        return cls({str(n): request for n, request in enumerate(requests)}, halt)

"""One method call: what a method is handed, what it hands back, and the register of all methods.

Laws: a method is a function of a `Call`; it returns an `Answer` or the bare result and raises `Refusal`. A `Session` is
one HTTP request; what it looks up once (settings, user fields) stays for all commands of a batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from b24metrics.sim import filters, php, render
from b24metrics.sim.accounts import Credential, Sight
from b24metrics.sim.data import Data, Row, Where
from b24metrics.sim.refusals import Refusal, missing
from b24metrics.sim.tables import Kind

if TYPE_CHECKING:
    from b24metrics.sim.core import PracticePortal

PAGE = 50


@dataclass(frozen=True, slots=True)
class Answer:
    """A result with what belongs beside it in the envelope; the rest is for the cost of the call."""

    result: object
    total: int | None = None
    next: int | None = None
    counted_rows: int = 0
    skipped_rows: int = 0


Run = Callable[["Call"], "Answer | object"]


@dataclass(frozen=True, slots=True)
class Method:
    """One REST method. ``scopes``: any of them is enough; empty: none is needed."""

    name: str
    run: Run
    scopes: frozenset[str]
    application: bool = False  # refused to webhooks
    batchable: bool = True


METHODS: dict[str, Method] = {}  # by lower-case name
METHODS_V3: dict[str, Method] = {}


def method(
    name: str, scope: str = "", *, application: bool = False, batchable: bool = True, v3: bool = False
) -> Callable[[Run], Run]:
    """Register a method; ``scope`` may name alternatives: ``user|user_basic``."""

    def register(run: Run) -> Run:
        scopes = frozenset(scope.split("|")) if scope else frozenset()
        (METHODS_V3 if v3 else METHODS)[name.lower()] = Method(name, run, scopes, application, batchable)
        return run

    return register


@dataclass(frozen=True, slots=True)
class UserField:
    """A declared user field."""

    number: int
    code: str
    type: str
    multiple: bool
    mandatory: bool
    label: str
    record: Mapping[str, object] = field(repr=False)

    @property
    def item_name(self) -> str:
        return render.user_field_item_name(self.code)

    @property
    def target(self) -> filters.Target:
        """How its JSON value is compared."""
        value = f"json_extract_string(UF, '$.\"{self.code}\"')"
        kind = render.USER_FIELD_KINDS.get(self.type, Kind.TEXT)
        if self.multiple:
            members = f"CAST(json_extract(UF, '$.\"{self.code}\"') AS VARCHAR[])"
            return filters.Target(members, Kind.TEXTS)
        if kind in {Kind.INT, Kind.INSTANT}:
            return filters.Target(f"TRY_CAST({value} AS BIGINT)", kind)
        if kind is Kind.NUMBER:
            return filters.Target(f"TRY_CAST({value} AS DOUBLE)", kind)
        if kind is Kind.DAY:
            return filters.Target(f"TRY_CAST({value} AS DATE)", kind)
        if kind is Kind.YN:
            return filters.Target(f"({value} = 'true')", kind)
        return filters.Target(value, kind)


class Session:
    """One HTTP request of an authorised caller."""

    def __init__(self, portal: PracticePortal, credential: Credential, number: int) -> None:
        self.portal = portal
        self.credential = credential
        self.number = number
        self.pending = 0.0  # seconds spent that the clock does not show
        self.started_at = self.now
        self._user_fields: dict[str, dict[str, UserField]] = {}

    @property
    def data(self) -> Data:
        return self.portal.data

    @property
    def now(self) -> float:
        """The portal's time, epoch seconds."""
        return self.portal.now() + self.pending

    @cached_property
    def settings(self) -> Mapping[str, object]:
        return self.data.records("SELECT * FROM settings")[0]

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(php.text(self.settings["ZONE"]))

    @cached_property
    def renderer(self) -> render.Renderer:
        return render.Renderer(self.zone)

    @cached_property
    def user(self) -> Mapping[str, object]:
        """The employee on whose behalf the call is made."""
        return next(iter(self.data.records('SELECT * FROM "user" WHERE ID = ?', [self.credential.user_id])), {})

    @cached_property
    def reader(self) -> filters.Reader:
        own = php.text(self.user.get("TIME_ZONE"))
        return filters.Reader(self.zone, ZoneInfo(own) if own else self.zone)

    @property
    def is_admin(self) -> bool:
        return bool(self.user.get("IS_ADMIN"))

    @property
    def sight(self) -> Sight:
        return self.credential.sight

    def today(self) -> datetime:
        """The present instant in the server zone."""
        return datetime.fromtimestamp(self.now, self.zone)

    def user_fields(self, entity_id: str) -> Mapping[str, UserField]:
        """Declared user fields of an entity (``CRM_DEAL``), by code."""
        if entity_id not in self._user_fields:
            rows = self.data.records("SELECT * FROM userfield WHERE ENTITY_ID = ? ORDER BY SORT, ID", [entity_id])
            self._user_fields[entity_id] = {
                php.text(row["FIELD_NAME"]): UserField(
                    php.integer(row["ID"]),
                    php.text(row["FIELD_NAME"]),
                    php.text(row["USER_TYPE_ID"]),
                    bool(row["MULTIPLE"]),
                    bool(row["MANDATORY"]),
                    php.text(row["LABEL"]) or php.text(row["FIELD_NAME"]),
                    row,
                )
                for row in rows
            }
        return self._user_fields[entity_id]


class Call:
    """One command: its session and its parameters."""

    def __init__(self, session: Session, name: str, params: php.Params) -> None:
        self.session = session
        self.name = name
        self.params = params

    @property
    def data(self) -> Data:
        return self.session.data

    @property
    def portal(self) -> PracticePortal:
        return self.session.portal

    @property
    def user_id(self) -> int:
        return self.session.credential.user_id

    @property
    def now(self) -> float:
        return self.session.now

    def arg(self, name: str) -> object:
        """A parameter whatever its case, as most list methods take them."""
        if name in self.params:
            return self.params[name]
        wanted = name.lower()
        return next((value for key, value in self.params.items() if key.lower() == wanted), None)

    def need(self, name: str) -> object:
        """A controller's argument: exact name, present.

        Raises:
            Refusal: 100, could not find value.
        """
        if php.blank(self.params.get(name)):
            raise missing(name)
        return self.params[name]

    def start(self, name: str = "start") -> int:
        return php.integer(self.arg(name))

    def array(self, name: str) -> php.Params:
        """A parameter that legacy methods insist on being an array.

        Raises:
            Refusal: it is something else.
        """
        given = self.arg(name)
        if php.blank(given):
            return {}
        if not php.is_array(given):
            raise Refusal("", f"Parameter '{name}' must be array.")
        return php.as_map(given)


def paged(
    call: Call,
    source: str,
    names: Sequence[str],
    where: Where,
    order: Sequence[tuple[str, bool]],
    *,
    start: int,
    rounded: bool,
    size: int = PAGE,
) -> tuple[list[Row], int, int | None, int]:
    """One page of a list method: rows, ``total``, ``next``, rows of the table that were counted.

    A negative start counts nothing: total 0 and no next. ``rounded``: legacy methods turn the offset into a page number.
    """
    if start < 0:
        return call.data.page(source, names, where, order, size), 0, None, 0
    offset = start // size * size if rounded else start
    total = call.data.count(source, where)
    rows = call.data.page(source, names, where, order, size, offset)
    return rows, total, offset + size if offset + size < total else None, total


def directions(given: php.Params, known: Callable[[str], str | None]) -> list[tuple[str, bool]]:
    """``{"ID": "desc"}`` → SQL and direction; unknown names are dropped, the ID alone by default.

    Rows that tie come in an order that has nothing to do with their age.
    """
    order = [
        (sql, php.text(direction).strip().lower().startswith("desc"))
        for name, direction in given.items()
        if (sql := known(name)) is not None
    ]
    return untied(order) if order else [("ID", False)]


def untied(order: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Complete an order by something arbitrary but stable."""
    return order if any(sql == "ID" for sql, _ in order) else [*order, ("hash(ID)", False)]


def record_write(call: Call, result: object) -> None:
    """Remember what a client wrote, for tests to read."""
    call.data.insert(
        "recorded_write",
        {
            "ID": call.data.next_id("recorded_write"),
            "MADE_AT": int(call.now),
            "METHOD": call.name,
            "USER_ID": call.user_id,
            "PARAMS": json.dumps({key: value for key, value in call.params.items() if key != "auth"}),
            "RESULT": json.dumps(result),
        },
    )

"""What a living company writes with: small statements, numbers, and the list of what changed.

Laws: values are literals of the generator's own making; numbers come from `Numbers`; every insert and update of a
numbered record is noted.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

import duckdb

from b24metrics.sim import names
from b24metrics.sim.company.options import Company
from b24metrics.sim.company.workshop import bound, literal

Record = dict[str, object]

LEAD, DEAL, CONTACT, COMPANY, INVOICE = 1, 2, 3, 4, 31
TABLES = {LEAD: "lead", DEAL: "deal", CONTACT: "contact", COMPANY: "company"}


class Numbers(Protocol):
    """Who gives numbers to new records; the portal's own storage does, so that two writers never give one twice."""

    def next_id(self, table: str, where: str = "TRUE") -> int:
        """A number that was never given before."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened. ``what`` is ADD, UPDATE or DELETE; ``table`` and ``id`` name the record."""

    what: str
    table: str
    id: int
    at: int


@dataclass(frozen=True, slots=True)
class Client:
    """Whom a contact is with: the record it belongs to and the people behind it."""

    owner_type: int | None
    owner_id: int | None
    contact_id: int | None = None
    company_id: int | None = None
    phone: str = ""

    @property
    def bindings(self) -> list[tuple[int, int]]:
        pairs = ((self.owner_type, self.owner_id), (CONTACT, self.contact_id), (COMPANY, self.company_id))
        return list(dict.fromkeys((kind, number) for kind, number in pairs if kind is not None and number is not None))


def whole(value: object) -> int:
    """An integer out of a row."""
    assert isinstance(value, int)
    return value


class Ledger:
    """Statements of one portal. ``chance`` is seeded by whoever decides."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, company: Company, numbers: Numbers, chance: random.Random
    ) -> None:
        self.sql = connection
        self.company = company
        self.numbers = numbers
        self.chance = chance
        self.changes: list[Change] = []
        self.zone = ZoneInfo(company.zone)

    # ------------------------------------------------------------ statements

    def record(self, sql: str, *values: object) -> Record | None:
        """One row by column name, or nothing."""
        cursor = self.sql.execute(bound(sql, *values))
        row = cursor.fetchone()
        return dict(zip((column[0] for column in cursor.description), row, strict=True)) if row else None

    def insert(self, table: str, values: Mapping[str, object], at: int) -> None:
        """One row; columns that are not named take their defaults."""
        columns, row = ", ".join(f'"{name}"' for name in values), ", ".join(map(literal, values.values()))
        self.sql.execute(f'INSERT INTO "{table}" ({columns}) VALUES ({row})')
        if "ID" in values:
            self.changes.append(Change("ADD", table, whole(values["ID"]), at))

    def update(self, table: str, number: int, values: Mapping[str, object], at: int) -> None:
        """Change one record."""
        sets = ", ".join(f'"{name}" = {literal(value)}' for name, value in values.items())
        self.sql.execute(f'UPDATE "{table}" SET {sets} WHERE "ID" = {number}')
        self.changes.append(Change("UPDATE", table, number, at))

    def day(self, at: float) -> object:
        """The portal's date of an instant."""
        return datetime.fromtimestamp(at, UTC).astimezone(self.zone).date()

    def history(self, entity: int, owner: int, kind: int, category: int, sem: str, stage: str, at: int) -> None:
        """A row of stage history."""
        number = self.numbers.next_id("stage_history", f"ENTITY_TYPE_ID = {entity}")
        self.insert(
            "stage_history",
            {
                "ENTITY_TYPE_ID": entity, "ID": number, "TYPE_ID": kind, "OWNER_ID": owner, "CREATED_TIME": at,
                "CATEGORY_ID": category, "STAGE_SEMANTIC_ID": sem, "STAGE_ID": stage,
            },
            at,
        )  # fmt: skip

    def touch(self, client: Client, user: int, at: int) -> None:
        """Somebody dealt with a lead or deal; its DATE_MODIFY stays."""
        if client.owner_type in {LEAD, DEAL}:
            self.sql.execute(
                f'UPDATE "{TABLES[client.owner_type]}" SET "LAST_ACTIVITY_TIME" = {at}, "LAST_ACTIVITY_BY" = {user} '
                f'WHERE "ID" = {client.owner_id}'
            )

    # ------------------------------------------------------------ small things

    def person(self) -> tuple[str, str, str]:
        """First name, family name and the latter in Latin letters."""
        woman = self.chance.random() < 0.48
        first = self.chance.choice(names.WOMEN if woman else names.MEN)[0]
        man, female, latin = self.chance.choice(names.FAMILIES)
        return first, female if woman else man, latin

    def phone(self) -> str:
        """A number that nobody has."""
        return f"+7{self.chance.choice(names.FREE_CODES)}{self.chance.randrange(10**7):07}"

    def multifield(self, entity: int, element: int, kind: str, value: str, at: int) -> None:
        number = self.numbers.next_id("multifield")
        self.insert(
            "multifield",
            {"ID": number, "ENTITY_TYPE_ID": entity, "ELEMENT_ID": element, "TYPE_ID": kind, "VALUE": value},
            at,
        )

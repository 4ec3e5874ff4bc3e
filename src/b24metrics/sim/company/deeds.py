"""One event at a time: how a lead, a deal, a call, a letter or a plan is written into the portal.

Laws: a deed writes everything that the portal would write with it (history, bindings, statistics, papers of a stage)
and nothing else; contacts move LAST_ACTIVITY_TIME, stages and edits move DATE_MODIFY; numbers come from `Numbers`.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import duckdb

from b24metrics.sim import names
from b24metrics.sim.company.directories import (
    BILL_STAGES,
    INVOICE_PIPELINE,
    LOSS_FIELD,
    LOSS_OPTION,
    OFFER_STAGES,
    PIPELINES,
    Pipeline,
)
from b24metrics.sim.company.options import Company
from b24metrics.sim.company.talk import FIRST_GUEST, LINES
from b24metrics.sim.company.workshop import bound, literal

Record = dict[str, object]

LEAD, DEAL, CONTACT, COMPANY, INVOICE = 1, 2, 3, 4, 31
_TABLES = {LEAD: "lead", DEAL: "deal", CONTACT: "contact", COMPANY: "company"}
_CODES = {LEAD: "LEAD", CONTACT: "CONTACT", COMPANY: "COMPANY"}
#: Where an open stage stands: its pipeline and place.
PLACES = {pipeline.code(step): (pipeline, at) for pipeline in PIPELINES for at, step in enumerate(pipeline.open_steps)}


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


class Deeds:
    """Writes events through small statements. ``chance`` is seeded by whoever decides."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, company: Company, numbers: Numbers, chance: random.Random
    ) -> None:
        self.sql = connection
        self.company = company
        self.numbers = numbers
        self.chance = chance
        self.changes: list[Change] = []
        self._zone = ZoneInfo(company.zone)

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
        return datetime.fromtimestamp(at, UTC).astimezone(self._zone).date()

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
                f'UPDATE "{_TABLES[client.owner_type]}" SET "LAST_ACTIVITY_TIME" = {at}, "LAST_ACTIVITY_BY" = {user} '
                f'WHERE "ID" = {client.owner_id}'
            )

    # ------------------------------------------------------------ clients, leads, deals

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

    def add_lead(self, user: int, channel: str, at: int, phone: str) -> int:
        """A lead from a form, call, letter or chat, made by the robot and given to somebody."""
        number = self.numbers.next_id("lead")
        first, _, latin = self.person()
        has_mail = channel == "EMAIL" or self.chance.random() < 0.35
        self.insert(
            "lead",
            {
                "ID": number, "TITLE": f"{self.chance.choice(names.LEAD_SUBJECTS)} № {number}", "NAME": first,
                "SOURCE_ID": channel, "STATUS_ID": "NEW", "CURRENCY_ID": self.company.base_currency,
                "HAS_PHONE": bool(phone), "HAS_EMAIL": has_mail, "HAS_IMOL": "|" in channel, "ASSIGNED_BY_ID": user,
                "CREATED_BY_ID": 1, "MODIFY_BY_ID": 1, "DATE_CREATE": at, "DATE_MODIFY": at, "MOVED_BY_ID": user,
                "MOVED_TIME": at, "WEBFORM_ID": 1 + number % 3 if channel in {"WEBFORM", "CALLBACK", "ADVERTISING"} else None,
            },
            at,
        )  # fmt: skip
        self.history(LEAD, number, 1, 0, "P", "NEW", at)
        if phone:
            self.multifield(LEAD, number, "PHONE", phone, at)
        if has_mail:
            self.multifield(LEAD, number, "EMAIL", f"{latin}{number}@{self.chance.choice(names.MAIL_HOSTS)}", at)
        return number

    def move_lead(self, number: int, stage: str, user: int, at: int) -> None:
        """To another stage; CONVERTED and the failures close it."""
        sem = {"CONVERTED": "S", "JUNK": "F", "UC_DOUBLE": "F"}.get(stage, "P")
        values: Record = {
            "STATUS_ID": stage, "STATUS_SEMANTIC_ID": sem, "MOVED_BY_ID": user, "MOVED_TIME": at, "MODIFY_BY_ID": user, "DATE_MODIFY": at,
        }  # fmt: skip
        if sem != "P":
            values["DATE_CLOSED"] = at
        self.update("lead", number, values, at)
        self.history(LEAD, number, 2 if sem == "P" else 3, 0, sem, stage, at)

    def add_client(
        self, user: int, business: bool, source: str | None, phone: str, at: int, lead: int | None = None
    ) -> Client:
        """A contact, and for a business its company."""
        company = None
        if business:
            company = self.numbers.next_id("company")
            head, tail = self.chance.choice(names.COMPANY_HEADS)[0], self.chance.choice(names.COMPANY_TAILS)[0]
            self.insert(
                "company",
                {
                    "ID": company, "TITLE": f"{self.chance.choice(names.LEGAL_FORMS)} «{head}{tail.capitalize()}»", "COMPANY_TYPE": "CUSTOMER",
                    "LEAD_ID": lead, "ASSIGNED_BY_ID": user, "CREATED_BY_ID": user, "MODIFY_BY_ID": user, "DATE_CREATE": at, "DATE_MODIFY": at,
                    "INDUSTRY": self.chance.choice(names.INDUSTRIES), "CURRENCY_ID": self.company.base_currency,
                },
                at,
            )  # fmt: skip
        contact = self.numbers.next_id("contact")
        first, family, _ = self.person()
        careless = self.chance.random() < 0.04
        self.insert(
            "contact",
            {
                "ID": contact, "NAME": first.lower() if careless else first, "LAST_NAME": family, "LEAD_ID": lead, "TYPE_ID": "CLIENT", "SOURCE_ID": source,
                "COMPANY_ID": company, "HAS_PHONE": bool(phone), "ASSIGNED_BY_ID": user, "CREATED_BY_ID": user, "MODIFY_BY_ID": user, "DATE_CREATE": at, "DATE_MODIFY": at,
            },
            at,
        )  # fmt: skip
        if phone:
            self.multifield(CONTACT, contact, "PHONE", phone, at)
        return Client(CONTACT, contact, contact, company, phone)

    def add_deal(
        self, user: int, author: int, pipeline: Pipeline, client: Client, source: str | None, at: int, *, amount: float = 0, lead: int | None = None, again: bool = False
    ) -> int:  # fmt: skip
        """A new deal in the first stage of a pipeline."""
        number = self.numbers.next_id("deal")
        stage = pipeline.code(pipeline.steps[0])
        self.insert(
            "deal",
            {
                "ID": number, "TITLE": f"{self.chance.choice(names.DEAL_SUBJECTS)} № {number}", "STAGE_ID": stage, "CATEGORY_ID": pipeline.id,
                "CURRENCY_ID": self.company.base_currency, "OPPORTUNITY": round(amount, 2), "LEAD_ID": lead, "COMPANY_ID": client.company_id, "CONTACT_ID": client.contact_id,
                "BEGINDATE": self.day(at), "CLOSEDATE": self.day(at + 86_400 * self.chance.randint(5, 25)), "ASSIGNED_BY_ID": user, "CREATED_BY_ID": author,
                "MODIFY_BY_ID": author, "DATE_CREATE": at, "DATE_MODIFY": at, "IS_NEW": True, "IS_RETURN_CUSTOMER": again, "SOURCE_ID": source,
                "WEBFORM_ID": 1 + number % 3 if source in {"WEBFORM", "CALLBACK", "ADVERTISING"} else None, "MOVED_BY_ID": author, "MOVED_TIME": at,
            },
            at,
        )  # fmt: skip
        self.history(DEAL, number, 1, pipeline.id, "P", stage, at)
        return number

    def move_deal(self, deal: Record, stage: str, user: int, at: int) -> None:
        """To another stage of its pipeline, with what belongs to it: closing date, reason, papers, plans swept away."""
        number, category = whole(deal["ID"]), whole(deal["CATEGORY_ID"])
        pipeline = next(p for p in PIPELINES if p.id == category)
        sem = "S" if stage == pipeline.won else "F" if stage in pipeline.lost else "P"
        values: Record = {
            "STAGE_ID": stage, "STAGE_SEMANTIC_ID": sem, "CLOSED": sem != "P", "IS_NEW": False, "MOVED_BY_ID": user, "MOVED_TIME": at, "MODIFY_BY_ID": user, "DATE_MODIFY": at,
        }  # fmt: skip
        if sem != "P" and self.chance.random() < 0.88:
            values["CLOSEDATE"] = self.day(at)
        if sem == "F" and self.chance.random() < 0.86:
            reason = LOSS_OPTION + self.chance.choices(range(len(names.LOSS_REASONS)), (30, 20, 14, 8, 16, 8, 4))[0]
            values["UF"] = json.dumps(
                {**json.loads(str(deal["UF"] or "{}")), LOSS_FIELD: reason}, ensure_ascii=False, separators=(",", ":")
            )
        self.update("deal", number, values, at)
        self.history(DEAL, number, 2 if sem == "P" else 3, category, sem, stage, at)
        if stage in OFFER_STAGES and self.chance.random() < 0.72:
            self.add_quote(deal, user, at)
        if stage in BILL_STAGES or (sem == "S" and self.chance.random() < 0.3):
            self.add_invoice(deal, user, at)
        if sem != "P":
            self.sweep_plans(number, at)

    def sweep_plans(self, deal: int, at: int) -> None:
        """What was planned for a closed deal is done with."""
        open_plans = self.sql.execute(
            f"""SELECT "ID" FROM activity WHERE "OWNER_TYPE_ID" = 2 AND "OWNER_ID" = {deal} AND NOT "COMPLETED" AND "PROVIDER_ID" IN ('CRM_TODO', 'CRM_CALL', 'TASKS') ORDER BY ALL"""
        ).fetchall()
        for (number,) in open_plans:
            self.finish(number, at, automatic=True)

    def add_quote(self, deal: Record, user: int, at: int) -> None:
        number = self.numbers.next_id("quote")
        self.insert(
            "quote",
            {
                "ID": number, "TITLE": f"Предложение № {number}", "STATUS_ID": "SENT", "CURRENCY_ID": deal["CURRENCY_ID"], "OPPORTUNITY": deal["OPPORTUNITY"], "COMPANY_ID": deal["COMPANY_ID"],
                "CONTACT_ID": deal["CONTACT_ID"], "MYCOMPANY_ID": 1, "BEGINDATE": self.day(at), "CLOSEDATE": self.day(at + 14 * 86_400), "ACTUAL_DATE": self.day(at + 14 * 86_400),
                "ASSIGNED_BY_ID": user, "CREATED_BY_ID": user, "MODIFY_BY_ID": user, "DATE_CREATE": at, "DATE_MODIFY": at, "DEAL_ID": deal["ID"], "QUOTE_NUMBER": str(number),
            },
            at,
        )  # fmt: skip

    def add_invoice(self, deal: Record, user: int, at: int) -> None:
        """An invoice, sent at once."""
        number, prefix = self.numbers.next_id("invoice"), f"DT31_{INVOICE_PIPELINE}:"
        self.insert(
            "invoice",
            {
                "ID": number, "TITLE": f"Счёт № {number}", "CREATED_BY_ID": user, "MODIFY_BY_ID": user, "MOVED_BY_ID": user, "DATE_CREATE": at, "DATE_MODIFY": at, "MOVED_TIME": at,
                "CATEGORY_ID": INVOICE_PIPELINE, "STAGE_ID": prefix + "S", "PREVIOUS_STAGE_ID": prefix + "N", "BEGINDATE": self.day(at),
                "CLOSEDATE": self.day(at + 86_400 * self.chance.choice((3, 5, 5, 7, 10, 14))), "COMPANY_ID": deal["COMPANY_ID"], "CONTACT_ID": deal["CONTACT_ID"],
                "OPPORTUNITY": deal["OPPORTUNITY"], "CURRENCY_ID": deal["CURRENCY_ID"], "MYCOMPANY_ID": 1, "ASSIGNED_BY_ID": user, "ACCOUNT_NUMBER": str(number), "PARENT_ID_2": deal["ID"],
            },
            at,
        )  # fmt: skip
        self.history(INVOICE, number, 1, INVOICE_PIPELINE, "P", prefix + "N", at)
        self.history(INVOICE, number, 2, INVOICE_PIPELINE, "P", prefix + "S", at)

    def pay(self, number: int, at: int) -> None:
        """The money of an invoice has come."""
        invoice = self.record(
            'SELECT "STAGE_ID", "ASSIGNED_BY_ID", "OPPORTUNITY", "CURRENCY_ID" FROM invoice WHERE "ID" = ?', number
        )
        if invoice is None:
            return
        prefix, user = f"DT31_{INVOICE_PIPELINE}:", invoice["ASSIGNED_BY_ID"]
        self.update(
            "invoice",
            number,
            {
                "STAGE_ID": prefix + "P",
                "PREVIOUS_STAGE_ID": invoice["STAGE_ID"],
                "MOVED_BY_ID": user,
                "MOVED_TIME": at,
                "MODIFY_BY_ID": user,
                "DATE_MODIFY": at,
            },
            at,
        )
        self.history(INVOICE, number, 3, INVOICE_PIPELINE, "S", prefix + "P", at)
        paid = self.record(
            'SELECT coalesce(sum("SUM") FILTER ("PAID"), 0) AS sum FROM payment WHERE "OWNER_TYPE_ID" = 31 AND "OWNER_ID" = ?',
            number,
        )
        self.insert(
            "payment",
            {
                "ID": self.numbers.next_id("payment"), "OWNER_TYPE_ID": INVOICE, "OWNER_ID": number, "ACCOUNT_NUMBER": f"{number}/2", "PAID": True, "DATE_PAID": at, "EMP_PAID_ID": user,
                "SUM": invoice["OPPORTUNITY"] - paid["sum"] if paid else invoice["OPPORTUNITY"], "CURRENCY": invoice["CURRENCY_ID"], "PAY_SYSTEM_NAME": "Безналичный расчёт",  # type: ignore[operator]
            },
            at,
        )  # fmt: skip

    def remove(self, entity: int, number: int, at: int) -> None:
        """Delete a lead or deal with its history and what is bound to it alone."""
        table = _TABLES[entity]
        own, mine = (
            f'"OWNER_TYPE_ID" = {entity} AND "OWNER_ID" = {number}',
            f'(SELECT "ACTIVITY_ID" FROM activity_binding WHERE "OWNER_TYPE_ID" = {entity} AND "OWNER_ID" = {number})',
        )
        self.sql.execute(
            f"""DELETE FROM activity WHERE "ID" IN (SELECT "ACTIVITY_ID" FROM activity_binding WHERE "ACTIVITY_ID" IN {mine} GROUP BY ALL HAVING bool_and({own}))"""
        )
        # An activity that others share goes to one of them.
        self.sql.execute(
            f"""UPDATE activity SET "OWNER_TYPE_ID" = b.kind, "OWNER_ID" = b.element FROM (
                SELECT "ACTIVITY_ID" AS id, min("OWNER_TYPE_ID") AS kind, arg_min("OWNER_ID", "OWNER_TYPE_ID") AS element FROM activity_binding
                WHERE "ACTIVITY_ID" IN {mine} AND NOT ({own}) GROUP BY ALL) b
            WHERE activity."ID" = b.id AND activity."OWNER_TYPE_ID" = {entity} AND activity."OWNER_ID" = {number}"""
        )
        self.sql.execute(f"DELETE FROM activity_binding WHERE {own}")
        self.sql.execute(f'DELETE FROM stage_history WHERE "ENTITY_TYPE_ID" = {entity} AND "OWNER_ID" = {number}')
        self.sql.execute(f'DELETE FROM multifield WHERE "ENTITY_TYPE_ID" = {entity} AND "ELEMENT_ID" = {number}')
        if entity == DEAL:
            self.sql.execute(f"""DELETE FROM product_row WHERE "OWNER_TYPE" = 'D' AND "OWNER_ID" = {number}""")
            self.sql.execute(
                f"""DELETE FROM timeline_comment WHERE "ENTITY_TYPE" = 'deal' AND "ENTITY_ID" = {number}"""
            )
        self.sql.execute(f'DELETE FROM "{table}" WHERE "ID" = {number}')
        self.changes.append(Change("DELETE", table, number, at))

    # ------------------------------------------------------------ contacts

    def activity(self, client: Client, user: int, at: int, values: Mapping[str, object]) -> int | None:
        """An activity of the client's records; nothing when there is no record to hang it on."""
        if client.owner_type is None:
            return None
        number = self.numbers.next_id("activity")
        self.insert(
            "activity",
            {
                "ID": number, "OWNER_TYPE_ID": client.owner_type, "OWNER_ID": client.owner_id, "CREATED": at, "LAST_UPDATED": at, "START_TIME": at, "END_TIME": at,
                "RESPONSIBLE_ID": user, "AUTHOR_ID": user, "EDITOR_ID": user, **values,
            },
            at,
        )  # fmt: skip
        for kind, element in client.bindings:
            self.insert("activity_binding", {"ACTIVITY_ID": number, "OWNER_TYPE_ID": kind, "OWNER_ID": element}, at)
        self.touch(client, user, at)
        return number

    def call(
        self, client: Client, user: int, at: int, *, incoming: bool, seconds: int, kind: int = 0, done: bool = True
    ) -> None:
        """A telephone call that has just ended; 0 seconds: nobody answered."""
        kind = kind or (2 if incoming else 1)
        rings = self.chance.randint(3, 25)
        start = at - seconds - rings
        call_id = (
            f"{hashlib.sha256(f'{self.company.seed}/{user}/{start}/{client.phone}'.encode()).hexdigest()[:16]}.{start}"
        )
        connected = seconds > 0
        recorded = connected and self.chance.random() < 0.93
        missed = incoming and not connected
        activity = self.activity(
            client, user, at,
            {
                "TYPE_ID": 2, "PROVIDER_ID": "VOXIMPLANT_CALL", "PROVIDER_TYPE_ID": "CALLBACK" if kind == 4 else "CALL",
                "SUBJECT": f"{'Входящий от' if incoming else 'Исходящий на'} {client.phone}", "START_TIME": start, "DEADLINE": None if incoming else start, "COMPLETED": done, "STATUS": 2 if done else 1,
                "DIRECTION": 1 if incoming else 2, "ORIGIN_ID": f"VI_{call_id}", "SETTINGS": '{"MISSED_CALL":true}' if missed else None, "RESULT_STATUS": 2 if connected else 1,
                "RESULT_STREAM": 3 if kind == 4 else 2 if not incoming else 1 if connected else 4, "IS_INCOMING_CHANNEL": incoming,
            },
        )  # fmt: skip
        code = (
            "200"
            if connected
            else "304"
            if incoming
            else self.chance.choices(("304", "486", "603", "480", "603-S", "404"), (44, 20, 14, 12, 6, 4))[0]
        )
        entity, element = (
            (CONTACT, client.contact_id)
            if client.contact_id
            else (COMPANY, client.company_id)
            if client.company_id
            else (None, None)
        )
        if client.owner_type == LEAD:
            entity, element = LEAD, client.owner_id
        noise = self.chance.randrange(90_000_000)
        self.insert(
            "phone_call",
            {
                "ID": self.numbers.next_id("phone_call"), "PORTAL_USER_ID": user, "PORTAL_NUMBER": LINES[user % len(LINES)], "PHONE_NUMBER": client.phone, "CALL_ID": call_id,
                "CALL_DURATION": seconds, "CALL_START_DATE": start, "CALL_RECORD_URL": f"https://records.skladprofil.example/{call_id}.mp3" if recorded else "",
                "CALL_FAILED_CODE": code, "CRM_ENTITY_TYPE": _CODES.get(entity or 0), "CRM_ENTITY_ID": element, "CRM_ACTIVITY_ID": activity, "SESSION_ID": str(noise),
                "RECORD_DURATION": seconds if recorded else None, "RECORD_FILE_ID": 10_000_000 + noise if recorded else None, "CALL_TYPE": kind,
            },
            at,
        )  # fmt: skip

    def mail(self, client: Client, user: int, at: int, *, incoming: bool) -> None:
        """A letter; an incoming one waits for an answer."""
        self.activity(
            client, user, at,
            {
                "TYPE_ID": 4, "PROVIDER_ID": "CRM_EMAIL", "PROVIDER_TYPE_ID": "EMAIL", "SUBJECT": self.chance.choice(names.LETTER_SUBJECTS), "DIRECTION": 1 if incoming else 2,
                "DEADLINE": None if incoming else at, "COMPLETED": not incoming, "STATUS": 1 if incoming else 2, "IS_INCOMING_CHANNEL": incoming,
            },
        )  # fmt: skip

    def form(self, client: Client, user: int, at: int) -> None:
        """A form that a client filled in."""
        self.activity(
            client, user, at,
            {
                "PROVIDER_ID": "CRM_WEBFORM", "PROVIDER_TYPE_ID": str(1 + at % 3), "SUBJECT": "Заполнена CRM-форма", "DIRECTION": 1, "AUTHOR_ID": 1, "COMPLETED": False, "IS_INCOMING_CHANNEL": True,
            },
        )  # fmt: skip

    def chat(self, client: Client, user: int, at: int, channel: str, *, incoming: bool) -> None:
        """A session of an open line with its first words."""
        line = int(channel[0]) if channel[:1].isdigit() else 1
        connector = {2: "telegrambot", 3: "whatsappbyedna"}.get(line, "livechat")
        session, guest = self.numbers.next_id("openline_session"), FIRST_GUEST + self.chance.randrange(10**7)
        self.activity(
            client, user, at,
            {
                "PROVIDER_ID": "IMOPENLINES_SESSION", "PROVIDER_TYPE_ID": str(line), "ASSOCIATED_ENTITY_ID": session, "SUBJECT": "Диалог открытой линии", "DIRECTION": 1 if incoming else 2,
                "COMPLETED": not incoming, "STATUS": 1 if incoming else 2, "IS_INCOMING_CHANNEL": incoming, "RESULT_STREAM": 1 if incoming else 2, "RESULT_STATUS": 1 if incoming else 2,
                "PROVIDER_PARAMS": json.dumps({"USER_CODE": f"{connector}|{line}|{5000 + session}|{guest}"}),
            },
        )  # fmt: skip
        entity = (
            client.owner_type
            if client.owner_type == LEAD
            else CONTACT
            if client.contact_id
            else COMPANY
            if client.company_id
            else 0
        )
        element = {LEAD: client.owner_id, CONTACT: client.contact_id, COMPANY: client.company_id}.get(entity or 0)
        self.insert(
            "openline_session",
            {
                "ID": session, "CONFIG_ID": line, "CHAT_ID": 5000 + session, "CONNECTOR_ID": connector, "CLIENT_ID": guest, "CLIENT_NAME": "Гость", "OPERATOR_ID": None if incoming else user,
                "CRM_ENTITY_TYPE": _CODES.get(entity or 0), "CRM_ENTITY_ID": element, "DEAL_ID": client.owner_id if client.owner_type == DEAL else None, "STARTED_AT": at,
            },
            at,
        )  # fmt: skip
        sender, text = (
            (guest, "Здравствуйте! Подскажите по срокам и цене.")
            if incoming
            else (user, "Добрый день! Напоминаю о нашем предложении.")
        )
        self.insert(
            "openline_message",
            {
                "ID": self.numbers.next_id("openline_message"),
                "SESSION_ID": session,
                "SENDER_ID": sender,
                "DATE": at,
                "TEXT": text,
            },
            at,
        )

    def plan(self, client: Client, user: int, at: int) -> None:
        """The next step: a to-do on one of the coming working days, mostly, or a meeting."""
        moment = datetime.fromtimestamp(at, UTC).astimezone(self._zone) + timedelta(
            days=self.chance.choice((0, 1, 1, 1, 2, 2, 3, 5))
        )
        while moment.weekday() >= 5:
            moment += timedelta(days=1)
        due = int(
            moment.replace(
                hour=self.chance.randint(9, 17), minute=self.chance.choice((0, 30)), second=0, microsecond=0
            ).timestamp()
        )
        due = max(due, (at // 1800 + 2) * 1800)
        meeting = self.chance.random() < 0.07
        values: Record = (
            {
                "TYPE_ID": 1,
                "PROVIDER_ID": "CRM_MEETING",
                "PROVIDER_TYPE_ID": "MEETING",
                "SUBJECT": self.chance.choice(names.MEETING_SUBJECTS),
            }
            if meeting
            else {
                "PROVIDER_ID": "CRM_TODO",
                "PROVIDER_TYPE_ID": "TODO",
                "SUBJECT": self.chance.choice(names.TODO_SUBJECTS),
            }
        )
        self.activity(
            client, user, at, {**values, "START_TIME": due, "END_TIME": due + (3600 if meeting else 0), "DEADLINE": due}
        )

    def finish(self, number: int, at: int, *, automatic: bool = False) -> None:
        """Tick an activity off."""
        self.update("activity", number, {"COMPLETED": True, "STATUS": 3 if automatic else 2, "LAST_UPDATED": at}, at)
        linked = self.record(
            """SELECT "ASSOCIATED_ENTITY_ID" AS task, "RESPONSIBLE_ID" AS who FROM activity WHERE "ID" = ? AND "PROVIDER_ID" = 'TASKS'""",
            number,
        )
        if linked:
            who = linked["who"]
            self.update(
                "task",
                whole(linked["task"]),
                {
                    "STATUS": 5,
                    "CLOSED_DATE": at,
                    "CLOSED_BY": who,
                    "CHANGED_DATE": at,
                    "CHANGED_BY": who,
                    "STATUS_CHANGED_DATE": at,
                },
                at,
            )

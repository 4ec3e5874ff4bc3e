"""One contact at a time: calls, letters, forms, chats and plans, as a living company has them.

Laws: a contact moves LAST_ACTIVITY_TIME of its lead or deal and never DATE_MODIFY; a call is written when it ends, with
its activity and its row of statistics.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from b24metrics.sim import names
from b24metrics.sim.company.ledger import COMPANY, CONTACT, DEAL, LEAD, Client, Ledger, Record, whole
from b24metrics.sim.company.talk import FIRST_GUEST, LINES

_CODES = {LEAD: "LEAD", CONTACT: "CONTACT", COMPANY: "COMPANY"}


class Contacts:
    """What people say to each other, and what they mean to."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def activity(self, client: Client, user: int, at: int, values: Mapping[str, object]) -> int | None:
        """An activity of the client's records; nothing when there is no record to hang it on."""
        if client.owner_type is None:
            return None
        number = self.ledger.numbers.next_id("activity")
        self.ledger.insert(
            "activity",
            {
                "ID": number, "OWNER_TYPE_ID": client.owner_type, "OWNER_ID": client.owner_id, "CREATED": at,
                "LAST_UPDATED": at, "START_TIME": at, "END_TIME": at,
                "RESPONSIBLE_ID": user, "AUTHOR_ID": user, "EDITOR_ID": user, **values,
            },
            at,
        )  # fmt: skip
        for kind, element in client.bindings:
            self.ledger.insert(
                "activity_binding", {"ACTIVITY_ID": number, "OWNER_TYPE_ID": kind, "OWNER_ID": element}, at
            )
        self.ledger.touch(client, user, at)
        return number

    def call(
        self, client: Client, user: int, at: int, *, incoming: bool, seconds: int, kind: int = 0, done: bool = True
    ) -> None:
        """A telephone call that has just ended; 0 seconds: nobody answered."""
        kind = kind or (2 if incoming else 1)
        rings = self.ledger.chance.randint(3, 25)
        start = at - seconds - rings
        call_id = f"{hashlib.sha256(f'{self.ledger.company.seed}/{user}/{start}/{client.phone}'.encode()).hexdigest()[:16]}.{start}"
        connected = seconds > 0
        recorded = connected and self.ledger.chance.random() < 0.93
        missed = incoming and not connected
        activity = self.activity(
            client, user, at,
            {
                "TYPE_ID": 2, "PROVIDER_ID": "VOXIMPLANT_CALL", "PROVIDER_TYPE_ID": "CALLBACK" if kind == 4 else "CALL",
                "SUBJECT": f"{'Входящий от' if incoming else 'Исходящий на'} {client.phone}", "START_TIME": start,
                "DEADLINE": None if incoming else start, "COMPLETED": done, "STATUS": 2 if done else 1,
                "DIRECTION": 1 if incoming else 2, "ORIGIN_ID": f"VI_{call_id}",
                "SETTINGS": '{"MISSED_CALL":true}' if missed else None, "RESULT_STATUS": 2 if connected else 1,
                "RESULT_STREAM": 3 if kind == 4 else 2 if not incoming else 1 if connected else 4,
                "IS_INCOMING_CHANNEL": incoming,
            },
        )  # fmt: skip
        code = (
            "200"
            if connected
            else "304"
            if incoming
            else self.ledger.chance.choices(("304", "486", "603", "480", "603-S", "404"), (44, 20, 14, 12, 6, 4))[0]
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
        noise = self.ledger.chance.randrange(90_000_000)
        self.ledger.insert(
            "phone_call",
            {
                "ID": self.ledger.numbers.next_id("phone_call"), "PORTAL_USER_ID": user,
                "PORTAL_NUMBER": LINES[user % len(LINES)], "PHONE_NUMBER": client.phone, "CALL_ID": call_id,
                "CALL_DURATION": seconds, "CALL_START_DATE": start,
                "CALL_RECORD_URL": f"https://records.skladprofil.example/{call_id}.mp3" if recorded else "",
                "CALL_FAILED_CODE": code, "CRM_ENTITY_TYPE": _CODES.get(entity or 0), "CRM_ENTITY_ID": element,
                "CRM_ACTIVITY_ID": activity, "SESSION_ID": str(noise),
                "RECORD_DURATION": seconds if recorded else None,
                "RECORD_FILE_ID": 10_000_000 + noise if recorded else None, "CALL_TYPE": kind,
            },
            at,
        )  # fmt: skip

    def mail(self, client: Client, user: int, at: int, *, incoming: bool) -> None:
        """A letter; an incoming one waits for an answer."""
        self.activity(
            client, user, at,
            {
                "TYPE_ID": 4, "PROVIDER_ID": "CRM_EMAIL", "PROVIDER_TYPE_ID": "EMAIL",
                "SUBJECT": self.ledger.chance.choice(names.LETTER_SUBJECTS), "DIRECTION": 1 if incoming else 2,
                "DEADLINE": None if incoming else at, "COMPLETED": not incoming, "STATUS": 1 if incoming else 2,
                "IS_INCOMING_CHANNEL": incoming,
            },
        )  # fmt: skip

    def form(self, client: Client, user: int, at: int) -> None:
        """A form that a client filled in."""
        self.activity(
            client, user, at,
            {
                "PROVIDER_ID": "CRM_WEBFORM", "PROVIDER_TYPE_ID": str(1 + at % 3), "SUBJECT": "Заполнена CRM-форма",
                "DIRECTION": 1, "AUTHOR_ID": 1, "COMPLETED": False, "IS_INCOMING_CHANNEL": True,
            },
        )  # fmt: skip

    def chat(self, client: Client, user: int, at: int, channel: str, *, incoming: bool) -> None:
        """A session of an open line with its first words."""
        line = int(channel[0]) if channel[:1].isdigit() else 1
        connector = {2: "telegrambot", 3: "whatsappbyedna"}.get(line, "livechat")
        session, guest = (
            self.ledger.numbers.next_id("openline_session"),
            FIRST_GUEST + self.ledger.chance.randrange(10**7),
        )
        self.activity(
            client, user, at,
            {
                "PROVIDER_ID": "IMOPENLINES_SESSION", "PROVIDER_TYPE_ID": str(line), "ASSOCIATED_ENTITY_ID": session,
                "SUBJECT": "Диалог открытой линии", "DIRECTION": 1 if incoming else 2,
                "COMPLETED": not incoming, "STATUS": 1 if incoming else 2, "IS_INCOMING_CHANNEL": incoming,
                "RESULT_STREAM": 1 if incoming else 2, "RESULT_STATUS": 1 if incoming else 2,
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
        self.ledger.insert(
            "openline_session",
            {
                "ID": session, "CONFIG_ID": line, "CHAT_ID": 5000 + session, "CONNECTOR_ID": connector,
                "CLIENT_ID": guest, "CLIENT_NAME": "Гость", "OPERATOR_ID": None if incoming else user,
                "CRM_ENTITY_TYPE": _CODES.get(entity or 0), "CRM_ENTITY_ID": element,
                "DEAL_ID": client.owner_id if client.owner_type == DEAL else None, "STARTED_AT": at,
            },
            at,
        )  # fmt: skip
        sender, text = (
            (guest, "Здравствуйте! Подскажите по срокам и цене.")
            if incoming
            else (user, "Добрый день! Напоминаю о нашем предложении.")
        )
        self.ledger.insert(
            "openline_message",
            {
                "ID": self.ledger.numbers.next_id("openline_message"),
                "SESSION_ID": session,
                "SENDER_ID": sender,
                "DATE": at,
                "TEXT": text,
            },
            at,
        )

    def plan(self, client: Client, user: int, at: int) -> None:
        """The next step: a to-do on one of the coming working days, mostly, or a meeting."""
        moment = datetime.fromtimestamp(at, UTC).astimezone(self.ledger.zone) + timedelta(
            days=self.ledger.chance.choice((0, 1, 1, 1, 2, 2, 3, 5))
        )
        while moment.weekday() >= 5:
            moment += timedelta(days=1)
        due = int(
            moment.replace(
                hour=self.ledger.chance.randint(9, 17),
                minute=self.ledger.chance.choice((0, 30)),
                second=0,
                microsecond=0,
            ).timestamp()
        )
        due = max(due, (at // 1800 + 2) * 1800)
        meeting = self.ledger.chance.random() < 0.07
        values: Record = (
            {
                "TYPE_ID": 1,
                "PROVIDER_ID": "CRM_MEETING",
                "PROVIDER_TYPE_ID": "MEETING",
                "SUBJECT": self.ledger.chance.choice(names.MEETING_SUBJECTS),
            }
            if meeting
            else {
                "PROVIDER_ID": "CRM_TODO",
                "PROVIDER_TYPE_ID": "TODO",
                "SUBJECT": self.ledger.chance.choice(names.TODO_SUBJECTS),
            }
        )
        self.activity(
            client, user, at, {**values, "START_TIME": due, "END_TIME": due + (3600 if meeting else 0), "DEADLINE": due}
        )

    def finish(self, number: int, at: int, *, automatic: bool = False) -> None:
        """Tick an activity off."""
        self.ledger.update(
            "activity", number, {"COMPLETED": True, "STATUS": 3 if automatic else 2, "LAST_UPDATED": at}, at
        )
        linked = self.ledger.record(
            """SELECT "ASSOCIATED_ENTITY_ID" AS task, "RESPONSIBLE_ID" AS who FROM activity WHERE "ID" = ? AND "PROVIDER_ID" = 'TASKS'""",
            number,
        )
        if linked:
            who = linked["who"]
            self.ledger.update(
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

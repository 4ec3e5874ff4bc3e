"""What one decision of a minute leads to: somebody knocks, a deal goes on, a call is made or returned.

Laws: a decision may find its record gone or changed within the same minute and then does nothing; chance is seeded for
each decision, so what is drawn for one does not depend on the others.
"""

from __future__ import annotations

import random

from b24metrics.sim.company.contacts import Contacts
from b24metrics.sim.company.deeds import PLACES, Deeds
from b24metrics.sim.company.demand import CHANNELS
from b24metrics.sim.company.directories import PIPELINES, Pipeline
from b24metrics.sim.company.habits import WEB_CHANNELS, Decision, Habits, Person
from b24metrics.sim.company.ledger import DEAL, LEAD, Client, Ledger, Record, whole

_LEAD = '"ID", "STATUS_ID", "SOURCE_ID", "ASSIGNED_BY_ID", "CONTACT_ID", "COMPANY_ID"'
_DEAL = '"ID", "CATEGORY_ID", "STAGE_ID", "CLOSED", "OPPORTUNITY", "CURRENCY_ID", "ASSIGNED_BY_ID", "CONTACT_ID", "COMPANY_ID", "UF"'
_BECOMES_DEAL = {code: share for _, code, _, share in CHANNELS}


class Doings:
    """Carries out decisions; ``on_…`` by the kind of a decision."""

    def __init__(self, habits: Habits, ledger: Ledger) -> None:
        self.habits = habits
        self.ledger = ledger
        self.contacts = Contacts(ledger)
        self.deeds = Deeds(ledger, self.contacts)
        self.chance: random.Random = ledger.chance

    def do(self, decision: Decision) -> None:
        """Let one decision happen."""
        # What is drawn for a decision depends on it alone, not on what else happens in this minute.
        self.chance.seed(f"{self.habits.company.seed}/{decision.kind}/{decision.subject}/{decision.at}")
        getattr(self, f"on_{decision.kind}")(decision.subject, decision.at)

    # ------------------------------------------------------------ requests

    def on_web(self, user: int, at: int) -> None:
        """A form, letter or chat out of the net."""
        channel = self.chance.choices([code for _, code in WEB_CHANNELS], [share for share, _ in WEB_CHANNELS])[0]
        phone = self.ledger.phone() if channel in {"WEBFORM", "CALLBACK"} or self.chance.random() < 0.7 else ""
        client = self._request(user, channel, phone, at)
        if "|" in channel:
            self.contacts.chat(client, user, at, channel, incoming=True)
        elif channel == "EMAIL":
            self.contacts.mail(client, user, at, incoming=True)
        else:
            self.contacts.form(client, user, at)

    def on_caller(self, user: int, at: int) -> None:
        """A new client rings; who is at work mostly answers."""
        client = self._request(user, "CALL", self.ledger.phone(), at)
        answered = self.habits.works(user, at) and self.chance.random() < 0.8
        self.contacts.call(
            client, user, at, incoming=True, seconds=self._seconds(user) if answered else 0, done=answered
        )
        if answered and client.owner_type == LEAD:
            assert client.owner_id is not None
            self.deeds.move_lead(client.owner_id, "IN_PROCESS", user, at)

    def _request(self, user: int, channel: str, phone: str, at: int) -> Client:
        """What the robot makes of somebody who knocks: a lead, or in the simple mode a deal."""
        if self.habits.company.classic:
            return Client(LEAD, self.deeds.add_lead(user, channel, at, phone), phone=phone)
        person = self.habits.people[user]
        known = self.deeds.add_client(user, self.chance.random() < person.business, channel, phone, at)
        deal = self.deeds.add_deal(user, 1, self._pipeline(person), known, channel, at)
        return Client(DEAL, deal, known.contact_id, known.company_id, phone)

    def on_react(self, number: int, at: int) -> None:
        """The first answer to a request: a dial, a letter, or just the next stage."""
        table = "lead" if self.habits.company.classic else "deal"
        record = self.ledger.record(
            f'SELECT {_LEAD if self.habits.company.classic else _DEAL} FROM {table} WHERE "ID" = ?', number
        )
        if record is None:
            return
        user, client = (
            whole(record["ASSIGNED_BY_ID"]),
            self._client(LEAD if self.habits.company.classic else DEAL, record),
        )
        way = self.chance.random()
        if way < 0.74:
            self._dialled(client, user, at)
        elif way < 0.88:
            self.contacts.mail(client, user, at, incoming=False)
        if self.habits.company.classic:
            self.deeds.move_lead(number, "IN_PROCESS", user, at)
        else:
            self.deeds.move_deal(record, self._next(record), user, at)

    def on_lead(self, number: int, at: int) -> None:
        """A lead in work goes on: processed, a deal, or nothing."""
        lead = self.ledger.record(f'SELECT {_LEAD} FROM lead WHERE "ID" = ?', number)
        if lead is None:
            return
        user = whole(lead["ASSIGNED_BY_ID"])
        person = self.habits.people.get(user)
        if person is None:
            return
        if lead["STATUS_ID"] == "IN_PROCESS" and self.chance.random() < 0.5:
            self.deeds.move_lead(number, "PROCESSED", user, at)
            return
        share = _BECOMES_DEAL.get(str(lead["SOURCE_ID"] or ""), 0.4)
        if self.chance.random() >= 1 - (1 - share) ** person.skill:
            self.deeds.move_lead(number, "UC_DOUBLE" if self.chance.random() < 0.12 else "JUNK", user, at)
            return
        self.deeds.move_lead(number, "CONVERTED", user, at)
        source = str(lead["SOURCE_ID"]) if lead["SOURCE_ID"] else None
        phone = self._client(LEAD, lead).phone
        client = self.deeds.add_client(user, self.chance.random() < person.business, source, phone, at, lead=number)
        deal = self.deeds.add_deal(user, user, self._pipeline(person), client, source, at, lead=number)
        self._next_step(Client(DEAL, deal, client.contact_id, client.company_id, phone), person, at)

    # ------------------------------------------------------------ deals

    def on_own(self, user: int, at: int) -> None:
        """A deal opened by hand: for somebody who bought before, or for a new acquaintance."""
        person = self.habits.people[user]
        buyer = self.ledger.record(
            """SELECT "CONTACT_ID", "COMPANY_ID", "ID" FROM deal WHERE "ASSIGNED_BY_ID" = ? AND "STAGE_SEMANTIC_ID" = 'S' AND ("CONTACT_ID" > 0 OR "COMPANY_ID" > 0)
            ORDER BY hash("ID" * 1000003 + ?) LIMIT 1""",
            user,
            at,
        )
        again = buyer is not None and self.chance.random() < person.repeats * 0.7
        if again and buyer is not None:
            client = self._client(DEAL, buyer)
        else:
            client = self.deeds.add_client(
                user, self.chance.random() < person.business, "CALL", self.ledger.phone(), at
            )
        amount = self._amount(person) if self.chance.random() < 0.5 else 0.0
        deal = self.deeds.add_deal(user, user, self._pipeline(person), client, "CALL", at, amount=amount, again=again)
        self._next_step(Client(DEAL, deal, client.contact_id, client.company_id, client.phone), person, at)

    def on_deal(self, number: int, at: int) -> None:
        """A deal leaves its stage: forward, or lost."""
        deal = self.ledger.record(f'SELECT {_DEAL} FROM deal WHERE "ID" = ?', number)
        if deal is None or deal["CLOSED"] or str(deal["STAGE_ID"]) not in PLACES:
            return
        user = whole(deal["ASSIGNED_BY_ID"])
        person = self.habits.people.get(user)
        if person is None:
            return
        pipeline, place = PLACES[str(deal["STAGE_ID"])]
        passes = pipeline.open_steps[place].passes ** (1 / person.skill)
        if self.chance.random() >= passes:
            self.deeds.move_deal(
                deal, self.chance.choices(pipeline.lost, [3.0] + [1.0] * (len(pipeline.lost) - 1))[0], user, at
            )
            return
        if not deal["OPPORTUNITY"]:
            amount = round(self._amount(person), 2)
            self.ledger.update("deal", number, {"OPPORTUNITY": amount}, at)
            deal["OPPORTUNITY"] = amount
        stage = self._next(deal)
        self.deeds.move_deal(deal, stage, user, at)
        if stage != pipeline.won:
            self._next_step(self._client(DEAL, deal), person, at)

    def _next(self, deal: Record) -> str:
        """The stage after the present one, skipping one now and then."""
        pipeline, place = PLACES[str(deal["STAGE_ID"])]
        steps = pipeline.open_steps
        place += 1
        if place < len(steps) and self.chance.random() < steps[place].skipped:
            place += 1
        return pipeline.code(steps[place]) if place < len(steps) else pipeline.won

    def on_edit(self, user: int, at: int) -> None:
        """Somebody changes a field of an open deal: the sum, or the expected day."""
        deal = self._of(user, at)
        if deal is None or deal["CLOSED"]:
            return
        values: Record = {"DATE_MODIFY": at, "MODIFY_BY_ID": user}
        if self.chance.random() < 0.5:
            values["CLOSEDATE"] = self.ledger.day(at + 86_400 * self.chance.randint(2, 20))
        elif deal["OPPORTUNITY"]:
            # A sum typed in by hand no longer follows the goods.
            values |= {
                "OPPORTUNITY": round(float(str(deal["OPPORTUNITY"])) * self.chance.uniform(0.9, 1.12), 2),
                "IS_MANUAL_OPPORTUNITY": True,
            }
        self.ledger.update("deal", whole(deal["ID"]), values, at)

    def on_pay(self, number: int, at: int) -> None:
        self.deeds.pay(number, at)

    def on_erase(self, _user: int, at: int) -> None:
        """Somebody cleans up: a lost deal or a junk lead of the last weeks disappears for good."""
        if self.habits.company.classic and self.chance.random() < 0.6:
            where, entity = """lead WHERE "STATUS_SEMANTIC_ID" = 'F'""", LEAD
        else:
            where, entity = """deal WHERE "STAGE_SEMANTIC_ID" = 'F'""", DEAL
        found = self.ledger.record(
            f"""SELECT "ID" FROM {where} AND "DATE_CREATE" BETWEEN {at - 40 * 86_400} AND {at - 86_400} ORDER BY hash("ID" + ?) LIMIT 1""",
            at,
        )
        if found is not None and not (
            entity == LEAD and self.ledger.record('SELECT 1 FROM deal WHERE "LEAD_ID" = ?', found["ID"])
        ):
            self.deeds.remove(entity, whole(found["ID"]), at)

    # ------------------------------------------------------------ contacts

    def on_dial(self, user: int, at: int) -> None:
        """An outgoing call: about one of the own deals, or to somebody new."""
        deal = self._of(user, at) if self.chance.random() < 0.6 else None
        client = self._client(DEAL, deal) if deal else Client(None, None, phone=self.ledger.phone())
        self._dialled(client, user, at)
        if deal and not deal["CLOSED"] and self.chance.random() < 0.35:
            self._next_step(client, self.habits.people[user], at)

    def _dialled(self, client: Client, user: int, at: int) -> None:
        connected = self.chance.random() < self.habits.people[user].connect
        self.contacts.call(
            client,
            user,
            at,
            incoming=False,
            seconds=self._seconds(user) if connected else 0,
            kind=4 if self.chance.random() < 0.02 else 1,
        )

    def on_ring(self, user: int, at: int) -> None:
        """A client or a stranger rings; nobody answers at night, and not always by day."""
        deal = self._of(user, at) if self.chance.random() < 0.5 else None
        client = self._client(DEAL, deal) if deal else Client(None, None, phone=self.ledger.phone())
        answered = self.habits.works(user, at) and self.chance.random() < 0.85
        self.contacts.call(
            client, user, at, incoming=True, seconds=self._seconds(user) if answered else 0, done=answered
        )

    def on_return(self, number: int, at: int) -> None:
        """A missed call is returned and ticked off."""
        missed = self.ledger.record(
            """SELECT a."OWNER_TYPE_ID", a."OWNER_ID", a."RESPONSIBLE_ID", c."PHONE_NUMBER" FROM activity a JOIN phone_call c ON c."CRM_ACTIVITY_ID" = a."ID" WHERE a."ID" = ? AND NOT a."COMPLETED" """,
            number,
        )
        if missed is None:
            return
        user, (kind, owner) = (
            whole(missed["RESPONSIBLE_ID"]),
            (whole(missed["OWNER_TYPE_ID"]), whole(missed["OWNER_ID"])),
        )
        table = {LEAD: "lead", DEAL: "deal"}.get(kind)
        record = (
            self.ledger.record(f'SELECT "ID", "CONTACT_ID", "COMPANY_ID" FROM {table} WHERE "ID" = ?', owner)
            if table
            else None
        )
        known = self._client(kind, record) if record else Client(kind, owner)
        self._dialled(Client(kind, owner, known.contact_id, known.company_id, str(missed["PHONE_NUMBER"])), user, at)
        self.contacts.finish(number, at)

    def on_write(self, user: int, at: int) -> None:
        deal = self._of(user, at)
        if deal is not None:
            self.contacts.mail(self._client(DEAL, deal), user, at, incoming=False)

    def on_answer(self, user: int, at: int) -> None:
        deal = self._of(user, at)
        if deal is not None:
            self.contacts.mail(self._client(DEAL, deal), user, at, incoming=True)

    def on_settle(self, number: int, at: int) -> None:
        """A letter, form or chat is dealt with."""
        self.contacts.finish(number, at)

    def on_finish(self, number: int, at: int) -> None:
        """What was planned is done, and the orderly plan the next step."""
        plan = self.ledger.record(
            'SELECT "OWNER_TYPE_ID", "OWNER_ID", "RESPONSIBLE_ID" FROM activity WHERE "ID" = ? AND NOT "COMPLETED"',
            number,
        )
        if plan is None:
            return
        self.contacts.finish(number, at)
        person = self.habits.people.get(whole(plan["RESPONSIBLE_ID"]))
        if person is not None and plan["OWNER_TYPE_ID"] == DEAL:
            deal = self.ledger.record(f'SELECT {_DEAL} FROM deal WHERE "ID" = ? AND NOT "CLOSED"', plan["OWNER_ID"])
            if deal is not None:
                self._next_step(self._client(DEAL, deal), person, at)

    def on_vote(self, user: int, at: int) -> None:
        """A client rates a call of the last day; the row of statistics changes afterwards."""
        call = self.ledger.record(
            f"""SELECT "ID" FROM phone_call WHERE "PORTAL_USER_ID" = ? AND "CALL_TYPE" IN (2, 3) AND "CALL_DURATION" > 0 AND "CALL_VOTE" IS NULL
            AND "CALL_START_DATE" > {at - 86_400} ORDER BY "ID" DESC LIMIT 1""",
            user,
        )
        if call is not None:
            self.ledger.update(
                "phone_call",
                whole(call["ID"]),
                {"CALL_VOTE": self.chance.choices((5, 4, 3, 2, 1), (58, 22, 9, 4, 7))[0]},
                at,
            )

    def on_arrive(self, user: int, at: int) -> None:
        self.ledger.insert(
            "workday", {"ID": self.ledger.numbers.next_id("workday"), "USER_ID": user, "STARTED_AT": at}, at
        )

    def on_depart(self, user: int, at: int) -> None:
        day = self.ledger.record(
            'SELECT "ID" FROM workday WHERE "USER_ID" = ? AND "FINISHED_AT" IS NULL ORDER BY "ID" DESC LIMIT 1', user
        )
        if day is not None:
            self.ledger.update("workday", whole(day["ID"]), {"FINISHED_AT": at}, at)

    # ------------------------------------------------------------ helpers

    def _seconds(self, user: int) -> int:
        return min(5400, 2 + int(self.chance.lognormvariate(4.52, 0.95) * self.habits.people[user].talk))

    def _amount(self, person: Person) -> float:
        size = self.chance.lognormvariate(0, 0.55) * person.check * self.habits.company.rate("RUB")
        return max(1.0, round(size / 100) * 100) if size > 1000 else max(1.0, round(size, 2))

    def _pipeline(self, person: Person) -> Pipeline:
        usual = person.pipeline if self.chance.random() < person.pipeline_share else 0
        return next(pipeline for pipeline in PIPELINES if pipeline.id == usual)

    def _next_step(self, client: Client, person: Person, at: int) -> None:
        if self.chance.random() < person.orderly:
            self.contacts.plan(client, person.user_id, at)

    def _of(self, user: int, at: int) -> Record | None:
        """One of a person's open deals, by chance."""
        return self.ledger.record(
            f"""SELECT {_DEAL} FROM deal WHERE "ASSIGNED_BY_ID" = ? AND NOT "CLOSED" AND NOT "IS_RECURRING" ORDER BY hash("ID" * 1000003 + ?) LIMIT 1""",
            user,
            at,
        )

    def _client(self, kind: int, record: Record) -> Client:
        """Whom a lead or deal is with, and the number to ring."""
        contact, company = (whole(record[name]) if record.get(name) else None for name in ("CONTACT_ID", "COMPANY_ID"))
        number = whole(record["ID"])
        entity, element = (LEAD, number) if kind == LEAD else (3, contact) if contact else (4, company)
        found = self.ledger.record(
            """SELECT "VALUE" FROM multifield WHERE "ENTITY_TYPE_ID" = ? AND "ELEMENT_ID" = ? AND "TYPE_ID" = 'PHONE' ORDER BY "ID" LIMIT 1""",
            entity,
            element,
        )
        digits = "".join(filter(str.isdigit, str(found["VALUE"]))) if found else ""
        phone = f"+7{digits[1:]}" if len(digits) == 11 else self.ledger.phone()
        return Client(kind, number, contact, company, phone)

"""What may happen on a portal while somebody copies it: one change after another, drawn from dice.

Laws: a change is what a person, a robot or the telephone exchange does there, with everything that the portal does
along with it; it is whole or it is not. What leaves no trace that could be asked for (the moment of the last activity)
is followed by an edit that does. A second time through with the same dice and the same portal is the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from b24metrics.sim.core import PracticePortal
from b24metrics.sim.records import Hand
from b24metrics.sim.tables import ENTITY_TYPES

LEAD, DEAL, CONTACT, COMPANY, QUOTE, INVOICE = 1, 2, 3, 4, 7, 31


class Happenings:
    """All that may happen on one portal.

    Args:
        portal: whose records change. dice: what decides. bulk: how many records a mass change touches at most.
        deletions: whether records may vanish (only a comparison of all ids finds that).
    """

    def __init__(self, portal: PracticePortal, dice: random.Random, *, bulk: int = 200, deletions: bool = True) -> None:
        self.portal = portal
        self.data = portal.data
        self.records = portal.records
        self.dice = dice
        self.bulk = bulk
        self.made = 0
        self._doings: list[Callable[[], object]] = [
            self.new_deal, self.new_deal, self.new_lead, self.new_client, self.new_paper, self.new_paper,
            self.new_activity, self.new_activity, self.new_task, self.calls, self.calls,
            self.stage, self.stage, self.stage, self.pipeline, self.reassign, self.reassign, self.money, self.money,
            self.reach, self.bulk_edit, self.finish_activity, self.rebind, self.finish_task, self.pay, self.vote,
            self.people, self.directory,
        ]  # fmt: skip
        if deletions:
            self._doings += [self.delete, self.delete, self.delete_work, self.merge]

    def happen(self) -> str:
        """One thing; its name."""
        doing = self.dice.choice(self._doings)
        with self.data.lock:
            doing()
        self.made += 1
        return doing.__name__

    # ------------------------------------------------------------ dice

    @property
    def _hand(self) -> Hand:
        return Hand(self.portal.now(), self._user())

    @property
    def _now(self) -> int:
        return int(self.portal.now())

    def _some(self, table: str, where: str = "TRUE") -> int | None:
        """The id of a record, later ones more often: they are what people work on."""
        count = self.data.value(f'SELECT count(*) FROM "{table}" WHERE {where}')
        assert isinstance(count, int)
        if not count:
            return None
        back = int(count * self.dice.random() ** 2)
        found = self.data.value(f'SELECT ID FROM "{table}" WHERE {where} ORDER BY ID DESC LIMIT 1 OFFSET {back}')
        assert isinstance(found, int)
        return found

    def _user(self) -> int:
        return self._some("user") or 1

    def _kind(self) -> int:
        return self.dice.choice([LEAD, DEAL, DEAL, CONTACT, COMPANY, QUOTE, INVOICE])

    def _record(self, kind: int) -> int | None:
        return self._some(ENTITY_TYPES[kind].table.name)

    def _update(self, kind: int, number: int | None, **fields: object) -> None:
        if number is not None:
            self.records.update(ENTITY_TYPES[kind], number, fields, self._hand)

    def _reachable(self) -> dict[str, object]:
        phones = [f"+7 9{self.dice.randrange(10**9):09}" for _ in range(self.dice.randrange(3))]
        return {"PHONE": [{"VALUE": one} for one in phones], "EMAIL": [{"VALUE": f"{self.dice.random()}@example.org"}]}

    # ------------------------------------------------------------ made

    def new_deal(self) -> None:
        fields = {
            "OPPORTUNITY": self.dice.randrange(10**6) / 4,
            "CURRENCY_ID": self.dice.choice(["RUB", "KZT"]),
            "ASSIGNED_BY_ID": self._user(),
            "CONTACT_ID": self._record(CONTACT),
            "COMPANY_ID": self._record(COMPANY),
            "LEAD_ID": self._record(LEAD),
        }
        self.records.create(ENTITY_TYPES[DEAL], fields, self._hand)

    def new_lead(self) -> None:
        self.records.create(ENTITY_TYPES[LEAD], {"ASSIGNED_BY_ID": self._user(), **self._reachable()}, self._hand)

    def new_client(self) -> None:
        kind = self.dice.choice([CONTACT, COMPANY])
        self.records.create(ENTITY_TYPES[kind], self._reachable(), self._hand)

    def new_paper(self) -> None:
        kind = self.dice.choice([QUOTE, INVOICE])
        owner = "DEAL_ID" if kind == QUOTE else "PARENT_ID_2"
        fields = {
            "OPPORTUNITY": self.dice.randrange(10**5),
            owner: self._record(DEAL),
            "CONTACT_ID": self._record(CONTACT),
        }
        number = self.records.create(ENTITY_TYPES[kind], fields, self._hand)
        if kind == INVOICE:
            for _ in range(self.dice.randrange(3)):
                self._payment(number)

    def _payment(self, invoice: int) -> None:
        paid = self.dice.random() < 0.5
        self.data.insert(
            "payment",
            {
                "ID": self.data.next_id("payment"),
                "OWNER_TYPE_ID": INVOICE,
                "OWNER_ID": invoice,
                "PAID": paid,
                "DATE_PAID": self._now if paid else None,
                "SUM": self.dice.randrange(1000),
            },
        )

    def new_activity(self) -> None:
        kind = self.dice.choice([LEAD, DEAL, DEAL])
        owner, contact = self._record(kind), self._record(CONTACT)
        if owner is None:
            return
        self.records.create_activity(
            {"OWNER_TYPE_ID": kind, "OWNER_ID": owner, "TYPE_ID": 6, "PROVIDER_ID": "CRM_TODO",
             "PROVIDER_TYPE_ID": "TODO", "DEADLINE": self._now + 3600, "COMPLETED": self.dice.random() < 0.3},
            self._hand, [(CONTACT, contact)] if contact and self.dice.random() < 0.5 else (),
        )  # fmt: skip
        self._update(kind, owner)
        self._update(CONTACT, contact)

    def new_task(self) -> None:
        self.data.insert(
            "task",
            {"ID": self.data.next_id("task"), "TITLE": "New", "RESPONSIBLE_ID": self._user(), "STATUS": 2,
             "CREATED_DATE": self._now, "CHANGED_DATE": self._now},
        )  # fmt: skip

    def calls(self) -> None:
        for _ in range(self.dice.choice([1, 1, 2, 70])):
            self.records.add_phone_call(
                {"PORTAL_USER_ID": self._user(), "PHONE_NUMBER": f"+7999{self.dice.randrange(10**7):07}",
                 "CALL_DURATION": self.dice.randrange(600), "CALL_TYPE": 1 + self.dice.randrange(2), "CALL_FAILED_CODE": "200"},
                self._hand,
            )  # fmt: skip

    # ------------------------------------------------------------ changed

    def stage(self) -> None:
        """To another stage of the same pipeline: on, back, won, lost, reopened."""
        kind = self.dice.choice([LEAD, DEAL, DEAL, DEAL, QUOTE, INVOICE])
        number, entity = self._record(kind), ENTITY_TYPES[kind]
        if number is None:
            return
        record = self.data.record(entity.table, number) or {}
        category = record.get("CATEGORY_ID")
        stages = self.records.stages(entity, category if isinstance(category, int) else 0)
        if stages:
            self._update(kind, number, **{entity.stage_field: self.dice.choice(stages)})

    def pipeline(self) -> None:
        other = self._some("category", f"ENTITY_TYPE_ID = {DEAL}")
        self._update(DEAL, self._record(DEAL), CATEGORY_ID=other)

    def reassign(self) -> None:
        kind = self._kind()
        self._update(kind, self._record(kind), ASSIGNED_BY_ID=self._user())

    def money(self) -> None:
        """Another amount, or other products: the record is saved either way."""
        kind = self.dice.choice([DEAL, DEAL, QUOTE, INVOICE])
        number = self._record(kind)
        if number is None:
            return
        if kind == DEAL and self.dice.random() < 0.5:
            self.data.delete("product_row", "OWNER_TYPE = 'D' AND OWNER_ID = ?", [number])
            for _ in range(self.dice.randrange(4)):
                row = {"ID": self.data.next_id("product_row"), "OWNER_ID": number, "PRODUCT_NAME": "Thing",
                       "PRICE": self.dice.randrange(1000), "QUANTITY": 1 + self.dice.randrange(3)}  # fmt: skip
                self.data.insert("product_row", row)
        changes = {"OPPORTUNITY": self.dice.randrange(10**6), "CURRENCY_ID": self.dice.choice(["RUB", "RUB", "KZT"])}
        self._update(kind, number, **changes)

    def reach(self) -> None:
        """Another telephone number or address."""
        kind = self.dice.choice([LEAD, CONTACT, COMPANY])
        self._update(kind, self._record(kind), **self._reachable())

    def bulk_edit(self) -> None:
        """Many records within one second: handed over, renamed, or won."""
        kind = self._kind()
        table, last = ENTITY_TYPES[kind].table.name, self._record(kind)
        if last is None:
            return
        set_to = {"DATE_MODIFY": self._now, "ASSIGNED_BY_ID": self._user(), "TITLE": f"Bulk {self.made}"}
        if kind == CONTACT:
            set_to["NAME"] = set_to.pop("TITLE")
        chosen = f'ID IN (SELECT ID FROM "{table}" WHERE ID <= ? ORDER BY ID DESC LIMIT {1 + self.dice.randrange(self.bulk)})'
        self.data.update(table, chosen, [last], set_to)

    def finish_activity(self) -> None:
        number = self._some("activity")
        if number is not None:
            self.records.update_activity(number, {"COMPLETED": self.dice.random() < 0.8}, self._hand)

    def rebind(self) -> None:
        """An activity belongs to one more record, or to one less."""
        number, deal = self._some("activity"), self._record(DEAL)
        if number is None or deal is None:
            return
        mine = [number, DEAL, deal]
        bound = "ACTIVITY_ID = ? AND OWNER_TYPE_ID = ? AND OWNER_ID = ?"
        self.data.delete("activity_binding", bound, mine)
        if self.dice.random() < 0.7:
            self.data.insert(
                "activity_binding", dict(zip(("ACTIVITY_ID", "OWNER_TYPE_ID", "OWNER_ID"), mine, strict=True))
            )
        self.records.update_activity(number, {}, self._hand)

    def finish_task(self) -> None:
        number = self._some("task")
        if number is not None:
            now = self._now
            changes = {"STATUS": 5, "CLOSED_DATE": now, "CHANGED_DATE": now, "MARK": self.dice.choice(["P", "N", None])}
            self.data.update("task", "ID = ?", [number], changes)

    def pay(self) -> None:
        number = self._record(INVOICE)
        if number is None:
            return
        payment = self._some("payment", f"OWNER_TYPE_ID = 31 AND OWNER_ID = {number}")
        if payment is None:
            self._payment(number)
        else:
            paid = self.dice.random() < 0.7
            self.data.update("payment", "ID = ?", [payment], {"PAID": paid, "DATE_PAID": self._now if paid else None})
        self._update(INVOICE, number)

    def vote(self) -> None:
        """A client says how it was, after the call."""
        number = self._some("phone_call", f"CALL_START_DATE >= {self._now - 86_400}")
        if number is not None:
            self.data.update("phone_call", "ID = ?", [number], {"CALL_VOTE": 1 + self.dice.randrange(5)})

    def people(self) -> None:
        number = self._some("user", "ID > 1")
        if number is None:
            return
        changes = self.dice.choice([{"ACTIVE": False}, {"ACTIVE": True}, {"UF_DEPARTMENT": [self._some("department")]}])
        self.data.update("user", "ID = ?", [number], changes)

    def directory(self) -> None:
        if self.dice.random() < 0.5:
            self.data.execute("UPDATE currency SET AMOUNT = AMOUNT + 1 WHERE NOT BASE")
        else:
            self.data.update("status", "ID = ?", [self._some("status")], {"NAME": f"Named {self.made}"})

    # ------------------------------------------------------------ gone

    def delete(self) -> None:
        kind = self._kind()
        number = self._record(kind)
        if number is not None:
            self.records.delete(ENTITY_TYPES[kind], number, self._hand)

    def delete_work(self) -> None:
        if self.dice.random() < 0.5 and (number := self._some("activity")) is not None:
            self.records.delete_activity(number, self._hand)
        elif (number := self._some("task")) is not None:
            self.data.delete("task", "ID = ?", [number])

    def merge(self) -> None:
        """One of two takes over everything; what referred to the other is handed on without a word."""
        kind = self.dice.choice([LEAD, CONTACT, COMPANY])
        survivor, duplicate = self._record(kind), self._record(kind)
        if survivor is not None and duplicate is not None and survivor != duplicate:
            self.records.merge(ENTITY_TYPES[kind], survivor, [duplicate], self._hand)

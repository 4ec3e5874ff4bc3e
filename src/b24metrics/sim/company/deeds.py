"""One event at a time: how a lead, a deal, its papers and its end are written into the portal.

Laws: a deed writes everything that the portal would write with it (history, closing date, papers of a stage, plans swept
away) and nothing else; stages and edits move DATE_MODIFY.
"""

from __future__ import annotations

import json
from decimal import Decimal

from b24metrics.sim import names
from b24metrics.sim.company.contacts import Contacts
from b24metrics.sim.company.directories import (
    BILL_STAGES,
    INVOICE_PIPELINE,
    LOSS_FIELD,
    LOSS_OPTION,
    OFFER_STAGES,
    PIPELINES,
    Pipeline,
)
from b24metrics.sim.company.ledger import CONTACT, DEAL, INVOICE, LEAD, TABLES, Change, Client, Ledger, Record, whole

#: Where an open stage stands: its pipeline and place.
PLACES = {pipeline.code(step): (pipeline, at) for pipeline in PIPELINES for at, step in enumerate(pipeline.open_steps)}


class Deeds:
    """Leads, deals and their papers."""

    def __init__(self, ledger: Ledger, contacts: Contacts) -> None:
        self.ledger = ledger
        self.contacts = contacts

    def add_lead(self, user: int, channel: str, at: int, phone: str) -> int:
        """A lead from a form, call, letter or chat, made by the robot and given to somebody."""
        number = self.ledger.numbers.next_id("lead")
        first, _, latin = self.ledger.person()
        has_mail = channel == "EMAIL" or self.ledger.chance.random() < 0.35
        self.ledger.insert(
            "lead",
            {
                "ID": number, "TITLE": f"{self.ledger.chance.choice(names.LEAD_SUBJECTS)} № {number}", "NAME": first,
                "SOURCE_ID": channel, "STATUS_ID": "NEW", "CURRENCY_ID": self.ledger.company.base_currency,
                "HAS_PHONE": bool(phone), "HAS_EMAIL": has_mail, "HAS_IMOL": "|" in channel, "ASSIGNED_BY_ID": user,
                "CREATED_BY_ID": 1, "MODIFY_BY_ID": 1, "DATE_CREATE": at, "DATE_MODIFY": at, "MOVED_BY_ID": user,
                "MOVED_TIME": at, "WEBFORM_ID": 1 + number % 3 if channel in {"WEBFORM", "CALLBACK", "ADVERTISING"} else None,
            },
            at,
        )  # fmt: skip
        self.ledger.history(LEAD, number, 1, 0, "P", "NEW", at)
        if phone:
            self.ledger.multifield(LEAD, number, "PHONE", phone, at)
        if has_mail:
            self.ledger.multifield(
                LEAD, number, "EMAIL", f"{latin}{number}@{self.ledger.chance.choice(names.MAIL_HOSTS)}", at
            )
        return number

    def move_lead(self, number: int, stage: str, user: int, at: int) -> None:
        """To another stage; CONVERTED and the failures close it."""
        sem = {"CONVERTED": "S", "JUNK": "F", "UC_DOUBLE": "F"}.get(stage, "P")
        values: Record = {
            "STATUS_ID": stage, "STATUS_SEMANTIC_ID": sem, "MOVED_BY_ID": user, "MOVED_TIME": at, "MODIFY_BY_ID": user,
            "DATE_MODIFY": at,
        }  # fmt: skip
        if sem != "P":
            values["DATE_CLOSED"] = at
        self.ledger.update("lead", number, values, at)
        self.ledger.history(LEAD, number, 2 if sem == "P" else 3, 0, sem, stage, at)

    def add_client(
        self, user: int, business: bool, source: str | None, phone: str, at: int, lead: int | None = None
    ) -> Client:
        """A contact, and for a business its company."""
        company = None
        if business:
            company = self.ledger.numbers.next_id("company")
            head, tail = (
                self.ledger.chance.choice(names.COMPANY_HEADS)[0],
                self.ledger.chance.choice(names.COMPANY_TAILS)[0],
            )
            self.ledger.insert(
                "company",
                {
                    "ID": company, "TITLE": f"{self.ledger.chance.choice(names.LEGAL_FORMS)} «{head}{tail.capitalize()}»", "COMPANY_TYPE": "CUSTOMER",
                    "LEAD_ID": lead, "ASSIGNED_BY_ID": user, "CREATED_BY_ID": user, "MODIFY_BY_ID": user,
                    "DATE_CREATE": at, "DATE_MODIFY": at,
                    "INDUSTRY": self.ledger.chance.choice(names.INDUSTRIES),
                    "CURRENCY_ID": self.ledger.company.base_currency,
                },
                at,
            )  # fmt: skip
        contact = self.ledger.numbers.next_id("contact")
        first, family, _ = self.ledger.person()
        careless = self.ledger.chance.random() < 0.04
        self.ledger.insert(
            "contact",
            {
                "ID": contact, "NAME": first.lower() if careless else first, "LAST_NAME": family, "LEAD_ID": lead,
                "TYPE_ID": "CLIENT", "SOURCE_ID": source,
                "COMPANY_ID": company, "HAS_PHONE": bool(phone), "ASSIGNED_BY_ID": user, "CREATED_BY_ID": user,
                "MODIFY_BY_ID": user, "DATE_CREATE": at, "DATE_MODIFY": at,
            },
            at,
        )  # fmt: skip
        if phone:
            self.ledger.multifield(CONTACT, contact, "PHONE", phone, at)
        return Client(CONTACT, contact, contact, company, phone)

    def add_deal(
        self, user: int, author: int, pipeline: Pipeline, client: Client, source: str | None, at: int, *, amount: float = 0, lead: int | None = None, again: bool = False
    ) -> int:  # fmt: skip
        """A new deal in the first stage of a pipeline."""
        number = self.ledger.numbers.next_id("deal")
        stage = pipeline.code(pipeline.steps[0])
        self.ledger.insert(
            "deal",
            {
                "ID": number, "TITLE": f"{self.ledger.chance.choice(names.DEAL_SUBJECTS)} № {number}",
                "STAGE_ID": stage, "CATEGORY_ID": pipeline.id,
                "CURRENCY_ID": self.ledger.company.base_currency, "OPPORTUNITY": round(amount, 2), "LEAD_ID": lead,
                "COMPANY_ID": client.company_id, "CONTACT_ID": client.contact_id,
                "BEGINDATE": self.ledger.day(at),
                "CLOSEDATE": self.ledger.day(at + 86_400 * self.ledger.chance.randint(5, 25)), "ASSIGNED_BY_ID": user,
                "CREATED_BY_ID": author,
                "MODIFY_BY_ID": author, "DATE_CREATE": at, "DATE_MODIFY": at, "IS_NEW": True,
                "IS_RETURN_CUSTOMER": again, "SOURCE_ID": source,
                "WEBFORM_ID": 1 + number % 3 if source in {"WEBFORM", "CALLBACK", "ADVERTISING"} else None,
                "MOVED_BY_ID": author, "MOVED_TIME": at,
            },
            at,
        )  # fmt: skip
        self.ledger.history(DEAL, number, 1, pipeline.id, "P", stage, at)
        return number

    def move_deal(self, deal: Record, stage: str, user: int, at: int) -> None:
        """To another stage of its pipeline, with what belongs to it: closing date, reason, papers, plans swept away."""
        number, category = whole(deal["ID"]), whole(deal["CATEGORY_ID"])
        pipeline = next(p for p in PIPELINES if p.id == category)
        sem = "S" if stage == pipeline.won else "F" if stage in pipeline.lost else "P"
        values: Record = {
            "STAGE_ID": stage, "STAGE_SEMANTIC_ID": sem, "CLOSED": sem != "P", "IS_NEW": False, "MOVED_BY_ID": user,
            "MOVED_TIME": at, "MODIFY_BY_ID": user, "DATE_MODIFY": at,
        }  # fmt: skip
        if sem != "P" and self.ledger.chance.random() < 0.88:
            values["CLOSEDATE"] = self.ledger.day(at)
        if sem == "F" and self.ledger.chance.random() < 0.86:
            reason = (
                LOSS_OPTION + self.ledger.chance.choices(range(len(names.LOSS_REASONS)), (30, 20, 14, 8, 16, 8, 4))[0]
            )
            values["UF"] = json.dumps(
                {**json.loads(str(deal["UF"] or "{}")), LOSS_FIELD: reason}, ensure_ascii=False, separators=(",", ":")
            )
        self.ledger.update("deal", number, values, at)
        self.ledger.history(DEAL, number, 2 if sem == "P" else 3, category, sem, stage, at)
        if stage in OFFER_STAGES and self.ledger.chance.random() < 0.72:
            self.add_quote(deal, user, at)
        if stage in BILL_STAGES or (sem == "S" and self.ledger.chance.random() < 0.3):
            self.add_invoice(deal, user, at)
        if sem != "P":
            self.sweep_plans(number, at)

    def sweep_plans(self, deal: int, at: int) -> None:
        """What was planned for a closed deal is done with."""
        open_plans = self.ledger.sql.execute(
            f"""SELECT "ID" FROM activity WHERE "OWNER_TYPE_ID" = 2 AND "OWNER_ID" = {deal} AND NOT "COMPLETED" AND "PROVIDER_ID" IN ('CRM_TODO', 'CRM_CALL', 'TASKS') ORDER BY ALL"""
        ).fetchall()
        for (number,) in open_plans:
            self.contacts.finish(number, at, automatic=True)

    def add_quote(self, deal: Record, user: int, at: int) -> None:
        number = self.ledger.numbers.next_id("quote")
        self.ledger.insert(
            "quote",
            {
                "ID": number, "TITLE": f"Предложение № {number}", "STATUS_ID": "SENT",
                "CURRENCY_ID": deal["CURRENCY_ID"], "OPPORTUNITY": deal["OPPORTUNITY"],
                "COMPANY_ID": deal["COMPANY_ID"],
                "CONTACT_ID": deal["CONTACT_ID"], "MYCOMPANY_ID": 1, "BEGINDATE": self.ledger.day(at),
                "CLOSEDATE": self.ledger.day(at + 14 * 86_400), "ACTUAL_DATE": self.ledger.day(at + 14 * 86_400),
                "ASSIGNED_BY_ID": user, "CREATED_BY_ID": user, "MODIFY_BY_ID": user, "DATE_CREATE": at,
                "DATE_MODIFY": at, "DEAL_ID": deal["ID"], "QUOTE_NUMBER": str(number),
            },
            at,
        )  # fmt: skip

    def add_invoice(self, deal: Record, user: int, at: int) -> None:
        """An invoice, sent at once."""
        number, prefix = self.ledger.numbers.next_id("invoice"), f"DT31_{INVOICE_PIPELINE}:"
        self.ledger.insert(
            "invoice",
            {
                "ID": number, "TITLE": f"Счёт № {number}", "CREATED_BY_ID": user, "MODIFY_BY_ID": user,
                "MOVED_BY_ID": user, "DATE_CREATE": at, "DATE_MODIFY": at, "MOVED_TIME": at,
                "CATEGORY_ID": INVOICE_PIPELINE, "STAGE_ID": prefix + "S", "PREVIOUS_STAGE_ID": prefix + "N",
                "BEGINDATE": self.ledger.day(at),
                "CLOSEDATE": self.ledger.day(at + 86_400 * self.ledger.chance.choice((3, 5, 5, 7, 10, 14))),
                "COMPANY_ID": deal["COMPANY_ID"], "CONTACT_ID": deal["CONTACT_ID"],
                "OPPORTUNITY": deal["OPPORTUNITY"], "CURRENCY_ID": deal["CURRENCY_ID"], "MYCOMPANY_ID": 1,
                "ASSIGNED_BY_ID": user, "ACCOUNT_NUMBER": str(number), "PARENT_ID_2": deal["ID"],
            },
            at,
        )  # fmt: skip
        self.ledger.history(INVOICE, number, 1, INVOICE_PIPELINE, "P", prefix + "N", at)
        self.ledger.history(INVOICE, number, 2, INVOICE_PIPELINE, "P", prefix + "S", at)

    def pay(self, number: int, at: int) -> None:
        """The money of an invoice has come."""
        invoice = self.ledger.record(
            'SELECT "STAGE_ID", "ASSIGNED_BY_ID", "OPPORTUNITY", "CURRENCY_ID" FROM invoice WHERE "ID" = ?', number
        )
        if invoice is None:
            return
        prefix, user = f"DT31_{INVOICE_PIPELINE}:", invoice["ASSIGNED_BY_ID"]
        self.ledger.update(
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
        self.ledger.history(INVOICE, number, 3, INVOICE_PIPELINE, "S", prefix + "P", at)
        paid = self.ledger.record(
            """SELECT coalesce(sum("SUM") FILTER ("PAID"), 0) AS already FROM payment WHERE "OWNER_TYPE_ID" = 31 AND "OWNER_ID" = ?""",
            number,
        )
        rest = Decimal(str(invoice["OPPORTUNITY"])) - Decimal(str(paid["already"] if paid else 0))
        self.ledger.insert(
            "payment",
            {
                "ID": self.ledger.numbers.next_id("payment"), "OWNER_TYPE_ID": INVOICE, "OWNER_ID": number,
                "ACCOUNT_NUMBER": f"{number}/2", "PAID": True, "DATE_PAID": at, "EMP_PAID_ID": user, "SUM": rest,
                "CURRENCY": invoice["CURRENCY_ID"], "PAY_SYSTEM_NAME": "Безналичный расчёт",
            },
            at,
        )  # fmt: skip

    def remove(self, entity: int, number: int, at: int) -> None:
        """Delete a lead or deal with its history and what is bound to it alone."""
        table = TABLES[entity]
        own, mine = (
            f'"OWNER_TYPE_ID" = {entity} AND "OWNER_ID" = {number}',
            f'(SELECT "ACTIVITY_ID" FROM activity_binding WHERE "OWNER_TYPE_ID" = {entity} AND "OWNER_ID" = {number})',
        )
        self.ledger.sql.execute(
            f"""DELETE FROM activity WHERE "ID" IN (SELECT "ACTIVITY_ID" FROM activity_binding WHERE "ACTIVITY_ID" IN {mine} GROUP BY ALL HAVING bool_and({own}))"""
        )
        # An activity that others share goes to one of them.
        self.ledger.sql.execute(
            f"""UPDATE activity SET "OWNER_TYPE_ID" = b.kind, "OWNER_ID" = b.element FROM (
                SELECT "ACTIVITY_ID" AS id, min("OWNER_TYPE_ID") AS kind, arg_min("OWNER_ID", "OWNER_TYPE_ID") AS element FROM activity_binding
                WHERE "ACTIVITY_ID" IN {mine} AND NOT ({own}) GROUP BY ALL) b
            WHERE activity."ID" = b.id AND activity."OWNER_TYPE_ID" = {entity} AND activity."OWNER_ID" = {number}"""
        )
        self.ledger.sql.execute(f"DELETE FROM activity_binding WHERE {own}")
        self.ledger.sql.execute(
            f'DELETE FROM stage_history WHERE "ENTITY_TYPE_ID" = {entity} AND "OWNER_ID" = {number}'
        )
        self.ledger.sql.execute(f'DELETE FROM multifield WHERE "ENTITY_TYPE_ID" = {entity} AND "ELEMENT_ID" = {number}')
        if entity == DEAL:
            self.ledger.sql.execute(f"""DELETE FROM product_row WHERE "OWNER_TYPE" = 'D' AND "OWNER_ID" = {number}""")
            self.ledger.sql.execute(
                f"""DELETE FROM timeline_comment WHERE "ENTITY_TYPE" = 'deal' AND "ENTITY_ID" = {number}"""
            )
        self.ledger.sql.execute(f'DELETE FROM "{table}" WHERE "ID" = {number}')
        self.ledger.changes.append(Change("DELETE", table, number, at))

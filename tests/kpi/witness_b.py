"""A second reading of the catalogue's other communication (§6.2) and invoices (§6.3), upon that of telephony.

Plain loops over the rows of ``small.Company``, written from the cards. Slow on purpose. Where the cards leave two readings
open, a note says which one stands here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from itertools import pairwise

from b24metrics.kpi.options import ActivityKind, QuoteSource
from b24metrics.mirror import schema
from tests.kpi.witness_b_calls import (
    Telephony,
)
from tests.kpi.witness_b_firm import (
    ALL,
    DEAL,
    INVOICE,
    Answers,
    Row,
    Said,
    Thing,
    _natively,
    count,
    midnight,
    share,
    survival_median,
    total,
)

# ---------------------------------------------------------------- other communication


class Communication(Telephony):
    """§6.2."""

    def kind(self, row: Row) -> ActivityKind:
        provider = row["provider_id"] or ""
        mapped = self.options.activity_kinds.get(provider)
        if mapped is not None:
            return mapped
        if provider == "IMOPENLINES_SESSION":
            return ActivityKind.CHAT
        if provider == "CRM_SMS":
            return ActivityKind.SMS
        named = {1: ActivityKind.MEETING, 2: ActivityKind.CALL, 3: ActivityKind.TASK, 4: ActivityKind.EMAIL}
        return named.get(row["type_id"], ActivityKind.OTHER)

    def done_at(self, row: Row) -> datetime | None:
        """When an activity was completed; None: it is not, or not yet."""
        if not row["completed"]:
            return None
        at: datetime = row.get("completed_at") or row["modified_at"]
        return at if at <= self.now else None

    def of_kind(self, *kinds: ActivityKind) -> list[Row]:
        return [row for row in self.rows(schema.ACTIVITIES) if self.kind(row) in kinds]

    def thing(self, row: Row, at: datetime | None) -> Thing:
        bound = self.bound(DEAL).get(row["id"], set())
        pipelines = frozenset(deal["pipeline_id"] for deal in self.deals() if deal["id"] in bound)
        return Thing(at, row["responsible_id"], pipelines, key=row["id"], facts=row)

    def mail(self, direction: int) -> list[Thing]:
        return [
            self.thing(row, row["created_at"])
            for row in self.of_kind(ActivityKind.EMAIL)
            if row["direction"] == direction and not self.is_bulk(row)
        ]

    def chats(self) -> list[Row]:
        return [row for row in self.of_kind(ActivityKind.CHAT) if row["responsible_id"] not in self.options.chat_bots]

    def communication(self, found: Answers) -> None:
        meetings = self.of_kind(ActivityKind.MEETING)
        held = [self.thing(row, row["starts_at"]) for row in meetings if self.done_at(row) is not None]
        open_ = [self.thing(row, row["starts_at"]) for row in meetings if self.done_at(row) is None]
        for thing in held:
            thing.facts = {**thing.facts, "held": True}
        ahead = [t for t in open_ if t.at is not None and t.at >= self.now and not t.facts["is_incoming_channel"]]
        self.tell(found, "meetings_held_count", "M D P T", ALL, held, count)
        self.tell(found, "meetings_planned_count", "M D P T", "now", ahead, count)
        self.tell(
            found, "meeting_show_rate", "M D P T", ALL, [*held, *open_],
            lambda cell: share(sum("held" in thing.facts for thing in cell), len(cell)),
        )  # fmt: skip
        out, sessions = self.mail(2), [self.thing(row, row["starts_at"]) for row in self.chats()]
        self.tell(found, "emails_sent_count", "M D T O", ALL, out, count)
        self.tell(found, "emails_received_count", "M D T O", ALL, self.mail(1), count)
        self.tell(found, "openline_sessions_count", "M D T O", ALL, sessions, count)

        texts = [self.thing(row, row["created_at"]) for row in self.of_kind(ActivityKind.SMS)]
        every = [*self.legs(self.calls()), *out, *sessions, *held, *texts]

        def events(cell: list[Thing]) -> Said:
            n = len({("call" if "call" in thing.facts else "activity", thing.key) for thing in cell})
            return Said(Fraction(n), n)

        self.tell(found, "communications_total_count", "M D T", ALL, every, events)
        self._activities(found)
        self._moves(found)
        self._quotes(found)
        self._leads(found)

    def _activities(self, found: Answers) -> None:
        tasks = self.of_kind(ActivityKind.TASK)
        done = [self.thing(row, at) for row in tasks if (at := self.done_at(row)) is not None]
        self.tell(found, "tasks_completed_count", "M D T O", ALL, done, count)
        late = [
            self.thing(row, None)
            for row in tasks
            if self.done_at(row) is None
            and row["deadline_at"] is not None
            and row["deadline_at"] < self.now
            and not row["is_incoming_channel"]
        ]
        self.tell(found, "tasks_overdue_count", "M D T", "now", late, count)
        every = self.rows(schema.ACTIVITIES)
        done = [
            self.thing(row, at) for row in every if row.get("status") != 3 and (at := self.done_at(row)) is not None
        ]
        self.tell(found, "activities_completed_count", "M D T O", ALL, done, count)
        planned = [
            self.thing(row, row["deadline_at"])
            for row in every
            if self.done_at(row) is None
            and not row["is_incoming_channel"]
            and (row["deadline_at"] is None or row["deadline_at"] >= self.now)
        ]
        today = [t for t in planned if t.at is not None and self.local_date(t.at) == self.today()]
        self.tell(found, "activities_planned_count", "M D P T", "now", planned, count)
        self.tell(found, "activities_planned_today_count", "M D P T", "now", today, count)
        undated = [thing for thing in planned if thing.at is None]
        self.tell(found, "activities_planned_undated_count", "M D P T", "now", undated, count)

    def _moves(self, found: Answers) -> None:
        order = {
            (row["pipeline_id"], row["status_id"]): (row["semantics"] == "S", row["sort"])
            for row in self.rows(schema.STATUSES)
            if row.get("entity_type_id") == DEAL and row["semantics"] != "F"
        }
        moves = []
        for deal in self.deals():
            history = self.history(deal["id"])
            for last, row in pairwise(history):
                if not self.forward(order, last, row):
                    continue
                # Where it happened, not where the deal is now.
                who = deal["moved_by_id"] if row is history[-1] else deal["assigned_by_id"]
                moves.append(Thing(row["created_at"], who or deal["assigned_by_id"], frozenset({row["pipeline_id"]})))
        self.tell(found, "stage_moves_forward_count", "M D P T O×P", ALL, moves, count)

    @staticmethod
    def forward(order: Mapping[tuple[int, str], tuple[bool, int]], last: Row, row: Row) -> bool:
        """Whether a move leads to a later stage of the same pipeline; success comes last, failure has no order.

        From one success stage to a later one is forward, too.
        """
        if row["kind"] in {1, 5} or last["pipeline_id"] != row["pipeline_id"]:
            return False
        before, after = (order.get((move["pipeline_id"], move["stage_id"])) for move in (last, row))
        return before is not None and after is not None and before < after

    # ------------------------------------------------------------ quotes

    def quote_order(self) -> dict[str, tuple[str, int]]:
        return {
            row["status_id"]: (row["semantics"] or "P", row["sort"])
            for row in self.rows(schema.STATUSES)
            if row["directory"] == "QUOTE_STATUS"
        }

    def was_sent(self, stage: str | None) -> bool:
        order = self.quote_order()
        sent = self.options.quote_sent_stages
        if stage in sent:
            return True
        if stage not in order:
            return False
        semantics, sort = order[stage]
        return semantics in {"S", "F"} or any(s in order and sort >= order[s][1] for s in sent)

    def sent_at(self, quote: Row) -> datetime | None:
        moves = sorted(
            (row for row in self.rows(schema.QUOTE_MOVES) if row["quote_id"] == quote["id"]),
            key=lambda row: row["changed_at"],
        )
        if moves:
            first: datetime | None = next((m["changed_at"] for m in moves if self.was_sent(m["to_stage_id"])), None)
            return first
        modified: datetime | None = quote["modified_at"]
        return modified if self.was_sent(quote["stage_id"]) else None

    def _quotes(self, found: Answers) -> None:
        pipelines = {deal["id"]: deal["pipeline_id"] for deal in self.deals()}
        grains = "M D P T O×P"
        if self.options.quote_source is QuoteSource.STAGE:
            entries = []
            for deal in self.deals():
                visits = [m for m in self.history(deal["id"]) if m["stage_id"] in self.options.proposal_stages]
                if visits:
                    pipeline = frozenset({deal["pipeline_id"]})
                    entries.append(Thing(visits[0]["created_at"], deal["assigned_by_id"], pipeline))
            self.tell(found, "quotes_sent_count", grains, ALL, entries, count)
            return
        sent, decided = [], []
        for quote in self.rows(schema.QUOTES):
            pipeline = frozenset({pipelines[quote["deal_id"]]} if quote["deal_id"] in pipelines else ())
            if (at := self.sent_at(quote)) is not None:
                sent.append(Thing(at, quote["assigned_by_id"], pipeline))
            semantics = self.quote_order().get(quote["stage_id"], ("P", 0))[0]
            if semantics in {"S", "F"}:
                decided.append(Thing(self.decided_at(quote), quote["assigned_by_id"], pipeline, key=semantics))
        self.tell(found, "quotes_sent_count", grains, ALL, sent, count)
        self.tell(
            found, "quote_acceptance_rate", grains, "30d mtd prev_month", decided,
            lambda cell: share(sum(thing.key == "S" for thing in cell), len(cell)),
        )  # fmt: skip

    def decided_at(self, quote: Row) -> datetime | None:
        """Since when the quote has stood where it stands, as observed."""
        moves = [row for row in self.rows(schema.QUOTE_MOVES) if row["quote_id"] == quote["id"]]
        order = self.quote_order()
        since: datetime | None = quote["modified_at"]
        for row in sorted(moves, key=lambda row: row["changed_at"], reverse=True):
            if order.get(row["to_stage_id"], ("P", 0))[0] != order[quote["stage_id"]][0]:
                break
            since = row["changed_at"]
        return since

    # ------------------------------------------------------------ leads

    def _leads(self, found: Answers) -> None:
        simple = self.company.crm_mode == 2
        imported = self.imports(schema.DEALS if simple else schema.LEADS)
        roots = (
            [deal for deal in self.deals() if not deal["lead_id"] and self._began_first(deal)]
            if simple
            else [lead for lead in self.rows(schema.LEADS) if self.counted(lead)]
        )
        new = [
            Thing(row["created_at"], row["assigned_by_id"], source=row["source_id"] or "(none)", facts=row)
            for row in roots
            if row["id"] not in imported
        ]
        again = [thing for thing in new if thing.facts.get("is_return_customer")]
        self.tell(found, "new_leads_count", "M D R T O", ALL, new, count)
        self.tell(found, "new_leads_repeat_count", "M D R T O", ALL, again, count)
        # A source for which visits are told is one of the website's.
        web = self.options.web_sources | {
            row["label"] for row in self.rows(schema.INPUTS) if row["kind"] == "visits"
        } - {""}
        self._visits(found, [thing for thing in new if thing.facts["source_id"] in web])

    def _began_first(self, deal: Row) -> bool:
        """Whether a deal was created in the first stage of its pipeline."""
        history = self.history(deal["id"])
        if not history:
            return True
        first = min(
            (row for row in self.rows(schema.STATUSES)
             if (row.get("entity_type_id"), row["pipeline_id"]) == (DEAL, history[0]["pipeline_id"])),
            key=lambda row: row["sort"],
        )  # fmt: skip
        return bool(history[0]["stage_id"] == first["status_id"])

    def _visits(self, found: Answers, web: list[Thing]) -> None:
        visits = [
            Thing(midnight(self.zone, row["starts_on"]), None, source=row["label"] or "(none)", value=Fraction(row["amount"]),
                  facts={"visits": True})
            for row in self.rows(schema.INPUTS)
            if row["kind"] == "visits"
        ]  # fmt: skip
        if not visits:
            return

        def rate(cell: list[Thing]) -> Said:
            return share(
                sum("visits" not in t.facts for t in cell), total([t for t in cell if "visits" in t.facts]).value or 0
            )

        self.tell(found, "website_visit_to_lead_rate", "R T O", "7d 30d mtd", [*web, *visits], rate)


# ---------------------------------------------------------------- invoices


class Invoices(Communication):
    """§6.3."""

    def invoice_stages(self) -> tuple[dict[str, str], set[str]]:
        """Semantics of the stages, and the drafts among them."""
        semantics: dict[str, str] = {}
        directories: dict[object, list[Row]] = defaultdict(list)
        for row in self.rows(schema.STATUSES):
            if row.get("entity_type_id") == INVOICE:
                semantics[row["status_id"]] = row["semantics"] or "P"
                directories[row["directory"]].append(row)
        if self.options.invoice_draft_stages is not None:
            return semantics, set(self.options.invoice_draft_stages)
        drafts = set()
        for rows in directories.values():
            still = sorted(
                (row for row in rows if row["semantics"] not in {"S", "F"}), key=lambda r: (r["sort"], r["status_id"])
            )
            if len(still) >= 2:
                drafts.add(still[0]["status_id"])
        return semantics, drafts

    def invoices(self, found: Answers) -> None:
        semantics, drafts = self.invoice_stages()
        pipelines = {deal["id"]: deal["pipeline_id"] for deal in self.rows(schema.DEALS)}
        chosen = self.options.pipelines
        elsewhere = {d["id"] for d in self.rows(schema.DEALS) if chosen is not None and d["pipeline_id"] not in chosen}
        issued: list[Thing] = []
        paid: list[Thing] = []
        parts: list[Thing] = []
        cancelled: list[Thing] = []
        overdue: list[Thing] = []
        for row in self.rows(schema.INVOICES):
            if not self.counted(row) or row["deal_id"] in elsewhere:
                continue
            rate, native = self.rate(row["currency_id"]), Fraction(row["opportunity"] or 0)
            state = semantics.get(row["stage_id"], "P")
            pipeline = frozenset({pipelines[row["deal_id"]]} if row["deal_id"] in pipelines else ())

            def thing(
                at: datetime | None,
                native: Fraction = native,
                rate: Fraction | None = rate,
                currency: str | None = row["currency_id"],
                row: Row = row,
                pipeline: frozenset[int] = pipeline,
            ) -> Thing:
                money = None if rate is None else native * rate
                return Thing(at, row["assigned_by_id"], pipeline, "", currency, money, native, row["id"], row)

            settled = self.stage_entry(row, semantics) or row["moved_at"]
            if state == "F":
                cancelled.append(thing(settled))
                continue
            issued_at = midnight(self.zone, row["begins_on"]) if row["begins_on"] else row["created_at"]
            documents = [
                one
                for one in self.rows(schema.PAYMENTS)
                if (one["owner_type_id"], one["owner_id"]) == (INVOICE, row["id"]) and one["paid"] and one["paid_at"]
            ]
            mine = []
            for one in documents:
                if one["paid_at"] <= self.now:
                    frozen = Fraction(one["rate"]) / one["rate_count"] if one.get("rate") is not None else None
                    at_rate = frozen if frozen is not None else self.rate(one["currency_id"])
                    mine.append(thing(one["paid_at"], Fraction(one["amount"]), at_rate, one["currency_id"]))
            if state == "S":
                paid.append(thing(settled))
                if not documents:
                    mine.append(thing(settled))
            parts += mine
            if row["stage_id"] not in drafts:
                bill = thing(issued_at)
                bill.facts = {**row, "paid_at": settled if state == "S" else None, "parts": mine}
                issued.append(bill)
            # A draft is an open invoice, too, once it has a date to be paid by.
            if state == "P" and row["due_on"] is not None and row["due_on"] < self.today():
                overdue.append(thing(None))
        grains = "M D P T C O×P"
        for kpi, windows, things, measure in (
            ("invoices_issued_count", ALL, issued, count),
            ("invoices_issued_amount", ALL, issued, total),
            ("invoices_paid_count", ALL, paid, count),
            ("invoices_paid_amount", ALL, parts, total),
            ("invoices_cancelled_count", ALL, cancelled, count),
            ("invoice_overdue_amount", "now", overdue, total),
            ("invoice_overdue_count", "now", overdue, count),
        ):
            self.tell(found, kpi, grains, windows, things, measure)
        self.tell(found, "invoice_payment_lag_seconds", "M D P T C", ALL, issued, self._lag)
        self.tell(found, "invoice_payment_lag_seconds_avg", "M D P T C", ALL, issued, self._mean_lag)
        self._collection(found, issued)

    def stage_entry(self, row: Row, semantics: Mapping[str, str]) -> datetime | None:
        """Since when an invoice has been settled as it is."""
        since = None
        for move in reversed(self.history(row["id"], INVOICE)):
            if semantics.get(move["stage_id"], "P") != semantics.get(row["stage_id"], "P"):
                break
            since = move["created_at"]
        return since

    def _days(self, thing: Thing) -> tuple[Fraction, bool]:
        """Calendar days from issue to payment, in seconds, and whether it was paid."""
        assert thing.at is not None
        until = thing.facts["paid_at"]
        days = self.local_date(until or self.now) - self.local_date(thing.at)
        return Fraction(days.days * 86_400), until is not None

    def _lag(self, cell: list[Thing]) -> Said:
        """A payment before the date of issue, which people may write as they like, is a wait below zero."""
        waits = [self._days(thing) for thing in cell]
        return Said(survival_median(waits), len(waits))

    def _mean_lag(self, cell: list[Thing]) -> Said:
        waits = [wait for wait, paid in map(self._days, cell) if paid]
        return Said(sum(waits, Fraction(0)) / len(waits) if waits else None, len(waits))

    def _collection(self, found: Answers, issued: list[Thing]) -> None:
        for window in ("30d", "mtd", "prev_month"):
            inside = [thing for thing in issued if self._inside(thing, window)]
            for grain in ["M", "D", "P", "T", "C", "O×P"]:
                for labels, cell, shown in self.cells(grain, inside):
                    paid = [part for thing in cell for part in thing.facts["parts"]]
                    if grain == "C":
                        paid = [_natively(part) for part in paid if part.currency == dict(labels)["currency"]]
                    said = share(total(paid).value or 0, total(cell).value or 0)
                    if shown == "always" or (shown == "not zero" and said.value) or (shown == "records" and cell):
                        found["invoice_collection_rate", grain, labels, window] = said


class Witness(Invoices):
    """All of chapter B, and §8.5."""

    def answers(self) -> Answers:
        found: Answers = {}
        self.telephony(found)
        self.calls_to_deals(found)
        self.phone_funnel(found)
        self.communication(found)
        self.invoices(found)
        return found

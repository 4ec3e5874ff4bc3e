"""A second reading of the catalogue, chapter G, in plain loops."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from b24metrics.kpi.options import Flaw
from b24metrics.mirror import schema
from tests.kpi.witness_a import Answers, Ground, Row, Thing, Told

EARLY = timedelta(minutes=5)
#: Where required fields stand in the mirror.
COLUMNS = {"SOURCE_ID": "source_id", "OPPORTUNITY": "opportunity", "LAST_NAME": "last_name", "PHONE": "has_phone"}


class Quality(Ground):
    """Chapter G."""

    def answers(self) -> Answers:
        found: Answers = {}
        self.contacts(found)
        self.open_deals(found)
        self.closed_deals(found)
        self.tell(found, "dq_required_fill_rate", "M D T O", "now", self.filled(), self.part_of)
        self.tell(found, "dq_idle_managers", "M D T", "now", self.idle(), self.flagged)
        self.tell(found, "dq_created_closed_share", "M D T O", "30d mtd", self.born(), self.part_of)
        self.counts(found)
        self.score(found)
        return found

    # ------------------------------------------------------------ measures

    @staticmethod
    def flagged(cell: list[Thing]) -> Told:
        """How many are flagged, and of how many."""
        flagged = sum(bool(thing.key) for thing in cell)
        return Told(Fraction(flagged), None, flagged, len(cell))

    @staticmethod
    def part_of(cell: list[Thing]) -> Told:
        """Share of the flagged."""
        flagged = sum(bool(thing.key) for thing in cell)
        return Told(Fraction(flagged, len(cell)) if cell else None, None, flagged, len(cell))

    def flag(self, things: Iterable[Thing], test: Callable[[Row], bool]) -> list[Thing]:
        return [
            Thing(t.at, t.manager, t.pipeline, department=t.department, row=t.row, key=test(t.row))
            for t in things
            if t.row
        ]

    # ------------------------------------------------------------ contacts

    def people(self) -> list[Thing]:
        return [
            Thing(row["created_at"].astimezone(UTC), row["assigned_by_id"], row=row)
            for row in self.rows(schema.CONTACTS)
            if not row.get("deleted_at")
            and not self.is_test(row["name"], row["last_name"])
            and row["source_id"] not in self.options.excluded_sources
            and row["assigned_by_id"] not in self.options.excluded_users
        ]

    def lower_case(self, row: Row) -> bool:
        """The first word of the name, or of the family name where that is no particle, begins with a small letter."""
        for field in ("name", "last_name"):
            words = (row[field] or "").split()
            letters = [letter for letter in (words[0] if words else "") if letter.isalpha()]
            if field == "last_name" and words and words[0] in self.options.name_particles:
                continue
            if letters and letters[0].islower():
                return True
        return False

    def knows_names(self) -> bool:
        """No portal lets a contact be without any name: where all are, they were not copied (§2.8)."""
        rows = self.rows(schema.CONTACTS)
        return not rows or any(row["name"] or row["last_name"] for row in rows)

    def knows_keys(self) -> bool:
        """So are phones and addresses where somebody has one, and nobody's is known."""
        reached = any(row["has_phone"] or row["has_email"] for row in self.rows(schema.CONTACTS))
        return not reached or any(row["entity_type_id"] == 3 for row in self.rows(schema.CLIENT_KEYS))

    def contacts(self, found: Answers) -> None:
        people = self.people()
        tests: dict[str, Callable[[Row], bool]] = {
            "dq_contacts_without_phone": lambda row: not row["has_phone"],
            "dq_contacts_without_email": lambda row: not row["has_email"],
            "dq_contacts_unreachable": lambda row: not (row["has_phone"] or row["has_email"] or row["has_messenger"]),
            "dq_phone_in_comment": lambda row: not row["has_phone"] and bool(row["phone_in_comment"]),
            "dq_names_lowercase": self.lower_case,
        }
        for kpi, test in tests.items():
            if kpi != "dq_names_lowercase" or self.knows_names():
                self.tell(found, kpi, "M D T", "now 30d", self.flag(people, test), self.flagged)
        if not self.knows_keys():
            return
        for kpi, kind in (("dq_duplicate_phones", "phone"), ("dq_duplicate_emails", "email")):
            keys = [
                (row["entity_id"], row["key"])
                for row in self.rows(schema.CLIENT_KEYS)
                if (row["entity_type_id"], row["kind"]) == (3, kind)
            ]

            def surplus(cell: list[Thing], keys: list[tuple[int, str]] = keys) -> Told:
                inside = {thing.row["id"] for thing in cell if thing.row}
                groups = Counter(key for contact, key in keys if contact in inside)
                extra = sum(size - 1 for size in groups.values())
                return Told(Fraction(extra), None, extra, len(cell))

            self.tell(found, kpi, "M D T", "now 30d", people, surplus)

    # ------------------------------------------------------------ deals

    def open_deals(self, found: Answers) -> None:
        first: dict[int, str] = {}
        for row in sorted(self.rows(schema.STATUSES), key=lambda row: row["sort"]):
            if row["entity_type_id"] == 2 and row["semantics"] == "P":
                first.setdefault(row["pipeline_id"], row["status_id"])
        tests: dict[str, Callable[[Row], bool]] = {
            "dq_deals_without_amount": lambda row: (
                row["opportunity"] <= 0 and row["stage_id"] != first[row["pipeline_id"]]
            ),
            "dq_deals_without_amount_any_stage": lambda row: row["opportunity"] <= 0,
            "dq_deals_without_source": lambda row: not row["source_id"],
            "dq_deals_without_client": lambda row: not row["company_id"] and not row["contact_id"],
            "dq_close_date_in_past": lambda row: bool(row["closes_on"]) and row["closes_on"] < self.today,
            "dq_orphaned_open_deals": lambda row: (
                row["assigned_by_id"] not in self.managers or not self.active[row["assigned_by_id"]]
            ),
        }
        for kpi, test in tests.items():
            self.tell(found, kpi, "M D T", "now", self.flag(self.open(), test), self.flagged)

    def without_reason(self, row: Row) -> bool:
        field = self.options.loss_reason_field
        return bool(field) and not json.loads(row.get("user_fields") or "{}").get(field)

    def closed_deals(self, found: Answers) -> None:
        won, lost = self.closed("S"), self.closed("F")
        self.tell(
            found,
            "dq_won_without_amount",
            "M D T",
            "mtd",
            self.flag(won, lambda row: row["opportunity"] <= 0),
            self.flagged,
        )
        self.tell(found, "dq_lost_without_reason", "M D T", "mtd", self.flag(lost, self.without_reason), self.flagged)
        bought = [(t.at, t.row["id"], self.client(t.row)) for t in won if t.at and t.row and self.client(t.row)]
        marked = []
        for thing in won:
            if thing.row is None or thing.at is None or self.client(thing.row) is None:
                continue
            me = (thing.at, thing.row["id"])
            again = any(client == self.client(thing.row) and (at, deal) < me for at, deal, client in bought)
            marked.append(
                Thing(
                    thing.at,
                    thing.manager,
                    department=thing.department,
                    key=again != bool(thing.row["is_return_customer"]),
                )
            )
        self.tell(found, "dq_return_flag_mismatch", "M D T", "30d", marked, self.flagged)

    @staticmethod
    def client(row: Row) -> tuple[str, int] | None:
        for kind in ("company_id", "contact_id"):
            if (row.get(kind) or 0) > 0:
                return kind, row[kind]
        return None

    def born(self) -> list[Thing]:
        return self.flag(self.created(), self.created_closed)

    # ------------------------------------------------------------ required fields

    def is_filled(self, row: Row, name: str) -> bool:
        if name.startswith("UF_"):
            value = json.loads(row.get("user_fields") or "{}").get(name)
            return value is False or bool(value)
        return bool(row.get(COLUMNS[name]))

    def leads(self) -> list[Row]:
        return [
            row
            for row in self.rows(schema.LEADS)
            if not row.get("deleted_at")
            and not self.is_test(row["title"])
            and row["source_id"] not in self.options.excluded_sources
            and row["assigned_by_id"] not in self.options.excluded_users
        ]

    def filled(self) -> list[Thing]:
        """Every required value of open deals, open leads and contacts."""
        records: dict[str, list[Row | None]] = {
            "deal": [thing.row for thing in self.open()],
            "lead": [*(row for row in self.leads() if row["semantics"] == "P")],
            "contact": [thing.row for thing in self.people()],
        }
        return [
            Thing(None, row["assigned_by_id"], key=self.is_filled(row, name))
            for kind, names in self.options.required_fields.items()
            for row in records[kind]
            if row
            for name in names
            if kind != "contact" or name not in {"NAME", "LAST_NAME"} or self.knows_names()
        ]

    # ------------------------------------------------------------ people

    def absences(self, user: int) -> list[tuple[datetime, datetime]]:
        return [(row["starts_at"], row["ends_at"]) for row in self.rows(schema.ABSENCES) if row["user_id"] == user]

    def idle(self) -> list[Thing]:
        """Active people of the scope with so much scheduled time behind them today; flagged without any trace.

        Left open: what happens at this very second is a trace (a state, not a window), and so is work on deals and leads
        that were deleted later; entering a contact is none (the card does not name it). People on the list of excluded
        ones are people still: the list is of records (§2.2).
        """
        start, found = self.midnight(self.today), []
        for user in self.managers:
            if not self.active[user]:
                continue
            if self.hours.worked(start, self.now, self.absences(user)) < self.options.idle_seconds:
                continue
            traces: list[datetime | None] = []
            traces += [
                call["started_at"]
                for call in self.rows(schema.PHONE_CALLS)
                if call["user_id"] == user and not call.get("deleted_at")
            ]
            for activity in self.rows(schema.ACTIVITIES):
                if not activity.get("deleted_at"):
                    if user in {activity["author_id"], activity["responsible_id"]}:
                        traces.append(activity["created_at"])
                    if activity["responsible_id"] == user:
                        traces.append(activity["completed_at"])
            for table in (schema.DEALS, schema.LEADS):  # a record that was deleted since was worked on all the same
                for row in self.rows(table):
                    traces += [row["modified_at"]] if row["modified_by_id"] == user else []
                    traces += [row.get("moved_at")] if row["moved_by_id"] == user else []
                    traces += [row["created_at"]] if row["created_by_id"] == user else []
                    traces += self.earlier_moves(row) if table is schema.DEALS and row["assigned_by_id"] == user else []
            found.append(Thing(None, user, key=not any(at and start <= at <= self.now for at in traces)))
        return found

    def earlier_moves(self, deal: Row) -> list[datetime]:
        """All moves but the last one belong to the person responsible (§19); a creation is no move."""
        until_now = [row for row in self.history(deal) if row["created_at"] <= self.now]
        return [row["created_at"] for row in until_now[:-1] if row["kind"] != 1]

    # ------------------------------------------------------------ counts

    def counts(self, found: Answers) -> None:
        def count(cell: list[Thing]) -> Told:
            return Told(Fraction(sum(thing.key for thing in cell)))

        # Left open: whose a closed deal is. Data are set right by who is responsible today.
        foreign = [
            Thing(None, thing.row["assigned_by_id"], key=1)
            for thing in (*self.open(), *self.closed("SF"))
            if thing.value is None and thing.row
        ]
        self.tell(found, "dq_unconvertible_amounts", "M D T O", "now", foreign, count)
        spells = []
        for deal in self.deals:
            rows = sorted(
                (r for r in self.rows(schema.STAGE_MOVES) if (r["entity_type_id"], r["owner_id"]) == (2, deal["id"])),
                key=lambda row: row["id"],
            )
            backward = sum(later["created_at"] < row["created_at"] for row, later in pairwise(rows))
            stands_from_later = (
                deal["semantics"] == "P" and bool(rows) and max(r["created_at"] for r in rows) > self.now
            )
            early = stands_from_later or deal["created_at"] > self.now
            spells.append(Thing(None, deal["assigned_by_id"], key=backward + early))
        self.tell(found, "dq_negative_interval_count", "M D T O", "now", spells, count)
        gone = [
            Thing(row["deleted_at"].astimezone(UTC), row["assigned_by_id"], key=1)
            for row in self.rows(schema.DEALS)
            if row.get("deleted_at") and row["semantics"] == "S" and self.is_wanted(row, deleted=True)
        ]
        self.tell(found, "dq_deleted_won_deals", "M D T O", "30d", gone, count)
        late = self.now + EARLY
        ahead = [
            Thing(None, deal["assigned_by_id"], key=1)
            for deal in self.deals
            if any(at > late for at in (deal["created_at"], *(row["created_at"] for row in self.history(deal))))
        ]
        ahead += [Thing(None, row["assigned_by_id"], key=1) for row in self.leads() if row["created_at"] > late]
        ahead += [
            Thing(None, row["user_id"], key=1)
            for row in self.rows(schema.PHONE_CALLS)
            if row["started_at"] > late
            and not row.get("deleted_at")
            and row["category"] in {"external", "", None}
            and row["type_id"] in {1, 2, 3, 4}
        ]
        self.tell(found, "dq_future_dated_count", "M D T O", "now", ahead, count)

    # ------------------------------------------------------------ score

    def bare(self, deal: Row) -> bool:
        """An open deal without an open activity, past its first working hour."""
        bound = {
            row["activity_id"]
            for row in self.rows(schema.ACTIVITY_BINDINGS)
            if (row["entity_type_id"], row["entity_id"]) == (2, deal["id"])
        }
        planned = any(
            row["id"] in bound and not row["completed"] and not row.get("deleted_at")
            for row in self.rows(schema.ACTIVITIES)
        )
        return not planned and self.hours.worked(deal["created_at"], self.now) >= self.options.grace_seconds

    def score(self, found: Answers) -> None:
        shares = {
            Flaw.PHONE: ("now", self.flag(self.people(), lambda row: not row["has_phone"])),
            Flaw.LOWER_CASE: ("now", self.flag(self.people() if self.knows_names() else [], self.lower_case)),
            Flaw.WITHOUT_ACTIVITY: ("now", self.flag(self.open(), self.bare)),
            Flaw.FILL_RATE: ("now", [Thing(None, t.manager, key=not t.key) for t in self.filled()]),
            Flaw.LOST_REASON: ("mtd", self.flag(self.closed("F"), self.without_reason)),
        }
        for grain in "MDT":
            cells = {
                flaw: {
                    labels: self.part_of(cell).value
                    for labels, cell, _ in self.cells(grain, self.inside(things, window))
                }
                for flaw, (window, things) in shares.items()
            }
            for labels, _, shown in self.cells(grain, []):
                known = [
                    (Fraction(self.options.flaw_weights.get(flaw, 1)), value)
                    for flaw, found_shares in cells.items()
                    if (value := found_shares[labels]) is not None
                ]
                weight = sum(weight for weight, _ in known)
                value = 1 - sum(w * Fraction(v) for w, v in known) / weight if weight else None
                self.say(found, ("dq_score", grain, labels, "now"), Told(value), shown)

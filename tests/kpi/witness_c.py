"""Chapter C of the catalogue, discipline and reaction (§7), once more: plain loops, written from the cards alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from b24metrics.kpi.options import ActivityKind
from b24metrics.mirror import schema
from tests.kpi.witness_ground import (
    DAY,
    DEAL,
    LEAD,
    Ground,
    Number,
    Row,
    Thing,
    at_quantile,
    count,
    distinct,
    mean,
    quantile,
    seconds,
    share,
    source_of,
    survived,
    total,
)

BY_HAND_UNLESS = {"WEBFORM", "CALLBACK", "CALL"}
LIMITS = (300, 900, 1800, 3600, 14400)


@dataclass(frozen=True)
class Event:
    """Something that a person did for a request. ``contact``: the client noticed; ``dial``: a dial nobody took."""

    at: datetime
    who: int | None
    client: bool = True  # (a) to (d)
    contact: bool = True  # and the client was reached


@dataclass
class Request:
    """What became of a request."""

    row: Row
    created: datetime
    at_creation: bool
    reaction: Event | None
    contact: Event | None
    by_other: bool
    manager: int | None
    waited: int | None  # until the reaction
    contact_waited: int | None
    since_assignment: int | None
    age: int | None  # of an unanswered one: until now or its closing


class Discipline(Ground):
    """Answers of chapter C."""

    def answers(self) -> None:
        self._hygiene()
        self._changes()
        self._reaction()

    # ------------------------------------------------------------ hygiene (§7.1)

    def _bound(self, kind: int, row: Row) -> list[Row]:
        return [self.activities[n] for n in self.bound.get((kind, row["id"]), ()) if n in self.activities]

    def _is_overdue(self, activity: Row) -> bool:
        deadline = activity.get("deadline_at")
        return (
            not activity["completed"] and not activity["is_incoming_channel"] and bool(deadline and deadline < self.now)
        )

    def _hygiene(self) -> None:
        counts: dict[str, list[Thing]] = {"overdue_activity": [], "without_activity": [], "stale": []}
        stuck = []
        limits = self._stage_limits()
        everything = []
        for deal in self.deals:
            if deal["semantics"] != "P":
                continue
            thing = Thing(None, deal["assigned_by_id"], deal["pipeline_id"], source_of(deal), deal["stage_id"])
            thing.value = self.amount(deal)
            activities = self._bound(DEAL, deal)
            flags = {
                "overdue_activity": any(self._is_overdue(activity) for activity in activities),
                "without_activity": all(activity["completed"] for activity in activities)
                and deal["created_at"] <= self.now
                and self.clock.elapsed(deal["created_at"], self.now) >= self.options.grace_seconds,
                "stale": self._silent_days(deal) >= self.options.stale_days,
            }
            everything.append((thing, flags))
            for name, holds in flags.items():
                if holds:
                    counts[name].append(thing)
            limit = limits.get((deal["pipeline_id"], deal["stage_id"]), self.options.stage_limits.get(deal["stage_id"]))
            if limit is not None and self.clock.elapsed(self._stands_since(deal), self.now) > limit:
                stuck.append(thing)
        for name, things in counts.items():
            stem = "stale_deals" if name == "stale" else f"open_deals_{name}"
            self.tell(f"{stem}_count", things, count)
            shares = [Thing(None, t.manager, t.pipeline, t.source, good=flags[name]) for t, flags in everything]
            self.tell(f"{stem}_share", shares, share)
        self.tell("stale_deals_amount", counts["stale"], total)
        self.tell("stuck_deals_count", stuck, count)
        self._overdue_activities()

    def _overdue_activities(self) -> None:
        deals = {deal["id"]: deal for deal in self.deals}
        found = []
        for activity in self.activities.values():
            if self._is_overdue(activity):
                pipelines = {
                    deals[row["entity_id"]]["pipeline_id"]
                    for row in self.rows(schema.ACTIVITY_BINDINGS)
                    if row["activity_id"] == activity["id"]
                    and row["entity_type_id"] == DEAL
                    and row["entity_id"] in deals
                }
                found += [
                    Thing(None, activity["responsible_id"], pipeline, key=activity["id"])
                    for pipeline in pipelines or {None}
                ]
        self.tell("overdue_activities_count", found, distinct)

    def _silent_days(self, deal: Row) -> int:
        """Working dates of the company since the last contact with the client."""
        contacts: list[datetime] = []
        activities = self._bound(DEAL, deal)
        bound = {activity["id"] for activity in activities}
        for activity in activities:
            kind = self.kind_of(activity)
            held = self.held_at(activity)
            if held:
                contacts.append(held)
            if kind in {
                ActivityKind.EMAIL,
                ActivityKind.CHAT,
            }:  # a letter of no direction too (another reading: it is none)
                contacts.append(activity["created_at"])
        talked = {
            leg["call_id"]
            for leg in self._calls()
            if leg["call_id"] and is_connected(leg) and leg["started_at"] <= self.now
        }
        contacts += [
            leg["started_at"]
            for leg in self._calls()
            if leg["crm_activity_id"] in bound and (is_connected(leg) or leg["call_id"] in talked)
        ]
        last = max((moment for moment in contacts if moment <= self.now), default=deal["created_at"])
        last = max(last, deal["created_at"])  # what was before the deal forgets it not (another reading: it does)
        day, today = last.astimezone(self.zone).date() + DAY, self.now.date()
        found = 0
        while day <= today:
            found += day.weekday() in self.OFFICE
            day += DAY
        return found

    def _calls(self) -> Iterator[Row]:
        for call in self.rows(schema.PHONE_CALLS):
            if (
                call["category"] in {"external", "", None}
                and call["type_id"] in {1, 2, 3, 4}
                and not call.get("deleted_at")
            ):
                yield call

    def _stands_since(self, deal: Row) -> datetime:
        """Beginning of the present uninterrupted spell at the stage."""
        since = None
        for move in reversed(self.moves(DEAL, deal)):
            if (move["stage_id"], move["pipeline_id"]) != (deal["stage_id"], deal["pipeline_id"]):
                break
            since = move["created_at"]
        found: datetime = since or deal["moved_at"] or deal["created_at"]
        return found

    def _stage_limits(self) -> dict[tuple[int, str], Number]:
        """max(own threshold, p75 of the completed spells of t180 where there are 20)."""
        start, end = self.span("t180")
        spells: dict[tuple[int, str], list[int]] = {}
        for deal in self.deals:
            if self.is_imported(DEAL, deal) or self.created_closed(DEAL, deal):
                continue
            for first, last, pipeline, stage in spells_of(self.moves(DEAL, deal)):
                if last is not None and start <= last < end:
                    spells.setdefault((pipeline, stage), []).append(self.clock.elapsed(first, last))
        found: dict[tuple[int, str], Number] = {}
        for (pipeline, stage), lasted in spells.items():
            if len(lasted) >= 20:
                own = self.options.stage_limits.get(stage, 0)
                found[pipeline, stage] = max(quantile(lasted, 0.75), own)  # type: ignore[type-var]
        return found

    # ------------------------------------------------------------ changes

    def _changes(self) -> None:
        deals = {deal["id"]: deal for deal in self.deals}
        handed = [
            Thing(row["changed_at"], row["from_id"])
            for row in self.rows(schema.ASSIGNMENTS)
            if row["entity_type_id"] == DEAL and row["entity_id"] in deals
        ]
        self.tell("deal_reassignments_count", handed, count)
        reopened = []
        for deal in self.deals:
            history = self.moves(DEAL, deal)
            for before, move in pairwise(history):
                if move["semantics"] == "P" and before["semantics"] in {"S", "F"}:
                    reopened.append(
                        Thing(move["created_at"], deal["assigned_by_id"], deal["pipeline_id"], key=deal["id"])
                    )
        self.tell("deals_reopened_count", reopened, distinct)

    # ------------------------------------------------------------ reaction (§7.2)

    def _population(self) -> Iterator[tuple[int, Row]]:
        if self.is_classic():
            yield from ((LEAD, lead) for lead in self.leads)
        else:
            yield from ((DEAL, deal) for deal in self.deals if not deal["lead_id"])

    def _by_hand(self, kind: int, row: Row) -> bool:
        source = row["source_id"] or ""
        called_in = source in BY_HAND_UNLESS or "|" in source or row.get("webform_id")
        author = row["created_by_id"]
        # The present responsible (another reading: who had it at creation).
        return author is not None and author == row["assigned_by_id"] and not called_in

    def _events(self, kind: int, row: Row) -> Iterator[Event]:
        activities = self._bound(kind, row)
        bound = {activity["id"] for activity in activities}
        for call in self._calls():
            linked = call["crm_activity_id"] in bound or (
                kind == LEAD and (call.get("crm_entity_type_id"), call.get("crm_entity_id")) == (LEAD, row["id"])
            )
            if linked and (call["type_id"] in {1, 4} or is_connected(call)):
                yield Event(call["started_at"], call["user_id"], contact=is_connected(call))
        for activity in activities:
            what, who = self.kind_of(activity), activity["responsible_id"]
            held = self.held_at(activity)
            if held:
                yield Event(held, who)
            elif activity["direction"] == 2 and (
                what is ActivityKind.EMAIL or (what is ActivityKind.CHAT and who not in self.options.chat_bots)
            ):
                yield Event(activity["created_at"], who)
        if not self.options.edits_react:
            return
        history = self.moves(kind, row)
        for move in history:
            if move["kind"] != 1:
                at = move["created_at"]
                who = row["moved_by_id"] if move is history[-1] else self.responsible(kind, row, at)
                yield Event(at, who, client=False, contact=False)
        if row["modified_at"] and row["modified_at"] > row["created_at"] + timedelta(seconds=5):
            yield Event(row["modified_at"], row["modified_by_id"], client=False, contact=False)

    def _waited(self, kind: int, row: Row, end: datetime, responder: int | None) -> int:
        """Pieces, each in the calendar of the person responsible in it; whoever answered where hands are not known."""
        hands = self.hands.get((kind, row["id"]), [])
        if not hands:
            return self.clock_of(responder).elapsed(row["created_at"], end)
        spent, at, who = 0, row["created_at"], hands[0]["from_id"]
        for change in hands:
            until = min(max(change["changed_at"], at), end)
            spent += self.clock_of(who).elapsed(at, until)
            at, who = until, change["to_id"]
        return spent + self.clock_of(who).elapsed(at, end)

    def _requests(self) -> Iterator[Request]:
        first_synced = self.company.first_synced_at
        for kind, row in self._population():
            if self.is_imported(kind, row) or self.created_closed(kind, row):
                continue
            if self._by_hand(kind, row) and not self.options.count_by_hand:
                continue
            created = row["created_at"]
            events = sorted(
                (event for event in self._events(kind, row) if created <= event.at < self.now),
                key=lambda event: event.at,
            )
            own = [e for e in events if e.who is not None and e.who == self.responsible(kind, row, e.at)]
            reaction = own[0] if own else None
            contact = next((event for event in own if event.contact), None)
            others = [e for e in events if e.client and e.who is not None and e not in own]
            bound = self.bound.get((kind, row["id"]), set())
            at_creation = any(
                is_connected(call)
                and call["user_id"] is not None
                and call["user_id"] == self.responsible(kind, row, created)
                and call["started_at"] <= created <= call["started_at"] + timedelta(seconds=call["duration_seconds"])
                for call in self._calls()
                if call["crm_activity_id"] in bound
                or (kind == LEAD and (call.get("crm_entity_type_id"), call.get("crm_entity_id")) == (LEAD, row["id"]))
            )
            by_other = not at_creation and any(reaction is None or e.at < reaction.at for e in others)
            manager = reaction.who if reaction else row["assigned_by_id"]
            since = age = None
            if reaction:
                changes = [
                    c["changed_at"] for c in self.hands.get((kind, row["id"]), ()) if c["changed_at"] <= reaction.at
                ]
                if changes:
                    since = self.clock_of(reaction.who).elapsed(max(changes[-1], created), reaction.at)
                elif first_synced and created >= first_synced:  # else it may have changed hands before anybody watched
                    since = self.clock_of(reaction.who).elapsed(created, reaction.at)
            else:
                end = self.now if row["semantics"] == "P" else self.closed_since(kind, row) or self.now
                age = self._waited(kind, row, end, row["assigned_by_id"])
            yield Request(
                row, created, at_creation, reaction, contact, by_other, manager,
                self._waited(kind, row, reaction.at, reaction.who) if reaction else None,
                self._waited(kind, row, contact.at, contact.who) if contact else None,
                since, age,
            )  # fmt: skip

    def _reaction(self) -> None:
        requests = list(self._requests())
        sla = self.options.sla_seconds

        def thing(request: Request, value: Number = None, *, good: bool = False, state: bool = False) -> Thing:
            row = request.row
            return Thing(
                None if state else request.created, request.manager, row.get("pipeline_id"), source_of(row),
                value=value, good=good,
            )  # fmt: skip

        counted = [request for request in requests if not request.at_creation]
        answered = [request for request in counted if request.reaction]
        waits = [thing(request, request.waited) for request in answered]
        self.tell("first_response_seconds_avg", waits, mean)
        self.tell("first_response_seconds_median", waits, at_quantile(0.5))
        self.tell("first_response_seconds_p90", waits, at_quantile(0.9))
        self.tell(
            "first_response_seconds_km_median",
            [thing(r, r.waited if r.reaction else r.age, good=r.reaction is not None) for r in counted],
            survived,
        )
        by_clock = [thing(r, seconds(r.reaction.at) - seconds(r.created)) for r in answered if r.reaction]
        self.tell("first_response_calendar_seconds_median", by_clock, at_quantile(0.5))
        contacts = [thing(r, r.contact_waited) for r in counted if r.contact]
        self.tell("first_contact_seconds_median", contacts, at_quantile(0.5))
        since = [thing(r, r.since_assignment) for r in answered if r.since_assignment is not None]
        self.tell("first_response_since_assignment_seconds_median", since, at_quantile(0.5))
        self.tell("reaction_by_other_count", [thing(r) for r in requests if r.by_other], count)
        self.tell("answered_at_creation_count", [thing(r) for r in requests if r.at_creation], count)
        judged = [
            thing(r, good=r.waited is not None and r.waited <= sla)
            for r in counted
            if r.reaction or (r.age is not None and r.age > sla)
        ]
        self.tell("sla_attainment_ratio", judged, share)
        for limit in (*LIMITS, "all"):
            within = [thing(r) for r in counted if limit == "all" or (r.waited is not None and r.waited <= int(limit))]
            self.tell("responses_within_count", within, count, limit=str(limit))
        self._unanswered([r for r in counted if not r.reaction and r.row["semantics"] == "P"], thing)

    def _unanswered(self, waiting: list[Request], thing: Callable[..., Thing]) -> None:
        sla = self.options.sla_seconds
        recent = [request for request in waiting if request.created >= self.back(30)]
        self.tell("unanswered_now_count", [thing(r, state=True) for r in recent], count)
        ages = [thing(r, r.age, state=True) for r in recent if r.age is not None and r.age >= 0]
        self.tell("unanswered_oldest_seconds", ages, at_quantile(1.0))
        late = [r for r in recent if r.age is not None and r.age > sla]
        self.tell("unanswered_breach_count", [thing(r, state=True) for r in late], count)
        self.tell("unanswered_breach_share", [thing(r, state=True, good=r in late) for r in recent], share)
        absent = [thing(r, state=True) for r in recent if self._is_absent(r.row["assigned_by_id"])]
        self.tell("unanswered_assigned_to_absent_count", absent, count)

    def _is_absent(self, user: int | None) -> bool:
        """Left open: nobody is not absent (another reading: on days off nobody is)."""
        if user is None:
            return False
        if self.is_gone(user):
            return True
        today = self.instant(datetime(self.now.year, self.now.month, self.now.day))
        tomorrow = self.back(-1, today)
        away = [(row["starts_at"], row["ends_at"]) for row in self.rows(schema.ABSENCES) if row["user_id"] == user]
        shifts = self.shifts_of(user)
        left = shifts.without(away)
        return (
            any(starts <= self.now < ends for starts, ends in away)
            or (shifts.elapsed(today, tomorrow) > 0 and left.elapsed(today, tomorrow) == 0)
            or self.clock_of(user).elapsed(self.now, self.now + timedelta(hours=24)) == 0
        )


def is_connected(call: Row) -> bool:
    return bool(call["failed_code"] == "200" and call["duration_seconds"] > 0)


def spells_of(history: list[Row]) -> Iterator[tuple[datetime, datetime | None, int, str]]:
    """Stays at open stages: begin, end (None: still there), pipeline, stage; rows of one stage in a row are one stay."""
    merged: list[Row] = []
    ends: list[datetime | None] = []
    for move in history:
        if merged and (merged[-1]["pipeline_id"], merged[-1]["stage_id"]) == (move["pipeline_id"], move["stage_id"]):
            continue
        if merged:
            ends.append(move["created_at"])
        merged.append(move)
    ends.append(None)
    for move, end in zip(merged, ends, strict=False):
        if move["semantics"] == "P":
            yield move["created_at"], end, move["pipeline_id"], move["stage_id"]

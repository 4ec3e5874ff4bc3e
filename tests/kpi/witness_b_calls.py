"""A second reading of telephony (catalogue §6.1) and of calls that lead to deals (§8.5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from b24metrics.kpi.options import ActivityKind, QuoteSource
from b24metrics.mirror import schema
from tests.kpi.witness_b_firm import (
    ALL,
    COMPANY,
    CONTACT,
    DAY,
    DEAL,
    DIALS,
    LEAD,
    Answers,
    Firm,
    Measure,
    Row,
    Said,
    Thing,
    middle,
    share,
    survival_median,
    total,
    wilson_high,
)

# ---------------------------------------------------------------- calls


@dataclass
class Call:
    """Legs that share a CALL_ID, in order."""

    key: object
    legs: list[Row]

    @property
    def start(self) -> datetime:
        return self.legs[0]["started_at"]  # type: ignore[no-any-return]

    @property
    def kind(self) -> int:
        return self.legs[0]["type_id"]  # type: ignore[no-any-return]

    @property
    def is_dial(self) -> bool:
        return self.kind in DIALS

    @property
    def connected(self) -> bool:
        return any(talked(leg) for leg in self.legs)

    @property
    def number(self) -> str | None:
        return next((leg["phone_key"] for leg in self.legs if leg["phone_key"]), None)


def talked(leg: Row) -> int:
    """Seconds of talk of a leg: of a connected one."""
    return (leg["duration_seconds"] or 0) if leg["failed_code"] == "200" else 0


@dataclass
class Episode:
    """Misses between two contacts with a number, by the earliest of them."""

    miss: Call
    returned: datetime | None


class Telephony(Firm):
    """§6.1 and §8.5."""

    def calls(self) -> list[Call]:
        found: dict[object, list[Row]] = defaultdict(list)
        for leg in self.rows(schema.PHONE_CALLS):
            there = leg["started_at"] and leg["started_at"] < self.now  # a leg that is yet to ring is none
            if there and leg["category"] in {"external", "", None} and leg["type_id"] in {1, 2, 3, 4}:
                found[leg["call_id"] or ("a leg alone", leg["id"])].append(leg)
        return [Call(key, sorted(legs, key=lambda leg: (leg["started_at"], leg["id"]))) for key, legs in found.items()]

    def legs(self, calls: Iterable[Call]) -> list[Thing]:
        """Every leg with the start of its call."""
        return [
            Thing(
                call.start, leg["user_id"], value=Fraction(talked(leg)), key=call.key, facts={"call": call, "leg": leg}
            )
            for call in calls
            for leg in call.legs
        ]

    def episodes(self) -> list[Episode]:
        # Left open: a talk that begins in the very second of a miss returns nothing, it was before.
        calls = sorted(self.calls(), key=lambda call: (call.start, not call.connected, call.legs[0]["id"]))
        found = []
        by_number: dict[str, list[Call]] = defaultdict(list)
        for call in calls:
            missed = not call.is_dial and not call.connected
            if call.number is not None:
                by_number[call.number].append(call)
            elif missed:
                found.append(Episode(call, None))
        for mine in by_number.values():
            waiting: Call | None = None
            for call in mine:
                if call.connected:
                    if waiting is not None:
                        found.append(Episode(waiting, call.start))
                    waiting = None
                elif not call.is_dial and waiting is None:
                    waiting = call
            if waiting is not None:
                found.append(Episode(waiting, None))
        return found

    def telephony(self, found: Answers) -> None:
        calls = self.calls()
        legs = self.legs(calls)

        def per_call(cell: list[Thing]) -> dict[object, tuple[Call, Fraction]]:
            """The calls of a scope, each with the talk of its legs there."""
            seen: dict[object, tuple[Call, Fraction]] = {}
            for thing in cell:
                call, talk = thing.facts["call"], seen.get(thing.key, (None, Fraction(0)))[1]
                seen[thing.key] = (call, talk + (thing.value or 0))
            return seen

        def number(keep: Callable[[Call, Fraction], bool]) -> Measure:
            def measured(cell: list[Thing]) -> Said:
                n = sum(keep(call, talk) for call, talk in per_call(cell).values())
                return Said(Fraction(n), n)

            return measured

        def ratio(above: Callable[[Call, Fraction], bool], below: Callable[[Call, Fraction], bool]) -> Measure:
            def measured(cell: list[Thing]) -> Said:
                seen = per_call(cell).values()
                return share(sum(above(c, t) and below(c, t) for c, t in seen), sum(below(c, t) for c, t in seen))

            return measured

        def incoming(call: Call, _: Fraction) -> bool:
            return not call.is_dial

        def dial(call: Call, _: Fraction) -> bool:
            return call.is_dial

        def connected(_: Call, talk: Fraction) -> bool:
            return talk > 0

        def dial_connected(call: Call, talk: Fraction) -> bool:
            return call.is_dial and talk > 0

        def effective(_: Call, talk: Fraction) -> bool:
            return talk > 0 and talk >= self.options.effective_call_seconds

        def missed(call: Call, _: Fraction) -> bool:
            return not call.is_dial and not call.connected

        def after_hours(call: Call, talk: Fraction) -> bool:
            return missed(call, talk) and not self.clock.works(call.start)

        def in_hours(call: Call, talk: Fraction) -> bool:
            return missed(call, talk) and self.clock.works(call.start)

        def answerable(call: Call, talk: Fraction) -> bool:
            return not call.is_dial and not after_hours(call, talk)

        def talks(cell: list[Thing]) -> list[Fraction]:
            return [talk for _, talk in per_call(cell).values() if talk > 0]

        def average(cell: list[Thing]) -> Said:
            found = talks(cell)
            return Said(sum(found, Fraction(0)) / len(found) if found else None, len(found))

        def halfway(cell: list[Thing]) -> Said:
            return Said(middle(talks(cell)), len(talks(cell)))

        def per_connect(cell: list[Thing]) -> Said:
            seen = per_call(cell).values()
            return share(sum(dial(c, t) for c, t in seen), sum(dial_connected(c, t) for c, t in seen))

        for kpi, keep in {
            "calls_count": lambda _, __: True,
            "calls_outgoing_count": dial,
            "calls_incoming_count": incoming,
            "calls_connected_count": connected,
            "calls_outgoing_connected_count": dial_connected,
            "calls_effective_count": effective,
            "calls_missed_count": in_hours,
            "missed_after_hours_count": after_hours,
        }.items():
            self.tell(found, kpi, "M D T", ALL, legs, number(keep))
        self.tell(found, "connect_rate", "M D T", ALL, legs, ratio(connected, dial))
        self.tell(found, "effective_call_rate", "M D T", ALL, legs, ratio(effective, connected))
        self.tell(found, "missed_call_share", "M D T", ALL, legs, ratio(in_hours, answerable))
        self.tell(found, "dials_per_connect", "M D T", ALL, legs, per_connect)
        self.tell(found, "talk_time_total_seconds", "M D T O", ALL, legs, total)
        self.tell(found, "talk_time_avg_seconds", "M D T", ALL, legs, average)
        self.tell(found, "talk_time_median_seconds", "M D T", ALL, legs, halfway)
        self._coverage(found, legs)
        self._unreturned(found)
        self._patterns(found, legs)
        self._speech(found, legs)
        self._dials_per_deal(found, calls)

    def _coverage(self, found: Answers, legs: list[Thing]) -> None:
        """Connected legs of the scope tell; a line that may not be recorded takes no part in recording."""

        def of(has: Callable[[Row], bool], counts: Callable[[Row], bool]) -> Measure:
            def measured(cell: list[Thing]) -> Said:
                mine = [thing for thing in cell if thing.value and counts(thing.facts["leg"])]
                return share(
                    len({thing.key for thing in mine if has(thing.facts["leg"])}), len({thing.key for thing in mine})
                )

            return measured

        def recordable(leg: Row) -> bool:
            return leg.get("line") not in self.options.unrecorded_lines

        def transcribed(leg: Row) -> bool:
            return bool(leg.get("transcript_id"))

        recorded = of(lambda leg: bool(leg.get("has_record")), recordable)
        self.tell(found, "call_recording_coverage", "M D T", "7d 30d", legs, recorded)
        self.tell(found, "call_transcript_coverage", "M D T", "7d 30d", legs, of(transcribed, recordable))

    def _unreturned(self, found: Answers) -> None:
        def things(episode: Episode) -> Iterator[Thing]:
            for leg in episode.miss.legs:
                facts = {"episode": episode, "user": leg["user_id"]}
                yield Thing(episode.miss.start, leg["user_id"], key=id(episode), facts=facts)

        episodes = self.episodes()
        every = [thing for episode in episodes for thing in things(episode)]

        def unreturned(cell: list[Thing]) -> Said:
            n = len({thing.key for thing in cell if thing.facts["episode"].returned is None})
            return Said(Fraction(n), n)

        def waits(cell: list[Thing]) -> Said:
            """One wait an episode: in the calendar of the first of the scope's legs."""
            seen: dict[object, tuple[Fraction, bool]] = {}
            for thing in cell:
                if thing.key not in seen:
                    episode = thing.facts["episode"]
                    until = episode.returned or self.now
                    waited = self.worked(thing.facts["user"], episode.miss.start, until)
                    seen[thing.key] = (Fraction(waited), episode.returned is not None)
            return Said(survival_median(list(seen.values())), len(seen))

        self.tell(found, "missed_calls_unreturned_count", "M D T", f"{ALL} now", every, unreturned)
        self.tell(found, "missed_call_return_seconds", "M D T", ALL, every, waits)

    def _patterns(self, found: Answers, legs: list[Thing]) -> None:
        for window in ("today", "7d"):
            inside = [thing for thing in legs if self._inside(thing, window)]

            def sizes(cell: list[Thing]) -> tuple[int, int, Fraction | None]:
                talk: dict[object, Fraction] = defaultdict(Fraction)
                for thing in cell:
                    talk[thing.key] += thing.value or 0
                dials = {thing.key for thing in cell if thing.facts["call"].is_dial}
                return len(dials), sum(talk[key] > 0 for key in dials), middle(t for t in talk.values() if t > 0)

            departments = {dict(labels)["department_id"]: cell for labels, cell, _ in self.cells("D", inside)}
            for labels, cell, shown in self.cells("M", inside):
                dials, reached, talk = sizes(cell)
                all_dials, all_reached, all_talk = sizes(departments[dict(labels)["department_id"]])
                connected = len({thing.key for thing in cell if thing.value})
                low = short = None
                if dials >= 30:
                    low = Fraction(wilson_high(reached, dials) < 0.7 * all_reached / all_dials)
                if connected >= 15 and talk is not None and all_talk is not None:
                    short = Fraction(talk < all_talk / 2)
                for kpi, flag in (("call_pattern_low_connect", low), ("call_pattern_short_talk", short)):
                    if shown == "always" or flag:
                        found[kpi, "M", labels, window] = Said(flag)

    def _speech(self, found: Answers, legs: list[Thing]) -> None:
        """Speech of a call stands under the number of its row, so it is that leg's."""
        speech: dict[tuple[int, str], Fraction] = defaultdict(Fraction)
        inputs = [row for row in self.rows(schema.INPUTS) if row["kind"] == "speech"]
        for row in inputs:
            speech[row["subject_id"], row["label"]] += Fraction(row["amount"])
        if not inputs:
            return

        def measured(cell: list[Thing]) -> Said:
            ids = [thing.facts["leg"]["id"] for thing in cell]
            mine = sum((speech[number, "operator"] for number in ids), Fraction(0))
            return share(mine, mine + sum((speech[number, "client"] for number in ids), Fraction(0)))

        self.tell(found, "manager_talk_share", "M D T O", "7d 30d", legs, measured)

    def _dials_per_deal(self, found: Answers, calls: list[Call]) -> None:
        bound = self.bound(DEAL)
        for semantics, outcome in (("S", "won"), ("F", "lost")):
            deals = self.closed(semantics)
            for thing in deals:
                deal, closed_at = thing.facts, thing.at
                thing.value = Fraction(
                    sum(
                        call.is_dial
                        and closed_at is not None
                        and deal["created_at"] <= call.start <= closed_at
                        and any(
                            deal["id"] in bound.get(leg.get("crm_activity_id") or 0, ())
                            or self.entity(leg) in self.clients(deal) - {(LEAD, deal["lead_id"])}
                            for leg in call.legs
                        )
                        for call in calls
                    )
                )

            def mean(cell: list[Thing]) -> Said:
                return Said((total(cell).value or Fraction(0)) / len(cell) if cell else None, len(cell))

            self.tell(found, "dials_per_deal", "M D P T", "30d mtd prev_month", deals, mean, outcome=outcome)

    def bound(self, kind: int) -> dict[int, set[int]]:
        """Activity → the entities of that type that it is bound to."""
        found: dict[int, set[int]] = defaultdict(set)
        alive = {row["id"] for row in self.rows(schema.ACTIVITIES)}
        for row in self.rows(schema.ACTIVITY_BINDINGS):
            if row["entity_type_id"] == kind and row["activity_id"] in alive:
                found[row["activity_id"]].add(row["entity_id"])
        return found

    # ------------------------------------------------------------ clients

    @staticmethod
    def entity(leg: Row) -> tuple[int, int] | None:
        kind, number = leg.get("crm_entity_type_id"), leg.get("crm_entity_id")
        return (kind, number) if kind and number else None

    @staticmethod
    def clients(record: Row) -> set[tuple[int, int]]:
        """Everybody behind a deal: its contact, company, lead."""
        pairs = ((CONTACT, record["contact_id"]), (COMPANY, record["company_id"]), (LEAD, record.get("lead_id")))
        return {(kind, number) for kind, number in pairs if number}

    def entities(self, call: Call) -> set[tuple[int, int]]:
        """Whom a call was with: its entities; by its number only where it has none."""
        named = {found for leg in call.legs if (found := self.entity(leg)) is not None}
        return named or {
            (row["entity_type_id"], row["entity_id"])
            for row in self.rows(schema.CLIENT_KEYS)
            if row["kind"] == "phone" and call.number is not None and row["key"] == call.number
        }

    def calls_to_deals(self, found: Answers) -> None:
        calls = self.calls()
        horizon = timedelta(days=self.options.call_success_days)
        won = self.closed("S")
        behind = {
            call.key: [
                thing
                for thing in won
                if thing.at is not None
                and call.start <= thing.at <= call.start + horizon
                and self.clients(thing.facts) & self.entities(call)
            ]
            for call in calls
        }
        legs = self.legs(calls)

        def successful(cell: list[Thing]) -> set[object]:
            return {thing.key for thing in cell if behind[thing.key]}

        def number(cell: list[Thing]) -> Said:
            return Said(Fraction(len(successful(cell))), len(successful(cell)))

        def conversion(cell: list[Thing]) -> Said:
            return share(len(successful(cell)), len({thing.key for thing in cell}))

        def deals(cell: list[Thing]) -> dict[object, Thing]:
            return {deal.key: deal for thing in cell for deal in behind[thing.key]}

        def clients(cell: list[Thing]) -> Said:
            """A deal's client is its company, else its contact, else the lead that it came from."""
            different = {
                (COMPANY, deal.facts["company_id"])
                if deal.facts["company_id"]
                else (CONTACT, deal.facts["contact_id"])
                if deal.facts["contact_id"]
                else (LEAD, deal.facts["lead_id"])
                for deal in deals(cell).values()
            }
            return Said(Fraction(len(different)), len(different))

        def check(cell: list[Thing]) -> Said:
            paid = list(deals(cell).values())
            return Said((total(paid).value or Fraction(0)) / len(paid) if paid else None, len(paid))

        grains, windows = "M D T", "30d mtd prev_month"
        self.tell(found, "calls_successful_count", grains, windows, legs, number)
        self.tell(found, "call_conversion_ratio", grains, windows, legs, conversion)
        self.tell(found, "customers_closed_by_calls_count", grains, windows, legs, clients)
        self.tell(found, "avg_check_after_call", grains, windows, legs, check)
        for window in windows.split():
            end = self.spans[window][1]
            start, until = end - horizon - 30 * DAY, end - horizon
            mature = [thing for thing in legs if thing.at is not None and start <= thing.at < until]
            for grain in grains.split():
                for labels, cell, shown in self.cells(grain, mature):
                    said = conversion(cell)
                    if shown == "always" or said.value:
                        found["call_conversion_ratio_mature", grain, labels, window] = said

    # ------------------------------------------------------------ phone funnel

    STEPS = ("dialled", "connected", "effective", "qualified", "offer", "won", "post_sale")

    def phone_funnel(self, found: Answers) -> None:
        calls = sorted(self.calls(), key=lambda call: (call.start, call.legs[0]["id"]))
        of_client: dict[tuple[int, int], list[Call]] = defaultdict(list)
        for call in calls:
            for client in self.entities(call):  # every record that has the number is a client of its own
                of_client[client].append(call)
        imported, cohort = self.imports(schema.DEALS), []
        for client, mine in of_client.items():
            dials = [call for call in mine if call.is_dial]
            if dials:
                arrivals = self._arrivals(client, mine, dials[0], imported)
                first = dials[0].legs[0]
                cohort.append(Thing(dials[0].start, first["user_id"], facts={"arrivals": arrivals}))
        for position, step in enumerate(self.STEPS):

            def reached(cell: list[Thing], steps: int = position + 1) -> list[list[datetime]]:
                return [t.facts["arrivals"] for t in cell if len(t.facts["arrivals"]) >= steps]

            def number(cell: list[Thing], reached: Callable[..., list[list[datetime]]] = reached) -> Said:
                return Said(Fraction(len(reached(cell))), len(reached(cell)))

            self.tell(found, "phone_funnel_count", "M D T O", "30d mtd", cohort, number, step=step)
            if not position:
                continue

            def conversion(
                cell: list[Thing], steps: int = position, reached: Callable[..., list[list[datetime]]] = reached
            ) -> Said:
                return share(len(reached(cell)), len(reached(cell, steps)))

            def seconds(
                cell: list[Thing], steps: int = position, reached: Callable[..., list[list[datetime]]] = reached
            ) -> Said:
                waits = [Fraction(self.clock.elapsed(a[steps - 1], a[steps])) for a in reached(cell)]
                return Said(middle(waits), len(waits))

            self.tell(found, "phone_funnel_conversion", "M D T O", "30d mtd", cohort, conversion, step=step)
            self.tell(found, "phone_funnel_seconds_median", "M D T", "30d mtd", cohort, seconds, step=step)

    def _arrivals(self, client: tuple[int, int], calls: list[Call], first: Call, imported: set[int]) -> list[datetime]:
        deals = [deal for deal in self.deals() if client in self.clients(deal)]
        numbers = {deal["id"] for deal in deals}
        won = [
            (at, deal)
            for deal in deals
            if deal["semantics"] == "S" and (at := self.closed_at(deal, imported)) is not None
        ]
        visits = [
            move["created_at"]
            for deal in deals
            for move in self.history(deal["id"])
            if move["stage_id"] in self.options.proposal_stages
        ]
        quotes = [
            at
            for quote in (self.rows(schema.QUOTES) if self.options.quote_source is QuoteSource.QUOTES else ())
            if (quote.get("deal_id") in numbers or client in self.clients(quote)) and (at := self.sent_at(quote))
        ]
        converted = [
            lead["closed_at"] or lead["moved_at"] or lead["modified_at"]
            for lead in self.rows(schema.LEADS)
            if (LEAD, lead["id"]) == client and lead["semantics"] == "S" and self.counted(lead)
        ]
        connected = [call.start for call in calls if call.connected]
        effective = [
            call.start for call in calls if sum(map(talked, call.legs)) >= max(1, self.options.effective_call_seconds)
        ]
        contacts = [at for at, deal, who in self.contacts() if deal in numbers or client in who]
        qualified = [deal["created_at"] for deal in deals] + converted
        steps = (connected, effective, qualified, visits + quotes, [when for when, _ in won], contacts)
        arrivals = [first.start]
        for listed in steps:
            events = listed
            if listed is contacts:  # one day to thirty days after the win
                events = [at for at in events if arrivals[-1] + DAY <= at <= arrivals[-1] + 30 * DAY]
            if listed is qualified:  # a state: who is qualified already arrives at once
                events = [max(at, arrivals[-1]) for at in events if at is not None]
            later = [at for at in events if at is not None and arrivals[-1] <= at <= self.now]
            if not later:
                break
            arrivals.append(min(later))
        return arrivals

    def contacts(self) -> list[tuple[datetime, int | None, set[tuple[int, int]]]]:
        """Client contacts: connected calls, mail both ways, chats, held meetings; with a deal each, and clients."""
        deals = self.bound(DEAL)
        found: list[tuple[datetime, int | None, set[tuple[int, int]]]] = []
        nothing: set[int | None] = {None}
        others: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for row in self.rows(schema.ACTIVITY_BINDINGS):
            others[row["activity_id"]].add((row["entity_type_id"], row["entity_id"]))
        for call in self.calls():
            if call.connected:
                bound = {deal for leg in call.legs for deal in deals.get(leg.get("crm_activity_id") or 0, ())}
                found += [(call.start, deal, self.entities(call)) for deal in bound or nothing]
        for row in self.rows(schema.ACTIVITIES):
            kind = self.kind(row)
            moment = None
            if kind is ActivityKind.CHAT or (kind is ActivityKind.EMAIL and not self.is_bulk(row)):
                moment = row["created_at"]
            elif kind is ActivityKind.MEETING and row["completed"]:
                moment = row["starts_at"]
            if moment is not None:
                bound = deals.get(row["id"], set())
                found += [(moment, deal, others[row["id"]]) for deal in bound or nothing]
        return found

    @staticmethod
    def is_bulk(row: Row) -> bool:
        return "SENDER" in (row["provider_id"] or "").upper()

    def kind(self, row: Row) -> ActivityKind:
        raise NotImplementedError

    def sent_at(self, quote: Row) -> datetime | None:
        raise NotImplementedError

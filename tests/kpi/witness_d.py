"""Chapter D of the catalogue without §8.5, conversion and funnel, once more: plain loops, from the cards alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from statistics import NormalDist
from typing import Any

from b24metrics.kpi import KPIS
from b24metrics.mirror import schema
from tests.kpi.witness_c import spells_of
from tests.kpi.witness_ground import (
    DEAL,
    LEAD,
    Ground,
    Number,
    Row,
    Thing,
    Told,
    at_quantile,
    count,
    mean,
    quantile,
    ratio,
    seconds,
    share,
    source_of,
    survived,
    total,
)

Z95 = 1.959964
Stage = tuple[int, str]


class Conversion(Ground):
    """Answers of chapter D."""

    def answers(self) -> None:
        self._order()
        self._lead_path()
        self._stages()
        self._cohorts()
        self._breaks()
        self._time_in_stage()
        self._cycles()
        self._outcome()

    # ------------------------------------------------------------ stages and how far a deal came

    def _order(self) -> None:
        """Stages of a pipeline in order, success last; deleted ones keep their place and are no step."""
        self.ranks: dict[Stage, int] = {}
        self.steps: dict[int, list[str]] = {}
        for pipeline in {row["pipeline_id"] for row in self.rows(schema.STATUSES) if row["entity_type_id"] == DEAL}:
            rows = [
                row for row in self.rows(schema.STATUSES)
                if (row["entity_type_id"], row["pipeline_id"]) == (DEAL, pipeline) and row["semantics"] in {"P", "S"}
            ]  # fmt: skip
            rows.sort(key=lambda row: (row["semantics"] == "S", row["sort"], row["status_id"]))
            for rank, row in enumerate(rows):
                self.ranks[pipeline, row["status_id"]] = rank
            self.steps[pipeline] = [row["status_id"] for row in rows if not row.get("deleted_at")]

    def _is_success(self, stage: Stage) -> bool:
        status = self.statuses.get((DEAL, *stage))
        return bool(status and status["semantics"] == "S")

    def _visits(self, deal: Row, pipeline: int) -> list[tuple[datetime | None, str]]:
        """Stages of one pipeline in which the deal physically was; where it stands belongs to them."""
        found: list[tuple[datetime | None, str]] = [
            (move["created_at"], move["stage_id"]) for move in self.moves(DEAL, deal) if move["pipeline_id"] == pipeline
        ]
        if deal["pipeline_id"] == pipeline and (not found or found[-1][1] != deal["stage_id"]):
            found.append((None, deal["stage_id"]))
        return found

    def _far(self, deal: Row, pipeline: int) -> int:
        """Highest rank visited; success only while it is won now; -1: none."""
        ranks = [
            self.ranks[pipeline, stage]
            for _, stage in self._visits(deal, pipeline)
            if (pipeline, stage) in self.ranks and not self._is_success((pipeline, stage))
        ]
        if deal["pipeline_id"] == pipeline and deal["semantics"] == "S":
            ranks.append(max((rank for (p, _), rank in self.ranks.items() if p == pipeline), default=-1))
        return max(ranks, default=-1)

    def _pipelines_of(self, deal: Row) -> set[int]:
        found = {move["pipeline_id"] for move in self.moves(DEAL, deal)} | {deal["pipeline_id"]}
        return found & set(self.pipelines)

    def _cohort(self, deal: Row, **facts: Any) -> Thing:
        thing = Thing(
            deal["created_at"], self.first_responsible(DEAL, deal), deal["pipeline_id"], source_of(deal), key=deal["id"]
        )
        return replace(thing, **facts)

    # ------------------------------------------------------------ §8.1

    def _reached_tagged(self, deal: Row, tagged: frozenset[str]) -> bool:
        """A tagged stage or a later one, in any pipeline that the deal was in."""
        for pipeline in self._pipelines_of(deal):
            ranks = [rank for (number, stage), rank in self.ranks.items() if number == pipeline and stage in tagged]
            if ranks and self._far(deal, pipeline) >= min(ranks):
                return True
        return bool(deal["semantics"] == "S")

    def _lead_path(self) -> None:
        options, classic = self.options, self.is_classic()
        roots: list[tuple[Thing, bool, bool, bool]] = []
        for root in self.leads if classic else self.deals:
            deals = [deal for deal in self.deals if deal["lead_id"] == root["id"]] if classic else [root]
            won = any(deal["semantics"] == "S" for deal in deals)
            agreed = won or any(
                not options.agreement_stages or self._reached_tagged(deal, options.agreement_stages) for deal in deals
            )
            qualified = (
                agreed
                or (classic and root["semantics"] == "S")
                or any(
                    self._reached_tagged(deal, options.qualified_stages) for deal in deals if options.qualified_stages
                )
            )
            thing = Thing(
                root["created_at"], self.first_responsible(LEAD if classic else DEAL, root), root.get("pipeline_id"),
                source_of(root),
            )  # fmt: skip
            roots.append((thing, qualified, agreed, won))
        for name, over, reached in (
            ("lead_to_qualified_rate", 0, 1),
            ("qualified_to_deal_rate", 1, 2),
            ("deal_to_won_rate", 2, 3),
            ("lead_to_won_rate", 0, 3),
        ):
            self.tell(name, [replace(root[0], good=bool(root[reached])) for root in roots if root[over]], share)
        junk = [  # of leads, also where requests are deals (another reading: no sample there)
            Thing(
                lead["created_at"], self.first_responsible(LEAD, lead), None, source_of(lead),
                good=lead["stage_id"] in options.junk_statuses,
            )
            for lead in self.leads
        ]  # fmt: skip
        self.tell("lead_junk_share", junk, share)

    # ------------------------------------------------------------ §8.2

    def _stages(self) -> None:
        reached, passed, strict, skipped, snapshot = [], [], [], [], []
        for deal in self.deals:
            for pipeline in self._pipelines_of(deal):
                steps, far = self.steps.get(pipeline, []), self._far(deal, pipeline)
                gone = deal["pipeline_id"] != pipeline
                visits = self._visits(deal, pipeline)
                stands = self.ranks.get((pipeline, deal["stage_id"]), -1) if not gone else -1
                last = max((n for n, stage in enumerate(steps) if self.ranks[pipeline, stage] <= far), default=-1)
                for n, stage in enumerate(steps):
                    rank = self.ranks[pipeline, stage]
                    onward = steps[n + 1] if n + 1 < len(steps) else None
                    here = self._cohort(deal, pipeline=pipeline, stage=stage, extra={"stage": stage})
                    physical = [place for place, (_, where) in enumerate(visits) if where == stage]
                    if far >= rank:
                        reached.append(here)
                        skipped.append(replace(here, good=not physical and onward is not None))
                        if onward and not (gone and n == last):
                            passed.append(replace(here, good=far >= self.ranks[pipeline, onward]))
                    if physical and onward and not (gone and n == last):
                        later = any(where == onward for _, where in visits[physical[0] + 1 :])
                        strict.append(replace(here, good=later))
                    if stands >= rank and onward:
                        snapshot.append(replace(here, good=stands >= self.ranks[pipeline, onward]))
        self.tell("stage_reached_count", reached, count)
        self.tell("stage_conversion_ratio", passed, share)
        self.tell("stage_conversion_strict_ratio", strict, share)
        self.tell("stage_skip_share", skipped, share)
        self.tell("stage_conversion_snapshot_ratio", snapshot, share)
        self.passed = passed

    def _cohorts(self) -> None:
        won = [self._cohort(deal, good=deal["semantics"] == "S") for deal in self.deals]
        self.tell("funnel_conversion_ratio", won, share)
        self.tell("close_rate", won, share)
        self.tell("cohort_open_share", [self._cohort(d, good=d["semantics"] == "P") for d in self.deals], share)
        by_source = [replace(thing, extra={"source": thing.source or ""}) for thing in won]
        self.tell("source_conversion_ratio", by_source, share)

    # ------------------------------------------------------------ breaks

    def _breaks(self) -> None:
        start, end = self.span("t180")
        cycles = [
            seconds(thing.at) - seconds(deal["created_at"])
            for deal, thing in self.closed("S")
            if thing.at is not None and start <= thing.at < end and not self._is_odd(deal)
        ]
        cycles = [cycle for cycle in cycles if cycle >= 0]
        horizon = quantile(cycles, 0.8)
        if horizon is None:
            return
        ripe = self.now - timedelta(seconds=int(horizon))
        for window in ("t90", "30d"):
            begins = self.span(window)[0] - (self.now - ripe)
            before = begins - timedelta(hours=180 * 24)  # a time that no clock on the wall shows has no wall time
            for grain in KPIS["funnel_break"].grains:
                present = dict(self.cells(grain, [t for t in self.passed if t.at and begins <= t.at < ripe]))
                past = dict(self.cells(grain, [t for t in self.passed if t.at and before <= t.at < begins]))
                for labels, cell in present.items():
                    self._break_in(str(grain), labels, window, _by_stage(cell), _by_stage(past[labels]))

    def _break_in(
        self, grain: str, labels: tuple[tuple[str, str], ...], window: str,
        now: dict[Stage, tuple[int, int]], past: dict[Stage, tuple[int, int]],
    ) -> None:  # fmt: skip
        def tell(kpi: str, stage: str, value: Number, **more: str) -> None:
            extra = {"stage": stage, **more}
            self.found[kpi, grain, tuple(sorted((*labels, *extra.items()))), window] = Told(value)

        tested: dict[Stage, float] = {}
        for place, (k, n) in now.items():
            others = [
                Fraction(other_k, other_n)
                for other, (other_k, other_n) in now.items()
                if other != place and other[0] == place[0] and other_n >= 10
            ]
            middle = quantile(others, 0.5)
            if len(others) >= 2 and n >= 30 and middle is not None:
                tell("funnel_break", place[1], int(wilson_upper(k, n) < 0.6 * float(middle)), rule="structural")
                tell("funnel_break_lost_deals", place[1], max(Fraction(0), n * Fraction(middle) - k))
            k0, n0 = past.get(place, (0, 0))
            if n >= 30 and n0 >= 100:
                tested[place] = lower_tail(k, n, k0, n0)
        rejected: set[Stage] = set()
        for position, place in enumerate(sorted(tested, key=tested.__getitem__), start=1):
            if tested[place] <= 0.05 * position / len(tested):
                rejected = set(sorted(tested, key=tested.__getitem__)[:position])
        for place in tested:
            (k, n), (k0, n0) = now[place], past[place]
            fell = Fraction(k, n) <= Fraction(8, 10) * Fraction(k0, n0)
            tell("funnel_break", place[1], int(fell and place in rejected), rule="deterioration")

    # ------------------------------------------------------------ §8.3

    def _is_odd(self, deal: Row) -> bool:
        return self.is_imported(DEAL, deal) or self.created_closed(DEAL, deal)

    def _time_in_stage(self) -> None:
        left, by_clock, cohort = [], [], []
        for deal in self.deals:
            if self._is_odd(deal):
                continue
            stays: dict[Stage, list[tuple[datetime, datetime | None]]] = {}
            for first, last, pipeline, stage in spells_of(self.moves(DEAL, deal)):
                stays.setdefault((pipeline, stage), []).append((first, last))
            for (pipeline, stage), spells in stays.items():
                if pipeline not in self.pipelines:
                    continue
                out = spells[-1][1]
                working = sum(self.clock.elapsed(first, last or self.now) for first, last in spells)
                whole = sum(seconds(last or self.now) - seconds(first) for first, last in spells)
                thing = Thing(
                    out, deal["assigned_by_id"], pipeline, source_of(deal), stage, working, extra={"stage": stage}
                )
                if out is not None:
                    left.append(thing)
                    by_clock.append(replace(thing, value=whole))
                who = self.first_responsible(DEAL, deal)
                cohort.append(replace(thing, at=deal["created_at"], manager=who, good=out is not None))
        self.tell("time_in_stage_seconds_avg", left, mean)
        self.tell("time_in_stage_seconds_median", left, at_quantile(0.5))
        self.tell("time_in_stage_calendar_seconds_median", by_clock, at_quantile(0.5))
        self.tell("time_in_stage_seconds_km_median", cohort, survived)

    def _cycles(self) -> None:
        def cycles(semantics: str, clock: Callable[[datetime, datetime], int]) -> Iterator[Thing]:
            for deal, thing in self.closed(semantics):
                if thing.at is not None and not self._is_odd(deal) and thing.at >= deal["created_at"]:
                    yield replace(thing, value=clock(deal["created_at"], thing.at))

        def whole(start: datetime, end: datetime) -> int:
            return seconds(end) - seconds(start)

        won = list(cycles("S", whole))
        self.tell("sales_cycle_seconds_avg", won, mean)
        self.tell("sales_cycle_seconds_median", won, at_quantile(0.5))
        self.tell("sales_cycle_seconds_p90", won, at_quantile(0.9))
        self.tell("sales_cycle_working_seconds_avg", cycles("S", self.clock.elapsed), mean)
        self.tell("lost_cycle_seconds_median", cycles("F", whole), at_quantile(0.5))

    # ------------------------------------------------------------ §8.4

    def _outcome(self) -> None:
        closed = list(self.closed())
        both = [thing for _, thing in closed]
        self.tell("win_rate", both, share)
        self.tell("win_rate_value", both, value_share)
        won = [replace(thing, extra={"source": thing.source or ""}) for thing in both if thing.good]
        self.tell("source_revenue", won, total)
        proposed, met = [], []
        for deal, thing in closed:
            visited = {move["stage_id"] for move in self.moves(DEAL, deal)} | {deal["stage_id"]}
            if visited & self.options.proposal_stages:
                proposed.append(thing)
            bound = self.bound.get((DEAL, deal["id"]), set()) & self.activities.keys()
            if any(self.held_at(self.activities[number]) for number in bound):
                met.append(thing)
        self.tell("proposal_win_rate", proposed, share)
        self.tell("meeting_win_rate", met, share)
        self._average_check()
        self._losses([(deal, thing) for deal, thing in closed if not thing.good])

    def _average_check(self) -> None:
        found = []
        for deal in self.deals:
            pipeline = deal["pipeline_id"]
            far = self._far(deal, pipeline)
            for stage in self.steps.get(pipeline, []):
                rank = self.ranks[pipeline, stage]
                if far < rank:
                    continue
                entries = [
                    at
                    for at, where in self._visits(deal, pipeline)
                    if self.ranks.get((pipeline, where), -1) >= rank  # undone wins too (another reading: they do not)
                ]
                entry = entries[0] if entries else None
                native, currency = self._terms(deal, entry)
                if native is not None and native > 0:
                    amount = self.amount(deal, native, currency)
                    found.append(self._cohort(deal, stage=stage, value=amount, extra={"stage": stage}))
        self.tell("avg_check_by_stage", found, mean)

    def _terms(self, deal: Row, at: datetime | None) -> tuple[Number, str]:
        """Amount and currency at a moment, where changes were captured."""
        changes = sorted(
            (row for row in self.rows(schema.DEAL_CHANGES) if row["deal_id"] == deal["id"]),
            key=lambda row: row["changed_at"],
        )
        if not changes or at is None:
            return deal["opportunity"], deal["currency_id"]
        native, currency = changes[0]["from_opportunity"], changes[0]["from_currency_id"]
        for change in changes:
            if change["changed_at"] <= at:
                native, currency = change["to_opportunity"], change["to_currency_id"]
        return native, currency

    def _losses(self, lost: list[tuple[Row, Thing]]) -> None:
        by_reason, by_stage = [], []
        for deal, thing in lost:
            by_reason.append(replace(thing, extra={"reason": self._reason(deal)}))
            stages = [move["stage_id"] for move in self.moves(DEAL, deal) if move["semantics"] == "P"]
            by_stage.append(replace(thing, extra={"stage": stages[-1] if stages else "(none)"}))
        self.tell("loss_reason_amount", by_reason, total)
        self._shares("loss_reason_share", by_reason)
        self._shares("loss_stage_share", by_stage)

    def _reason(self, deal: Row) -> str:
        field = self.options.loss_reason_field
        if field:
            return str(json.loads(deal["user_fields"] or "{}").get(field) or "") or "not_stated"
        status = self.statuses.get((DEAL, deal["pipeline_id"], deal["stage_id"]))
        return (status and status["name"]) or "not_stated"

    def _shares(self, name: str, things: list[Thing]) -> None:
        """Of every label in all of the cell."""
        kpi = KPIS[name]
        (label,) = kpi.labels
        for window in kpi.windows:
            inside = self.inside(things, window.value)
            for grain in kpi.evaluated_grains:
                for labels, cell in self.cells(grain, inside):
                    for value in {thing.extra[label] for thing in cell}:
                        key = (name, str(grain), tuple(sorted((*labels, (label, value)))), window.value)
                        self.found[key] = ratio(sum(thing.extra[label] == value for thing in cell), len(cell))


def value_share(cell: list[Thing]) -> Told:
    return ratio(total([thing for thing in cell if thing.good]).value, total(cell).value)


def _by_stage(cell: Iterable[Thing]) -> dict[Stage, tuple[int, int]]:
    found: dict[Stage, tuple[int, int]] = {}
    for thing in cell:
        place = (thing.pipeline or 0, thing.stage or "")
        k, n = found.get(place, (0, 0))
        found[place] = (k + thing.good, n + 1)
    return found


def wilson_upper(k: int, n: int) -> float:
    p, z = k / n, Z95
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    return centre + z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)


def lower_tail(k: int, n: int, k0: int, n0: int) -> float:
    """One-sided p-value: pooled z-test of two proportions; Fisher's exact test where a cell expects fewer than five."""
    pooled = (k + k0) / (n + n0)
    if min(n * pooled, n * (1 - pooled), n0 * pooled, n0 * (1 - pooled)) < 5:
        ways = [math.comb(n, x) * math.comb(n0, k + k0 - x) for x in range(max(0, k + k0 - n0), k + 1)]
        return sum(ways) / math.comb(n + n0, k + k0)
    z = (k / n - k0 / n0) / math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n0))
    return NormalDist().cdf(z)

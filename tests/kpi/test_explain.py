"""The records behind a number reproduce the number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from b24metrics.kpi import KPIS, Grain, Record, WindowId, evaluate, explain
from b24metrics.kpi.model import (
    Computed,
    Derived,
    Mean,
    Measure,
    Number,
    Over,
    Plan,
    Previous,
    Quantile,
    Ratio,
    Total,
)
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1
from tests.kpi.small import ALWAYS_OPEN, NOW, PORTAL, Company, KpiOptions, at


def leaves(measure: Measure, part: str = "") -> Iterator[tuple[str, Measure]]:
    """The parts of a measure that have records, each as a measure of its own that looks where the whole one looks."""

    def inside(name: str) -> str:
        return f"{part}.{name}" if part else name

    match measure:
        case Ratio():
            yield from leaves(measure.numerator, inside("numerator"))
            yield from leaves(measure.denominator, inside("denominator"))
        case Derived():
            for name, one in measure.inputs.items():
                yield from leaves(one, inside(name))
        case Previous():
            yield from ((name, Previous(one, measure.steps)) for name, one in leaves(measure.of, part))
        case Over():
            yield from ((name, Over(one, measure.window)) for name, one in leaves(measure.of, part))
        case Plan():
            return
        case _:
            yield part, measure


def reproduced(measure: Measure, records: Sequence[Record]) -> float | None:
    """A leaf's value from the listed contributions alone; None for nothing."""
    given = [float(r.contribution) for r in records if r.contribution is not None]
    match measure:
        case Previous(of=of) | Over(of=of):
            return reproduced(of, records)
        case Number():
            return float(len(records))
        case Total():
            return sum(given)
        case Mean():
            return sum(given) / len(records) if records else None
        case Quantile(q=q):
            return float(np.quantile(np.array(given), q)) if given else None
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize("kpi", KPIS)
def test_listed_records_reproduce_every_sample_of_t1(t1: DuckStore, kpi: str) -> None:
    """Every cut of every KPI: count, sum, mean or quantile of the contributions is the value, or the part of it."""
    options = company_t1.OPTIONS
    now = company_t1.NOW
    whole = KPIS[kpi]
    parts = {
        part: replace(whole, id=part or kpi, measure=leaf, labels=whole.fact_labels, companions=None)
        for part, leaf in leaves(whole.measure)
    }
    wanted = {WindowId.NOW, WindowId.MTD} & {*whole.windows} or {whole.windows[0]}
    snapshot = evaluate(t1, company_t1.PORTAL, parts.values(), wanted, whole.grains, now=now, options=options)
    told: dict[tuple[Grain, WindowId, tuple[tuple[str, str], ...]], tuple[Record, ...]] = {}
    for part, one in parts.items():
        if isinstance(one.measure, Computed):  # what it makes of its rows is tested where it is declared
            continue
        for grain in whole.grains:
            # Those that have something to say first; two of a cut are enough to see that it is cut right.
            some = sorted(snapshot.of(one, grain), key=lambda sample: not sample.value)[:2]
            for sample in some:
                at = (grain, sample.window, tuple(sample.labels.items()))
                if at not in told:
                    told[at] = explain(
                        t1, company_t1.PORTAL, whole, sample.window, grain, sample.labels, now=now, options=options
                    )
                mine = [record for record in told[at] if record.part == part]
                assert sample.value == pytest.approx(reproduced(one.measure, mine)), (part, sample)


def test_records_have_titles_and_contributions(t1: DuckStore) -> None:
    """What a manager sees: the deals, by name, with what each gave."""
    found = explain(
        t1, company_t1.PORTAL, KPIS["revenue_won"], WindowId.MTD, now=company_t1.NOW, options=company_t1.OPTIONS
    )

    assert [
        Record("", "deal", 1, "Deal 1", Decimal(100_000), "https://t1.example/crm/deal/details/1/"),
        Record("", "deal", 2, "Deal 2", Decimal(90_000), "https://t1.example/crm/deal/details/2/"),
        Record("", "deal", 7, "Deal 7", Decimal(54_000), "https://t1.example/crm/deal/details/7/"),
    ] == list(found)


def test_parts_of_a_ratio_are_told_apart(t1: DuckStore) -> None:
    """Won deals above, all closed ones below."""
    found = explain(
        t1, company_t1.PORTAL, KPIS["win_rate"], WindowId.MTD, now=company_t1.NOW, options=company_t1.OPTIONS
    )

    assert [("numerator", 1), ("numerator", 2), ("numerator", 7)] == [(r.part, r.id) for r in found][:3]
    assert [1, 2, 3, 6, 7] == [record.id for record in found if record.part == "denominator"]


def test_legs_of_one_call_are_one_record(store: DuckStore) -> None:
    """The first leg stands for the call; each of the others for its own talk time."""
    company = Company().staff()
    first = company.call(at("03-14 10:00"), call_id="x", duration_seconds=10)
    second = company.call(at("03-14 10:05"), call_id="x", duration_seconds=20)
    company.pour(store)

    def ids(kpi: str) -> list[tuple[int, object]]:
        return [(r.id, r.contribution) for r in explain(store, PORTAL, KPIS[kpi], WindowId.TODAY, now=NOW)]

    assert [(first, 1)] == ids("calls_count")
    assert [(first, 10), (second, 20)] == ids("talk_time_total_seconds")


def test_requests_are_leads_in_classic_mode(store: DuckStore) -> None:
    """Kind and title are those of the record that the portal shows."""
    company = Company(crm_mode=1).staff()
    lead = company.lead(id=77)
    company.activity(lead=lead, created_at=at("03-03 10:20"))
    company.pour(store)

    found = explain(
        store,
        PORTAL,
        KPIS["first_response_seconds_median"],
        WindowId.MTD,
        now=NOW,
        options=KpiOptions(calendar=ALWAYS_OPEN),
    )

    assert [Record("", "lead", 77, "Lead 77", 1200, "https://small.example/crm/lead/details/77/")] == list(found)


def test_a_record_without_a_rate_stands_in_the_mean_without_a_contribution(store: DuckStore) -> None:
    """It is counted below and adds nothing above."""
    company = Company().staff()
    company.deal(1, moves="03-03 10:00 P; 03-10 15:00 S", currency_id="XAU")
    company.pour(store)

    assert [(1, None)] == [
        (r.id, r.contribution) for r in explain(store, PORTAL, KPIS["avg_deal_size"], WindowId.MTD, now=NOW)
    ]
    assert () == explain(store, PORTAL, KPIS["revenue_won"], WindowId.MTD, now=NOW)


def test_what_cannot_be_explained(t1: DuckStore) -> None:
    """A window or cut that the KPI does not have, or a cut without its label."""
    with pytest.raises(LookupError, match="win_rate has no window today at grain T"):
        explain(t1, company_t1.PORTAL, KPIS["win_rate"], WindowId.TODAY, now=company_t1.NOW)
    with pytest.raises(LookupError, match="manager_id"):
        explain(t1, company_t1.PORTAL, KPIS["win_rate"], WindowId.MTD, Grain.parse("M"), now=company_t1.NOW)

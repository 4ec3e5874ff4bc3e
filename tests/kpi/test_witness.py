"""The evaluator against a second reading of the catalogue, on random small companies: every sample, none more, none less."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b24metrics.kpi import KPIS, KpiOptions, evaluate
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1
from tests.kpi.small import NOW, OFFICE, PORTAL, Company, at
from tests.kpi.witness import Answers, Witness

SALES = 10
#: Moments that windows turn on, and moments around them.
EDGES = ["01-01 00:00", "02-01 00:00", "02-12 12:00", "02-28 23:59", "03-01 00:00", "03-07 12:00", "03-10 00:00",
         "03-13 00:00", "03-14 00:00", "03-14 11:00", "03-14 12:00", "03-14 12:01"]  # fmt: skip
MOMENTS = st.one_of(
    st.sampled_from(EDGES).map(at),
    st.integers(-80 * 24, 24).map(lambda hours: NOW + timedelta(hours=hours)),
    st.integers(-300, 300).map(lambda minutes: NOW + timedelta(minutes=minutes)),
)
PEOPLE = st.sampled_from([101, 102, 103, 104, 201, 1, None])
MONEY = st.sampled_from(["0", "100", "0.10", "99999.99", "-50", "1000.01"]).map(Decimal)


@st.composite
def companies(draw: st.DrawFn) -> Company:
    """Five people in four departments, two pipelines, a handful of everything."""
    company = Company()
    for number, parent in ((1, None), (10, 1), (11, 10), (12, draw(st.sampled_from([10, 11, 1]))), (20, 1)):
        company.department(number, parent)
    company.user(101, 11)
    company.user(102, 12, 11)
    company.user(103, 10)
    company.user(104, 11, active=False)
    company.user(201, 20)
    company.user(1)
    for name, rate, count in (("RUB", "1", 1), ("USD", "90.5", 1), ("KZT", "18.123456", 100)):
        company.currency(name, rate, count)
    for pipeline in (0, 3):
        company.add(schema.PIPELINES, entity_type_id=2, id=pipeline, name="P", sort=1, is_default=pipeline == 0)
        for stage in ("A", "B"):
            company.add(
                schema.STATUSES, directory=f"DEAL_STAGE_{pipeline}", status_id=f"C{pipeline}:{stage}", sort=1,
                semantics="P", entity_type_id=2, pipeline_id=pipeline, name=stage,
            )  # fmt: skip
    for _ in range(draw(st.integers(0, 7))):
        add_deal(draw, company)
    for call in range(draw(st.integers(0, 4))):
        started_at = draw(MOMENTS)
        for hours in draw(st.lists(st.sampled_from([0, 1, 13]), min_size=1, max_size=3)):  # no call lasts a day
            company.call(
                started_at + timedelta(hours=hours), call_id=f"call-{call}", user_id=draw(PEOPLE),
                type_id=draw(st.sampled_from([1, 2, 3, 4, 5])), failed_code=draw(st.sampled_from(["200", "304"])),
                duration_seconds=draw(st.sampled_from([0, 5, 60, 601])),
                category=draw(st.sampled_from(["external", "external", "internal"])),
            )  # fmt: skip
    levels = [("M", 101), ("M", 104), ("M", 201), ("D", 10), ("D", 11), ("T", 0)]
    plans = draw(
        st.lists(st.tuples(st.sampled_from(levels), st.integers(1, 4), st.sampled_from([0, 50, 700])), max_size=5)
    )
    for (level, subject), month, amount in {plan[:2]: plan for plan in plans}.values():
        company.plan(level, subject, date(2025, month, 1), amount)
    return company


def add_deal(draw: st.DrawFn, company: Company) -> None:
    pipeline = draw(st.sampled_from([0, 3]))
    stages = {"P": draw(st.sampled_from(["A", "B"])), "S": "WON", "F": "LOSE"}
    moments = sorted(draw(st.lists(MOMENTS, min_size=1, max_size=5)))
    path = [draw(st.sampled_from("PPSF" if n else "PPPSF")) for n in range(len(moments))]
    known = draw(st.integers(0, len(path)))  # history may be missing from some point on
    deal = company.deal(
        semantics=path[-1], stage_id=f"C{pipeline}:{stages[path[-1]]}", pipeline_id=pipeline, created_at=moments[0],
        modified_at=moments[0], moved_at=draw(st.sampled_from([moments[-1], None])),
        closes_on=draw(st.one_of(st.none(), st.dates(date(2025, 1, 1), date(2025, 3, 20)))),
        assigned_by_id=draw(PEOPLE), created_by_id=draw(st.sampled_from([1, 101, None])), opportunity=draw(MONEY),
        currency_id=draw(st.sampled_from(["RUB", "USD", "KZT", "XAU"])), title=draw(st.sampled_from(["Deal", "ТЕСТ"] + ["x"] * 8)),
        source_id=draw(st.sampled_from(["WEB", "CALL", "", None])), lead_id=draw(st.sampled_from([0, 0, 0, 5])),
        is_recurring=draw(st.sampled_from([False] * 9 + [True])), moved_by_id=draw(PEOPLE),
        deleted_at=draw(st.sampled_from([None] * 9 + [NOW])),
    )  # fmt: skip
    for position, (moment, semantics) in enumerate(zip(moments[:known], path[:known], strict=True)):
        company.move(deal, moment, semantics, kind=1 if position == 0 else 2)
    if path[-1] != "P" and draw(st.booleans()):
        rate, count = draw(st.sampled_from([(Decimal("77.7"), 1), (Decimal(5), 10), (None, None)]))
        company.add(
            schema.DEAL_CLOSINGS, deal_id=deal, semantics=draw(st.sampled_from("SF")), manager_id=draw(st.sampled_from([101, 102, 201])),
            rate=rate, rate_count=count, observed_at=draw(MOMENTS),
        )  # fmt: skip
    for _ in range(draw(st.integers(0, 2))):
        company.activity(
            deal, created_at=draw(MOMENTS), responsible_id=draw(PEOPLE), completed=draw(st.booleans()),
            deadline_at=draw(st.one_of(st.none(), MOMENTS)), direction=draw(st.sampled_from([1, 2])),
        )  # fmt: skip


#: What the witness computes as well.
WITNESSED = [
    KPIS[name]
    for name in (
        "revenue_won", "deals_won_count", "avg_deal_size", "avg_deal_size_median", "new_deals_count",
        "plan_attainment_ratio", "open_deals_count", "calls_count", "talk_time_total_seconds", "win_rate",
        "open_deals_overdue_activity_count", "open_deals_without_activity_count", "first_response_seconds_median",
    )
]  # fmt: skip


def found(store: DuckStore, portal: str, now: datetime, options: KpiOptions) -> Answers:
    return {
        (s.kpi.id, str(s.grain), tuple(sorted(s.labels.items())), s.window.value): (s.value, s.n)
        for s in evaluate(store, portal, WITNESSED, now=now, options=options).samples
    }


def assert_same(expected: Answers, actual: Answers) -> None:
    assert expected.keys() == actual.keys()
    wrong = {
        key: (expected[key], actual[key])
        for key in expected
        if expected[key][1] != actual[key][1]
        or (expected[key][0] is None) != (actual[key][0] is None)
        or (
            expected[key][0] is not None
            and actual[key][0] != pytest.approx(float(expected[key][0]), rel=1e-12, abs=1e-9)
        )
    }
    assert {} == wrong


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(company=companies(), now=st.sampled_from([NOW, at("03-31 23:59"), at("04-01 00:00"), at("2025-01-01 00:30")]))
def test_every_sample_of_any_small_company(store: DuckStore, company: Company, now: datetime) -> None:
    """All KPIs × windows × grains, rows that must not be there included."""
    company.pour(store)

    assert_same(
        Witness(company, now, SALES).answers(),
        found(store, PORTAL, now, KpiOptions(sales_departments=frozenset({SALES}), calendar=OFFICE)),
    )


def test_the_witness_reads_t1_as_the_catalogue_does() -> None:
    """The witness itself, on worked figures."""
    company = Company()
    collected: list[tuple[schema.Table, dict[str, object]]] = []

    class Listener:
        def upsert(self, table: schema.Table, rows: list[dict[str, object]]) -> int:
            collected.extend((table, dict(row)) for row in rows)
            return len(rows)

    company_t1.load(Listener())  # type: ignore[arg-type]
    for table, row in collected:
        company.rows.setdefault(table, []).append({"deadline_at": None, **row} if table is schema.ACTIVITIES else row)
    answers = Witness(company, company_t1.NOW, SALES).answers()

    def company_value(kpi: str, window: str) -> float | None:
        value, _ = answers[kpi, "T", (), window]
        return None if value is None else float(value)

    assert 244_000 == company_value("revenue_won", "mtd")
    assert 0.6 == company_value("win_rate", "mtd")
    assert 6 == company_value("new_deals_count", "mtd")
    assert 2700 == company_value("first_response_seconds_median", "mtd")
    assert 0.488 == company_value("plan_attainment_ratio", "mtd")
    assert 11 == company_value("calls_count", "today")
    assert 795 == company_value("talk_time_total_seconds", "today")
    assert (3, 1, 1) == tuple(
        company_value(kpi, "now")
        for kpi in ("open_deals_count", "open_deals_overdue_activity_count", "open_deals_without_activity_count")
    )
    assert {kpi.id for kpi in WITNESSED} == {kpi for kpi, *_ in answers}

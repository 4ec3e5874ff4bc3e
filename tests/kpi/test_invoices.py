"""Invoices: the cards' examples on company T1, stages, payments, rates, days (catalogue §6.3, §19)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from b24metrics.kpi import KPIS, Grain, Snapshot, WindowId, evaluate, explain
from b24metrics.kpi.invoices import CHAPTER
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1, small
from tests.kpi.small import NOW, PORTAL, Company, at

IDS = tuple(kpi.id for kpi in CHAPTER)
TODAY, MTD, STATE = WindowId.TODAY, WindowId.MTD, WindowId.NOW
DAY = 86_400
ANNA, BORIS, VERA = ({"manager_id": str(number)} for number in (101, 102, 103))
STAGES = {"N": None, "S": None, "P": "S", "D": "F"}


def measured(store: DuckStore, company: Company, *kpis: str, now: datetime = NOW, **options: Any) -> Snapshot:
    return small.measured(store, company, now=now, kpis=kpis or IDS, **options)


def value(snapshot: Snapshot, kpi: str, window: WindowId = MTD) -> float | None:
    return snapshot.value(KPIS[kpi], window)


def billing(**facts: Any) -> Company:
    """A company with the usual stages of invoices, last looked at two days after now."""
    company = Company(**facts).staff()
    company.add(schema.FEED_STATE, feed="invoices", backfilled_at=NOW, synced_at=NOW + timedelta(days=2))
    for sort, (stage, semantics) in enumerate(STAGES.items()):
        company.add(
            schema.STATUSES, directory="SMART_INVOICE_STAGE_1", status_id=f"DT31_1:{stage}", name=stage, sort=sort,
            semantics=semantics, entity_type_id=31, pipeline_id=1,
        )  # fmt: skip
    return company


def invoice(company: Company, moves: str = "", **facts: Any) -> int:
    """An invoice; ``moves``: ``"03-05 10:00 S; 03-10 15:00 P"``; the last one is where it stands."""
    number = facts.pop("id", None) or company.number()
    history = [(at(move.strip()[:11]), f"DT31_1:{move.strip()[12:]}") for move in moves.split(";") if move.strip()]
    created = history[0][0] if history else at("03-05 10:00")
    common = {
        "id": number, "title": f"Invoice {number}", "pipeline_id": 1, "opportunity": Decimal(100), "currency_id": "RUB",
        "stage_id": history[-1][1] if history else "DT31_1:S", "assigned_by_id": 7, "created_at": created,
        "moved_at": history[-1][0] if history else None,
    }  # fmt: skip
    company.add(schema.INVOICES, **(common | facts))
    for place, (moment, stage) in enumerate(history):
        company.move(
            number, moment, STAGES[stage[-1]] or "P", entity_type_id=31, stage_id=stage, pipeline_id=1,
            kind=2 if place else 1,
        )  # fmt: skip
    return number


def payment(company: Company, owner: int, paid_at: str, amount: str, **facts: Any) -> None:
    common = {"id": company.number(), "owner_type_id": 31, "owner_id": owner, "paid": True, "paid_at": at(paid_at)}
    company.add(schema.PAYMENTS, **(common | {"amount": Decimal(amount), "currency_id": "RUB"} | facts))


# ---------------------------------------------------------------- company T1


@pytest.fixture(scope="module")
def on_t1(t1: DuckStore) -> Snapshot:
    return evaluate(t1, company_t1.PORTAL, CHAPTER, now=company_t1.NOW, options=company_t1.OPTIONS)


@pytest.mark.parametrize(
    ("kpi", "window", "grain", "labels", "expected"),
    [
        ("invoices_issued_count", "mtd", "T", {}, 4),
        ("invoices_issued_amount", "mtd", "T", {}, 304_000),
        ("invoices_issued_amount", "mtd", "M", ANNA, 190_000),
        ("invoices_issued_amount", "mtd", "D", {"department_id": "10"}, 304_000),
        ("invoices_issued_amount", "mtd", "P", {"pipeline_id": "0"}, 304_000),
        ("invoices_issued_amount", "mtd", "C", {"currency": "RUB"}, 304_000),
        ("invoices_issued_count", "7d", "T", {}, 1),  # 03-07 00:00 lies before 03-07 12:00
        ("invoices_issued_count", "wtd", "T", {}, 1),
        ("invoices_issued_count", "prev_month", "T", {}, 0),
        ("invoices_paid_count", "mtd", "T", {}, 3),
        ("invoices_paid_amount", "mtd", "T", {}, 244_000),
        ("invoices_paid_amount", "mtd", "M", BORIS, 0),
        ("invoices_paid_amount", "mtd", "M", VERA, 54_000),
        ("invoices_cancelled_count", "mtd", "T", {}, 0),
        ("invoice_payment_lag_seconds", "mtd", "T", {}, 5 * DAY),
        ("invoice_payment_lag_seconds", "mtd", "M", BORIS, None),
        ("invoice_payment_lag_seconds", "mtd", "M", VERA, 0),
        ("invoice_payment_lag_seconds_avg", "mtd", "T", {}, 316_800),  # 3.667 days
        ("invoice_overdue_amount", "now", "T", {}, 60_000),
        ("invoice_overdue_count", "now", "T", {}, 1),
        ("invoice_overdue_count", "now", "M", BORIS, 1),
        ("invoice_collection_rate", "mtd", "T", {}, 244 / 304),
        ("invoice_collection_rate", "mtd", "M", ANNA, 1),
        ("invoice_collection_rate", "mtd", "M", BORIS, 0),
        ("invoice_collection_rate", "30d", "T", {}, 244 / 304),
        ("invoice_collection_rate", "prev_month", "T", {}, None),
    ],
)
def test_company_t1(
    on_t1: Snapshot, kpi: str, window: str, grain: str, labels: dict[str, str], expected: float | None
) -> None:
    """The catalogue's figures, and others counted by hand from its table."""
    found = on_t1.value(KPIS[kpi], WindowId(window), Grain.parse(grain), **labels)

    assert (None if expected is None else pytest.approx(expected)) == found


# ---------------------------------------------------------------- issue


@pytest.mark.parametrize(
    ("moves", "facts", "issued", "paid", "cancelled"),
    [
        ("03-05 10:00 N", {}, 0, 0, 0),  # a draft
        ("03-05 10:00 S", {}, 1, 0, 0),
        ("03-05 10:00 N; 03-06 10:00 P", {}, 1, 1, 0),  # straight to paid
        ("03-05 10:00 S; 03-06 10:00 D", {}, 0, 0, 1),
        ("03-05 10:00 S; 03-06 10:00 P; 03-07 10:00 S", {}, 1, 0, 0),  # the payment was undone
        ("02-05 10:00 S; 02-06 10:00 P; 03-07 10:00 S; 03-08 10:00 P", {}, 0, 1, 0),  # and came again
        ("02-05 10:00 S; 02-06 10:00 D; 03-08 10:00 D", {}, 0, 0, 0),  # cancelled once
        ("03-05 10:00 S; 03-15 10:00 P", {}, 1, 0, 0),  # paid after now
        ("03-15 10:00 S", {}, 0, 0, 0),  # made after now
        ("03-05 10:00 S", {"begins_on": date(2025, 2, 28)}, 0, 0, 0),
        ("02-05 10:00 S", {"begins_on": date(2025, 3, 1)}, 1, 0, 0),
        ("03-05 10:00 S", {"begins_on": date(2025, 3, 20)}, 0, 0, 0),  # of a day to come
        ("03-05 10:00 S", {"begins_on": date(2125, 3, 5)}, 0, 0, 0),  # of a century to come
        ("03-05 10:00 S", {"title": "TEST"}, 0, 0, 0),
        ("03-05 10:00 S", {"deleted_at": NOW}, 0, 0, 0),
        ("", {"stage_id": "DT31_1:P", "moved_at": at("03-06 10:00")}, 1, 1, 0),  # no history
        ("03-05 10:00 S", {"stage_id": "DT31_1:ELSE"}, 1, 0, 0),  # a stage that nobody knows is open
    ],
)
def test_what_is_issued_paid_cancelled(
    store: DuckStore, moves: str, facts: dict[str, Any], issued: int, paid: int, cancelled: int
) -> None:
    """By the stage it stands at now, since when it has stood there, and its date."""
    company = billing()
    invoice(company, moves, **facts)
    kpis = ("invoices_issued_count", "invoices_paid_count", "invoices_cancelled_count")
    snapshot = measured(store, company, *kpis)

    assert (issued, paid, cancelled) == tuple(value(snapshot, kpi) for kpi in kpis)


def test_the_draft_stage(store: DuckStore) -> None:
    """The first open one where there are two; what is configured instead; none at all."""
    company = billing()
    for stage in "NSP":
        invoice(company, f"03-05 10:00 {stage}")
    lonely = Company().staff()
    lonely.add(
        schema.STATUSES, directory="SMART_INVOICE_STAGE_2", status_id="DT31_2:N", name="N", sort=1, semantics=None,
        entity_type_id=31, pipeline_id=2,
    )  # fmt: skip
    invoice(lonely, stage_id="DT31_2:N")
    kpi = "invoices_issued_count"

    assert 2 == value(measured(store, company, kpi), kpi)
    assert 1 == value(measured(store, company, kpi, invoice_draft_stages=frozenset({"DT31_1:N", "DT31_1:S"})), kpi)
    assert 3 == value(measured(store, company, kpi, invoice_draft_stages=frozenset()), kpi)
    assert 1 == value(measured(store, lonely, kpi), kpi)


def test_an_invoice_belongs_to_the_pipeline_of_its_deal(store: DuckStore) -> None:
    """And is left out where that pipeline is; one without a deal belongs to none."""
    company = billing()
    company.add(schema.PIPELINES, entity_type_id=2, id=3, name="Service", sort=2, is_default=False)
    invoice(company, "03-05 10:00 S", deal_id=company.deal())
    invoice(company, "03-05 10:00 S", deal_id=company.deal(pipeline_id=3))
    invoice(company, "03-05 10:00 S", deal_id=0)
    kpi = KPIS["invoices_issued_count"]

    def told(**options: Any) -> dict[str, float | None]:
        snapshot = measured(store, company, kpi.id, **options)
        rows = snapshot.of(kpi, Grain.parse("P"))
        return {s.labels["pipeline_id"]: s.value for s in rows if s.window == MTD} | {"T": value(snapshot, kpi.id)}

    assert {"0": 1, "3": 1, "T": 3} == told()
    assert {"0": 1, "T": 2} == told(excluded_pipelines=frozenset({3}))


# ---------------------------------------------------------------- money


def test_part_payments(store: DuckStore) -> None:
    """Documents say how much and when, the stage says that it is paid; a cancelled invoice brings nothing."""
    company = billing()
    open_one = invoice(company, "02-20 10:00 S", opportunity=Decimal(1000))
    payment(company, open_one, "02-25 10:00", "300")
    payment(company, open_one, "03-05 10:00", "200.50")
    payment(company, open_one, "03-06 10:00", "99", paid=False)
    payment(company, open_one, "03-16 10:00", "400")  # after now
    closed = invoice(company, "02-20 10:00 S; 03-10 10:00 P", opportunity=Decimal(500))
    payment(company, closed, "02-28 10:00", "500")
    cancelled = invoice(company, "02-20 10:00 S; 03-10 10:00 D")
    payment(company, cancelled, "03-05 10:00", "77")
    snapshot = measured(store, company)

    assert (200.5, 800) == tuple(
        value(snapshot, "invoices_paid_amount", window) for window in (MTD, WindowId.PREV_MONTH)
    )
    assert (1, 0) == tuple(value(snapshot, "invoices_paid_count", window) for window in (MTD, WindowId.PREV_MONTH))
    assert pytest.approx(1000.5 / 1500) == value(snapshot, "invoice_collection_rate", WindowId.PREV_MONTH)
    records = explain(store, PORTAL, KPIS["invoices_paid_amount"], MTD, now=NOW)
    assert [(open_one, Decimal("200.5"))] == [(record.id, record.contribution) for record in records]


def test_paid_money_keeps_its_rate(store: DuckStore) -> None:
    """The rate when the payment was seen, or known when the invoice was paid; what is open has today's."""
    company = billing()
    company.currency("USD", "90")
    for seen, rate in (("02-01 00:00", "80"), ("03-12 00:00", "90")):
        company.add(schema.RATES, currency_id="USD", seen_at=at(seen), rate=Decimal(rate), rate_count=1)
    dollars = {"currency_id": "USD", "opportunity": Decimal(10)}
    invoice(company, "03-05 10:00 S; 03-06 10:00 P", **dollars)  # at 80
    invoice(company, "01-05 10:00 S; 01-06 10:00 P", **dollars)  # before anybody looked: at the first rate
    part = invoice(company, "03-05 10:00 S", **dollars)  # at 90 while it is open
    payment(company, part, "03-13 10:00", "4", currency_id="USD", rate=Decimal(85), rate_count=1)
    payment(company, part, "03-13 11:00", "1", currency_id="USD")
    snapshot = measured(store, company)

    assert 800 + 4 * 85 + 90 == value(snapshot, "invoices_paid_amount")
    assert 800 + 900 == value(snapshot, "invoices_issued_amount")
    assert 800 == value(measured(store, company, now=at("02-01 12:00")), "invoices_paid_amount", WindowId.PREV_MONTH)
    currency = Grain.parse("C")
    assert 15 == snapshot.value(KPIS["invoices_paid_amount"], MTD, currency, currency="USD")
    assert pytest.approx(15 / 20) == snapshot.value(KPIS["invoice_collection_rate"], MTD, currency, currency="USD")


def test_paid_money_in_the_reporting_currency_is_itself(store: DuckStore) -> None:
    """A thousand euros are a thousand euros, 11 000 roubles the 110 that they were at 100; at 110 today both would shrink."""
    company = billing()
    company.currency("EUR", "110")
    for day, rate in (("01-01 00:00", 100), ("03-12 00:00", 110)):
        company.add(schema.RATES, currency_id="EUR", seen_at=at(day), rate=Decimal(rate), rate_count=1)
    for name, amount, rate in (("EUR", "1000", 100), ("RUB", "11000", 1)):
        paid = invoice(company, "03-05 10:00 S; 03-10 15:00 P", opportunity=Decimal(amount), currency_id=name)
        payment(company, paid, "03-10 15:00", amount, currency_id=name, rate=Decimal(rate), rate_count=1)

    assert pytest.approx(1110) == value(measured(store, company, reporting_currency="EUR"), "invoices_paid_amount")


def test_a_currency_without_a_rate(store: DuckStore) -> None:
    """Counted, not summed."""
    company = billing()
    invoice(company, "03-05 10:00 S", currency_id="XAU")
    snapshot = measured(store, company)

    assert (1, 0) == (value(snapshot, "invoices_issued_count"), value(snapshot, "invoices_issued_amount"))


# ---------------------------------------------------------------- days


def test_the_lag_is_between_local_dates(store: DuckStore) -> None:
    """Issued late on the 5th, paid early on the 6th by Moscow's clock: one day; no date of issue: that of creation."""
    company = billing()
    invoice(company, "03-05 23:30 S; 03-06 00:30 P")
    assert DAY == value(measured(store, company), "invoice_payment_lag_seconds")

    dated = billing()
    invoice(dated, "03-05 23:30 S; 03-06 00:30 P", begins_on=date(2025, 3, 2))
    assert 4 * DAY == value(measured(store, dated), "invoice_payment_lag_seconds_avg")


@pytest.mark.parametrize(
    ("due", "moves", "overdue"),
    [
        (date(2025, 3, 13), "03-05 10:00 S", 1),
        (date(2025, 3, 14), "03-05 10:00 S", 0),  # today is in time
        (None, "03-05 10:00 S", 0),
        (date(2025, 3, 13), "03-05 10:00 S; 03-14 10:00 P", 0),
        (date(2025, 3, 13), "03-05 10:00 S; 03-14 10:00 D", 0),
        (date(2025, 3, 13), "03-05 10:00 S; 03-14 13:00 P", 1),  # after now
    ],
)
def test_what_is_overdue(store: DuckStore, due: date | None, moves: str, overdue: int) -> None:
    """Open and due before today, with its full amount whatever was paid of it."""
    company = billing()
    number = invoice(company, moves, due_on=due)
    payment(company, number, "03-06 10:00", "40")
    snapshot = measured(store, company, "invoice_overdue_count", "invoice_overdue_amount")

    assert (overdue, 100 * overdue) == (
        value(snapshot, "invoice_overdue_count", STATE),
        value(snapshot, "invoice_overdue_amount", STATE),
    )


# ---------------------------------------------------------------- smallest companies


def test_an_empty_company(store: DuckStore) -> None:
    """Counts and sums are 0, everything else is nothing."""
    snapshot = measured(store, billing())

    for kpi in CHAPTER:
        nothing = kpi.id.startswith("invoice_payment") or kpi.id.endswith("rate")
        assert {None if nothing else 0} == set(small.values(snapshot, kpi.id).values()), kpi.id


def test_a_company_of_one_invoice(store: DuckStore) -> None:
    """Issued and paid today."""
    company = billing()
    invoice(company, "03-14 08:00 S; 03-14 09:00 P", begins_on=date(2025, 3, 14))
    snapshot = measured(store, company)

    assert [1, 100, 1, 100, 0, 0, 0] == [
        value(snapshot, kpi, TODAY)
        for kpi in (
            "invoices_issued_count", "invoices_issued_amount", "invoices_paid_count", "invoices_paid_amount",
            "invoices_cancelled_count", "invoice_payment_lag_seconds", "invoice_payment_lag_seconds_avg",
        )
    ]  # fmt: skip
    assert 1 == value(snapshot, "invoice_collection_rate")

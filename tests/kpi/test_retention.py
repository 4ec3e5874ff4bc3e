"""Chapter F: retention and customer value. Figures are the catalogue's, or counted by hand."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from math import inf
from typing import Any

import numpy as np
import pytest

from b24metrics.errors import ConfigError
from b24metrics.kpi import (
    COMPANY,
    DEPARTMENT,
    KPIS,
    MANAGER,
    KpiOptions,
    Snapshot,
    WindowId,
    evaluate,
    explain,
    retention,
)
from b24metrics.kpi import clv as models
from b24metrics.kpi.clv import segments
from b24metrics.kpi.loyalty import annuity
from b24metrics.kpi.model import Part
from b24metrics.kpi.options import CustomerOptions, PurchaseBasis
from b24metrics.kpi.stats import quintile_scores
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.conftest import ROOT
from tests.kpi import company_t1, small
from tests.kpi.small import NOW, PORTAL, Company, at

IDS = [kpi.id for kpi in retention.CHAPTER]
measured = partial(small.measured, kpis=IDS)
MTD, QTD, PREV, NOW_, T365, D30 = (
    WindowId.MTD, WindowId.QTD, WindowId.PREV_MONTH, WindowId.NOW, WindowId.T365, WindowId.D30,
)  # fmt: skip


def value(found: Snapshot, kpi_id: str, window: WindowId, **labels: str) -> float | None:
    return found.value(KPIS[kpi_id], window, COMPANY, **labels)


def buy(company: Company, client: int, moment: datetime, amount: float = 100, **facts: Any) -> int:
    """A deal with a company that was won then."""
    return company.deal(
        **{
            "company_id": client, "opportunity": Decimal(str(amount)), "semantics": "S", "stage_id": "S",
            "created_at": moment - timedelta(days=1), "moved_at": moment, **facts,
        }
    )  # fmt: skip


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@pytest.fixture(scope="module")
def snapshot(t1: DuckStore) -> Snapshot:
    return evaluate(t1, company_t1.PORTAL, retention.CHAPTER, now=company_t1.NOW, options=company_t1.OPTIONS)


# ---------------------------------------------------------------- T1


@pytest.mark.parametrize(
    ("kpi_id", "window", "expected"),
    [
        ("active_customers_count", NOW_, 3),
        ("new_customers_count", MTD, 1),
        ("customer_retention_rate", MTD, 1),
        ("customer_churn_rate", MTD, 0),
        ("reactivated_customers_count", MTD, 0),
        ("repeat_purchases_count", MTD, 2),
        ("repeat_deal_share", MTD, 2 / 3),
        ("repeat_purchase_rate", NOW_, 2 / 3),
        ("purchase_frequency", T365, 5 / 3),
        ("interpurchase_seconds_median", T365, 730_800),  # 8.458 days
        ("clv_historic", NOW_, 148_000),
        ("clv_simple", T365, None),  # nobody was active a year ago
        ("clv_model_ok", NOW_, 0),
    ],
)
def test_company_t1(snapshot: Snapshot, kpi_id: str, window: WindowId, expected: float | None) -> None:
    """The worked examples of the cards."""
    assert expected == pytest.approx(value(snapshot, kpi_id, window))


@pytest.mark.parametrize("kpi_id", ["clv_predicted", "clv_discounted", "clv_customers_at_risk_count", "rfm_score"])
def test_what_cannot_be_said_of_t1_has_no_sample(snapshot: Snapshot, kpi_id: str) -> None:
    """No model of three clients, no discount without configuration, no segments."""
    assert [] == [sample for sample in snapshot.samples if sample.kpi.id == kpi_id]


def test_retention_of_t1_by_whom_the_purchases_belong_to(snapshot: Snapshot) -> None:
    """Anna: C2 before, C1 and C2 after. Vera sold to nobody before."""
    crr = KPIS["customer_retention_rate"]

    assert (1, 1) == (
        snapshot.value(crr, MTD, MANAGER, manager_id="101"),
        snapshot.value(crr, MTD, DEPARTMENT, department_id="11"),
    )
    assert snapshot.value(crr, MTD, MANAGER, manager_id="103") is None
    assert 135_000 == snapshot.value(KPIS["clv_historic"], NOW_, DEPARTMENT, department_id="11")


def test_clients_are_told_by_what_each_brought(t1: DuckStore) -> None:
    """C2 = 80,000 + 90,000, the largest first."""
    found = explain(t1, company_t1.PORTAL, KPIS["clv_historic"], NOW_, now=company_t1.NOW, options=company_t1.OPTIONS)

    assert [("company", 2, 170_000), ("company", 1, 154_000), ("company", 9, 120_000)] == [
        (record.kind, record.id, record.contribution) for record in found
    ]


# ---------------------------------------------------------------- who is a client


def test_what_a_purchase_is(store: DuckStore) -> None:
    """An amount above 0 in a currency with a rate, of a company, else a contact, not the own one, not in the future."""
    company = Company().staff()
    company.add(schema.COMPANIES, id=9, title="We", is_my_company=True)
    for client, amount, facts in (
        (1, 100, {}),
        (2, 0, {}),
        (3, -5, {}),
        (4, 100, {"currency_id": "XAU"}),
        (9, 100, {}),
        (0, 100, {"contact_id": 1}),
        (0, 100, {}),
    ):
        buy(company, client, at("03-10 10:00"), amount, **facts)
    buy(company, 5, NOW + timedelta(days=1))
    found = measured(store, company)

    assert 2 == value(found, "active_customers_count", NOW_)
    assert 2 == value(found, "new_customers_count", MTD)
    assert [("company", 1), ("contact", 1)] == [
        (r.kind, r.id) for r in explain(store, PORTAL, KPIS["active_customers_count"], NOW_, now=NOW)
    ]


def test_a_merged_client_is_the_surviving_one(store: DuckStore) -> None:
    """Deals name who is left."""
    company = Company().staff()
    company.add(schema.COMPANIES, id=2, title="Gone", deleted_at=at("03-12 10:00"))
    buy(company, 1, ago(400))
    buy(company, 1, at("03-10 10:00"))
    found = measured(store, company)

    assert (1, 0, 1) == tuple(
        value(found, name, window)
        for name, window in (
            ("active_customers_count", NOW_), ("new_customers_count", MTD), ("reactivated_customers_count", MTD),
        )
    )  # fmt: skip


def test_an_imported_deal_makes_nobody_new(store: DuckStore) -> None:
    """It is history all the same: what comes later is a repeat purchase."""
    company = Company().staff()
    buy(company, 1, at("03-05 10:00"), created_at=at("02-01 10:00"))
    buy(company, 1, at("03-10 10:00"), created_at=at("03-08 10:00"))
    found = measured(store, company, go_live=at("03-01 00:00").date())

    assert (0, 1) == (value(found, "new_customers_count", MTD), value(found, "repeat_purchases_count", MTD))


def test_paid_invoices_may_be_purchases(store: DuckStore) -> None:
    """Configured: the deal does not count, the invoice does, by the time of its payment."""
    company = Company().staff()
    buy(company, 1, at("03-05 10:00"))
    for status, semantics in (("N", None), ("P", "S")):
        company.add(
            schema.STATUSES, directory="SMART_INVOICE_STAGE_1", status_id=status, semantics=semantics, entity_type_id=31
        )
    for number, client, stage in ((1, 2, "P"), (2, 2, "P"), (3, 3, "N")):
        company.add(
            schema.INVOICES, id=number, title="i", stage_id=stage, opportunity=Decimal(70), currency_id="RUB",
            assigned_by_id=7, created_at=at("03-01 10:00"), moved_at=at(f"03-0{number + 1} 10:00"), company_id=client,
        )  # fmt: skip
    found = measured(store, company, customers=CustomerOptions(basis=PurchaseBasis.INVOICES))

    assert (1, 1, 140) == (
        value(found, "new_customers_count", MTD),
        value(found, "repeat_purchases_count", MTD),
        value(found, "clv_historic", NOW_),
    )


# ---------------------------------------------------------------- staying, coming again


def test_retention_and_churn_of_the_catalogue(store: DuckStore) -> None:
    """S = {1, 2, 3, 4, 5}, E = {2, 3, 4, 6, 7}: 0.6 stay, 0.4 leave."""
    company = Company().staff()
    for client in (1, 5):
        buy(company, client, ago(380))  # too old since 4 March, 370 days later
    for client in (2, 3, 4):
        buy(company, client, ago(100))
    for client in (6, 7):
        buy(company, client, at("03-10 10:00"))
    found = measured(store, company, customers=CustomerOptions(active_days=370))

    sample = found.sample(KPIS["customer_retention_rate"], MTD)
    assert sample is not None
    assert (0.6, 5, 3, 5) == (sample.value, sample.n, sample.numerator, sample.denominator)
    assert 0.4 == value(found, "customer_churn_rate", MTD)


def test_the_edges_of_being_active(store: DuckStore) -> None:
    """(t - H, t]: exactly H days old is too old, one second less is not."""
    company = Company().staff()
    buy(company, 1, ago(365))
    buy(company, 2, ago(365) + timedelta(seconds=1))
    buy(company, 3, NOW)

    assert 2 == value(measured(store, company), "active_customers_count", NOW_)


@pytest.mark.parametrize(("gap", "expected"), [(400, 1), (365, 0), (366, 1), (10, 0)])
def test_who_came_back(store: DuckStore, gap: int, expected: int) -> None:
    """After more than 365 days."""
    company = Company().staff()
    buy(company, 1, at("03-10 10:00") - timedelta(days=gap))
    buy(company, 1, at("03-10 10:00"))

    assert expected == value(measured(store, company), "reactivated_customers_count", MTD)


def test_repeats_of_one_day_and_of_nothing(store: DuckStore) -> None:
    """Several deals of one moment are told apart by id; a win of 0 is a win; one without a client is counted below."""
    company = Company().staff()
    for amount in (0, 100, 100):
        buy(company, 1, at("03-10 10:00"), amount)
    buy(company, 0, at("03-11 10:00"))
    reopened = buy(company, 2, at("03-02 10:00"))
    company.rows[schema.DEALS][-1] |= {"semantics": "P", "stage_id": "P"}
    buy(company, 2, at("03-12 10:00"))
    found = measured(store, company)

    assert reopened
    assert (2, 0.4) == (value(found, "repeat_purchases_count", MTD), value(found, "repeat_deal_share", MTD))
    assert (0.5, 1.5) == (value(found, "repeat_purchase_rate", NOW_), value(found, "purchase_frequency", T365))
    assert 0 == value(found, "interpurchase_seconds_median", T365)


def test_what_was_won_later_did_not_exist(store: DuckStore) -> None:
    """As of an instant in between."""
    company = Company().staff()
    buy(company, 1, at("03-01 10:00"))
    buy(company, 1, at("03-10 10:00"), created_at=at("03-02 10:00"))

    assert (1, 0) == tuple(
        value(measured(store, company, now=at("03-05 10:00")), name, MTD)
        for name in ("new_customers_count", "repeat_purchases_count")
    )


# ---------------------------------------------------------------- after the sale


def test_contact_after_the_sale(store: DuckStore) -> None:
    """6 of 8: of the deal or its client, 1 to 30 days of 24 hours later; the ninth deal has not had its time."""
    company = Company().staff()
    won = at("01-10 10:00")
    deals = [buy(company, client, won, contact_id=client) for client in range(1, 9)]
    buy(company, 20, ago(30))
    day, month = won + timedelta(days=1), won + timedelta(days=30)
    company.activity(deals[0], created_at=day)
    company.activity(deals[1], created_at=month, direction=1)
    company.bind(company.activity(provider_id="IMOPENLINES_SESSION", type_id=6, created_at=day), 4, 3)
    company.bind(company.activity(type_id=1, provider_id="X", starts_at=day, created_at=ago(200)), 3, 4)
    company.call(day, crm_entity_type_id=4, crm_entity_id=5)
    talk = company.activity(deals[5], type_id=2, provider_id="VOXIMPLANT_CALL", created_at=ago(200))
    company.call(month, crm_activity_id=talk)
    company.activity(deals[6], created_at=day - timedelta(seconds=1))
    company.activity(deals[6], created_at=month + timedelta(seconds=1))
    company.activity(deals[6], type_id=1, provider_id="X", starts_at=day, completed=False)
    company.call(day, crm_entity_type_id=4, crm_entity_id=8, failed_code="304")
    found = measured(store, company)

    sample = found.sample(KPIS["post_sale_contact_rate"], WindowId.T90)
    assert sample is not None
    assert (0.75, 6, 8) == (sample.value, sample.numerator, sample.denominator)


def test_a_call_that_was_passed_on_is_one_contact(store: DuckStore) -> None:
    """The first row of the call names the deal, in the second one somebody talks; a call that nobody took is no contact."""
    company = Company().staff()
    won = at("01-10 10:00")
    for client, code in ((1, "200"), (2, "304")):
        deal = buy(company, client, won)
        rang = company.activity(deal, type_id=2, provider_id="VOXIMPLANT_CALL", created_at=ago(200))
        moment, call = won + timedelta(days=2), {"call_id": f"passed-{client}", "phone_key": None}
        company.call(moment, **call, type_id=2, failed_code="304", duration_seconds=0, crm_activity_id=rang)
        company.call(moment + timedelta(seconds=20), **call, type_id=3, failed_code=code)

    assert 0.5 == measured(store, company).value(KPIS["post_sale_contact_rate"], WindowId.T90)


# ---------------------------------------------------------------- RFM


def test_scores_of_the_catalogue() -> None:
    """Customers A to E; equals share a score."""
    days, times, money = np.array([3, 40, 10, 200, 40]), [10, 2, 5, 1, 2], [500, 90, 300, 20, 120]

    assert [[5, 2, 4, 1, 2], [5, 2, 4, 1, 2], [5, 2, 4, 1, 3]] == [
        quintile_scores(merit).tolist() for merit in (-days, times, money)
    ]


def test_segments_in_their_order() -> None:
    """The first rule that fits."""
    recency, frequency = np.array([[4, 4], [3, 4], [4, 1], [2, 3], [1, 2], [2, 2], [5, 5], [1, 4]]).T

    assert ["champions", "loyal", "new", "at_risk", "lost", "other", "champions", "loyal"] == list(
        segments(recency, frequency)
    )


@pytest.mark.parametrize(("clients", "expected"), [(24, {}), (25, {"new": 10, "other": 10, "lost": 5})])
def test_segments_need_25_clients(store: DuckStore, clients: int, expected: dict[str, int]) -> None:
    """Fewer have scores, but no segments. Several purchases of one day are one occasion."""
    company = Company().staff()
    for client in range(1, clients + 1):
        for back in range(client):
            buy(company, client, ago(1 + (clients - client) * 2 + back / 100))
    found = measured(store, company)
    sizes = {s.labels["segment"]: s.value for s in found.of(KPIS["rfm_score"], COMPANY)}

    assert expected == sizes
    if not expected:
        scored = explain(store, PORTAL, KPIS["rfm_score"], T365, labels={"segment": "(none)"}, now=NOW)
        assert clients == sum(record.part == "recency" for record in scored)
        assert {1, 2, 3, 4, 5} == {record.contribution for record in scored if record.part == "recency"}
        assert {1} == {record.contribution for record in scored if record.part == "frequency"}


def test_the_family_of_segments() -> None:
    """The id is that of the score, the metric says what it counts."""
    assert ["b24_company_rfm_segment_customers"] == [family.name for family in KPIS["rfm_score"].families]


# ---------------------------------------------------------------- value


def lived(amount: float = 100) -> Company:
    """Three clients a year ago, two of whom bought again in the year since; churn 1/3."""
    company = Company().staff()
    for client in (1, 2, 3):
        buy(company, client, ago(500), amount)
    for client in (1, 2):
        for days in (200, 100):
            buy(company, client, ago(days), amount)
    return company


def test_simple_value(store: DuckStore) -> None:
    """81,333.33 × 2 × 3 × 0.3 = 146,400."""
    found = measured(store, lived(81_333.33), margin=0.3)

    assert value(found, "clv_simple", T365) == pytest.approx(146_400, abs=0.01)


@pytest.mark.parametrize(("options", "years"), [({}, 10), ({"lifetime_cap_years": 4}, 4), ({"lifetime_years": 2}, 2)])
def test_how_long_a_client_stays(store: DuckStore, options: dict[str, Any], years: float) -> None:
    """Nobody left: the cap; configured: that."""
    company = lived()
    buy(company, 3, ago(50))
    found = measured(store, company, customers=CustomerOptions(**options))

    assert value(found, "clv_simple", T365) == pytest.approx(500 / 3 * years)


@pytest.mark.parametrize(("years", "expected"), [(3, 110_102.48), (inf, 178_933.33)])
def test_discounted_value(store: DuckStore, years: float, expected: float) -> None:
    """m = 48,800, r = 0.8, d = 0.1."""
    assert 48_800 * annuity(0.8, 0.1, years) == pytest.approx(expected, abs=0.01)
    options = CustomerOptions(retention=0.8, discount=0.1, horizon_years=years)
    found = measured(store, lived(24_400), customers=options)

    assert value(found, "clv_discounted", T365) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        {"active_days": 0}, {"lifetime_years": 0}, {"discount": -0.1}, {"retention": 1.1}, {"horizon_years": 1.5},
        {"horizon_years": inf, "retention": 1.0}, {"predicted_months": 0}, {"lifetime_cap_years": 0},
    ],
)  # fmt: skip
def test_options_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    """Each is named."""
    with pytest.raises(ConfigError, match="customers"):
        KpiOptions(customers=CustomerOptions(**wrong))


# ---------------------------------------------------------------- predicted value


def cdnow(take: int | None = None) -> Company:
    """The golden customers as deals: occasions as far apart as their histories say."""
    company = Company().staff()
    with (ROOT / "tests" / "golden" / "clv_cdnow.csv").open(encoding="utf-8", newline="") as file:
        rows: Iterable[dict[str, str]] = list(csv.DictReader(file))[:take]
    for client, row in enumerate(rows, start=1):
        times, span, age = int(float(row["frequency"])), round(7 * float(row["recency"])), round(7 * float(row["T"]))
        mean = float(row["monetary_value"]) if times else 10.0
        for nth in range(times + 1):
            back = age - (span if nth == times else nth)
            buy(company, client, ago(back), mean, currency_id="RUB")
    return company


@pytest.fixture(scope="module")
def golden_company() -> Iterable[tuple[DuckStore, Snapshot]]:
    store = DuckStore(threads=1)
    company = cdnow()
    company.pour(store)
    options = KpiOptions(customers=CustomerOptions(discount=1.01**12 - 1))
    kpis = [KPIS[name] for name in ("clv_predicted", "clv_model_ok", "clv_customers_at_risk_count")]
    yield store, evaluate(store, PORTAL, kpis, now=NOW, options=options)
    store.close()


def test_predicted_value_of_the_golden_customers(golden_company: tuple[DuckStore, Snapshot]) -> None:
    """Customers 1 to 3: 36.2785, 4.6375, 8.3441 with months of 4.345 weeks; a year by twelve is a little more."""
    store, found = golden_company
    options = KpiOptions(customers=CustomerOptions(discount=1.01**12 - 1))
    told = explain(store, PORTAL, KPIS["clv_predicted"], NOW_, now=NOW, options=options)
    by_client = {record.id: float(record.contribution or 0) for record in told}

    assert [by_client[client] for client in (1, 2, 3)] == pytest.approx([36.2785, 4.6375, 8.3441], rel=0.01)
    assert 1 == value(found, "clv_model_ok", NOW_)
    sample = found.sample(KPIS["clv_predicted"], NOW_)
    assert sample is not None
    assert 2357 == sample.n == len(told)
    assert sum(by_client.values()) == pytest.approx(sample.part(Part.NUMERATOR))
    assert sample.value == pytest.approx(sum(by_client.values()) / 2357)
    assert [r.contribution for r in told] == sorted((r.contribution for r in told), key=float, reverse=True)  # type: ignore[arg-type]
    assert (value(found, "clv_customers_at_risk_count", NOW_) or 0) > 0


@pytest.mark.parametrize("take", [0, 1, 199])
def test_too_few_clients_for_a_model(store: DuckStore, take: int) -> None:
    """No sample, and the flag says so."""
    found = measured(store, cdnow(take))

    assert 0 == value(found, "clv_model_ok", NOW_)
    assert () == found.of(KPIS["clv_predicted"], COMPANY)
    assert () == found.of(KPIS["clv_customers_at_risk_count"], COMPANY)


def test_without_scipy(store: DuckStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is predicted, everything else is said."""
    monkeypatch.setattr(models, "_lifetime", lambda: None)
    found = measured(store, cdnow(250))

    assert (0, None) == (value(found, "clv_model_ok", NOW_), value(found, "clv_predicted", NOW_))
    assert (value(found, "clv_historic", NOW_) or 0) > 0


# ---------------------------------------------------------------- nothing, and one


def test_an_empty_company(store: DuckStore) -> None:
    """Counts are 0, the flag is 0, nothing else has a value."""
    found = measured(store, Company().staff())
    counts = {kpi_id for kpi_id in IDS if kpi_id.endswith("_count")} - {"clv_customers_at_risk_count"}

    assert counts | {"clv_model_ok"} == {s.kpi.id for s in found.samples if s.value is not None}
    assert {0} == {s.value for s in found.samples if s.value is not None}


def test_one_purchase(store: DuckStore) -> None:
    """Every id of a company with a single sale."""
    company = Company().staff()
    buy(company, 1, at("03-10 10:00"), 500)
    found = measured(store, company)
    said = {
        kpi.id: [
            s.value
            for s in found.of(kpi, COMPANY)
            if s.window == next(w for w in (NOW_, MTD, T365, PREV) if w in kpi.windows)
        ]
        for kpi in retention.CHAPTER
    }

    assert {
        "active_customers_count": [1], "new_customers_count": [1], "customer_retention_rate": [None],
        "customer_churn_rate": [None], "reactivated_customers_count": [0], "repeat_purchases_count": [0],
        "repeat_deal_share": [0], "repeat_purchase_rate": [0], "purchase_frequency": [1],
        "interpurchase_seconds_median": [None], "post_sale_contact_rate": [None], "rfm_score": [], "clv_historic": [500],
        "clv_simple": [None], "clv_discounted": [], "clv_predicted": [], "clv_model_ok": [0],
        "clv_customers_at_risk_count": [],
    } == said  # fmt: skip

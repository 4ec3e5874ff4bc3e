"""Plans: own ones, sums of managers', periods of several months."""

from __future__ import annotations

from datetime import date
from functools import partial

import pytest

from b24metrics.kpi import DEPARTMENT, KPIS, MANAGER, Snapshot, WindowId
from b24metrics.mirror.stores import DuckStore
from tests.kpi import small
from tests.kpi.small import Company

measured = partial(small.measured, kpis=["plan_attainment_ratio"])
PLAN = KPIS["plan_attainment_ratio"]
JANUARY, FEBRUARY, MARCH, APRIL = (date(2025, month, 1) for month in (1, 2, 3, 4))


def team() -> Company:
    """Managers 7 and 8 in departments 1 and 2 (below 1), 9 outside the scope; one deal of 100 won by 7 in March."""
    company = Company().staff()
    company.department(2, 1)
    company.department(3)
    company.user(8, 2)
    company.user(9, 3)
    company.deal(moves="03-03 10:00 P; 03-10 15:00 S")
    return company


def planned(snapshot: Snapshot, window: str = "mtd") -> dict[str, float | None]:
    """Denominators by level and id: the plans that were compared with."""
    found = {}
    for grain, label in ((MANAGER, "manager_id"), (DEPARTMENT, "department_id")):
        for sample in snapshot.of(PLAN, grain):
            if sample.window == window:
                found[f"{grain}{sample.labels[label]}"] = sample.denominator
    company = snapshot.sample(PLAN, WindowId(window))
    return found if company is None else found | {"T": company.denominator}


def test_departments_and_the_company_sum_their_managers(store: DuckStore) -> None:
    """Without a plan of their own: all managers of the subtree; the company also those outside the sales scope."""
    company = team()
    for who, amount in ((7, 100), (8, 200), (9, 400)):
        company.plan("M", who, MARCH, amount)

    assert {"M7": 100, "M8": 200, "D1": 300, "D2": 200, "T": 700} == planned(
        measured(store, company, sales_departments=frozenset({1}))
    )


def test_an_own_plan_goes_before_the_sum(store: DuckStore) -> None:
    """An explicit plan of a department or of the company is taken as it is; the one below it does not add to it."""
    company = team()
    company.plan("M", 7, MARCH, 100)
    company.plan("M", 8, MARCH, 200)
    company.plan("D", 2, MARCH, 250)
    company.plan("T", 0, MARCH, 1000)

    assert {"M7": 100, "M8": 200, "D1": 300, "D2": 250, "T": 1000} == {
        key: value for key, value in planned(measured(store, company)).items() if key != "D3"
    }


def test_a_quarter_sums_the_months_that_have_a_plan(store: DuckStore) -> None:
    """Each month by its own rule; the quarter is compared whole, months to come included."""
    company = team()
    company.plan("M", 7, JANUARY, 10)
    company.plan("M", 7, MARCH, 30)
    company.plan("M", 7, APRIL, 1000)
    company.plan("D", 1, FEBRUARY, 500)
    snapshot = measured(store, company)

    assert {"M7": 40, "D1": 540, "T": 40} == planned(snapshot, "qtd")
    assert {"M7": 30, "D1": 30, "T": 30} == planned(snapshot, "mtd")
    assert {"D1": 500} == planned(snapshot, "prev_month")


def test_a_fiscal_quarter_is_planned_by_its_own_months(store: DuckStore) -> None:
    """With the fiscal year from February, March lies in February to April."""
    company = team()
    for month, amount in ((JANUARY, 1), (FEBRUARY, 10), (MARCH, 100), (APRIL, 1000)):
        company.plan("M", 7, month, amount)

    assert 1110 == planned(measured(store, company, fiscal_month=2), "qtd")["M7"]


@pytest.mark.parametrize("amount", [0, -5])
def test_a_plan_that_is_not_above_zero_is_none(store: DuckStore, amount: int) -> None:
    """No value, and no parts."""
    company = team()
    company.plan("M", 7, MARCH, amount)

    assert {} == planned(measured(store, company))


def test_plans_for_other_kpis_are_not_mixed_in(store: DuckStore) -> None:
    """A plan names its KPI."""
    company = team()
    company.plan("M", 7, MARCH, 50, kpi_id="calls_count")
    company.plan("M", 7, MARCH, 200)

    assert 0.5 == measured(store, company).value(PLAN, WindowId.MTD, MANAGER, manager_id="7")


def test_attainment_is_not_capped(store: DuckStore) -> None:
    """100 of 40 is 2.5."""
    company = team()
    company.plan("T", 0, MARCH, 40)

    assert 2.5 == measured(store, company).value(PLAN, WindowId.MTD)

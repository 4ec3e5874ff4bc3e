"""How deals end: rates by value and by creation, reasons, stages, sources, proposals, meetings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from b24metrics.kpi import COMPANY, DEPARTMENT, KPIS, MANAGER, Grain, Snapshot, WindowId, evaluate
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1, small
from tests.kpi.pipelines import Funnels
from tests.kpi.small import NOW, Company, at

MTD = WindowId.MTD
REASONS = ("loss_reason_share", "loss_reason_amount", "loss_stage_share")
SOURCES = ("source_conversion_ratio", "source_revenue")
AFTER = ("proposal_win_rate", "meeting_win_rate")
OUTCOME = ("win_rate", "win_rate_value", "close_rate", *REASONS, *SOURCES, *AFTER)
measured = partial(small.measured, kpis=OUTCOME)


def by_label(
    snapshot: Snapshot, kpi_id: str, grain: Grain = COMPANY, window: WindowId = MTD, **labels: str
) -> Mapping[str, float | None]:
    """The last label → value."""
    name = KPIS[kpi_id].labels[-1]
    return {
        sample.labels[name]: sample.value
        for sample in snapshot.of(KPIS[kpi_id], grain)
        if sample.window is window and labels.items() <= sample.labels.items()
    }


@pytest.fixture(scope="module")
def of_t1(t1: DuckStore) -> Snapshot:
    """§8.4 on company T1."""
    chosen = [KPIS[kpi] for kpi in OUTCOME]
    return evaluate(t1, company_t1.PORTAL, chosen, now=company_t1.NOW, options=company_t1.OPTIONS)


def test_rates_of_t1(of_t1: Snapshot) -> None:
    """3 of 5 closed, 244 of 444 thousand, 3 of 6 created."""
    assert (0.6, pytest.approx(244 / 444), 0.5) == tuple(
        of_t1.value(KPIS[kpi], MTD) for kpi in ("win_rate", "win_rate_value", "close_rate")
    )
    sample = of_t1.sample(KPIS["win_rate_value"], MTD)
    assert sample is not None
    assert (244_000, 444_000, 5) == (sample.numerator, sample.denominator, sample.n)


def test_losses_of_t1(of_t1: Snapshot) -> None:
    """Deal 3 for the price, from QUAL; deal 6 to a competitor, from OFFER."""
    assert {"PRICE": 0.5, "COMPETITOR": 0.5} == by_label(of_t1, "loss_reason_share")
    assert {"PRICE": 50_000, "COMPETITOR": 150_000} == by_label(of_t1, "loss_reason_amount")
    assert {"QUAL": 0.5, "OFFER": 0.5} == by_label(of_t1, "loss_stage_share")
    sample = of_t1.sample(KPIS["loss_reason_share"], MTD, DEPARTMENT, department_id="12", reason="PRICE")
    assert sample is not None
    assert (0.5, 1, 2) == (sample.value, sample.numerator, sample.denominator)


def test_sources_of_t1(of_t1: Snapshot) -> None:
    """WEB 1/2, CALL 2/3, without a source 0/1."""
    assert {"WEB": 1 / 2, "CALL": 2 / 3, "(none)": 0} == by_label(of_t1, "source_conversion_ratio")
    assert {"WEB": 100_000, "CALL": 144_000} == by_label(of_t1, "source_revenue")
    assert {"WEB": 0, "CALL": 0} == by_label(of_t1, "source_conversion_ratio", DEPARTMENT, department_id="12")


# ---------------------------------------------------------------- reasons


def lost(company: Funnels, path: str = "A LOSE", **facts: Any) -> int:
    reason = facts.pop("reason", None)
    fields = {"user_fields": json.dumps({"UF_CRM_WHY": reason, "UF_CRM_OTHER": "x"})} if reason is not None else {}
    return company.path(path, **(fields | facts))


def test_reasons_of_a_field(store: DuckStore) -> None:
    """Empty, blank and missing are not stated; wins have none; shares sum to 1 in every cut."""
    company = Funnels()
    company.user(8, 1)
    for reason, who in (("Цена", 7), ("Цена", 8), ("", 7), ("  ", 7), (None, 8)):
        lost(company, reason=reason, assigned_by_id=who)
    lost(company, "A WON", reason="Цена")
    found = measured(store, company, loss_reason_field="UF_CRM_WHY")

    assert {"Цена": 0.4, "not_stated": 0.6} == by_label(found, "loss_reason_share")
    assert {"Цена": 1 / 3, "not_stated": 2 / 3} == pytest.approx(
        by_label(found, "loss_reason_share", MANAGER, manager_id="7")
    )
    assert {"Цена": 200, "not_stated": 300} == by_label(found, "loss_reason_amount")


def test_a_field_that_is_false_or_an_empty_list_states_no_reason(store: DuckStore) -> None:
    """What the portal says of an empty user field, a single or a multiple one; two of three losses have no reason."""
    company = Funnels()
    for reason in ("Цена", False, []):
        lost(company, reason=reason)
    found = measured(store, company, kpis=(*OUTCOME, "dq_lost_without_reason"), loss_reason_field="UF_CRM_WHY")

    assert {"Цена": pytest.approx(1 / 3), "not_stated": pytest.approx(2 / 3)} == by_label(found, "loss_reason_share")
    sample = found.sample(KPIS["dq_lost_without_reason"], MTD)
    assert sample is not None
    assert (2, 2, 3) == (sample.value, sample.numerator, sample.denominator)


def test_reasons_of_stages(store: DuckStore) -> None:
    """Without a field the final stage's name is the reason; its id where the name is not known."""
    company = Funnels()
    company.stages(0, ("PRICE",), semantics="F", name="Дорого")
    lost(company)
    for stage in ("PRICE", "GONE"):
        lost(company, "A", semantics="F", stage_id=stage, moved_at=at("03-04 10:00"))
    found = measured(store, company)

    assert {"Lose": 1 / 3, "Дорого": 1 / 3, "GONE": 1 / 3} == by_label(found, "loss_reason_share")


def test_a_reason_appears_only_where_it_was_given(store: DuckStore) -> None:
    """A reason of the quarter is not spread over windows and people without it."""
    company = Funnels()
    company.user(8, 1)
    lost(company, "A LOSE", start="01-20 10:00", reason="Old", assigned_by_id=8)
    lost(company, reason="New")
    found = measured(store, company, loss_reason_field="UF_CRM_WHY")

    assert {"New": 1} == by_label(found, "loss_reason_share")
    assert {"New": 0.5, "Old": 0.5} == by_label(found, "loss_reason_share", COMPANY, WindowId.T180)
    assert {} == by_label(found, "loss_reason_share", MANAGER, manager_id="8")


def test_the_stage_before_the_loss(store: DuckStore) -> None:
    """The last open one, returns and earlier closings regarded; none for deals created lost."""
    company = Funnels()
    for path in ("A B LOSE", "A B A LOSE", "A B LOSE C LOSE", "LOSE"):
        lost(company, path)

    assert {"A": 0.25, "B": 0.25, "C": 0.25, "(none)": 0.25} == by_label(measured(store, company), "loss_stage_share")


# ---------------------------------------------------------------- proposals, meetings


def test_the_win_rate_after_proposals(store: DuckStore) -> None:
    """The card's example: 4 closed deals with a proposal, 3 won: 0.75. Only who stood at such a stage counts."""
    company = Funnels()
    for path in ("A C WON", "C WON", "B D WON", "A C B LOSE", "A B WON", "A LOSE", "A C"):
        company.path(path)
    found = measured(store, company, proposal_stages=frozenset({"C", "D"}))
    sample = found.sample(KPIS["proposal_win_rate"], MTD)

    assert sample is not None
    assert (0.75, 3, 4) == (sample.value, sample.numerator, sample.denominator)
    assert None is measured(store, company).value(KPIS["proposal_win_rate"], MTD)


def test_the_win_rate_after_meetings(store: DuckStore) -> None:
    """Held meetings only, owned or bound."""
    company = Funnels()
    meeting = {"type_id": 1, "provider_id": "CRM_MEETING", "starts_at": at("03-04 10:00")}
    won, gone, planned, future, bare = (company.path(f"A {end}") for end in ("WON", "LOSE", "WON", "WON", "LOSE"))
    company.activity(won, **meeting)
    company.bind(company.activity(**meeting), 2, gone)
    company.activity(planned, **(meeting | {"completed": False}))
    company.activity(future, **(meeting | {"starts_at": at("03-20 10:00")}))
    company.activity(bare)
    sample = measured(store, company).sample(KPIS["meeting_win_rate"], MTD)

    assert sample is not None
    assert (0.5, 1, 2) == (sample.value, sample.numerator, sample.denominator)


# ---------------------------------------------------------------- edges


def test_values_of_nothing_and_of_less(store: DuckStore) -> None:
    """No amounts, no share by value; amounts without a rate leave it; the frozen manager has the loss."""
    company = Funnels()
    company.user(8, 1)
    company.path("A WON", opportunity=Decimal(0))
    assert None is measured(store, company).value(KPIS["win_rate_value"], MTD)

    company.path("A WON", opportunity=Decimal(300))
    company.path("A LOSE", opportunity=Decimal(900), currency_id="XAU")
    deal = company.path("A LOSE", opportunity=Decimal(100))
    company.add(
        schema.DEAL_CLOSINGS, deal_id=deal, semantics="F", manager_id=8, rate=Decimal(1), rate_count=1, observed_at=NOW
    )
    found = measured(store, company)
    assert 0.75 == found.value(KPIS["win_rate_value"], MTD)
    assert {"Lose": 100} == by_label(found, "loss_reason_amount", MANAGER, manager_id="8")


def test_an_empty_company_ends_nothing(store: DuckStore) -> None:
    """No shares, no labels."""
    found = measured(store, Company().staff())

    assert [] == [sample for sample in found.samples if sample.value is not None]

"""KPIs of the company's own: refused with every word that is wrong, else like those of the catalogue."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from b24metrics.errors import ConfigError
from b24metrics.exposition.families import collect
from b24metrics.exposition.text import Renderer
from b24metrics.kpi import KPIS, Grain, Record, WindowId, evaluate, explain
from b24metrics.kpi.custom import RESERVED, SUBJECTS, Custom, columns_of, in_force
from b24metrics.kpi.model import NOW, Title, Unit
from b24metrics.mirror.stores import DuckStore, Store, open_store
from tests.kpi import company_t1

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres import Server

LARGE = Custom(
    id="large_deals_won", title=Title("Крупные сделки", "Large deals"), fact="closed_deals", measure="count",
    where="outcome = 'won' AND amount >= 90000", unit="deals", by=("T", "D", "M", "C", "MxP"), windows=("mtd", "t90"),
)  # fmt: skip
CUSTOMS = (
    LARGE,
    replace(LARGE, id="won_amount", measure="sum", column="amount", where="outcome = 'won'", unit="money"),
    replace(LARGE, id="won_tenth", measure="mean", column="amount * 0.1", where="outcome = 'won'", unit="money", by=("T",)),
    replace(LARGE, id="won_median", measure="median", column="amount", where="outcome = 'won'", unit="money", by=("T", "D")),
    replace(LARGE, id="won_low", measure="quantile", q=0.0, column="amount", where="outcome = 'won'", unit="money", by=("T",)),
    replace(LARGE, id="buyers", measure="distinct", column="coalesce(customer, 'nobody')", unit="customers", by=("T",)),
    replace(LARGE, id="large_share", measure="share", among="outcome = 'won'", where="amount >= 90000", unit="", by=("T", "D")),
    replace(LARGE, id="long_calls", fact="calls", where="duration_seconds > 60", unit="calls", by=("T", "M"), windows=("today",)),
    replace(LARGE, id="late_deals", fact="open_deal_care", where="overdue OR without_activity", windows=(), by=("T",)),
)  # fmt: skip
#: Counted by hand from the tables of company T1.
FIGURES = {
    ("large_deals_won", "mtd"): 2, ("won_amount", "mtd"): 244_000, ("won_tenth", "mtd"): 24_400 / 3,
    ("won_median", "mtd"): 90_000, ("won_low", "mtd"): 54_000, ("buyers", "mtd"): 2, ("large_share", "mtd"): 2 / 3,
    ("long_calls", "today"): 4, ("late_deals", "now"): 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def shared_t1(postgres: Server, empty_mirror: str) -> Iterator[Store]:
    """Company T1 in PostgreSQL."""
    store = open_store(postgres.fresh(empty_mirror))
    company_t1.load(store)
    yield store
    store.close()


def values(store: Store) -> dict[tuple[object, ...], float | None]:
    known = in_force(CUSTOMS)
    kpis = [known[custom.id] for custom in CUSTOMS]
    snapshot = evaluate(store, company_t1.PORTAL, kpis, now=company_t1.NOW, options=company_t1.OPTIONS)
    return {(s.kpi.id, str(s.grain), tuple(s.labels.items()), s.window.value): s.value for s in snapshot.samples}


def test_figures_of_t1_on_both_databases(t1: DuckStore, shared_t1: Store) -> None:
    """Every measure, at every cut that it has."""
    found = values(t1)

    assert found == pytest.approx(values(shared_t1))
    assert FIGURES == pytest.approx({(kpi, window): found[kpi, "T", (), window] for kpi, window in FIGURES})
    assert 1 == found["large_deals_won", "C", (("currency", "USD"),), "mtd"]
    assert 1_000 == found["won_amount", "C", (("currency", "USD"),), "mtd"]


@pytest.mark.parametrize("kpi_id", ["large_deals_won", "won_tenth", "buyers", "large_share", "long_calls"])
def test_records_explain_the_number(t1: DuckStore, shared_t1: Store, kpi_id: str) -> None:
    """On both databases, at a department too, where its columns stand twice."""
    kpi = in_force(CUSTOMS)[kpi_id]

    def told(store: Store, grain: str, **labels: str) -> tuple[Record, ...]:
        return explain(
            store, company_t1.PORTAL, kpi, kpi.windows[0], Grain.parse(grain), labels,
            now=company_t1.NOW, options=company_t1.OPTIONS,
        )  # fmt: skip

    found = told(t1, "T")
    assert found == told(shared_t1, "T")
    if kpi_id == "won_tenth":
        assert Decimal(10000) == round(Decimal(found[0].contribution or 0))
    elif kpi_id == "large_share":
        assert [("numerator", 2), ("denominator", 3)] == [
            (part, sum(record.part == part for record in found)) for part in ("numerator", "denominator")
        ]
        assert 1 <= len(told(t1, "D", department_id="10"))
    else:
        window = kpi.windows[0].value
        assert FIGURES[kpi_id, window] == len(found)


def test_they_have_metric_families(t1: DuckStore) -> None:
    """Names, help and series like those of the catalogue."""
    kpi = in_force(CUSTOMS)["large_deals_won"]
    snapshot = evaluate(t1, company_t1.PORTAL, [kpi], now=company_t1.NOW, options=company_t1.OPTIONS)
    text = Renderer().text(collect(snapshot, [kpi]).families).decode()

    assert 'b24_manager_large_deals_won{manager_id="101",department_id="11",pipeline_id="0",window="mtd"} 2' in text
    assert "# HELP b24_large_deals_won Large deals" in text


def test_the_catalogue_stays_what_it_is() -> None:
    """Without KPIs of one's own it is the set in force; with them it comes first."""
    assert in_force(()) is KPIS
    known = in_force(CUSTOMS)
    assert list(KPIS) == list(known)[: len(KPIS)]
    assert {"large_deals_won"} <= known.keys() - KPIS.keys()
    assert NOW == known["late_deals"].windows
    assert Unit.RATIO is known["large_share"].unit


WRONG = [
    ({"id": "Large"}, "id: 'Large'"),
    ({"id": "revenue_won"}, "a KPI of the catalogue"),
    ({"id": "talk_share", "measure": "share", "unit": ""}, "that of manager_talk_share"),
    ({"id": "plan_of_mine"}, "b24_plan_of_mine is reserved"),
    ({"id": "manager_info"}, "is reserved"),
    ({"fact": "deals"}, "fact: 'deals'"),
    ({"fact": "closed_deal"}, "did you mean closed_deals?"),
    ({"measure": "total"}, "measure: 'total'"),
    ({"measure": "sum"}, "column: say which"),
    ({"column": "amount"}, "count looks at no column"),
    ({"measure": "sum", "column": "outcome"}, "'outcome' is a text, not a number"),
    ({"measure": "quantile", "column": "amount"}, "a quantile needs a number from 0 to 1"),
    ({"q": 0.5}, "count has none"),
    ({"among": "outcome = 'won'"}, "only a share has it"),
    ({"measure": "share", "unit": "deals"}, "a share is a ratio"),
    ({"measure": "sum", "column": "amount", "unit": ""}, "unit: say what it counts"),
    ({"better": "bigger"}, "better: 'bigger'"),
    ({"by": ("L",)}, "L needs line"),
    ({"by": ("MxR",)}, "there is no cut 'MxR'"),
    ({"by": ()}, "name one cut"),
    ({"windows": ("now",)}, "rows of the past have no now"),
    ({"windows": ("year",)}, "there is no window 'year'"),
    ({"fact": "open_deals", "where": "", "windows": ("mtd",)}, "tells the present only"),
    ({"where": "id IN (SELECT id FROM users)"}, "SELECT id FROM users"),
    ({"title": Title("", "")}, "title: it is empty"),
    ({"title": Title("a\nb", "c")}, "one line"),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[words for _, words in WRONG])
def test_what_cannot_be_meant_is_named(change: dict[str, object], words: str) -> None:
    """With the key, the words, and what may stand there."""
    with pytest.raises(ConfigError) as caught:
        in_force([replace(LARGE, **change)])  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_all_mistakes_of_all_are_told_at_once() -> None:
    """One line each, and the name of the KPI in each."""
    with pytest.raises(ConfigError) as caught:
        in_force([replace(LARGE, fact="x", by=("Q",)), replace(LARGE, id="b", where="foo(1) AND bar"), LARGE, LARGE])
    told = str(caught.value).splitlines()

    assert told[0].startswith("6 mistakes")
    assert all(line.startswith("  custom ") for line in told[1:])


def test_reserved_names_are_those_of_the_exporter() -> None:
    """Whatever is served beside the KPIs cannot be the name of one."""
    from docs import generate

    served = {name.removesuffix("_total") for name, *_ in generate._own()}
    served |= {family.name for family in collect(generate._SILENT, ()).families}
    beginnings = ("b24_exporter_", "b24_threshold_", "b24_plan_", "b24_window_", "b24_mirror_")

    assert set() == {
        n for n in served if n not in RESERVED and not n.startswith(beginnings) and not n.endswith("_info")
    }


def test_every_fact_has_columns_and_works() -> None:
    """A plain count of each, over all of its windows, can be declared."""
    customs = [
        replace(LARGE, id=f"of_{name}", fact=name, where="", unit="", by=("T",), windows=()) for name in SUBJECTS
    ]
    known = in_force(customs)

    assert set(SUBJECTS) == {name for name, columns in columns_of().items() if {"id", "manager_id"} <= columns.keys()}
    assert all({WindowId.NOW, WindowId.MTD} & {*known[custom.id].windows} for custom in customs)

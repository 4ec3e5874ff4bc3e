"""The SQL of facts and aggregates can be carried to PostgreSQL."""

from __future__ import annotations

import re

import pytest
import sqlglot
from sqlglot.errors import ErrorLevel

from b24metrics.kpi import KPIS, aggregates
from b24metrics.kpi.aggregates import Cut
from b24metrics.kpi.facts import ASKED, Fact, View
from b24metrics.kpi.model import COMPANY, DEPARTMENT, MANAGER, MANAGER_PIPELINE, OWN


def needed(view: View) -> list[View]:
    """The view and everything that it reads."""
    return [view, *(other for one in view.needs for other in needed(one))]


ALL = dict.fromkeys(v for kpi in KPIS.values() for fact in aggregates.facts(kpi.measure) for v in needed(fact))
VIEWS = {view.name: view for view in ALL}
CUTS = [Cut(grain) for grain in (COMPANY, MANAGER, MANAGER_PIPELINE, DEPARTMENT, OWN)]


def carried(sql: str) -> str:
    """As PostgreSQL would be asked."""
    return sqlglot.transpile(
        re.sub(r"\$(\w+)", r"1", sql), read="duckdb", write="postgres", unsupported_level=ErrorLevel.RAISE
    )[0]


def test_no_two_views_share_a_table() -> None:
    """Each becomes a temporary table by its name; one would stand in for the other."""
    assert len(ALL) == len(VIEWS)


@pytest.mark.parametrize("view", VIEWS.values(), ids=list(VIEWS))
def test_views_are_plain_sql(view: View) -> None:
    """Every view parses and has a PostgreSQL spelling; it asks for nothing that the evaluator does not know."""
    text = carried(view.sql)

    assert "SELECT" in text
    assert set(re.findall(r"\$(\w+)", view.sql)) <= ASKED


@pytest.mark.parametrize("view", VIEWS.values(), ids=list(VIEWS))
def test_views_name_what_they_read(view: View) -> None:
    """Every ``kpi_`` table that a view reads is one that it needs, or one of the evaluator's."""
    lookups = {
        "kpi_lists", "kpi_rates", "kpi_factors", "kpi_past_rates", "kpi_days", "kpi_kinds", "kpi_windows",
        "kpi_work_days", "kpi_sellers", "kpi_chances", "kpi_people", "kpi_closure",
    }  # fmt: skip
    read = set(re.findall(r"\b(?:FROM|JOIN)\s+(kpi_\w+)", view.sql))

    assert set() == read - lookups - {needed.name for needed in view.needs}


@pytest.mark.parametrize(
    "fact", [view for view in VIEWS.values() if isinstance(view, Fact)], ids=lambda fact: fact.name
)
def test_aggregates_are_plain_sql(fact: Fact) -> None:
    """Cells, windows, the tree, distinct counts and rows."""
    atoms = [
        aggregates.Atom(fact, aggregates.How.COUNT),
        aggregates.Atom(fact, aggregates.How.DISTINCT, "id", "id > 0"),
    ]
    dims = aggregates.dimensions(CUTS)
    for sql in (
        aggregates.counted_sql(fact, atoms[:1], [], CUTS),
        aggregates.counted_sql(fact, [], atoms[1:], CUTS),
        aggregates.counted_sql(fact, atoms[:1], atoms[1:], CUTS),
        aggregates.rows_sql(fact, dims, ["id"], ["", "id > 0"]),
    ):
        assert carried(sql).startswith(("SELECT", "WITH"))


def test_every_fact_of_a_kpi_has_the_columns_of_its_cuts() -> None:
    """A card's cuts are columns of its facts."""
    for kpi in KPIS.values():
        for fact in aggregates.facts(kpi.measure):
            columns = {column for grain in kpi.grains for column in Cut(grain).own_columns} - {"department_id"}
            told = sqlglot.parse_one(re.sub(r"\$(\w+)", "1", fact.sql), read="duckdb").named_selects
            assert columns <= set(told), (kpi.id, fact.name)

"""Plans from a file: what people write is understood, what cannot be meant is told line by line."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from b24metrics.cli import app
from b24metrics.errors import ConfigError
from b24metrics.mirror import schema
from b24metrics.mirror.plans import Plan, load_plans, read_plans, strangers
from b24metrics.mirror.stores import DuckStore


def written(folder: Path, text: str) -> Path:
    path = folder / "plans.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_spreadsheet_in_russian_is_understood(tmp_path: Path) -> None:
    """Semicolons, a byte-order mark, grouped digits and a decimal comma, the company without a number."""
    path = written(
        tmp_path, "\ufefflevel;subject_id;month;amount\nM;101;2026-03;1\u00a0250\u00a0000,50\nT;;2026-03-15;3 000 000\n"
    )

    assert [
        Plan("revenue_won", "M", 101, date(2026, 3, 1), Decimal("1250000.50")),
        Plan("revenue_won", "T", 0, date(2026, 3, 1), Decimal(3000000)),
    ] == read_plans(path)


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    """Nobody mends a file one error at a time."""
    path = written(
        tmp_path,
        "kpi_id,level,subject_id,month,amount\n"
        "revenue_won,X,1,2026-03,1\n"
        "revenue_won,M,Anna,2026-03,1\n"
        "revenue_won,M,1,March,1\n"
        "revenue_won,M,1,2026-03,much\n"
        "revenue_won,M,1,2026-04,-5\n"
        "revenue_won,T,7,2026-03,1\n"
        "revenue_won,M,2,2026-03,1\n"
        "revenue_won,M,2,2026-03-31,2\n"
        "revenue_won,M,3,2026-03,1500,50\n",
    )

    with pytest.raises(ConfigError) as caught:
        read_plans(path)

    assert ["line 2", "line 3", "line 4", "line 5", "line 6", "line 7", "line 9", "line 10"] == [
        line.strip().split(":")[0] for line in str(caught.value).splitlines()[1:]
    ]


def test_a_column_stands_once(tmp_path: Path) -> None:
    """Nobody could say which of the two is meant."""
    with pytest.raises(ConfigError, match="have the column amount twice"):
        read_plans(written(tmp_path, "level,subject_id,month,amount,amount\nM,1,2026-03,1,2\n"))


@pytest.mark.parametrize("text", ["", "who,when,what\n1,2,3\n"])
def test_a_file_without_its_head_is_refused(tmp_path: Path, text: str) -> None:
    """The missing columns are named."""
    with pytest.raises(ConfigError, match="level, month, amount"):
        read_plans(written(tmp_path, text))


def test_loading_replaces_all_plans_of_one_portal() -> None:
    """A plan that left the file leaves the mirror; another portal's plans stay."""
    store = DuckStore()
    old, new = (Plan("revenue_won", "M", who, date(2026, 3, 1), Decimal(5)) for who in (1, 2))
    load_plans(store, "a", [old])
    load_plans(store, "b", [old])

    load_plans(store, "a", [new])

    assert [("a", 2), ("b", 1)] == store.rows("SELECT portal, subject_id FROM plans ORDER BY ALL")
    store.close()


def test_whom_the_mirror_does_not_know_is_named(tmp_path: Path) -> None:
    """The plans are loaded all the same: the record may come later."""
    mirror = tmp_path / "mirror.duckdb"
    store = DuckStore(mirror)
    store.upsert(schema.PORTALS, [{"portal": "here"}])
    store.upsert(schema.USERS, [{"portal": "here", "id": 101}, {"portal": "elsewhere", "id": 102}])
    store.close()
    path = written(
        tmp_path,
        "kpi_id,level,subject_id,month,amount\n"
        "revenue_won,M,101,2026-03,1\nrevenue_won,M,102,2026-03,1\nrevenue_one,D,7,2026-03,1\nrevenue_won,T,0,2026-03,1\n",
    )
    done = CliRunner().invoke(app, ["plan", str(path), "--mirror", str(mirror)])

    assert 0 == done.exit_code
    assert "The mirror does not know user 102, department 7, KPI revenue_one:" in done.stderr
    assert "4 plans are in" in done.stderr


def test_calls_that_the_mirror_does_not_know_are_named() -> None:
    """Each once; of another portal is not of this one, and the company needs no id."""
    store = DuckStore(":memory:")
    store.upsert(schema.PHONE_CALLS, [{"portal": "p", "id": 5}, {"portal": "other", "id": 6}])
    told = [("call", 6), ("call", 5), ("call", 6), ("T", 0)]

    assert ["call 6"] == strangers(store, "p", told)

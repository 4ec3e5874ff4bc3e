"""What ``b24metrics kpi`` and ``explain`` print: one object a line for programs, tables for people."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from b24metrics import reports
from b24metrics.cli import app
from b24metrics.kpi import KPIS, Grain, Sample, WindowId
from b24metrics.mirror.stores import DuckStore
from tests.conftest import ROOT
from tests.kpi import company_t1

AT = "2025-03-14T12:00"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Company T1 in a file, with settings that name it and two KPIs of its own."""
    made = tmp_path_factory.mktemp("t1")
    store = DuckStore(made / "t1.duckdb", threads=1)
    company_t1.load(store)
    store.close()
    (made / "b24.toml").write_text(
        """
[mirror]
path = "t1.duckdb"
[reporting]
language = "en"
[[custom]]
id = "large_deals_won"
title = { ru = "Крупные сделки", en = "Large deals" }
fact = "closed_deals"
measure = "count"
where = "outcome = 'won' AND amount >= 90000"
unit = "deals"
""",
        encoding="utf-8",
    )
    return made


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command on that company, in a terminal of 80 columns."""
    for name in [name for name in os.environ if name.startswith("B24_")]:
        monkeypatch.delenv(name)

    def command(*words: str, columns: int = 80) -> tuple[int, str, str]:
        monkeypatch.setattr("b24metrics.console.out._width", columns)
        done = CliRunner().invoke(app, [*words, "-c", str(folder / "b24.toml")], catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    return command


# ---------------------------------------------------------------- for programs


def test_one_object_a_line(run: Run) -> None:
    """Exactly these keys; one id for every letter of the level, as a string."""
    code, out, _ = run("kpi", "revenue_won", "win_rate", "-w", "mtd", "-b", "M", "-b", "MxP", "--at", AT, "--json")
    rows = [json.loads(line) for line in out.splitlines()]

    assert 0 == code
    assert {("id", "level", "labels", "window", "value", "n", "numerator", "denominator")} == {
        tuple(row) for row in rows
    }
    assert {"id": "revenue_won", "level": "M", "labels": {"manager_id": "101"}, "window": "mtd", "value": 190_000.0,
            "n": 2, "numerator": None, "denominator": None} in rows  # fmt: skip
    assert {"id": "win_rate", "level": "M×P", "labels": {"manager_id": "103", "pipeline_id": "0"}, "window": "mtd",
            "value": 1.0, "n": 1, "numerator": 1.0, "denominator": 1.0} in rows  # fmt: skip
    assert [None] == [
        row["value"] for row in rows if row["labels"] == {"manager_id": "201"} and row["id"] == "win_rate"
    ]


def test_a_number_of_the_company_that_is_not_there_is_null(run: Run) -> None:
    """A KPI without any sample still answers for the company."""
    _, out, _ = run("kpi", "website_visit_to_lead_rate", "-w", "mtd", "-b", "T", "--at", AT, "--json")

    assert [{"id": "website_visit_to_lead_rate", "level": "T", "labels": {}, "window": "mtd", "value": None, "n": None,
             "numerator": None, "denominator": None}] == [json.loads(line) for line in out.splitlines()]  # fmt: skip


#: Labels that the rulings (§19) and cards add to those of the index.
RULED = {
    "dials_per_deal": {"outcome"}, "manager_load_open_deals": {"stat"}, "manager_rank": {"within"},
    "call_answers_positive_count": {"method"},
    "call_answers_negative_count": {"method"}, "call_answer_positive_share": {"method"},
}  # fmt: skip
#: One label for every letter of a level.
LETTERS = {
    "M": "manager_id", "D": "department_id", "P": "pipeline_id", "S": "stage_id", "R": "source_id", "C": "currency",
    "L": "line",
}  # fmt: skip


def index() -> dict[str, tuple[str, frozenset[str]]]:
    """Ids of the catalogue's index: chapter and label names."""
    found = {}
    for line in (ROOT / "tests" / "golden" / "kpi_ids.txt").read_text(encoding="utf-8").splitlines():
        chapter, written = line.split()
        name, _, labels = written.partition("{")
        found[name] = chapter, frozenset(filter(None, labels.rstrip("}").split(",")))
    return found


@pytest.mark.parametrize("kpi_id", index())
def test_every_id_of_the_catalogue_has_its_labels(kpi_id: str) -> None:
    """Level and label names of every cut, as a program reads them."""
    kpi = KPIS[kpi_id]
    chapter, labels = index()[kpi_id]
    assert (chapter, labels | RULED.get(kpi_id, set())) == (kpi.chapter.value, {*kpi.labels})
    for grain in kpi.grains:
        sample = Sample(kpi, grain, dict.fromkeys((*grain.labels, *kpi.labels), "x"), kpi.windows[0], None)
        told = reports.as_object(sample)
        letters = [LETTERS[letter] for letter in told["level"].split("×") if letter != "T"]
        assert {*letters, *kpi.labels} == told["labels"].keys()


# ---------------------------------------------------------------- for people


def test_a_table_resolves_names_and_writes_numbers_in_full(run: Run) -> None:
    """Windows side by side; money with its sign, ratios as per cent."""
    words = ("kpi", "revenue_won", "win_rate", "large_deals_won", "-w", "mtd", "-b", "M", "-b", "C", "--at", AT)
    _, out, _ = run(*words, "--no-trend")

    assert re.search(r"Anna +│ +₽190,000 │ +2 ", out)
    assert re.search(r"USD +│ +\$1,000 ", out)
    assert re.search(r"Igor +│ +– │ +0 ", out)
    assert "Revenue won (revenue_won)" in out
    assert "Large deals (large_deals_won)" in out
    assert 1 == out.count("├")  # between managers and currencies; large deals are not cut by currency
    assert "manager_id" not in out


def test_a_trend_shows_the_comparable_past(run: Run) -> None:
    """Boris won in February, by the same day of the month; nobody before. Where one number is asked for, unasked."""
    words = ("kpi", "revenue_won", "-w", "mtd", "-b", "M", "--at", AT)
    _, out, _ = run(*words, "--trend")

    assert re.search(r"Anna .*▁▁▁▁▁▁▁█", out)
    assert re.search(r"Boris .*▁▁▁▁▁▁█▁", out)
    assert out == run(*words)[1]
    assert "trend" not in run(*words, "-w", "7d")[1]


def test_stages_stand_in_the_order_of_their_pipeline(run: Run) -> None:
    """A funnel is read from above."""
    _, out, _ = run("kpi", "stage_reached_count", "-w", "mtd", "--no-trend", "--at", AT)

    assert ["New", "Qual", "Offer", "Contract", "Won"] == re.findall(r"│ (\w+) +│ +\d+ │", out)


def test_numbers_stay_whole_where_the_terminal_is_narrow(run: Run) -> None:
    """Windows that do not fit stand below, each with the names; a window and its trend stay together."""
    for columns, pieces in ((40, 4), (80, 2), (160, 1)):
        _, out, _ = run("kpi", "revenue_won", "--at", AT, columns=columns)
        assert pieces == out.count("company")
        assert max(map(len, out.splitlines())) <= columns
        assert {"today", "yesterday", "7d", "30d", "wtd", "mtd", "qtd", "prev_month"} == set(
            re.findall(r"[a-z0-9_]+", " ".join(line for line in out.splitlines() if "┃" in line))
        )
        assert "₽244,000" in out
    _, out, _ = run("kpi", "revenue_won", "--trend", "-w", "mtd", "-w", "prev_month", "--at", AT, columns=40)
    assert ["mtd trend", "prev_month trend"] == [
        " ".join(re.findall(r"\w+", line)) for line in out.splitlines() if "┃" in line
    ]


@pytest.mark.parametrize(
    ("values", "shown"),
    [((1.0, 2.0, 3.0), "▃▆█"), ((None, 0.0, 4.0), "·▁█"), ((5.0,), ""), ((None, None), ""), ((-1.0, 1.0), "▁█"), ((0.0, 0.0), "▁▁")],
)  # fmt: skip
def test_a_little_chart(values: tuple[float | None, ...], shown: str) -> None:
    """Its bottom is zero, or the least value below it."""
    assert shown == reports.spark(values)


def test_a_list_of_all_ids(run: Run) -> None:
    """With titles, cuts and windows; the company's own among them; no mirror is asked."""
    _, out, _ = run("kpi", "--list", columns=250)

    assert [] == [kpi_id for kpi_id in KPIS if kpi_id not in out]
    assert "Large deals" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["revenu_won"], "Did you mean revenue_won"),
        (["zzz"], "b24metrics kpi --list"),
        (["revenue_won", "-w", "mdt"], "Did you mean mtd?"),
        (["revenue_won", "-b", "Q"], "Known: T, M, D"),
        (["win_rate", "-w", "today"], "win_rate has no window today. Its windows: 7d"),
        (["calls_count", "-b", "C"], "calls_count is not cut by C. Its cuts: "),
        (["revenue_won", "--at", "noon"], "no instant"),
        (["--list", "--json"], "--list is for people"),
    ],
)
def test_wrong_words_get_a_sentence(run: Run, words: list[str], told: str) -> None:
    """With the next step; nothing is printed as a result."""
    code, out, err = run("kpi", *words)

    assert (1, "") == (code, out)
    assert told in err


# ---------------------------------------------------------------- explain


def test_records_lead_into_the_portal(run: Run) -> None:
    """As JSON and as a table; at 80 columns nothing is cut."""
    words = ("explain", "large_deals_won", "-w", "mtd", "--at", AT)
    _, out, _ = run(*words, "--json")
    assert [
        {"part": "", "kind": "deal", "id": n, "title": f"Deal {n}", "contribution": 1,
         "link": f"https://t1.example/crm/deal/details/{n}/"} for n in (1, 2)
    ] == [json.loads(line) for line in out.splitlines()]  # fmt: skip

    for columns in (80, 160):
        _, out, _ = run(*words, columns=columns)
        assert "https://t1.example/crm/deal/details/2/" in out
        assert max(map(len, out.splitlines())) <= columns
    _, out, _ = run(*words, columns=50)
    assert "deal 2" in out


def test_a_label_that_is_missing_is_asked_for(run: Run) -> None:
    """Whose number, by the name of the label."""
    _, _, err = run("explain", "revenue_won", "-b", "M", "-w", "mtd")
    assert "Say whose number: manager_id=…." in err
    _, _, err = run("explain", "time_in_stage_seconds_median", "-b", "T")
    assert "stage=…" in err


def test_labels_tell_whose_number_it_is(run: Run) -> None:
    """Without a cut; the title says whose number it is, what it is, and of how many records."""
    words = ("-w", "mtd", "--at", AT)
    _, out, _ = run("explain", "revenue_won", "manager_id=101", *words, columns=120)
    _, same, _ = run("explain", "revenue_won", "-b", "M", "manager_id=101", *words, columns=120)
    _, company, _ = run("explain", "revenue_won", *words, columns=120)

    assert out == same
    assert out.startswith("Revenue won (revenue_won), mtd, Anna")
    assert "₽190,000 (records 2)" in out
    assert "₽244,000 (records 3)" in company


def test_a_stage_names_its_pipeline(run: Run) -> None:
    """What JSON shows as labels is enough to ask for the records."""
    _, out, _ = run("kpi", "open_deals_count", "-b", "S", "--at", AT, "--json")
    shown = [json.loads(line) for line in out.splitlines()]
    (label,) = shown[0]["labels"].items()
    _, found, _ = run("explain", "open_deals_count", "=".join(label), "--at", AT, "--json")

    assert shown[0]["value"] == len(found.splitlines())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["manager_id=999"], "The mirror knows no manager_id=999"),
        (["manager"], "'manager': say whose number as in manager_id=101."),
        (["stage_id=NEW"], "revenue_won has no number of stage_id=NEW. Its cuts and their labels: M manager_id; D"),
        (["-b", "T", "manager_id=101"], "Its cuts and their labels: T."),
    ],
)
def test_labels_that_mean_nothing_are_refused(run: Run, words: list[str], told: str) -> None:
    """They are never left out of sight: the number would be somebody else's."""
    code, out, err = run("explain", "revenue_won", *words, "-w", "mtd", "--at", AT)

    assert (1, "") == (code, out)
    assert told in err


@pytest.mark.parametrize("written", ["0001-01-01", "1969-12-31T23:59:59+00:00", "9999-12-31"])
def test_instants_that_are_none_of_a_portal_are_refused(run: Run, written: str) -> None:
    """Before anything is computed."""
    code, _, err = run("kpi", "revenue_won", "--at", written)

    assert 1 == code
    assert f"{written} lies outside the years 2000 to 2098" in err


def test_the_companys_own_cards_are_shown(run: Run) -> None:
    """By the command that checks the settings."""
    code, out, err = run("config", columns=120)

    assert 0 == code
    assert "count of closed_deals where outcome = 'won' AND amount >= 90000" in out
    assert "b24_large_deals_won" in out
    assert "The settings are good." in err


def test_places_of_samples_tell_them_apart() -> None:
    """Cut, window and labels."""
    one = Sample(KPIS["revenue_won"], Grain(), {}, WindowId.MTD, 1.0)
    assert reports.place_of(one) != reports.place_of(one._replace(window=WindowId.D7))

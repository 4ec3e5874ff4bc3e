"""From a snapshot to text: the whole exposition of the toy company against a hand-written file, and its laws."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from b24exporter.health import Health
from b24metrics.clock import HandClock
from b24metrics.exposition.families import clean, collect
from b24metrics.exposition.text import Renderer
from b24metrics.kpi.model import MANAGER, OWN, WindowId
from b24metrics.kpi.results import Directory, ManagerInfo, Sample
from tests.exporter.toy import HOSTILE, KPIS, RESPONSE, REVENUE, a_board, a_snapshot, an_edition

#: Written by hand from toy.py and the table of names in kpi/model.py; HELP lines are compared apart.
EXPECTED = """\
b24_company_first_response_seconds_median{window="mtd"} 754.5
b24_company_first_response_seconds_median_n{window="mtd"} 4
b24_company_first_response_seconds_median_n{window="today"} 0
b24_company_plan_attainment_ratio{window="mtd"} 0.488
b24_company_plan_attainment_ratio_denominator{window="mtd"} 500000
b24_company_plan_attainment_ratio_numerator{window="mtd"} 244000
b24_deals_won{department_id="11",pipeline_id="0",window="mtd"} 2
b24_department_info{department_id="10",department="Отдел продаж",head_id="103"} 1
b24_department_info{department_id="11",department="Группа <b>\\"Юг\\"</b>",parent_id="10"} 1
b24_department_revenue_won{department_id="10",window="mtd"} 244000
b24_manager_info{manager_id="101",manager="Анна Петрова",department_id="11",active="true"} 1
b24_manager_info{manager_id="102",manager="Борис Ким",department_id="11",active="true"} 1
b24_manager_info{manager_id="103",manager="Вера Соколова",department_id="10",active="true"} 1
b24_manager_info{manager_id="104",manager="Зоя \\"Max\\" \\\\ O'Neil <script>alert(1)</script>&amp;",department_id="10",active="false"} 1
b24_manager_plan_attainment_ratio{manager_id="101",department_id="11",window="mtd"} 0.6333333333333333
b24_manager_plan_attainment_ratio{manager_id="102",department_id="11",window="mtd"} 0
b24_manager_plan_attainment_ratio{manager_id="103",department_id="10",window="mtd"} 1.08
b24_manager_plan_attainment_ratio{manager_id="104",department_id="10",window="mtd"} 0.30864195
b24_manager_plan_attainment_ratio_denominator{manager_id="101",department_id="11",window="mtd"} 300000
b24_manager_plan_attainment_ratio_denominator{manager_id="102",department_id="11",window="mtd"} 200000
b24_manager_plan_attainment_ratio_denominator{manager_id="103",department_id="10",window="mtd"} 50000
b24_manager_plan_attainment_ratio_denominator{manager_id="104",department_id="10",window="mtd"} 40000000
b24_manager_plan_attainment_ratio_numerator{manager_id="101",department_id="11",window="mtd"} 190000
b24_manager_plan_attainment_ratio_numerator{manager_id="102",department_id="11",window="mtd"} 0
b24_manager_plan_attainment_ratio_numerator{manager_id="103",department_id="10",window="mtd"} 54000
b24_manager_plan_attainment_ratio_numerator{manager_id="104",department_id="10",window="mtd"} 12345678
b24_manager_revenue_won{manager_id="101",department_id="11",window="mtd"} 190000
b24_manager_revenue_won{manager_id="102",department_id="11",window="mtd"} 0
b24_manager_revenue_won{manager_id="103",department_id="10",window="mtd"} 54000
b24_manager_revenue_won{manager_id="104",department_id="10",window="mtd"} 12345678
b24_pipeline_info{pipeline_id="0",pipeline="Общая",sort="10"} 1
b24_revenue_won{department_id="10",window="mtd"} 54000
b24_revenue_won{department_id="11",window="mtd"} 190000
b24_source_info{source_id="WEB",source="Сайт"} 1
b24_stage_info{stage_id="C1:WON",stage="Успех",pipeline_id="1",semantics="S",sort="90"} 1
b24_stage_info{stage_id="NEW",stage="Новая",pipeline_id="0",semantics="P",sort="10"} 1
b24_window_end_timestamp_seconds{window="mtd"} 1741942800
b24_window_end_timestamp_seconds{window="today"} 1741942800
b24_window_start_timestamp_seconds{window="mtd"} 1740776400
b24_window_start_timestamp_seconds{window="today"} 1741899600
b24_window_worktime_elapsed_ratio{window="mtd"} 0.4444444444444444
"""


def text_of(snapshot) -> str:
    return Renderer().text(collect(snapshot, KPIS).families).decode()


def test_the_toy_company_is_printed_as_by_hand() -> None:
    """Names, labels and values as the table of kpi/model.py says; nothing for "nothing"; names only in info families."""
    lines = text_of(a_snapshot()).splitlines(keepends=True)

    assert EXPECTED == "".join(line for line in lines if not line.startswith("#"))


def test_help_says_what_it_is_that_it_is_cached_and_how_windows_behave() -> None:
    """HELP is English and comes from the declaration."""
    (line,) = [line for line in text_of(a_snapshot()).splitlines() if line.startswith("# HELP b24_revenue_won ")]

    assert (
        "# HELP b24_revenue_won Revenue won (own members of the department only). Revenue won, as it is. "
        "Computed once per refresh round. One series per window: pin the window, never add windows up."
    ) == line


def test_names_travel_in_info_families_alone() -> None:
    """No KPI series carries the name of a person or a department."""
    for family in text_string_to_metric_families(text_of(a_snapshot())):
        if not family.name.endswith("_info"):
            for sample in family.samples:
                assert {"manager", "department", "stage", "pipeline"}.isdisjoint(sample.labels)


def test_a_doubtful_series_is_left_out_and_reported() -> None:
    """Two values for one series, or an infinite one: neither is printed, both are counted, the rest stays; NaN is nothing."""
    mtd = WindowId.MTD
    samples = [
        Sample(REVENUE, OWN, {"department_id": "1"}, mtd, 1.0),
        Sample(REVENUE, OWN, {"department_id": "1"}, mtd, 2.0),
        Sample(REVENUE, OWN, {"department_id": "2"}, mtd, float("nan")),
        Sample(REVENUE, OWN, {"department_id": "3"}, mtd, float("inf")),
        Sample(REVENUE, OWN, {"department_id": "4"}, mtd, 4.0),
    ]

    collection = collect(replace(a_snapshot(), samples=tuple(samples)), KPIS)
    text = Renderer().text(collection.families).decode()

    assert {("b24_revenue_won", "duplicate"): 1, ("b24_revenue_won", "not a number"): 1} == collection.dropped
    assert ['b24_revenue_won{department_id="4",window="mtd"} 4'] == [
        line for line in text.splitlines() if line.startswith("b24_revenue_won{")
    ]


def test_label_order_in_a_sample_does_not_matter() -> None:
    """Labels are found by name: a sample that spells them in another order is the same series."""
    crooked = Sample(REVENUE, MANAGER, {"department_id": "11", "manager_id": "101"}, WindowId.MTD, 5.0)

    text = text_of(a_snapshot([crooked]))

    assert 'b24_manager_revenue_won{manager_id="101",department_id="11",window="mtd"} 5\n' in text


def test_a_kpi_without_samples_leaves_no_trace() -> None:
    """A feed that is absent gives no series and no header, so that nobody takes it for zero."""
    assert RESPONSE.families[0].name not in text_of(replace(a_snapshot(), samples=()))


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Анна  Петрова ", "Анна Петрова"),
        ("a\tb\r\nc\u2028d\u0085e\u0000f", "a b c d e f"),
        ("abc\u202egpj.exe\u2066\u200f", "abcgpj.exe"),
        ("pair \ud83d lone", "pair lone"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("\u0000", ""),
        ("x" * 500, "x" * 119 + "…"),
    ],
)
def test_names_are_cleaned_and_stay_readable(typed: str, kept: str) -> None:
    """Control characters become blanks, direction marks vanish, length is bounded; letters and joined emoji stay."""
    assert kept == clean(typed)


def test_the_last_of_two_people_with_one_id_has_the_name() -> None:
    """An info family has one series per id, so that joins never find two partners."""
    twins = Directory(managers=(ManagerInfo(1, "Old", 10, active=True), ManagerInfo(1, "New", 11, active=True)))

    text = text_of(replace(a_snapshot(), directory=twins))

    assert ['b24_manager_info{manager_id="1",manager="New",department_id="11",active="true"} 1'] == [
        line for line in text.splitlines() if line.startswith("b24_manager_info{")
    ]


def test_no_series_comes_twice_in_a_whole_scrape(clock: HandClock) -> None:
    """KPIs, directory, windows and live health together: every name with its labels once, every family once."""
    board = a_board(an_edition())
    text = text_of(a_snapshot()) + Health(board, clock, "0.1.0").text().decode()
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    types = [line for line in text.splitlines() if line.startswith("# TYPE")]

    assert sorted(set(series)) == sorted(series)
    assert sorted({line.split()[2] for line in types}) == sorted(line.split()[2] for line in types)
    assert HOSTILE not in text


@pytest.mark.real
def test_promtool_has_nothing_to_say_of_a_whole_scrape(program: Callable[[str], str], clock: HandClock) -> None:
    """`promtool check metrics` accepts KPIs, info, windows and health, hostile names included."""
    board = a_board(an_edition())
    board.portal_up = True
    board.seconds = {"sync": 1.5, "evaluate": 0.2, "render": 0.1}
    text = text_of(a_snapshot()).encode() + Health(board, clock, "0.1.0", working_now=lambda _: True).text()

    done = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)

    assert (0, "", "") == (done.returncode, done.stdout.decode(), done.stderr.decode())

"""Employees, departments, working time, tasks. Reference §18, §19, §21."""

from __future__ import annotations

from typing import Any

import pytest

from b24metrics.clock import HandClock
from b24metrics.sim.server import Sim

from .conftest import NOON, Asker


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["ID"]) for row in rows]


# ---------------------------------------------------------------- employees


def test_employees_have_true_and_false_and_unserialised_dates(ask: Asker) -> None:
    """Booleans, departments as numbers, days at midnight UTC, and {} where an object was never made text."""
    ann = ask.result("user.get", ID=7)[0]

    assert {
        "ID": "7",
        "ACTIVE": True,
        "UF_DEPARTMENT": [5],
        "TIME_ZONE": "",
        "TIMESTAMP_X": {},
        "LAST_ACTIVITY_DATE": {},
        "UF_EMPLOYMENT_DATE": "2020-05-01T03:00:00+03:00",
        "LAST_LOGIN": "",
        "USER_TYPE": "employee",
        "IS_ONLINE": "N",
    }.items() <= ann.items()


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, [1, 7, 8, 9]),
        ({"FILTER": {"ACTIVE": True}}, [1, 7, 9]),
        ({"FILTER": {"ACTIVE": False}}, [8]),
        ({"filter": {"ACTIVE": "N"}}, [8]),
        ({"ACTIVE": "Y", "UF_DEPARTMENT": 5}, [7, 9]),
        ({"FILTER": {"UF_DEPARTMENT": [1, 5]}}, [7, 8, 9]),
        ({"FILTER": {">ID": 7}}, [8, 9]),
        ({"FILTER": {"@ID": [7, 9]}}, [7, 9]),
        ({"ID": [7, 8]}, [7, 8]),
        ({"FILTER": {"NAME_SEARCH": "lee"}}, [7]),
        ({"FILTER": {"%LAST_NAME": "rov"}}, [8]),
        ({"FILTER": {">TIMESTAMP_X": "2025-03-07T00:00:00+03:00"}}, [7]),
        ({"FILTER": {">TIMESTAMP_X": "yesterday"}}, []),
        ({"FILTER": {"NO_SUCH": 1}}, [1, 7, 8, 9]),
        ({"sort": "ID", "order": "DESC"}, [9, 8, 7, 1]),
        ({"sort": "LAST_NAME", "order": "ASC"}, [7, 9, 8, 1]),
    ],
)
def test_user_filters(ask: Asker, params: dict[str, object], expected: list[int]) -> None:
    """In FILTER or on top level; unknown keys are dropped; a date that is none finds nobody."""
    assert expected == ids(ask.result("user.get", **params))


def test_nobody_found_is_a_bare_list(ask: Asker) -> None:
    """Not even a total."""
    assert {"result", "time"} == set(ask("user.get", ID=99))


def test_users_walk_by_id(sim: Sim, ask: Asker) -> None:
    sim.data.execute("INSERT INTO \"user\" BY NAME SELECT i AS ID, 'x' AS NAME FROM range(100, 220) r(i)")
    answer = ask("user.get", FILTER={">ID": 120}, sort="ID", order="ASC", start=-1)

    assert (list(range(121, 171)), 0, False) == (ids(answer["result"]), answer["total"], "next" in answer)
    assert 124 == ask("user.get")["total"]


def test_bots_and_mail_users_are_not_employees(sim: Sim, ask: Asker) -> None:
    """Bots never come, mail users when asked for."""
    for number, kind in ((20, "bot"), (21, "email"), (22, "extranet")):
        sim.data.insert("user", {"ID": number, "USER_TYPE": kind})

    assert [1, 7, 8, 9, 22] == ids(ask.result("user.get"))
    assert [21] == ids(ask.result("user.get", USER_TYPE="email"))


@pytest.mark.parametrize(
    ("scope", "shown", "hidden"),
    [
        ("user_brief", {"NAME", "UF_DEPARTMENT", "TIME_ZONE", "ACTIVE"}, {"EMAIL", "WORK_PHONE", "LAST_LOGIN"}),
        ("user_basic", {"NAME", "EMAIL", "WORK_PHONE"}, {"LAST_LOGIN"}),
        ("user", {"NAME", "EMAIL", "LAST_LOGIN"}, set()),
    ],
)
def test_scopes_decide_what_of_a_person_is_shown(
    sim: Sim, asker: Any, scope: str, shown: set[str], hidden: set[str]
) -> None:
    row = asker(sim.add_webhook(1, "scoped", scopes=frozenset({scope}))).result("user.get", ID=7)[0]

    assert shown <= set(row)
    assert hidden.isdisjoint(row)


def test_the_current_user_has_dates_as_text(sim: Sim, asker: Any) -> None:
    """Unlike in user.get."""
    sim.data.update("user", "ID = 7", [], {"LAST_ACTIVITY_DATE": NOON, "LAST_LOGIN": NOON})
    row = asker(sim.add_webhook(7, "ann")).result("user.current")

    assert ("7", "2025-03-14 12:00:00", "2025-03-14T12:00:00+03:00") == tuple(
        row[name] for name in ("ID", "LAST_ACTIVITY_DATE", "LAST_LOGIN")
    )


def test_search_finds_parts_of_names(ask: Asker) -> None:
    assert [8] == ids(ask.result("user.search", FILTER={"LAST_NAME": "etro"}))


# ---------------------------------------------------------------- departments


def test_departments_mix_their_types(ask: Asker) -> None:
    """ID, PARENT and UF_HEAD are text, SORT a number; the root has no PARENT, nobody's head is absent."""
    assert [
        {"ID": "1", "NAME": "Company", "SORT": 500},
        {"ID": "5", "NAME": "Sales", "SORT": 500, "PARENT": "1", "UF_HEAD": "7"},
    ] == ask.result("department.get", sort="ID", order="ASC", START=0)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"ID": 5}, [5]),
        ({"PARENT": 1}, [5]),
        ({"UF_HEAD": 7}, [5]),
        ({"NAME": "Company"}, [1]),
        ({"ID": [1, 5]}, [1, 5]),
    ],
)
def test_departments_are_filtered_on_top_level(ask: Asker, params: dict[str, object], expected: list[int]) -> None:
    assert expected == ids(ask.result("department.get", **params))


# ---------------------------------------------------------------- calendar and working time


def test_the_portals_calendar(ask: Asker) -> None:
    """Hours and holidays as texts and lists of two-letter days."""
    settings = ask.result("calendar.settings.get")

    assert ("9", "18", ["SA", "SU"], "MO") == tuple(
        settings[name] for name in ("work_time_start", "work_time_end", "week_holidays", "week_start")
    )
    assert "8.03" in settings["year_holidays"].split(",")
    assert ("Europe/Moscow", "9.00") == tuple(
        ask.result("calendar.user.settings.get")[name] for name in ("timezoneName", "work_time_start")
    )


def test_absences_by_employee(sim: Sim, ask: Asker) -> None:
    """A map by user, a list each, [] without events; times as text in the portal's format and as UTC seconds."""
    sim.data.insert(
        "accessibility",
        {"ID": 3, "USER_ID": 7, "NAME": "Leave", "FROM_AT": NOON, "TO_AT": NOON + 86_400, "ACCESSIBILITY": "absent"},
    )
    busy = ask.result("calendar.accessibility.get", users=[7, 9], **{"from": "2025-03-14", "to": "2025-03-14"})

    assert {"7", "9"} == set(busy)
    assert [] == busy["9"]
    assert {
        "ID": "3", "DATE_FROM": "14.03.2025 12:00:00", "DATE_FROM_TS_UTC": "1741942800", "DATE_TO_TS_UTC": "1742029200",
        "ACCESSIBILITY": "absent", "DT_SKIP_TIME": "N", "~USER_OFFSET_FROM": 10800,
    }.items() <= busy["7"][0].items()  # fmt: skip
    assert {"7": []} == ask.result(
        "calendar.accessibility.get", users=[7], **{"from": "2025-03-10", "to": "2025-03-13"}
    )
    assert ["3"] == [event["ID"] for event in ask.result("calendar.event.get", type="user", ownerId=7)]


def test_a_workday_from_opening_to_expiry(sim: Sim, ask: Asker, clock: HandClock) -> None:
    """OPENED, CLOSED with its duration without breaks, EXPIRED when forgotten overnight, and the report of the month."""
    sim.data.insert("workday", {"ID": 1, "USER_ID": 7, "STARTED_AT": NOON - 3 * 3600})
    opened = ask.result("timeman.status", USER_ID=7)
    clock.move(86_400)
    expired = ask.result("timeman.status", USER_ID=7)
    sim.change_quietly("workday", 1, FINISHED_AT=NOON + 6 * 3600, LEAKS=3600)
    closed = ask.result("timeman.status", USER_ID=7)

    assert [("OPENED", True), ("EXPIRED", False), ("CLOSED", False)] == [
        (row["STATUS"], row["ACTIVE"]) for row in (opened, expired, closed)
    ]
    assert ("08:00:00", "2025-03-14T18:00:00+03:00") == (closed["DURATION"], closed["TIME_FINISH"])
    day = ask.result("timeman.timecontrol.reports.get", USER_ID=7, MONTH=3, YEAR=2025)["report"]["days"]
    assert [(20250314, 28_800)] == [(row["index"], row["workday_duration"]) for row in day]
    assert (400, "", "User not found") == ask.refused("timeman.status", USER_ID=99)


def test_schedules_are_known_by_id_only(sim: Sim, ask: Asker) -> None:
    """Seconds from midnight, weekdays as digits; an unknown id is an empty list."""
    sim.data.insert("schedule", {"ID": 4, "WORK_DAYS": "123456", "BREAK_DURATION": 1800})

    assert (32_400, 64_800, 1800, "123456") == tuple(
        ask.result("timeman.schedule.get", id=4)["SHIFTS"][0][name]
        for name in ("WORK_TIME_START", "WORK_TIME_END", "BREAK_DURATION", "WORK_DAYS")
    )
    assert [] == ask.result("timeman.schedule.get", id=5)
    assert "09:15:00" == ask.result("timeman.settings", USER_ID=7)["UF_TM_MAX_START"]


# ---------------------------------------------------------------- tasks


@pytest.fixture
def with_tasks(sim: Sim) -> Sim:
    for number, status, deadline, bound in (
        (1, 2, NOON - 60, ["D_77"]),
        (2, 5, NOON - 60, None),
        (3, 3, NOON + 60, None),
    ):
        sim.data.insert(
            "task",
            {"ID": number, "TITLE": f"T{number}", "STATUS": status, "DEADLINE": deadline, "UF_CRM_TASK": bound,
             "RESPONSIBLE_ID": 7, "CHANGED_DATE": NOON + number},
        )  # fmt: skip
    return sim


def task_ids(result: dict[str, Any]) -> list[int]:
    return [int(row["id"]) for row in result["tasks"]]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, [3, 2, 1]),
        ({"order": {"ID": "asc"}}, [1, 2, 3]),
        ({"filter": {"STATUS": -1}}, [1]),
        ({"filter": {"STATUS": [2, 3]}}, [3, 1]),
        ({"filter": {"REAL_STATUS": 5}}, [2]),
        ({"filter": {"!STATUS": 5}}, [3, 1]),
        ({"filter": {">=CHANGED_DATE": "2025-03-14T12:00:02+03:00"}}, [3, 2]),
        ({"filter": {"UF_CRM_TASK": "D_77"}}, [1]),
        ({"filter": {"%TITLE": "t2"}}, [2]),
        ({"filter": {">ID": 1}, "order": {"ID": "asc"}, "start": -1}, [2, 3]),
    ],
)
def test_task_lists(with_tasks: Sim, ask: Asker, params: dict[str, object], expected: list[int]) -> None:
    """Newest first; -1 means overdue; asked in capitals, answered in camel case."""
    assert expected == task_ids(ask.result("tasks.task.list", **params))


def test_task_rows(with_tasks: Sim, ask: Asker) -> None:
    """Values are text, dates or null; bindings only when selected, false when empty; a person as an object."""
    rows = ask.result(
        "tasks.task.list", select=["ID", "STATUS", "DEADLINE", "CLOSED_DATE", "RESPONSIBLE_ID", "UF_CRM_TASK"]
    )["tasks"]

    assert [(False, "3"), (False, "5"), (["D_77"], "-1")] == [(row["ufCrmTask"], row["subStatus"]) for row in rows]
    assert {
        "id": "1",
        "status": "2",
        "deadline": "2025-03-14T11:59:00+03:00",
        "closedDate": None,
        "group": [],
    }.items() <= rows[2].items()
    assert ("7", "Ann Lee") == tuple(rows[0]["responsible"][name] for name in ("id", "name"))
    assert "ufCrmTask" not in ask.result("tasks.task.list")["tasks"][0]


def test_a_bad_order_of_tasks_is_an_internal_error(ask: Asker) -> None:
    assert (400, "0", "Invalid sorting key (internal error)") == ask.refused("tasks.task.list", order={"NOPE": "asc"})


def test_a_tasks_life(sim: Sim, ask: Asker, clock: HandClock) -> None:
    """Added, closed, looked up in its history, deleted."""
    task = ask.result("tasks.task.add", fields={"TITLE": "x", "RESPONSIBLE_ID": 7, "UF_CRM_TASK": ["D_1"]})["task"]
    clock.move(60)
    closed = ask.result("tasks.task.update", taskId=task["id"], fields={"STATUS": 5})["task"]

    assert ("2", None, "5", "2025-03-14T12:01:00+03:00") == (
        task["status"], task["closedDate"], closed["status"], closed["closedDate"],
    )  # fmt: skip
    assert ["NEW", "STATUS"] == [row["field"] for row in ask.result("tasks.task.history.list", taskId=1)["list"]]
    ask.result("tasks.task.delete", taskId=1)
    assert (400, "0") == ask.refused("tasks.task.get", taskId=1)[:2]

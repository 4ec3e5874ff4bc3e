"""Users, departments, absences, schedules, workdays."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from b24metrics.crm import people
from b24metrics.crm.people import Absence, Department, User
from b24metrics.errors import UnreadableRow
from b24metrics.mirror.schema import DEPARTMENTS, USERS

MOSCOW = ZoneInfo("Europe/Moscow")


def test_a_user() -> None:
    user = User.read({
        "ID": "7", "ACTIVE": True, "NAME": "Ann", "LAST_NAME": "Lee", "TIME_ZONE": "", "UF_DEPARTMENT": [5, 1],
        "DATE_REGISTER": "2024-07-22T00:00:00+00:00", "UF_EMPLOYMENT_DATE": "2024-07-22T03:00:00+03:00",
        "WORK_POSITION": "", "USER_TYPE": "employee", "TIMESTAMP_X": {}, "LAST_ACTIVITY_DATE": {}, "IS_ONLINE": "N",
        "UF_USR_1724228142162": ["26"],
    })  # fmt: skip

    assert (True, "Ann", "Lee", None, None, "employee") == (
        user.active, user.name, user.last_name, user.position, user.zone, user.user_type,
    )  # fmt: skip
    assert ((5, 1), datetime(2024, 7, 22, tzinfo=UTC), date(2024, 7, 22)) == (
        user.department_ids, user.registered_at, user.employed_on,
    )  # fmt: skip
    assert (None, None) == (user.modified_at, user.last_activity_at)
    assert {"UF_USR_1724228142162": ["26"]} == user.user_fields
    assert {} == user.extra


@pytest.mark.parametrize("nothing", [False, [], ""])
def test_a_user_without_department(nothing: object) -> None:
    assert () == User.read({"ID": "7", "UF_DEPARTMENT": nothing}).department_ids


def test_users_are_asked_for_without_phones() -> None:
    listing = people.users(active=True)

    assert {"ACTIVE": True} == listing.filter
    assert {"ID", "WORK_POSITION", "TIME_ZONE", "UF_DEPARTMENT"} <= set(listing.select)
    assert set() == {"EMAIL", "PERSONAL_MOBILE", "WORK_PHONE", "PERSONAL_BIRTHDAY", "SECOND_NAME"} & set(listing.select)
    assert set(USERS.columns) - {"id", "dismissed_at"} | {"department_ids"} == set(User.asked)


def test_one_user_or_none() -> None:
    """user.get answers a list, empty where nobody is."""
    request = people.user(7)

    assert {"ID": 7} == request.params
    assert (7, None) == ((found := request.decode([{"ID": "7"}])) and found.id, request.decode([]))


def test_departments() -> None:
    """The root has no PARENT; a head of "0" is nobody."""
    root, sales = (
        Department.read({"ID": "1", "NAME": "Company", "SORT": 500}),
        Department.read({"ID": "5", "NAME": "Sales", "SORT": "500", "PARENT": "1", "UF_HEAD": "0"}),
    )

    assert [(1, None, None, 500), (5, 1, None, 500)] == [
        (one.id, one.parent_id, one.head_id, one.sort) for one in (root, sales)
    ]
    assert set(DEPARTMENTS.columns) <= set(Department.model_fields)


def test_who_the_webhook_is() -> None:
    profile = people.profile().decode({"ID": "1", "ADMIN": True, "NAME": "Ann", "TIME_ZONE": "Europe/Berlin"})

    assert (1, True, "Europe/Berlin") == (profile.id, profile.admin, profile.zone)


# ---------------------------------------------------------------- absences


def absences(rows: object) -> tuple[Absence, ...]:
    return people.absences([7, 8], date(2025, 12, 1), date(2025, 12, 31)).decode(rows)


def test_a_meeting_has_its_hours() -> None:
    """Epoch seconds say it exactly; the text is in the language of the portal and is not needed."""
    found = absences({
        "7": [{
            "ID": "12", "NAME": "Call", "DATE_FROM": "12/02/2025 11:00:00 am", "DATE_TO": "12/02/2025 12:00:00 pm",
            "DATE_FROM_TS_UTC": "1764662400", "DATE_TO_TS_UTC": "1764666000", "~USER_OFFSET_FROM": 10800,
            "DT_SKIP_TIME": "N", "TZ_FROM": "Europe/Moscow", "ACCESSIBILITY": "busy", "IMPORTANCE": "normal",
        }],
        "8": [],
    })  # fmt: skip

    (meeting,) = found
    span = (datetime(2025, 12, 2, 8, tzinfo=UTC), datetime(2025, 12, 2, 9, tzinfo=UTC))

    assert (7, 12, "busy", False) == (meeting.user_id, meeting.id, meeting.kind, meeting.whole_days)
    assert span == (meeting.starts_at, meeting.ends_at) == meeting.interval(MOSCOW)


@pytest.mark.parametrize(
    ("first", "last", "from_stamp", "to_stamp"),
    [
        ("02.12.2025", "04.12.2025", "1764633600", "1764806400"),  # midnights in UTC
        ("02.12.2025", "04.12.2025", "1764622800", "1764795600"),  # midnights of Moscow
        ("12/02/2025", "12/04/2025", "1764633600", "1764806400"),  # a portal that writes the month first
        ("12/02/2025", "12/04/2025", "1764622800", "1764795600"),
        ("12/02/2025", "12/04/2025", "1764651600", "1764824400"),  # midnights of New York
        ("02.12.2025 00:00:00", "04.12.2025 00:00:00", None, None),
    ],
)
def test_a_vacation_of_whole_days_ends_with_its_last_day(
    first: str, last: str, from_stamp: str | None, to_stamp: str | None
) -> None:
    """The portal names the last day; half-open, the absence ends a day later, in the zone where the person lives."""
    (vacation,) = absences({
        "7": [{
            "ID": 3, "DATE_FROM": first, "DATE_TO": last, "DATE_FROM_TS_UTC": from_stamp, "DATE_TO_TS_UTC": to_stamp,
            "DT_SKIP_TIME": "Y", "ACCESSIBILITY": "absent",
        }]
    })  # fmt: skip

    assert (datetime(2025, 12, 2, tzinfo=UTC), datetime(2025, 12, 5, tzinfo=UTC)) == (
        vacation.starts_at,
        vacation.ends_at,
    )
    assert (datetime(2025, 12, 1, 21, tzinfo=UTC), datetime(2025, 12, 4, 21, tzinfo=UTC)) == vacation.interval(MOSCOW)
    assert (True, "absent") == (vacation.whole_days, vacation.kind)


def test_an_absence_of_the_staff_chart() -> None:
    """The chart's rows have keys of their own and no flag: a date without hours is a whole day."""
    whole, part = absences({
        "7": [
            {"FROM_HR": True, "ID": "31", "DT_FROM": "02.12.2025", "DT_TO": "02.12.2025", "ACCESSIBILITY": "absent",
             "FROM": 1764622800, "TO": 1764622800},
            {"FROM_HR": True, "ID": "32", "DT_FROM": "03.12.2025 14:00:00", "DT_TO": "03.12.2025 16:00:00",
             "ACCESSIBILITY": "absent", "FROM": 1764759600, "TO": 1764766800},
        ]
    })  # fmt: skip

    assert (True, datetime(2025, 12, 2, tzinfo=UTC), datetime(2025, 12, 3, tzinfo=UTC)) == (
        whole.whole_days, whole.starts_at, whole.ends_at,
    )  # fmt: skip
    assert (False, datetime(2025, 12, 3, 11, tzinfo=UTC), datetime(2025, 12, 3, 13, tzinfo=UTC)) == (
        part.whole_days, part.starts_at, part.ends_at,
    )  # fmt: skip
    assert (True, True) == (whole.from_staff_chart, part.from_staff_chart)


def test_an_event_without_seconds_is_read_in_its_zone() -> None:
    """Older portals send text and zones only."""
    (trip,) = absences({
        "7": [{"ID": 1, "DATE_FROM": "02.12.2025 11:00:00", "DATE_TO": "02.12.2025 12:00:00", "DT_SKIP_TIME": "N",
               "TZ_FROM": "Europe/Moscow", "TZ_TO": "Europe/Moscow", "ACCESSIBILITY": "absent"}],
    })  # fmt: skip

    assert datetime(2025, 12, 2, 8, tzinfo=UTC) == trip.starts_at


@pytest.mark.parametrize("nothing", [[], {"7": [], "8": []}, {"7": "", "8": None}])
def test_nobody_is_absent(nothing: object) -> None:
    """PHP writes an empty map as []."""
    assert () == absences(nothing)


def test_an_absence_without_an_end_is_refused() -> None:
    """Counting working time around it would be a guess."""
    with pytest.raises(UnreadableRow) as caught:
        absences({"7": [{"ID": "5", "DATE_FROM_TS_UTC": "1764662400", "DT_SKIP_TIME": "N"}]})

    assert ("calendar.accessibility.get", "5") == (caught.value.method, caught.value.record_id)


def test_absences_are_asked_for_by_people_and_days() -> None:
    request = people.absences([7, 8], date(2025, 12, 1), date(2025, 12, 31))

    assert {"users": [7, 8], "from": date(2025, 12, 1), "to": date(2025, 12, 31)} == request.params


# ---------------------------------------------------------------- schedules


def test_a_schedule() -> None:
    """Hours are seconds from midnight, days are digits with Monday 1."""
    schedule = people.schedule(1).decode({
        "ID": 1, "NAME": "All", "SCHEDULE_TYPE": "FIXED", "DELETED": "0", "IS_FOR_ALL_USERS": True,
        "SHIFTS": [{"ID": 1, "BREAK_DURATION": 3600, "WORK_TIME_START": 28800, "WORK_TIME_END": 61200,
                    "WORK_DAYS": "12345", "DELETED": False}],
        "CALENDAR": {"ID": 1, "EXCLUSIONS": []},
    })  # fmt: skip

    assert schedule is not None
    (shift,) = schedule.shifts
    assert ("FIXED", True, False, {}) == (
        schedule.kind, schedule.is_for_all_users, schedule.deleted, schedule.exclusions,
    )  # fmt: skip
    assert (28800, 61200, 3600, (1, 2, 3, 4, 5)) == (
        shift.starts_seconds, shift.ends_seconds, shift.break_seconds, shift.weekdays,
    )  # fmt: skip


@pytest.mark.parametrize("nothing", [[], False, None])
def test_an_unknown_schedule_is_none(nothing: object) -> None:
    assert people.schedule(5).decode(nothing) is None


def test_a_workday() -> None:
    workday = people.workday(7).decode({
        "STATUS": "PAUSED", "TIME_START": "2025-03-27T08:00:01+02:00", "TIME_FINISH": None, "DURATION": "08:17:53",
        "TIME_LEAKS": "00:17:53", "ACTIVE": False, "TZ_OFFSET": 7200,
    })  # fmt: skip

    assert ("PAUSED", datetime(2025, 3, 27, 6, 0, 1, tzinfo=UTC), None) == (
        workday.status, workday.started_at, workday.finished_at,
    )  # fmt: skip
    assert (29873, 1073, 7200) == (workday.worked_seconds, workday.paused_seconds, workday.zone_offset_seconds)

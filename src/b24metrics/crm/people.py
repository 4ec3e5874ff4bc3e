"""Users, departments, absences, schedules, and the workday of one person.

Laws: the first of ``department_ids`` is the primary department; ``zone`` None means the portal's own. A user is never
deleted, only made inactive, and the day of that is not told. Absences are half-open; one of whole days belongs to the
person's own days, whatever zone these are in: ask ``interval``.
Source: vendor, "Users", "Departments", "Calendar", "Working time"; absences of the staff chart observed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from b24metrics.crm.entity import Entity, one, one_or_none, wire
from b24metrics.crm.items import since
from b24metrics.crm.moments import (
    epoch,
    instant,
)
from b24metrics.crm.values import (
    flag,
    items,
    mapping,
    pairs,
    reference,
    text,
)
from b24metrics.crm.wiretypes import (
    Day,
    DepartmentId,
    Flag,
    Id,
    Instant,
    Map,
    Moment,
    Ref,
    Refs,
    Seconds,
    Text,
    UserId,
    Weekdays,
    Whole,
)
from b24metrics.portal.request import Listing, Request


class User(Entity):
    """A person of the portal. ``active`` False: dismissed. Phones and e-mail need the scope ``user`` or ``user_basic``."""

    asked: ClassVar[tuple[str, ...]] = (
        "active", "name", "last_name", "position", "zone", "user_type", "registered_at", "employed_on", "department_ids",
    )  # fmt: skip

    id: Id[UserId]
    active: Flag = None
    name: Text = None
    second_name: Text = None
    last_name: Text = None
    position: Text = wire("WORK_POSITION")
    email: Text = None
    work_phone: Text = None
    mobile_phone: Text = wire("PERSONAL_MOBILE")
    inner_phone: Text = wire("UF_PHONE_INNER")
    zone: Text = wire("TIME_ZONE")
    user_type: Text = None
    registered_at: Instant = wire("DATE_REGISTER")
    employed_on: Day = wire("UF_EMPLOYMENT_DATE")
    born_on: Day = wire("PERSONAL_BIRTHDAY")
    department_ids: Refs[DepartmentId] = wire("UF_DEPARTMENT")
    last_login_at: Instant = wire("LAST_LOGIN")
    last_activity_at: Instant = wire("LAST_ACTIVITY_DATE")
    modified_at: Instant = wire("TIMESTAMP_X")
    is_online: Flag = None


class Profile(Entity):
    """Who the webhook or token is, without any scope. ``admin`` tells whether everything is visible."""

    id: Id[UserId]
    admin: Flag = None
    name: Text = None
    last_name: Text = None
    zone: Text = wire("TIME_ZONE")


class Department(Entity):
    """A department; the root has no ``parent_id``."""

    id: Id[DepartmentId]
    name: Text = None
    parent_id: Ref[DepartmentId] = wire("PARENT")
    head_id: Ref[UserId] = wire("UF_HEAD")
    sort: Whole = None


class Absence(Entity):
    """One span of a person's calendar: a vacation, a trip, a meeting.

    ``kind``: ``absent`` (vacation, illness), ``busy``, ``quest`` (perhaps busy) or ``free``. ``[starts_at, ends_at)`` are
    instants; for ``whole_days`` they are midnights written in UTC, and the days are those of the person's own zone.
    ``from_staff_chart``: it was entered in the portal's absence chart and not in a calendar. A repeating event comes
    once per occurrence, each time with the same ``id``.
    """

    spent: ClassVar[frozenset[str]] = frozenset({
        "DATE_FROM", "DATE_TO", "DT_FROM", "DT_TO", "DATE_FROM_TS_UTC", "DATE_TO_TS_UTC", "FROM", "TO",
    })  # fmt: skip

    user_id: Ref[UserId] = None
    id: Ref[int] = None
    name: Text = None
    kind: Text = wire("ACCESSIBILITY")
    importance: Text = None
    event_type: Text = None
    whole_days: Flag = wire("DT_SKIP_TIME")
    starts_at: Moment
    ends_at: Moment
    zone: Text = wire("TZ_FROM")
    from_staff_chart: Flag = wire("FROM_HR")

    @classmethod
    def prepare(cls, values: dict[str, Any], row: Mapping[str, Any], _method: str, /) -> None:
        """Read the span, which the portal writes as epoch seconds, as text, or both."""
        first, last = (
            _End.of(row, "DATE_FROM", "DT_FROM", "FROM", "TZ_FROM"),
            _End.of(row, "DATE_TO", "DT_TO", "TO", "TZ_TO"),
        )
        if "whole_days" not in values:
            values["whole_days"] = first.text is not None and ":" not in first.text  # the staff chart has no such flag
        if flag(values["whole_days"]):
            # The portal names the last day; half-open, the span ends with it.
            begins, ends = first.midnight(), last.midnight()
            values["starts_at"], values["ends_at"] = begins, ends and ends + timedelta(days=1)
        else:
            values["starts_at"], values["ends_at"] = first.instant(), last.instant()

    def interval(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """The absence as ``[start, end)`` in UTC for a person who lives in ``zone``."""
        if not self.whole_days:
            return self.starts_at, self.ends_at
        start, end = (at.replace(tzinfo=zone).astimezone(UTC) for at in (self.starts_at, self.ends_at))
        return start, end


class Shift(Entity):
    """Working hours of a schedule, in seconds since midnight. ``weekdays``: ISO numbers, Monday 1."""

    id: Ref[int] = None
    name: Text = None
    starts_seconds: Whole = wire("WORK_TIME_START")
    ends_seconds: Whole = wire("WORK_TIME_END")
    break_seconds: Whole = wire("BREAK_DURATION")
    weekdays: Weekdays = wire("WORK_DAYS", default=())
    deleted: Flag = None


class Schedule(Entity):
    """A work schedule of the portal. It has no zone, and nothing tells who works by it."""

    id: Ref[int] = None
    name: Text = None
    kind: Text = wire("SCHEDULE_TYPE")
    report_period: Text = None
    is_for_all_users: Flag = None
    deleted: Flag = None
    created_at: Instant = wire("CREATED_AT")
    shifts: tuple[Shift, ...] = ()
    exclusions: Map = None

    @classmethod
    def prepare(cls, values: dict[str, Any], row: Mapping[str, Any], method: str, /) -> None:
        """Read the shifts, and the days that the schedule's calendar excepts."""
        values["shifts"] = tuple(Shift.read(item, method) for item in items(values.get("shifts")))
        values["exclusions"] = mapping(mapping(row.get("CALENDAR")).get("EXCLUSIONS"))


class Workday(Entity):
    """Today's workday of one person. ``status``: OPENED, PAUSED, CLOSED or EXPIRED (left open yesterday)."""

    status: Text = None
    started_at: Instant = wire("TIME_START")
    finished_at: Instant = wire("TIME_FINISH")
    expected_finish_at: Instant = wire("TIME_FINISH_DEFAULT")
    worked_seconds: Seconds = wire("DURATION")
    paused_seconds: Seconds = wire("TIME_LEAKS")
    active: Flag = None
    zone_offset_seconds: Whole = wire("TZ_OFFSET")


_OFFSET = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")


class _End(NamedTuple):
    """One end of an absence as the portal writes it: text in a zone, and epoch seconds."""

    text: str | None
    stamp: object
    zone: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any], event: str, staff: str, staff_stamp: str, zone: str) -> _End:
        """From an event's keys or, where these are missing, from those of the staff chart."""
        stamp = row.get(f"{event}_TS_UTC")
        return cls(
            text(row.get(event)) or text(row.get(staff)),
            row.get(staff_stamp) if stamp is None else stamp,
            text(row.get(zone)),
        )

    def instant(self) -> datetime | None:
        """Seconds say it exactly; text without an offset is read in the zone beside it."""
        if (at := epoch(self.stamp)) is not None:
            return at
        at = instant(self.text)
        if at is None or self.zone is None or _OFFSET.search(self.text or ""):
            return at
        try:
            return at.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC)
        except (ValueError, ZoneInfoNotFoundError):
            raise ValueError("a zone that is not known") from None

    def midnight(self) -> datetime | None:
        """The day, as its midnight in UTC.

        Text says it exactly, unless the portal's language writes dates ambiguously; seconds are midnight of some zone
        that the answer need not name, so the nearest midnight in UTC is the day's.
        """
        try:
            at = instant(self.text)
        except ValueError:
            at = None
        if at is None and (at := epoch(self.stamp)) is not None:
            at += timedelta(hours=12)
        return at and at.replace(hour=0, minute=0, second=0, microsecond=0)


def users(
    *,
    active: bool | None = None,
    modified_since: datetime | None = None,
    select: Iterable[str] | None = None,
    user_fields: Iterable[str] = (),
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the vendor's word
) -> Listing[User]:
    """People of the portal, dismissed ones included, without phones and e-mail unless ``select`` names them.

    Args:
        active: only those who work here (True) or were dismissed (False).
        modified_since: only those whose card changed at or after this aware instant.
        select: fields of User to ask for instead.
        user_fields: ``UF_USR_…`` to ask for besides.
        filter: further conditions; an unknown key is ignored by the portal, not refused.
    """
    method = "user.get"
    conditions = {} if active is None else {"ACTIVE": active}
    return Listing(
        method,
        User.reader(method),
        {**conditions, **since("TIMESTAMP_X", modified_since), **(filter or {})},
        User.spelled((*(User.asked if select is None else select), *user_fields)),
    )


def user(user_id: int) -> Request[User | None]:
    """One person, or None where there is none or it is hidden."""
    method = "user.get"

    def decode(result: object) -> User | None:
        return next((User.read(row, method) for row in items(result)), None)

    return Request(method, {"ID": int(user_id)}, decode)


def current_user() -> Request[User]:
    """The person behind the webhook or token, with all that its scopes show."""
    method = "user.current"
    return Request(method, {}, one(User.reader(method)))


def profile() -> Request[Profile]:
    """The person behind the webhook or token; needs no scope."""
    return Request("profile", {}, one(Profile.reader("profile")))


def departments(*, filter: Mapping[str, Any] | None = None) -> Listing[Department]:  # noqa: A002 - the vendor's word
    """The department tree, flat."""
    method = "department.get"
    return Listing(method, Department.reader(method), filter or {})


def absences(user_ids: Iterable[int], first: date, last: date) -> Request[tuple[Absence, ...]]:
    """What stands in the calendars of these people from ``first`` to ``last``, both days included.

    Meetings and reminders come too: a vacation is ``kind == "absent"``.
    """
    method = "calendar.accessibility.get"
    params = {"users": [int(user_id) for user_id in user_ids], "from": first, "to": last}

    def decode(result: object) -> tuple[Absence, ...]:
        return tuple(
            Absence.read(row, method, user_id=reference(user_id))
            for user_id, rows in pairs(result)
            for row in items(rows)
        )

    return Request(method, params, decode)


def schedule(schedule_id: int) -> Request[Schedule | None]:
    """One work schedule, or None. There is no list of them: ids show only in the portal's pages."""
    method = "timeman.schedule.get"
    return Request(method, {"id": int(schedule_id)}, one_or_none(Schedule.reader(method)))


def workday(user_id: int | None = None) -> Request[Workday]:
    """Today's workday of a person, by default of the one behind the webhook."""
    method = "timeman.status"
    return Request(method, {} if user_id is None else {"USER_ID": int(user_id)}, one(Workday.reader(method)))

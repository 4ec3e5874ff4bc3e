"""Working time: which seconds count, for whom, and how many lie between two instants."""

from b24metrics.worktime.bitrix24 import (
    PlannedShift,
    absence_of,
    calendar_of_schedule,
    calendar_of_settings,
    exclusion_days,
)
from b24metrics.worktime.book import Calendars, Employee
from b24metrics.worktime.calendar import Version, WorkCalendar
from b24metrics.worktime.publicholidays import PREHOLIDAY_SHORTEN_SECONDS, PublicHolidays
from b24metrics.worktime.shifts import Absence, Shift
from b24metrics.worktime.sqltable import WORK_DAYS_COLUMNS, join_sql, work_days, worked_sql
from b24metrics.worktime.workclock import WorkClock
from b24metrics.worktime.zones import zone_database

__all__ = [
    "PREHOLIDAY_SHORTEN_SECONDS",
    "WORK_DAYS_COLUMNS",
    "Absence",
    "Calendars",
    "Employee",
    "PlannedShift",
    "PublicHolidays",
    "Shift",
    "Version",
    "WorkCalendar",
    "WorkClock",
    "absence_of",
    "calendar_of_schedule",
    "calendar_of_settings",
    "exclusion_days",
    "join_sql",
    "work_days",
    "worked_sql",
    "zone_database",
]

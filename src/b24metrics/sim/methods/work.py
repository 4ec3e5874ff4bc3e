"""Calendar, absences, work schedules, workdays, tasks.

Source: vendor, "calendar.settings.get", "calendar.accessibility.get", "timeman.*", "tasks.task.*".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from b24metrics.sim import filters, php, tables, views
from b24metrics.sim.calls import Answer, Call, method, paged, record_write, untied
from b24metrics.sim.data import Row, Where
from b24metrics.sim.filters import Op, Target, UnreadableDateError
from b24metrics.sim.methods.crm import written
from b24metrics.sim.refusals import Refusal, legacy
from b24metrics.sim.tables import TASK, Kind

# ---------------------------------------------------------------- calendar


@method("calendar.settings.get", "calendar")
def calendar_settings(call: Call) -> object:
    settings = call.session.settings
    return {
        "work_time_start": settings["WORK_TIME_START"],
        "work_time_end": settings["WORK_TIME_END"],
        "year_holidays": settings["YEAR_HOLIDAYS"],
        "year_workdays": settings["YEAR_WORKDAYS"],
        "week_holidays": settings["WEEK_HOLIDAYS"] or [],
        "week_start": settings["WEEK_START"],
        "user_name_template": "#NAME# #LAST_NAME#",
        "sync_by_push": True,
        "user_show_login": True,
        "path_to_user": "/company/personal/user/#user_id#/",
        "path_to_user_calendar": "/company/personal/user/#user_id#/calendar/",
        "rm_for_sites": "",
        "dep_manager_sub": True,
    }


@method("calendar.user.settings.get", "calendar")
def calendar_user_settings(call: Call) -> object:
    settings = call.session.settings
    return {
        "view": "month",
        "showDeclined": False,
        "timezoneName": php.text(call.session.user["TIME_ZONE"]) or call.session.zone.key,
        "timezoneDefaultName": "",
        "work_time_start": f"{settings['WORK_TIME_START']}.00",
        "work_time_end": f"{settings['WORK_TIME_END']}.00",
    }


def _required(call: Call, name: str, wording: str) -> object:
    value = call.arg(name)
    if php.blank(value):
        raise legacy(wording.format(name=name, method=call.name))
    return value


_NOT_SET = 'The required parameter "{name}" for the method "{method}" is not set.'
_NOT_SPECIFIED = 'Mandatory parameter not specified "{name}" for the method "{method}"'


def _period(call: Call, since: object, until: object) -> tuple[int, int]:
    """[from, to) with the last day included when it has no time."""
    reader = call.session.reader
    try:
        low, high = reader.moment(since), reader.moment(until)
    except UnreadableDateError as fault:
        raise legacy(f"Wrong date: {fault}") from fault
    if high.time() == high.time().min:
        high += timedelta(days=1)
    return int(low.timestamp()), int(high.timestamp())


def _shown_event(call: Call, row: Mapping[str, object]) -> dict[str, object]:
    zone = call.session.zone
    low, high = (datetime.fromtimestamp(php.integer(row[name]), zone) for name in ("FROM_AT", "TO_AT"))
    offset = low.utcoffset() or timedelta()
    if row["SKIP_TIME"]:
        high -= timedelta(days=1)  # stored half-open; whole days are told with their last day included
    form = "%d.%m.%Y" if row["SKIP_TIME"] else "%d.%m.%Y %H:%M:%S"
    return {
        "ID": str(row["ID"]),
        "NAME": row["NAME"],
        "DATE_FROM": low.strftime(form),
        "DATE_TO": high.strftime(form),
        "DATE_FROM_TS_UTC": str(row["FROM_AT"]),
        "DATE_TO_TS_UTC": str(int(high.timestamp())),
        "~USER_OFFSET_FROM": int(offset.total_seconds()),
        "~USER_OFFSET_TO": int(offset.total_seconds()),
        "DT_SKIP_TIME": "Y" if row["SKIP_TIME"] else "N",
        "TZ_FROM": zone.key,
        "TZ_TO": zone.key,
        "ACCESSIBILITY": row["ACCESSIBILITY"],
        "IMPORTANCE": row["IMPORTANCE"],
        "EVENT_TYPE": row["EVENT_TYPE"],
    }


@method("calendar.accessibility.get", "calendar")
def accessibility(call: Call) -> object:
    since, until = _required(call, "from", _NOT_SET), _required(call, "to", _NOT_SET)
    users = php.as_list(_required(call, "users", _NOT_SET))
    low, high = _period(call, since, until)
    busy: dict[str, object] = {}
    for user in users:
        rows = call.data.records(
            "SELECT * FROM accessibility WHERE USER_ID = ? AND TO_AT > ? AND FROM_AT < ? AND CAL_TYPE = 'user' "
            "ORDER BY FROM_AT, ID",
            [php.integer(user), low, high],
        )
        busy[str(php.integer(user))] = [_shown_event(call, row) for row in rows]
    return php.php_map(busy)


@method("calendar.event.get", "calendar")
def calendar_events(call: Call) -> object:
    kind = php.text(_required(call, "type", _NOT_SPECIFIED))
    owner = php.integer(call.arg("ownerId"))
    today = call.session.today()
    since = call.arg("from") or (today - timedelta(days=31)).date().isoformat()
    until = call.arg("to") or (today + timedelta(days=92)).date().isoformat()
    low, high = _period(call, since, until)
    rows = call.data.records(
        "SELECT * FROM accessibility WHERE CAL_TYPE = ? AND (? = 0 OR USER_ID = ?) AND TO_AT > ? AND FROM_AT < ? "
        "ORDER BY FROM_AT, ID",
        [kind, owner, owner, low, high],
    )
    return [
        _shown_event(call, row) | {"CAL_TYPE": kind, "OWNER_ID": str(row["USER_ID"]), "DELETED": "N"} for row in rows
    ]


# ---------------------------------------------------------------- working time


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _subject(call: Call) -> int:
    user = php.integer(call.arg("USER_ID")) or call.user_id
    if call.data.value('SELECT ID FROM "user" WHERE ID = ?', [user]) is None:
        raise legacy("User not found")
    return user


@method("timeman.status", "timeman")
def workday_status(call: Call) -> object:
    user = _subject(call)
    midnight = call.session.today().replace(hour=0, minute=0, second=0, microsecond=0)
    rows = call.data.records(
        "SELECT * FROM workday WHERE USER_ID = ? AND STARTED_AT <= ? ORDER BY STARTED_AT DESC LIMIT 1",
        [user, int(call.now)],
    )
    if not rows:
        return {"STATUS": "CLOSED", "TIME_START": None, "TIME_FINISH": None, "DURATION": "00:00:00", "ACTIVE": False}
    row = rows[0]
    start, finish = php.integer(row["STARTED_AT"]), row["FINISHED_AT"]
    running = "OPENED" if start >= midnight.timestamp() else "EXPIRED"
    status = running if finish is None else "CLOSED"
    ended = php.integer(finish) if finish is not None else 0
    worked = ended - start - php.integer(row["LEAKS"]) if finish is not None else 0
    shown = call.session.renderer.instant
    return {
        "STATUS": status,
        "TIME_START": shown(start),
        "TIME_FINISH": None if finish is None else shown(finish),
        "DURATION": _clock(max(0, worked)),
        "TIME_LEAKS": _clock(php.integer(row["LEAKS"])),
        "ACTIVE": status == "OPENED",
        "IP_OPEN": "",
        "IP_CLOSE": "",
        "LAT_OPEN": 0,
        "LON_OPEN": 0,
        "LAT_CLOSE": 0,
        "LON_CLOSE": 0,
        "TZ_OFFSET": int((midnight.utcoffset() or timedelta()).total_seconds()),
    }


@method("timeman.settings", "timeman")
def workday_settings(call: Call) -> object:
    _subject(call)
    rows = call.data.records("SELECT * FROM schedule ORDER BY ID LIMIT 1")
    start = php.integer(rows[0]["WORK_TIME_START"]) if rows else 32_400
    finish = php.integer(rows[0]["WORK_TIME_END"]) if rows else 64_800
    return {
        "UF_TIMEMAN": True,
        "UF_TM_FREE": False,
        "UF_TM_MAX_START": _clock(start + 900),
        "UF_TM_MIN_FINISH": _clock(finish - 900),
        "UF_TM_MIN_DURATION": _clock(finish - start - 3600),
        "UF_TM_ALLOWED_DELTA": "00:15:00",
    }


@method("timeman.schedule.get", "timeman")
def schedule(call: Call) -> object:
    record = call.data.record(tables.SCHEDULE, php.integer(call.arg("id")))
    if record is None:
        return []
    number = record["ID"]
    return {
        "ID": number,
        "NAME": record["NAME"],
        "SCHEDULE_TYPE": record["SCHEDULE_TYPE"],
        "REPORT_PERIOD": "MONTH",
        "REPORT_PERIOD_OPTIONS": {"START_WEEK_DAY": 0},
        "CALENDAR_ID": number,
        "ALLOWED_DEVICES": {"browser": True},
        "DELETED": "0",
        "IS_FOR_ALL_USERS": record["IS_FOR_ALL_USERS"],
        "WORKTIME_RESTRICTIONS": ["[]"],
        "CONTROLLED_ACTIONS": 3,
        "UPDATED_BY": 1,
        "DELETED_BY": 0,
        "DELETED_AT": "",
        "CREATED_BY": 0,
        "CREATED_AT": call.session.renderer.instant(record["CREATED_AT"]),
        "SHIFTS": [
            {
                "ID": number,
                "NAME": "",
                "BREAK_DURATION": record["BREAK_DURATION"],
                "WORK_TIME_START": record["WORK_TIME_START"],
                "WORK_TIME_END": record["WORK_TIME_END"],
                "WORK_DAYS": record["WORK_DAYS"],
                "SCHEDULE_ID": number,
                "DELETED": False,
            }
        ],
        "CALENDAR": {"ID": number, "NAME": "", "PARENT_CALENDAR_ID": 0, "SYSTEM_CODE": "", "EXCLUSIONS": []},
        "SCHEDULE_VIOLATION_RULES": [],
    }


@method("timeman.timecontrol.reports.get", "timeman")
def timecontrol_report(call: Call) -> object:
    user, month, year = (php.integer(call.arg(name)) for name in ("USER_ID", "MONTH", "YEAR"))
    if not user or not 1 <= month <= 12 or not year:
        raise Refusal("ACCESS_ERROR", "You don't have access to report for this user")
    people = call.data.records('SELECT * FROM "user" WHERE ID = ?', [user])
    if not people:
        raise Refusal("USER_ACCESS_ERROR", "You don't have access to report for this user")
    zone = call.session.zone
    low = datetime(year, month, 1, tzinfo=zone)
    high = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
    days: list[dict[str, object]] = []
    for row in call.data.records(
        "SELECT * FROM workday WHERE USER_ID = ? AND STARTED_AT >= ? AND STARTED_AT < ? ORDER BY STARTED_AT",
        [user, int(low.timestamp()), int(high.timestamp())],
    ):
        start, finish = php.integer(row["STARTED_AT"]), row["FINISHED_AT"]
        days.append(
            {
                "index": int(datetime.fromtimestamp(start, zone).strftime("%Y%m%d")),
                "workday_date_start": call.session.renderer.instant(start),
                "workday_date_finish": None if finish is None else call.session.renderer.instant(finish),
                "workday_time_leaks_user": row["LEAKS"],
                "workday_duration": 0 if finish is None else php.integer(finish) - start - php.integer(row["LEAKS"]),
                "reports": [],
            }
        )
    person = people[0]
    return {
        "report": {"month_title": low.strftime("%B"), "date_start": low.isoformat(), "days": days},
        "user": {"id": user, "name": f"{person['NAME']} {person['LAST_NAME']}", "active": person["ACTIVE"]},
    }


# ---------------------------------------------------------------- tasks

_OVERDUE = -1


def _task_target(name: str) -> Target | None:
    if name == "ID":
        return Target("ID", Kind.ID)
    aliases = {"REAL_STATUS": "STATUS", "ACCOMPLICE": "ACCOMPLICES", "AUDITOR": "AUDITORS"}
    field = TASK.legacy.get(aliases.get(name, name))
    return Target(f'"{field.name}"', field.kind) if field else None


def _task_where(call: Call, given: php.Params) -> Where:
    where = Where()
    rest: php.Params = {}
    overdue = f"DEADLINE < {int(call.now)} AND STATUS NOT IN (4, 5)"
    for key, value in given.items():
        op, name = filters.split_key(key, filters.TASKS)
        if name == "STATUS" and op is Op.EQ and _OVERDUE in map(php.integer, php.as_list(value)):
            others = [str(php.integer(member)) for member in php.as_list(value) if php.integer(member) > 0]
            where.add(f"({overdue}) OR STATUS IN ({', '.join(others)})" if others else overdue)
        elif name == "ONLY_ROOT_TASKS" and php.yes(value):
            where.add("PARENT_ID IS NULL")
        else:
            rest[key] = value
    filters.flat(rest, filters.TASKS, _task_target, call.session.reader, where)
    views.hide(call.session, TASK, where)
    return where


@method("tasks.task.list", "task")
def task_list(call: Call) -> Answer:
    where = _task_where(call, php.as_map(call.arg("filter")))
    by: list[tuple[str, bool]] = []
    for name, way in php.as_map(call.arg("order")).items():
        target = _task_target(name.upper())
        if target is None:
            raise Refusal("0", "Invalid sorting key (internal error)")
        by.append((target.sql, php.text(way).lower().startswith("desc")))
    wanted = [php.text(name).upper() for name in php.as_list(call.arg("select"))]
    every = not wanted or "*" in wanted
    names = [n for n in TASK.legacy if n == "ID" or n in wanted or (every and n != "UF_CRM_TASK")]
    columns = list(dict.fromkeys([*(n for n in names if n != "ID"), "STATUS", "DEADLINE", "RESPONSIBLE_ID"]))
    start = call.start()
    rows, total, following, counted = paged(
        call, "task", columns, where, untied(by) if by else [("ID", True)], start=start, rounded=True
    )
    return Answer({"tasks": _task_rows(call, rows, columns, names)}, total, following, counted, max(0, start))


def _task_rows(call: Call, rows: list[Row], columns: list[str], names: list[str]) -> list[dict[str, object]]:
    if not rows:
        return []
    fetched = dict(zip(["ID", *columns], zip(*rows, strict=True), strict=True))
    legacy_form = call.session.renderer.legacy
    shown = {tables.camel(name): legacy_form(TASK.by_name[name], fetched[name]) for name in names}
    for name in ("auditors", "accomplices"):
        if name in shown:
            shown[name] = [[str(member) for member in php.as_list(value)] for value in shown[name]]
    records = [dict(zip(shown, values, strict=True)) for values in zip(*shown.values(), strict=True)]
    people = {row[0]: row for row in call.data.rows('SELECT ID, NAME, LAST_NAME, WORK_POSITION FROM "user"')}
    for index, record in enumerate(records):
        status, deadline = php.integer(fetched["STATUS"][index]), fetched["DEADLINE"][index]
        late = deadline is not None and php.integer(deadline) < call.now and status not in {4, 5}
        record["group"] = []
        if "responsibleId" in record:
            record["responsible"] = _person(people, fetched["RESPONSIBLE_ID"][index])
        record["subStatus"] = str(_OVERDUE if late else status)
    return records


def _person(people: Mapping[object, Row], number: object) -> dict[str, object]:
    _, name, last, position = people.get(number, (number, "", "", ""))
    link = f"/company/personal/user/{number}/"
    return {"id": str(number), "name": f"{name} {last}".strip(), "link": link, "icon": "", "workPosition": position}


def _task(call: Call, number: int) -> dict[str, object]:
    names = list(TASK.legacy)
    columns = [name for name in names if name != "ID"]
    where = Where()
    where.add("ID = ?", number)
    views.hide(call.session, TASK, where)
    rows = call.data.page("task", columns, where, limit=1)
    if not rows:
        raise Refusal("0", "Access denied. (internal error)")
    return _task_rows(call, rows, columns, names)[0]


@method("tasks.task.get", "task")
def task_get(call: Call) -> object:
    return {"task": _task(call, php.integer(call.need("taskId")))}


@method("tasks.task.add", "task")
def task_add(call: Call) -> object:
    given = {key.upper(): value for key, value in php.as_map(call.arg("fields")).items()}
    if not given.get("TITLE"):
        raise Refusal("ERROR_CORE", "Task title is not specified<br>")
    number = call.data.next_id("task")
    now = int(call.now)
    record = written(call, given, TASK.legacy, {}, multi=False)
    record.setdefault("RESPONSIBLE_ID", call.user_id)
    record |= {
        "ID": number,
        "CREATED_BY": call.user_id,
        "CREATED_DATE": now,
        "CHANGED_BY": call.user_id,
        "CHANGED_DATE": now,
        "STATUS_CHANGED_DATE": now,
        "ACTIVITY_DATE": now,
    }
    call.data.insert("task", record)
    call.portal.events.emit("ONTASKADD", {"FIELDS_AFTER": {"ID": str(number)}}, now=call.now)
    record_write(call, number)
    return {"task": _task(call, number)}


@method("tasks.task.update", "task")
def task_update(call: Call) -> object:
    number = php.integer(call.need("taskId"))
    before = call.data.record(TASK, number)
    if before is None:
        raise Refusal("0", "Access denied. (internal error)")
    given = {key.upper(): value for key, value in php.as_map(call.arg("fields")).items()}
    changes = written(call, given, TASK.legacy, {}, multi=False)
    now = int(call.now)
    changes |= {"CHANGED_DATE": now, "CHANGED_BY": call.user_id}
    if changes.get("STATUS", before["STATUS"]) != before["STATUS"]:
        done = changes["STATUS"] == 5
        changes |= {"STATUS_CHANGED_DATE": now, "STATUS_CHANGED_BY": call.user_id}
        changes |= {"CLOSED_DATE": now if done else None, "CLOSED_BY": call.user_id if done else None}
    call.data.update("task", "ID = ?", [number], changes)
    call.portal.events.emit("ONTASKUPDATE", {"FIELDS_AFTER": {"ID": str(number)}}, now=call.now)
    record_write(call, number)
    return {"task": _task(call, number)}


@method("tasks.task.delete", "task")
def task_delete(call: Call) -> object:
    number = php.integer(call.need("taskId"))
    if call.data.record(TASK, number) is None:
        raise Refusal("0", "Access denied. (internal error)")
    call.data.delete("task", "ID = ?", [number])
    call.portal.events.emit("ONTASKDELETE", {"FIELDS_BEFORE": {"ID": str(number)}}, now=call.now)
    record_write(call, number)
    return {"task": True}


@method("tasks.task.history.list", "task")
def task_history(call: Call) -> object:
    """What the stored record tells: its creation and its last change of status."""
    record = call.data.record(TASK, php.integer(call.need("taskId")))
    if record is None:
        raise Refusal("0", "Access denied. (internal error)")
    shown = call.session.renderer.instant
    listed: list[dict[str, object]] = [
        {
            "id": 1,
            "createdDate": shown(record["CREATED_DATE"]),
            "field": "NEW",
            "value": {"from": None, "to": None},
            "user": {"id": str(record["CREATED_BY"])},
        }
    ]
    if record["STATUS_CHANGED_BY"] is not None:
        listed.append(
            {
                "id": 2,
                "createdDate": shown(record["STATUS_CHANGED_DATE"]),
                "field": "STATUS",
                "value": {"from": "2", "to": str(record["STATUS"])},
                "user": {"id": str(record["STATUS_CHANGED_BY"])},
            }
        )
    return {"list": listed}

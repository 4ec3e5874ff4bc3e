"""Employees and departments.

Source: vendor, "user.get", "user.current", "User scopes", "department.get", "profile".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from b24metrics.sim import filters, php, tables
from b24metrics.sim.calls import Answer, Call, method, paged, untied
from b24metrics.sim.data import Where
from b24metrics.sim.filters import Target
from b24metrics.sim.methods.directories import plain_rows
from b24metrics.sim.tables import USER, Kind

_SCOPES = "user|user_basic|user_brief"

#: What the smaller scopes do not show.
_CONTACTS = frozenset({"EMAIL", "PERSONAL_PHONE", "PERSONAL_MOBILE", "WORK_PHONE", "UF_PHONE_INNER"})
_FULL_ONLY = frozenset({"LAST_LOGIN"})

_OBJECT_DATES = ("TIMESTAMP_X", "LAST_ACTIVITY_DATE")
_RESERVED = frozenset({"sort", "order", "filter", "select", "start", "admin_mode", "auth"})
_NOT_PEOPLE = "USER_TYPE NOT IN ('bot', 'imconnector')"


def _visible_fields(call: Call) -> list[str]:
    scopes = call.session.credential.scopes
    hidden: frozenset[str] = frozenset()
    if "user" not in scopes:
        hidden = _FULL_ONLY if "user_basic" in scopes else _FULL_ONLY | _CONTACTS
    return [name for name in USER.legacy if name not in hidden]


def _target(name: str) -> Target | None:
    if name == "ID":
        return Target("ID", Kind.ID)
    field = USER.legacy.get(name)
    return Target(f'"{name}"', field.kind) if field else None


def _where(call: Call, given: php.Params) -> Where:
    where = Where()
    where.add(_NOT_PEOPLE)
    named = {filters.split_key(key, filters.FULL)[1] for key in given}
    if "USER_TYPE" not in named:
        where.add("USER_TYPE <> 'email'")
    filters.flat(
        {key: value for key, value in given.items() if key not in {"NAME_SEARCH", "FIND"}},
        filters.FULL,
        _target,
        call.session.reader,
        where,
    )
    for key in ("NAME_SEARCH", "FIND"):
        if given.get(key):
            where.add("concat_ws(' ', NAME, LAST_NAME, NAME, SECOND_NAME) ILIKE ?", f"%{php.text(given[key])}%")
    return where


def _users(call: Call, given: php.Params) -> Answer:
    where = _where(call, given)
    sort = _target(php.text(call.arg("sort")))
    down = php.text(call.arg("order")).upper() == "DESC"
    wanted = [php.text(name) for name in php.as_list(call.arg("select"))]
    names = [n for n in _visible_fields(call) if not wanted or "*" in wanted or n in wanted or n == "ID"]
    start = call.start()
    by = untied([(sort.sql, down)]) if sort else [("ID", False)]
    columns = [name for name in names if name != "ID"]
    rows, total, following, counted = paged(call, '"user"', columns, where, by, start=start, rounded=True)
    if not rows:
        return Answer([])  # not even a total
    fetched = dict(zip(["ID", *columns], zip(*rows, strict=True), strict=True))
    shown = {name: call.session.renderer.legacy(USER.by_name[name], fetched[name]) for name in names}
    for name in _OBJECT_DATES:
        if name in shown:
            shown[name] = [{} for _ in rows]  # an object that nobody taught to become text
    people = [dict(zip(shown, values, strict=True)) for values in zip(*shown.values(), strict=True)]
    return Answer(people, total, following, counted, max(0, start))


@method("user.get", _SCOPES)
def user_get(call: Call) -> Answer:
    outside = {key: value for key, value in call.params.items() if key.lower() not in _RESERVED}
    return _users(call, {**outside, **php.as_map(call.arg("filter"))})


@method("user.search", _SCOPES)
def user_search(call: Call) -> Answer:
    """As `user_get`, but names and positions need only contain what is asked for."""
    outside = {key: value for key, value in call.params.items() if key.lower() not in _RESERVED}
    given = {**outside, **php.as_map(call.arg("filter"))}
    contained = {"NAME", "LAST_NAME", "WORK_POSITION"}
    return _users(call, {f"%{key}" if key in contained else key: value for key, value in given.items()})


@method("user.current", _SCOPES)
def user_current(call: Call) -> object:
    row = plain_rows(call, USER, [dict(call.session.user)])[0]
    for name in _OBJECT_DATES:
        at = call.session.user[name]
        row[name] = (
            datetime.fromtimestamp(at, call.session.zone).strftime("%Y-%m-%d %H:%M:%S") if isinstance(at, int) else ""
        )
    visible = _visible_fields(call)
    return {name: value for name, value in row.items() if name in visible}


@method("user.fields", _SCOPES)
def user_fields(call: Call) -> object:
    return {name: USER.by_name[name].title for name in _visible_fields(call)}


@method("user.admin")
def user_admin(call: Call) -> object:
    return call.session.is_admin


@method("profile")
def profile(call: Call) -> object:
    user: Mapping[str, object] = call.session.user
    return {
        "ID": str(user["ID"]),
        "ADMIN": call.session.is_admin,
        "NAME": user["NAME"],
        "LAST_NAME": user["LAST_NAME"],
        "PERSONAL_GENDER": user["PERSONAL_GENDER"],
        "TIME_ZONE": user["TIME_ZONE"],
    }


# ---------------------------------------------------------------- departments


@method("department.get", "department")
def department_get(call: Call) -> Answer:
    table = tables.DEPARTMENT
    where = Where()
    for name, value in call.params.items():
        field = table.legacy.get(name.upper())
        if field is None or (field.name == "SORT" and php.text(value).upper() in table.legacy):
            continue  # names are compared without case, so SORT is a filter or names the field to sort by
        found = filters.condition(Target(f'"{field.name}"', field.kind), filters.Op.EQ, value, call.session.reader)
        if found:
            where.add(found[0], *found[1])
    sort = php.text(call.arg("sort")).upper()
    down = php.text(call.arg("order")).upper() == "DESC"
    by = untied([(sort, down)]) if sort in table.legacy else [("SORT", False), ("ID", False)]
    names = [name for name in table.legacy if name != "ID"]
    rows, total, following, _ = paged(call, table.name, names, where, by, start=call.start(), rounded=True)
    shown: list[dict[str, object]] = []
    for number, title, order, parent, head in rows:
        entry: dict[str, object] = {"ID": str(number), "NAME": title, "SORT": order}
        if parent is not None:
            entry["PARENT"] = str(parent)
        if head is not None:
            entry["UF_HEAD"] = str(head)
        shown.append(entry)
    return Answer(shown, total, following)


@method("department.fields", "department")
def department_fields(_call: Call) -> object:
    return {
        "ID": "ID",
        "NAME": "Department Name",
        "SORT": "Sort Order",
        "PARENT": "Parent Department",
        "UF_HEAD": "Manager",
    }

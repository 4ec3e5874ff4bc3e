"""REST 3.0: the few methods that a sales mirror may want, with their conditions, pages and errors.

Source: vendor, "REST 3.0", "timeman.record.list", "tasks.task.list" (3.0).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from b24metrics.sim import filters, php, tables
from b24metrics.sim.calls import METHODS_V3, Call, method
from b24metrics.sim.data import Where
from b24metrics.sim.filters import Op, Target
from b24metrics.sim.refusals import RefusalV3
from b24metrics.sim.tables import Kind

_OPERATORS = {
    "=": Op.EQ, "!=": Op.NE, ">": Op.GT, ">=": Op.GE, "<": Op.LT, "<=": Op.LE, "in": Op.IN, "between": Op.BETWEEN,
}  # fmt: skip

Targets = Mapping[str, Target]


def _unknown(name: str, entity: str) -> RefusalV3:
    return RefusalV3("UNKNOWNDTOPROPERTYEXCEPTION", f"Unknown field `{name}` for entity `{entity}`")


def _condition(call: Call, given: object, targets: Targets, entity: str) -> tuple[str, list[object]]:
    """One condition, or a group of them, as SQL."""
    if isinstance(given, dict) and "conditions" in given:
        parts = [_condition(call, member, targets, entity) for member in php.as_list(given["conditions"])]
        glue = " OR " if php.text(given.get("logic")).lower() == "or" else " AND "
        return glue.join(f"({sql})" for sql, _ in parts) or "TRUE", [v for _, values in parts for v in values]
    triple = php.as_list(given)
    if len(triple) not in {2, 3}:
        raise RefusalV3("INVALIDFILTEREXCEPTION", "Invalid filter")
    name, operator, value = php.text(triple[0]), php.text(triple[1] if len(triple) == 3 else "="), triple[-1]
    if name not in targets:
        raise _unknown(name, entity)
    if operator not in _OPERATORS:
        raise RefusalV3("UNKNOWNFILTEROPERATOREXCEPTION", f"Unknown filter operator `{operator}`")
    return filters.condition(targets[name], _OPERATORS[operator], value, call.session.reader) or ("TRUE", [])


def _where(call: Call, targets: Targets, entity: str) -> Where:
    given = call.params.get("filter")
    where = Where()
    conditions = php.as_list(given)
    if isinstance(given, dict) or (conditions and not php.is_array(conditions[0])):
        conditions = [given]  # one condition alone
    for member in conditions:
        sql, values = _condition(call, member, targets, entity)
        where.add(sql, *values)
    return where


def _order(call: Call, targets: Targets, entity: str) -> list[tuple[str, bool]]:
    order: list[tuple[str, bool]] = []
    for name, way in php.as_map(call.params.get("order")).items():
        if name not in targets:
            raise _unknown(name, entity)
        order.append((targets[name].sql, php.text(way).upper() == "DESC"))
    return order or [("ID", False)]


def _page(call: Call, most: int) -> tuple[int, int]:
    """(limit, offset) of ``pagination``."""
    given = php.as_map(call.params.get("pagination"))
    limit = php.integer(given.get("limit", 50))
    page, offset = php.integer(given.get("page", 1)), php.integer(given.get("offset", 0))
    if not 1 <= limit <= most or page < 1 or offset < 0:
        raise RefusalV3("INVALIDPAGINATIONEXCEPTION", "Invalid pagination")
    return limit, offset or (page - 1) * limit


def _select(call: Call, names: list[str], entity: str) -> list[str]:
    wanted = [php.text(name) for name in php.as_list(call.params.get("select"))]
    for name in wanted:
        if name.partition(".")[0] not in names:
            raise _unknown(name, entity)
    return [name for name in names if not wanted or name == "id" or name in wanted]


def _filtered_by_user(given: object) -> bool:
    members = php.as_list(given)
    return bool(members) and (
        "userId" in members or any("userId" in php.as_list(m) for m in members if php.is_array(m))
    )


@method("timeman.record.list", "timeman", v3=True)
def workdays(call: Call) -> object:
    if not _filtered_by_user(call.params.get("filter")):
        raise RefusalV3(
            "VALIDATION_REQUESTVALIDATIONEXCEPTION",
            "Error validating request object",
            validation=[{"message": "Required filter `userId` is not specified", "field": "filter"}],
        )
    targets = {
        "id": Target("ID", Kind.ID),
        "userId": Target("USER_ID", Kind.USER),
        "startTime": Target("STARTED_AT", Kind.INSTANT),
        "endTime": Target("FINISHED_AT", Kind.INSTANT),
    }
    names = _select(call, ["id", "startTime", "endTime", "duration"], "RecordDto")
    where = _where(call, targets, "RecordDto")
    limit, offset = _page(call, 50)
    rows = call.data.page(
        "workday", ["STARTED_AT", "FINISHED_AT", "LEAKS"], where, _order(call, targets, "RecordDto"), limit, offset
    )
    shown = call.session.renderer.instant
    items = [
        {
            "id": number,
            "startTime": shown(start),
            "endTime": None if finish is None else shown(finish),
            "duration": 0 if finish is None else php.integer(finish) - php.integer(start) - php.integer(leaks),
        }
        for number, start, finish, leaks in rows
    ]
    return {"items": [{name: item[name] for name in names} for item in items]}


_TASK_STATUS = {2: "pending", 3: "in_progress", 4: "supposedly_completed", 5: "completed", 6: "deferred"}


def _task(call: Call, row: Mapping[str, object]) -> dict[str, object]:
    shown = call.session.renderer.instant

    def moment(name: str) -> object:
        return None if row[name] is None else shown(row[name])

    return {
        "id": row["ID"],
        "title": row["TITLE"],
        "description": row["DESCRIPTION"],
        "deadline": moment("DEADLINE"),
        "status": _TASK_STATUS.get(php.integer(row["STATUS"]), "pending"),
        "statusChanged": moment("STATUS_CHANGED_DATE"),
        "parentId": row["PARENT_ID"],
        "changed": moment("CHANGED_DATE"),
        "closed": moment("CLOSED_DATE"),
        "responsibleId": row["RESPONSIBLE_ID"],
    }


_TASK_FIELDS = [
    "id", "title", "description", "deadline", "status", "statusChanged", "parentId", "changed", "closed", "responsibleId",
]  # fmt: skip


@method("tasks.task.list", "tasks", v3=True)
def tasks_list(call: Call) -> object:
    targets = {"id": Target("ID", Kind.ID)}  # nothing else can be filtered
    names = _select(call, _TASK_FIELDS, "TaskDto")
    where = _where(call, targets, "TaskDto")
    limit, offset = _page(call, 1000)
    columns = [name for name in tables.TASK.legacy if name != "ID"]
    rows = call.data.page("task", columns, where, _order(call, targets, "TaskDto"), limit, offset)
    items = [_task(call, dict(zip(["ID", *columns], row, strict=True))) for row in rows]
    return {"items": [{name: item[name] for name in names} for item in items]}


@method("tasks.task.get", "tasks", v3=True)
def tasks_get(call: Call) -> object:
    number = call.params.get("id")
    if number is None:
        raise RefusalV3(
            "VALIDATION_REQUESTVALIDATIONEXCEPTION",
            "Error validating request object",
            validation=[{"message": "Required field `id` is not specified", "field": "id"}],
        )
    record = call.data.record(tables.TASK, php.integer(number))
    if record is None:
        raise RefusalV3("ENTITYNOTFOUNDEXCEPTION", f"Record with ID = `{number}` not found")
    names = _select(call, _TASK_FIELDS, "TaskDto")
    item = _task(call, record)
    return {"item": {name: item[name] for name in names}}


@method("rest.scope.list", v3=True)
def scopes(call: Call) -> object:
    return {"items": [{"name": name} for name in sorted(call.session.credential.scopes)]}


def _openapi(name: str) -> Callable[[Call], object]:
    @method(name, v3=True)
    def run(_call: Call) -> object:
        return {
            "openapi": "3.0.0",
            "info": {"title": "Bitrix24 REST V3 API", "version": "1.0.0"},
            "paths": {f"/{found.name}": {"post": {"responses": {"200": {}}}} for found in METHODS_V3.values()},
        }

    return run


for _name in ("rest.documentation.openapi", "documentation"):
    _openapi(_name)

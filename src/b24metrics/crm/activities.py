"""Activities, phone calls, tasks and comments: what people did, and what they planned.

Laws: phone calls come from telephony statistics alone, which third-party exchanges write too; the call activity is the
same event seen from the CRM. Activities and tasks have no "completed at": ``modified_at`` at first sight of
``completed`` is the nearest. An activity belongs to everything it is bound to; ``owner_*`` is only the first of it.
Source: vendor, "Activities", "Call statistics", "Tasks"; meanings of RESULT_* observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, ClassVar, cast

from b24metrics.crm.entity import Entity, many, one, plain, wire
from b24metrics.crm.items import since
from b24metrics.crm.values import (
    items,
    text,
    whole,
)
from b24metrics.crm.wiretypes import (
    ActivityId,
    Amount,
    CommentId,
    EntityType,
    Flag,
    Id,
    Instant,
    Kind,
    Links,
    Map,
    PhoneCallId,
    Read,
    Ref,
    Refs,
    Seconds,
    TaskId,
    Text,
    UserId,
    Whole,
)
from b24metrics.portal.request import Listing, Request


class ActivityBinding(Entity):
    """One CRM object that an activity belongs to."""

    activity_id: Ref[ActivityId] = None
    entity_type_id: Kind = wire("OWNER_TYPE_ID", "ENTITY_TYPE_ID")
    entity_id: Ref[int] = wire("OWNER_ID", "ENTITY_ID")


class Communication(Entity):
    """With whom: a phone number, an address, a chat, and whose it is. Personal data."""

    id: Ref[int] = None
    kind: Text = wire("TYPE")
    value: Text = None
    entity_type_id: Kind = None
    entity_id: Ref[int] = None
    settings: Map = wire("ENTITY_SETTINGS")


class Activity(Entity):
    """A meeting, call, e-mail, to-do, chat, task … of the CRM.

    ``type_id``: 1 meeting, 2 call, 3 task, 4 e-mail, 5 calendar event, 6 by provider. ``direction``: 0 none, 1 incoming,
    2 outgoing. ``status``: 1 pending, 2 completed, 3 completed automatically. ``deadline_at`` None: no deadline.
    ``bindings`` and ``communications`` are None unless asked for.
    """

    asked: ClassVar[tuple[str, ...]] = (
        "owner_type_id", "owner_id", "type_id", "provider_id", "provider_type_id", "direction", "completed", "status",
        "created_at", "modified_at", "starts_at", "ends_at", "deadline_at", "responsible_id", "author_id",
        "is_incoming_channel", "associated_entity_id", "origin_id", "result_mark", "result_status", "result_stream",
        "bindings",
    )  # fmt: skip

    id: Id[ActivityId]
    owner_type_id: Kind = None
    owner_id: Ref[int] = None
    type_id: Whole = None
    provider_id: Text = None
    provider_type_id: Text = None
    provider_group_id: Text = None
    subject: Text = None
    description: Text = None
    direction: Whole = None
    completed: Flag = None
    status: Whole = None
    priority: Whole = None
    created_at: Instant = wire("CREATED")
    modified_at: Instant = wire("LAST_UPDATED")
    starts_at: Instant = wire("START_TIME")
    ends_at: Instant = wire("END_TIME")
    deadline_at: Instant = wire("DEADLINE")
    responsible_id: Ref[UserId] = None
    author_id: Ref[UserId] = None
    editor_id: Ref[UserId] = None
    is_incoming_channel: Flag = None
    associated_entity_id: Ref[int] = None
    originator_id: Text = None
    origin_id: Text = None
    result_mark: Whole = None
    result_status: Whole = None
    result_stream: Whole = None
    result_sum: Amount = None
    result_currency_id: Text = None
    settings: Map = None
    provider_params: Map = None
    bindings: tuple[ActivityBinding, ...] | None = None
    communications: tuple[Communication, ...] | None = None

    @classmethod
    def prepare(cls, values: dict[str, Any], _row: Mapping[str, Any], method: str, /) -> None:
        """Read the two lists; a binding learns whose it is."""
        if (found := values.get("bindings")) is not None:
            given = {"activity_id": values.get("id")}
            values["bindings"] = tuple(ActivityBinding.read(item, method, **given) for item in items(found))
        cls._read_communications(values, method)

    @classmethod
    def prepare_all(cls, values: Sequence[dict[str, Any]], rows: Sequence[Mapping[str, Any]], method: str, /) -> None:
        """The same for a page: the bindings of all are read together."""
        found = [items(said.get("bindings")) for said in values]
        spelled = [
            {"ACTIVITY_ID": said.get("id"), **cast("Mapping[str, Any]", item)}
            for said, bound in zip(values, found, strict=True)
            for item in bound
        ]
        read = ActivityBinding.together(spelled, method)
        if read is None:
            super().prepare_all(values, rows, method)
            return
        left = iter(read)
        for said, bound in zip(values, found, strict=True):
            if said.get("bindings") is not None:
                said["bindings"] = tuple(islice(left, len(bound)))
            cls._read_communications(said, method)

    @classmethod
    def prepare_columns(cls, columns: dict[str, Sequence[Any]], _keys: Sequence[str], /) -> bool:
        """Bindings stay as they came; communications are read one by one."""
        return "communications" not in columns

    @classmethod
    def _read_communications(cls, values: dict[str, Any], method: str) -> None:
        if (found := values.get("communications")) is not None:
            values["communications"] = tuple(Communication.read(item, method) for item in items(found))


class PhoneCall(Entity):
    """A telephone call, or one leg of it: legs share ``call_id``.

    ``type_id``: 1 outgoing, 2 incoming, 3 incoming redirected, 4 callback, 5 information call. ``failed_code``: 200
    talked, 304 missed, 603-S cancelled … OTHER. ``duration_seconds``: of the conversation. ``vote``: 1 to 5, None
    without. A row is written when the call ends; vote, record and transcript may come later without a trace.
    """

    id: Id[PhoneCallId]
    call_id: Text = None
    external_call_id: Text = None
    session_id: Text = None
    category: Text = wire("CALL_CATEGORY")
    type_id: Whole = wire("CALL_TYPE")
    user_id: Ref[UserId] = wire("PORTAL_USER_ID")
    line: Text = wire("PORTAL_NUMBER")
    phone_number: Text = None
    duration_seconds: Whole = wire("CALL_DURATION")
    started_at: Instant = wire("CALL_START_DATE")
    failed_code: Text = wire("CALL_FAILED_CODE")
    failed_reason: Text = wire("CALL_FAILED_REASON")
    vote: Ref[int] = wire("CALL_VOTE")
    cost: Amount = None
    cost_currency_id: Text = wire("COST_CURRENCY")
    crm_entity_type_id: Kind = wire("CRM_ENTITY_TYPE")
    crm_entity_id: Ref[int] = None
    crm_activity_id: Ref[ActivityId] = None
    record_url: Text = wire("CALL_RECORD_URL")
    record_file_id: Ref[int] = None
    record_seconds: Seconds = wire("RECORD_DURATION")
    has_record: Flag = wire()
    transcript_id: Ref[int] = None
    transcript_pending: Flag = None
    rest_app_id: Ref[int] = None
    redial_attempt: Whole = None
    comment: Text = None

    @classmethod
    def prepare(cls, values: dict[str, Any], _row: Mapping[str, Any], _method: str, /) -> None:
        """A call is recorded when it has a file or an address to listen at."""
        if "has_record" not in values and ("record_url" in values or "record_file_id" in values):
            values["has_record"] = _recorded(values.get("record_url"), values.get("record_file_id"))

    @classmethod
    def prepare_columns(cls, columns: dict[str, Sequence[Any]], _keys: Sequence[str], /) -> bool:
        """The same for many calls."""
        told = columns.get("record_url") or columns.get("record_file_id")
        if "has_record" not in columns and told:
            nothing = (None,) * len(told)
            urls, files = columns.get("record_url", nothing), columns.get("record_file_id", nothing)
            columns["has_record"] = list(map(_recorded, urls, files))
        return True


def _recorded(url: object, file_id: object) -> bool:
    return bool(url) or file_id not in _NO_FILE


_NO_FILE = (None, "", "0", 0, False)

_TASK_STATUSES = {"pending": 2, "in_progress": 3, "supposedly_completed": 4, "completed": 5, "deferred": 6}
_TASK_MARKS = {"P": True, "N": False, "positive": True, "negative": False}


def task_status(value: object) -> int | None:
    """Status of a task as a number; REST 3.0 writes it in words."""
    return _TASK_STATUSES.get(text(value) or "") or whole(value)


def task_mark(value: object) -> bool | None:
    """Whether the author praised (P) or blamed (N) the work; None where there is no mark."""
    return value if isinstance(value, bool) else _TASK_MARKS.get(text(value) or "")


class Task(Entity):
    """A task. ``status``: 2 waiting, 3 in progress, 4 awaiting control, 5 completed, 6 deferred.

    ``bindings``: CRM objects it belongs to, None unless asked for. ``good``: the mark that its author gave, None without.
    """

    asked: ClassVar[tuple[str, ...]] = (
        "title", "status", "created_by_id", "responsible_id", "created_at", "modified_at", "closed_at", "deadline_at",
        "status_changed_at", "good", "group_id", "parent_id", "bindings",
    )  # fmt: skip

    id: Id[TaskId]
    parent_id: Ref[TaskId] = None
    group_id: Ref[int] = None
    title: Text = None
    description: Text = None
    status: Annotated[int | None, Read(task_status)] = None
    created_by_id: Ref[UserId] = wire("CREATED_BY")
    responsible_id: Ref[UserId] = None
    closed_by_id: Ref[UserId] = wire("CLOSED_BY")
    accomplice_ids: Refs[UserId] = wire("ACCOMPLICES")
    auditor_ids: Refs[UserId] = wire("AUDITORS")
    created_at: Instant = wire("CREATED_DATE", "CREATED")
    modified_at: Instant = wire("CHANGED_DATE", "CHANGED")
    started_at: Instant = wire("DATE_START", "STARTED")
    closed_at: Instant = wire("CLOSED_DATE", "CLOSED")
    deadline_at: Instant = wire("DEADLINE")
    status_changed_at: Instant = wire("STATUS_CHANGED_DATE", "STATUS_CHANGED")
    estimate_seconds: Whole = wire("TIME_ESTIMATE", "ESTIMATED_TIME")
    spent_seconds: Whole = wire("TIME_SPENT_IN_LOGS")
    good: Annotated[bool | None, Read(task_mark)] = wire("MARK")
    bindings: Links = wire("UF_CRM_TASK", "CRM_ITEM_IDS")

    @classmethod
    def prepare(cls, values: dict[str, Any], row: Mapping[str, Any], _method: str, /) -> None:
        """Who is responsible may be told only by the nested user."""
        person = row.get("responsible")
        if values.get("responsible_id") is None and isinstance(person, Mapping) and "id" in person:
            values["responsible_id"] = person["id"]

    @classmethod
    def prepare_columns(cls, columns: dict[str, Sequence[Any]], keys: Sequence[str], /) -> bool:
        """Where all tasks say it themselves, nested users are not looked at."""
        return "responsible" not in keys or None not in columns.get("responsible_id", (None,))


class Comment(Entity):
    """A comment on the timeline of an object. Edits leave no time; ``files`` by file id."""

    id: Id[CommentId]
    entity_type_id: Kind = wire("ENTITY_TYPE", "ENTITY_TYPE_ID")
    entity_id: Ref[int] = None
    created_at: Instant = wire("CREATED")
    author_id: Ref[UserId] = None
    comment: Text = None
    files: Map = None


def activities(
    *,
    modified_since: datetime | None = None,
    select: Iterable[str] | None = None,
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the vendor's word
) -> Listing[Activity]:
    """Activities with their bindings, without texts and communications unless ``select`` names them.

    Args:
        modified_since: only those changed at or after this aware instant; completion is a change.
        select: fields of Activity to ask for instead.
        filter: further conditions; ``{"BINDINGS": [{"OWNER_TYPE_ID": 2, "OWNER_ID": 77}]}`` finds by any binding.
    """
    method = "crm.activity.list"
    return Listing(
        method,
        Activity.reader(method),
        {**since("LAST_UPDATED", modified_since), **(filter or {})},
        Activity.spelled(Activity.asked if select is None else select),
    )


def activity(activity_id: int) -> Request[Activity]:
    """One activity with all its plain fields."""
    method = "crm.activity.get"
    return Request(method, {"id": int(activity_id)}, one(Activity.reader(method)))


def activity_bindings(activity_id: int) -> Request[tuple[ActivityBinding, ...]]:
    """Everything that an activity is bound to."""
    method = "crm.activity.binding.list"
    read = ActivityBinding.reader(method, activity_id=int(activity_id))
    return Request(method, {"activityId": int(activity_id)}, many(read))


def transcript(activity_id: int) -> Request[str | None]:
    """The text of a recorded call, or None. New: ask ``probe.method_state`` first. Personal data."""
    method = "crm.activity.call.getTranscript"
    return Request(method, {"activityId": int(activity_id)}, plain(text, method, "transcription"))


def phone_calls(
    *,
    started_since: datetime | None = None,
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the vendor's word
) -> Listing[PhoneCall]:
    """Telephone calls, all fields of them: the method takes no ``select``.

    Args:
        started_since: only those begun at or after this aware instant; rows are numbered by their end.
        filter: further conditions; an unknown key is ignored by the portal, not refused.
    """
    method = "voximplant.statistic.get"
    return Listing(method, PhoneCall.reader(method), {**since("CALL_START_DATE", started_since), **(filter or {})})


def tasks(
    *,
    modified_since: datetime | None = None,
    select: Iterable[str] | None = None,
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the vendor's word
) -> Listing[Task]:
    """Tasks that the webhook's owner may see, with their CRM bindings."""
    method = "tasks.task.list"
    return Listing(
        method,
        Task.reader(method),
        {**since("CHANGED_DATE", modified_since), **(filter or {})},
        Task.spelled(Task.asked if select is None else select),
    )


def task(task_id: int, *, select: Iterable[str] | None = None) -> Request[Task]:
    """One task, with its CRM bindings."""
    method = "tasks.task.get"
    names = Task.spelled(Task.asked if select is None else select)
    return Request(method, {"taskId": int(task_id), "select": names}, one(Task.reader(method), "task", "item"))


def comments(entity_type: EntityType, entity_id: int) -> Listing[Comment]:
    """Comments on the timeline of one object, its texts included."""
    method = "crm.timeline.comment.list"
    conditions = {"ENTITY_TYPE": entity_type.code.lower(), "ENTITY_ID": int(entity_id)}
    return Listing(method, Comment.reader(method), conditions)


def comment(comment_id: int) -> Request[Comment]:
    """One comment."""
    method = "crm.timeline.comment.get"
    return Request(method, {"id": int(comment_id)}, one(Comment.reader(method)))

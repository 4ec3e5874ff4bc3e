"""What we write into the portal: notices, chat messages, to-dos, comments.

Laws: every write is a Request that is not repeatable: when its answer is lost, LostReply says so, and only the caller
knows whether saying it twice does harm. A webhook speaks as its owner. A to-do or comment moves the object's change date.
Texts are the portal's BB code. A notice with a ``tag`` replaces the earlier one with the same tag, so repeating it is
harmless.
Source: vendor, "Notifications", "Messages", "Universal to-do", "Timeline comments".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from b24metrics.crm.entity import plain
from b24metrics.crm.values import identity, reference
from b24metrics.crm.wiretypes import ActivityId, CommentId, EntityType, MessageId
from b24metrics.portal.request import Request

LONGEST = 20_000
"""Characters that a message may have; the portal cuts longer ones."""


def notify(user_id: int, message: str, *, tag: str = "", client_id: str = "") -> Request[MessageId | None]:
    """A notice from the portal to one person; the answer is its number, or None where the portal dropped it.

    Args:
        user_id: who is told.
        message: what, in BB code.
        tag: replaces the earlier notice that has the same tag.
        client_id: namespace of tags; a webhook that uses tags needs one.

    Raises:
        ValueError: nothing to say, or too much.
    """
    params: dict[str, Any] = {"USER_ID": int(user_id), "MESSAGE": _said(message)}
    if tag:
        params["TAG"] = tag
    if client_id:
        params["CLIENT_ID"] = client_id
    method = "im.notify.system.add"
    return Request(method, params, plain(_message_id, method), repeatable=False)


def post(
    dialog: str | int, message: str, *, system: bool = False, link_preview: bool = False
) -> Request[MessageId | None]:
    """A message into a chat (``chat123``), a workgroup (``sg45``) or to a person (user id).

    Raises:
        ValueError: nothing to say, or too much.
    """
    params = {
        "DIALOG_ID": str(dialog),
        "MESSAGE": _said(message),
        "SYSTEM": "Y" if system else "N",
        "URL_PREVIEW": "Y" if link_preview else "N",
    }
    method = "im.message.add"
    return Request(method, params, plain(_message_id, method), repeatable=False)


def add_todo(
    owner: EntityType,
    owner_id: int,
    deadline: datetime,
    *,
    title: str = "",
    description: str = "",
    responsible_id: int | None = None,
    reminders_minutes: Iterable[int] = (),
) -> Request[ActivityId]:
    """A to-do on a CRM object; the answer is the activity.

    Args:
        owner: kind of the object.
        owner_id: the object.
        deadline: aware instant.
        title: one line; the portal has a word of its own where it is empty.
        description: BB code.
        responsible_id: who is to do it; by default the person behind the webhook.
        reminders_minutes: how long before the deadline to remind.

    Raises:
        ValueError: ``deadline`` carries no zone.
    """
    if deadline.tzinfo is None:
        raise ValueError("deadline: an instant without a zone; add one, for example tzinfo=datetime.UTC")
    params: dict[str, Any] = {"ownerTypeId": int(owner), "ownerId": int(owner_id), "deadline": deadline}
    if title:
        params["title"] = title
    if description:
        params["description"] = description
    if responsible_id is not None:
        params["responsibleId"] = int(responsible_id)
    if minutes := [int(minute) for minute in reminders_minutes]:
        params["pingOffsets"] = minutes
    method = "crm.activity.todo.add"
    return Request(method, params, plain(lambda found: ActivityId(identity(found)), method, "id"), repeatable=False)


def add_comment(owner: EntityType, owner_id: int, comment: str) -> Request[CommentId]:
    """A comment on the timeline of a CRM object; the answer is its number.

    Raises:
        ValueError: nothing to say, or too much.
    """
    method = "crm.timeline.comment.add"
    fields = {"ENTITY_TYPE": owner.code.lower(), "ENTITY_ID": int(owner_id), "COMMENT": _said(comment)}
    return Request(
        method, {"fields": fields}, plain(lambda found: CommentId(identity(found)), method, "id"), repeatable=False
    )


def _said(message: str) -> str:
    if not message.strip():
        raise ValueError("an empty message")
    if len(message) > LONGEST:
        raise ValueError(f"a message of {len(message)} characters; the portal takes {LONGEST}")
    return message


def _message_id(result: object) -> MessageId | None:
    found = reference(result)
    return None if found is None else MessageId(found)

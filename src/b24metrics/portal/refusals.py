"""What a portal's refusal means, and what to do about it.

Laws: a new code is a row of the table. The code decides, in any case of letters, whatever the HTTP status; where the
code says nothing (blank, a number, unknown) the text decides, and only then the status. Texts quoted in errors are
scrubbed of secrets by whoever reads the reply.
Source: vendor, "Error codes", "REST 3.0" and the pages of the methods; the vendor's SDK; published portal source.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from b24metrics.errors import (
    BadRequest,
    NoSuchMethod,
    NoSuchRecord,
    NotAllowed,
    NotAuthorised,
    PortalClosed,
    PortalError,
    PortalFault,
    TryLater,
)


class Cure(StrEnum):
    """What helps against a refusal."""

    PAUSE = "pause"  # too many requests: the method was not run; wait, then repeat, writes too
    REST = "rest"  # the method's time is used up: it was not run; let this method rest
    REFRESH = "refresh"  # the access token has expired: the method was not run; refresh once, repeat
    REPEAT = "repeat"  # the portal failed: repeat what may be repeated
    NONE = "none"  # a person must do something


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal: the error to raise, and what helps before that."""

    error: PortalError
    cure: Cure = Cure.NONE


@dataclass(frozen=True, slots=True)
class _Row:
    kind: type[PortalError]
    advice: str
    cure: Cure = Cure.NONE


_NEW_WEBHOOK = "make a new inbound webhook in the portal and put its address into the settings"
_NEW_TOKENS = "authorise the application again"
_ASK_RIGHTS = "ask an administrator of the portal for the right"
_ASK_SCOPE = "ask an administrator to tick the scope on the webhook or application"
_APPLICATION = "only an application may call this, a webhook may not"
_PAY = "REST needs a paid plan: ask an administrator"
_MEND = "mend the parameters"
_CHECK_ID = "check the id and that the credential may see the record"
_BUG = "this should not happen: please report it"

# Code in lower case → meaning. REST 3.0 codes stand without BITRIX_REST_V3_EXCEPTION_.
CODES: Mapping[str, _Row] = {
    # limits
    "query_limit_exceeded": _Row(TryLater, "too many requests from this address: wait", Cure.PAUSE),
    "operation_time_limit": _Row(TryLater, "this method has used up its time: wait until it is forgiven", Cure.REST),
    "overload_limit": _Row(PortalClosed, "the vendor has blocked REST for this portal by hand: ask its support"),
    # the portal itself
    "internal_server_error": _Row(PortalFault, "try again later", Cure.REPEAT),
    "error_unexpected_answer": _Row(PortalFault, "try again later", Cure.REPEAT),
    "general_error": _Row(PortalFault, "try again later", Cure.REPEAT),
    "internalexception": _Row(PortalFault, "try again later", Cure.REPEAT),
    "portal_deleted": _Row(PortalClosed, "the portal was deleted"),
    "payment_required": _Row(PortalClosed, _PAY),
    # credentials
    "expired_token": _Row(NotAuthorised, _NEW_TOKENS, Cure.REFRESH),
    "invalid_token": _Row(NotAuthorised, _NEW_TOKENS),
    "no_auth_found": _Row(NotAuthorised, _NEW_WEBHOOK),
    "invalid_credentials": _Row(NotAuthorised, _NEW_WEBHOOK),
    "authorization_error": _Row(NotAuthorised, "its owner may have been dismissed: " + _NEW_WEBHOOK),
    "application_not_found": _Row(NotAuthorised, "install the application again"),
    "error_oauth": _Row(NotAuthorised, "install the application again"),
    "not_installed": _Row(NotAuthorised, "install the application again"),
    "invalid_client": _Row(NotAuthorised, "check client id and secret of the application"),
    "wrong_client": _Row(NotAuthorised, "check client id and secret of the application"),
    "invalid_grant": _Row(NotAuthorised, _NEW_TOKENS),
    # rights
    "insufficient_scope": _Row(NotAllowed, _ASK_SCOPE),
    "invalid_scope": _Row(NotAllowed, _ASK_SCOPE),
    "user_access_error": _Row(NotAllowed, _ASK_RIGHTS),
    "access_denied": _Row(NotAllowed, _ASK_RIGHTS),
    "access_error": _Row(NotAllowed, _ASK_RIGHTS),
    "accessexception": _Row(NotAllowed, _ASK_RIGHTS),
    "accessdenied": _Row(NotAllowed, _ASK_RIGHTS),
    "allowed_only_intranet_user": _Row(NotAllowed, "the owner of the credential must be an employee, not a guest"),
    "method_confirm_waiting": _Row(NotAllowed, "an administrator must confirm the use of this method in the portal"),
    "method_confirm_denied": _Row(NotAllowed, "an administrator has refused the use of this method"),
    "wrong_auth_type": _Row(NotAllowed, _APPLICATION),
    "error_wrong_context": _Row(NotAllowed, _APPLICATION),
    "feature_disabled": _Row(NotAllowed, "the feature is switched off in this portal"),
    "restricted_by_tariff": _Row(NotAllowed, "the plan of this portal does not include it"),
    "accessdeniedexception": _Row(NotAllowed, _ASK_RIGHTS),
    "insufficientscopeexception": _Row(NotAllowed, _ASK_SCOPE),
    # methods and records
    "error_method_not_found": _Row(NoSuchMethod, "this portal does not offer the method, or only under REST 3.0"),
    "methodnotfoundexception": _Row(NoSuchMethod, "this portal does not offer the method"),
    "error_manifest_is_not_available": _Row(NoSuchMethod, "this portal does not offer the manifest"),
    "not_found": _Row(NoSuchRecord, _CHECK_ID),
    "error_not_found": _Row(NoSuchRecord, _CHECK_ID),
    "owner_not_found": _Row(NoSuchRecord, _CHECK_ID),
    "user_not_found": _Row(NoSuchRecord, _CHECK_ID),
    "bot_not_found": _Row(NoSuchRecord, _CHECK_ID),
    "reaction_not_found": _Row(NoSuchRecord, _CHECK_ID),
    "error_event_not_found": _Row(NoSuchRecord, "check the name of the event"),
    "invalid_session_id": _Row(NoSuchRecord, _CHECK_ID),
    "entitynotfoundexception": _Row(NoSuchRecord, _CHECK_ID),
    # parameters
    "invalid_request": _Row(BadRequest, "write https in the address, and check the parameters"),
    "invalid_arg_value": _Row(BadRequest, _MEND),
    "required_arg_missing": _Row(BadRequest, _MEND),
    "missing_required_param": _Row(BadRequest, _MEND),
    "entity_type_not_supported": _Row(BadRequest, "this method does not know that entity type"),
    "100": _Row(BadRequest, _MEND),
    "error_argument": _Row(BadRequest, _MEND),
    "invalid_argument": _Row(BadRequest, _MEND),
    "invalid_format": _Row(BadRequest, _MEND),
    "params_error": _Row(BadRequest, _MEND),
    "wrong_datetime_format": _Row(BadRequest, _MEND),
    "wrong_encoding": _Row(BadRequest, _BUG),
    "error_batch_length_exceeded": _Row(BadRequest, _BUG),
    "error_batch_method_not_allowed": _Row(BadRequest, "send this request alone, not in a batch"),
    "validation_requestvalidationexception": _Row(BadRequest, _MEND),
    "validation_dtovalidationexception": _Row(BadRequest, _MEND),
    "invalidjsonexception": _Row(BadRequest, _BUG),
    "unknowndtopropertyexception": _Row(BadRequest, _MEND),
    "unknownfilteroperatorexception": _Row(BadRequest, _MEND),
    "invalidfilterexception": _Row(BadRequest, _MEND),
    "invalidselectexception": _Row(BadRequest, _MEND),
    "invalidorderexception": _Row(BadRequest, _MEND),
    "invalidpaginationexception": _Row(BadRequest, _MEND),
    "idempotencykeyreusedexception": _Row(BadRequest, "take a new idempotency key for every new request"),
    "invalididempotencykeyexception": _Row(BadRequest, "an idempotency key is 1 to 255 printable ASCII characters"),
    "invalid_date_range": _Row(BadRequest, _MEND),
    "invalid_select_field": _Row(BadRequest, _MEND),
    "invalid_order": _Row(BadRequest, _MEND),
    "invalid_pagination": _Row(BadRequest, _MEND),
}

# Codes under which modules say anything at all: the text tells what.
_SPEAK_BY_TEXT = frozenset({"", "0", "1", "error_core", "error_code", "bx_error", "error", "510"})


def _text(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern, re.IGNORECASE).search


# In this order: "Task not found or not accessible" is about a record, "The 'X' field is not found." about a parameter.
_TEXTS: tuple[tuple[Callable[[str], object], _Row], ...] = (
    (_text(r"commercial plan|by subscription|subscription has (been )?ended|payment required"), _Row(PortalClosed, _PAY)),
    (_text(r"required? more scopes|higher privileges"), _Row(NotAllowed, _ASK_SCOPE)),
    (_text(r"application context|context of a rest application|authorization type is denied"), _Row(NotAllowed, _APPLICATION)),
    (_text(r"could not find value|field is not found|invalid value"), _Row(BadRequest, _MEND)),
    (_text(r"\b(is |was |has )?not (been )?found\b|wrong task id|could not find|не найден"), _Row(NoSuchRecord, _CHECK_ID)),
    (
        _text(
            r"access[ _]denied|permission|not[ _]allowed|no access|have access|cannot (change|delete)|доступ запрещ|"
            r"нет (прав|доступа)|недостаточно прав"
        ),
        _Row(NotAllowed, _ASK_RIGHTS),
    ),
    (_text(r"internal server error|general error|could not load"), _Row(PortalFault, "try again later", Cure.REPEAT)),
)  # fmt: skip

_STATUSES: Mapping[int, _Row] = {
    401: _Row(NotAuthorised, _NEW_WEBHOOK),
    402: _Row(PortalClosed, _PAY),
    403: _Row(NotAllowed, _ASK_RIGHTS),
    404: _Row(NoSuchRecord, _CHECK_ID),
    410: _Row(PortalClosed, "the portal was deleted"),
    # Without a known code nothing says that the method was not run, so a write is not repeated.
    429: _Row(TryLater, "wait", Cure.REPEAT),
    503: _Row(TryLater, "wait", Cure.REPEAT),
}

_REST3_PREFIX = "bitrix_rest_v3_exception_"

_SCOPES: tuple[tuple[str, str], ...] = (
    ("crm.", "crm"),
    ("voximplant.", "telephony"),
    ("telephony.", "telephony"),
    ("call.followup.", "call"),
    ("user.", "user_brief"),
    ("department.", "department"),
    ("humanresources.", "humanresources"),
    ("tasks.", "task"),
    ("task.", "task"),
    ("imopenlines.", "imopenlines"),
    ("imbot.", "imbot"),
    ("im.", "im"),
    ("calendar.", "calendar"),
    ("timeman.", "timeman"),
    ("catalog.", "catalog"),
    ("userfieldconfig.", "userfieldconfig"),
    ("main.eventlog.", "main"),
)


def scope_of(method: str) -> str | None:
    """The scope that a method needs, as ticked on a webhook; None where it needs none or we do not know."""
    name = method.casefold()
    return next((scope for prefix, scope in _SCOPES if name.startswith(prefix)), None)


def read_refusal(
    payload: Mapping[str, Any], *, method: str, status: int, host: str, scrub: Callable[[str], str] = str
) -> Refusal:
    """The refusal that an error envelope, or an entry of ``result_error``, tells."""
    code, description = _told(payload)
    code, description = scrub(code), scrub(description)
    row = _meaning(code, description, status)
    said = description if description and description != code else ""
    facts = " ".join(part for part in (said, f"[{code}]" if code else "", f"HTTP {status}" if status else "") if part)
    message = f"{host}: {method} was refused: {facts}: {row.advice}"
    known: dict[str, Any] = {
        "method": method, "code": code, "status": status, "host": host, "description": description,
    }  # fmt: skip
    if row.kind is NotAllowed and row.advice == _ASK_SCOPE:
        named = re.search(r"\((\w+)\)", description)
        scope = named[1] if named else scope_of(method)
        if scope is not None:
            message = f"{message}: {scope}"
        return Refusal(NotAllowed(message, missing_scope=scope, **known), row.cure)
    return Refusal(row.kind(message, **known), row.cure)


def _told(payload: Mapping[str, Any]) -> tuple[str, str]:
    """Code and text of an envelope, whatever their JSON types."""
    error = payload.get("error")
    if isinstance(error, Mapping):  # REST 3.0
        details = [
            f"{each.get('field', '?')}: {each.get('message', '')}"
            for each in error.get("validation") or ()
            if isinstance(each, Mapping)
        ]
        return _word(error.get("code")), "; ".join([_word(error.get("message")), *details])
    texts = [_word(payload.get(key)) for key in ("error_description", "error_information")]
    return _word(error), " ".join(text for text in texts if text)


def _word(value: Any) -> str:
    """A JSON scalar as text; anything else says nothing."""
    return str(value).strip() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


def _meaning(code: str, description: str, status: int) -> _Row:
    """The row that a code, or else its text, or else its status points to."""
    name = code.casefold().removeprefix(_REST3_PREFIX)
    row = CODES.get(name)
    if row is not None and name not in {"access_denied", "100"}:
        return row
    by_text = next((meaning for matches, meaning in _TEXTS if matches(f"{code} {description}")), None)
    if row is not None:  # ACCESS_DENIED is said both to the unpaid and to the unauthorised
        return by_text if by_text is not None and by_text.kind in {PortalClosed, NotAllowed} and name != "100" else row
    if by_text is not None:
        return by_text
    if name not in _SPEAK_BY_TEXT:
        if name.endswith("_not_found"):
            return _Row(NoSuchRecord, _CHECK_ID)
        if name.startswith("access") or name.endswith(("_access_denied", "_not_allowed")):
            return _Row(NotAllowed, _ASK_RIGHTS)
    if status in _STATUSES:
        return _STATUSES[status]
    if status >= 500:
        return _Row(PortalFault, "try again later", Cure.REPEAT)
    return _Row(BadRequest, _MEND)

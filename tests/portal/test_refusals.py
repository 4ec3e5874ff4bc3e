"""Every code has a class and a next step, whatever its case and the HTTP status."""

from __future__ import annotations

import json
from typing import Any

import pytest

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
from b24metrics.portal.refusals import Cure, Refusal, read_refusal, scope_of
from b24metrics.portal.wire import Heard, read_answer
from tests.portal.test_wire import samples

# By the vendor's table of system errors, its SDK and the pages of the methods.
DOCUMENTED: list[tuple[str, type[PortalError], Cure]] = [
    ("QUERY_LIMIT_EXCEEDED", TryLater, Cure.PAUSE),
    ("OPERATION_TIME_LIMIT", TryLater, Cure.REST),
    ("OVERLOAD_LIMIT", PortalClosed, Cure.NONE),
    ("INTERNAL_SERVER_ERROR", PortalFault, Cure.REPEAT),
    ("ERROR_UNEXPECTED_ANSWER", PortalFault, Cure.REPEAT),
    ("expired_token", NotAuthorised, Cure.REFRESH),
    ("invalid_token", NotAuthorised, Cure.NONE),
    ("NO_AUTH_FOUND", NotAuthorised, Cure.NONE),
    ("INVALID_CREDENTIALS", NotAuthorised, Cure.NONE),
    ("authorization_error", NotAuthorised, Cure.NONE),
    ("insufficient_scope", NotAllowed, Cure.NONE),
    ("user_access_error", NotAllowed, Cure.NONE),
    ("ACCESS_DENIED", NotAllowed, Cure.NONE),
    ("PAYMENT_REQUIRED", PortalClosed, Cure.NONE),
    ("APPLICATION_NOT_FOUND", NotAuthorised, Cure.NONE),
    ("ERROR_OAUTH", NotAuthorised, Cure.NONE),
    ("METHOD_CONFIRM_WAITING", NotAllowed, Cure.NONE),
    ("METHOD_CONFIRM_DENIED", NotAllowed, Cure.NONE),
    ("WRONG_AUTH_TYPE", NotAllowed, Cure.NONE),
    ("ERROR_METHOD_NOT_FOUND", NoSuchMethod, Cure.NONE),
    ("NOT_FOUND", NoSuchRecord, Cure.NONE),
    ("ERROR_MANIFEST_IS_NOT_AVAILABLE", NoSuchMethod, Cure.NONE),
    ("INVALID_REQUEST", BadRequest, Cure.NONE),
    ("ERROR_BATCH_LENGTH_EXCEEDED", BadRequest, Cure.NONE),
    ("ERROR_BATCH_METHOD_NOT_ALLOWED", BadRequest, Cure.NONE),
    ("PORTAL_DELETED", PortalClosed, Cure.NONE),
    ("WRONG_ENCODING", BadRequest, Cure.NONE),
    ("allowed_only_intranet_user", NotAllowed, Cure.NONE),
    ("ERROR_CORE", BadRequest, Cure.NONE),
    ("100", BadRequest, Cure.NONE),
    ("0", BadRequest, Cure.NONE),
    ("", BadRequest, Cure.NONE),
    ("INVALID_ARG_VALUE", BadRequest, Cure.NONE),
    ("ENTITY_TYPE_NOT_SUPPORTED", BadRequest, Cure.NONE),
    ("REQUIRED_ARG_MISSING", BadRequest, Cure.NONE),
    ("OWNER_NOT_FOUND", NoSuchRecord, Cure.NONE),
    ("FEATURE_DISABLED", NotAllowed, Cure.NONE),
    ("RESTRICTED_BY_TARIFF", NotAllowed, Cure.NONE),
    ("GENERAL_ERROR", PortalFault, Cure.REPEAT),
    ("invalid_client", NotAuthorised, Cure.NONE),
    ("invalid_grant", NotAuthorised, Cure.NONE),
    ("invalid_scope", NotAllowed, Cure.NONE),
    ("WRONG_CLIENT", NotAuthorised, Cure.NONE),
    ("NOT_INSTALLED", NotAuthorised, Cure.NONE),
    ("BITRIX_REST_V3_EXCEPTION_VALIDATION_REQUESTVALIDATIONEXCEPTION", BadRequest, Cure.NONE),
    ("BITRIX_REST_V3_EXCEPTION_VALIDATION_DTOVALIDATIONEXCEPTION", BadRequest, Cure.NONE),
    ("BITRIX_REST_V3_EXCEPTION_INVALIDJSONEXCEPTION", BadRequest, Cure.NONE),
    ("BITRIX_REST_V3_EXCEPTION_UNKNOWNDTOPROPERTYEXCEPTION", BadRequest, Cure.NONE),
    ("BITRIX_REST_V3_EXCEPTION_UNKNOWNFILTEROPERATOREXCEPTION", BadRequest, Cure.NONE),
    ("BITRIX_REST_V3_EXCEPTION_ENTITYNOTFOUNDEXCEPTION", NoSuchRecord, Cure.NONE),
    ("BITRIX_REST_V3_EXCEPTION_INVALIDPAGINATIONEXCEPTION", BadRequest, Cure.NONE),
    ("BITRIX_REST_V3_EXCEPTION_ACCESSDENIEDEXCEPTION", NotAllowed, Cure.NONE),
    ("BITRIX_REST_V3_EXCEPTION_INSUFFICIENTSCOPEEXCEPTION", NotAllowed, Cure.NONE),
    ("BITRIX_REST_V3_EXCEPTION_IDEMPOTENCYKEYREUSEDEXCEPTION", BadRequest, Cure.NONE),
]
MUTE = {"", "0", "ERROR_CORE"}  # say nothing by themselves


@pytest.mark.parametrize("code", sorted(MUTE))
def test_a_code_that_says_nothing_is_a_bad_request_at_status_400(code: str) -> None:
    """Where the text says nothing either."""
    assert (BadRequest, Cure.NONE) == (type(refusal(code).error), refusal(code).cure)


def refusal(error: Any, description: Any = "", *, status: int = 400, method: str = "crm.deal.list") -> Refusal:
    payload = {"error": error, "error_description": description}
    return read_refusal(payload, method=method, status=status, host="portal.example")


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500, 503])
@pytest.mark.parametrize(("code", "kind", "cure"), [row for row in DOCUMENTED if row[0] not in MUTE])
def test_a_known_code_means_the_same_in_any_case_and_with_any_status(
    code: str, kind: type[PortalError], cure: Cure, status: int
) -> None:
    """Portals, documentation and SDK disagree on both."""
    for spelled in (code, code.lower(), code.upper(), f" {code} "):
        found = refusal(spelled, status=status)
        assert (kind, cure) == (type(found.error), found.cure)
        assert ("crm.deal.list", spelled.strip(), status, "portal.example") == (
            found.error.method, found.error.code, found.error.status, found.error.host,
        )  # fmt: skip


@pytest.mark.parametrize("error", ["", "0", 0, 0.0, "ERROR_CORE", None, [], False, 1, "1048582", 200040300040, 510])
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Access denied.", NotAllowed),
        ("access_denied", NotAllowed),
        ("No access to delete the task", NotAllowed),
        ("You do not have permission to view user field settings", NotAllowed),
        ("Action on the task is not allowed", NotAllowed),
        ("The current method required more scopes. (crm)", NotAllowed),
        ("REST API is available only on commercial plans", PortalClosed),
        ("REST is available only by subscription", PortalClosed),
        ("Not found", NoSuchRecord),
        ("Not found.", NoSuchRecord),
        ("Task not found or not accessible", NoSuchRecord),
        ("Payment has not been found", NoSuchRecord),
        ("wrong task id", NoSuchRecord),
        ("Сделка не найдена", NoSuchRecord),
        ("Доступ запрещён", NotAllowed),
        ("ID is not defined or invalid.", BadRequest),
        ("Parameter 'filter' must be array.", BadRequest),
        ("The 'FIELD_NAME' field is not found.", BadRequest),
        ("Invalid sorting key (internal error)", BadRequest),
        ("Could not find value for parameter {id}", BadRequest),
        ("Failed to get list. General error.", PortalFault),
    ],
)
def test_a_code_that_says_nothing_leaves_it_to_the_text(error: Any, text: str, kind: type[PortalError]) -> None:
    """Blank, zero, or a number of the module's own."""
    assert kind is type(refusal(error, text).error)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Access denied!", NotAllowed),
        ("Access denied! Application context required", NotAllowed),
        ("REST API is available only on commercial plans", PortalClosed),
        ("REST is available only by subscription", PortalClosed),
    ],
)
def test_access_denied_is_two_different_things(text: str, kind: type[PortalError]) -> None:
    """The same code for a missing right and for an unpaid plan."""
    assert kind is type(refusal("ACCESS_DENIED", text, status=401).error)


@pytest.mark.parametrize(
    ("status", "kind", "cure"),
    [
        (400, BadRequest, Cure.NONE),
        (401, NotAuthorised, Cure.NONE),
        (402, PortalClosed, Cure.NONE),
        (403, NotAllowed, Cure.NONE),
        (404, NoSuchRecord, Cure.NONE),
        (410, PortalClosed, Cure.NONE),
        (429, TryLater, Cure.REPEAT),
        (500, PortalFault, Cure.REPEAT),
        (502, PortalFault, Cure.REPEAT),
        (503, TryLater, Cure.REPEAT),
        (200, BadRequest, Cure.NONE),
    ],
)
def test_an_unknown_code_falls_back_to_the_status(status: int, kind: type[PortalError], cure: Cure) -> None:
    """A code that the vendor invents tomorrow."""
    found = refusal("BRAND_NEW_CODE", "something", status=status)
    assert (kind, cure) == (type(found.error), found.cure)


def test_a_missing_scope_is_named() -> None:
    """The administrator is told which box to tick."""
    found = refusal(
        "insufficient_scope", "The request requires higher privileges", method="voximplant.statistic.get"
    ).error
    assert isinstance(found, NotAllowed)
    assert "telephony" == found.missing_scope
    assert "telephony" in str(found)
    told = refusal("", "The current method required more scopes. (crm)", method="userfieldconfig.list").error
    assert "crm" == told.missing_scope


@pytest.mark.parametrize(
    ("method", "scope"),
    [("crm.deal.list", "crm"), ("Telephony.call.x", "telephony"), ("user.get", "user_brief"), ("server.time", None)],
)
def test_scopes_of_methods(method: str, scope: str | None) -> None:
    """As ticked on a webhook."""
    assert scope == scope_of(method)


def test_an_error_carries_what_happened_where_and_the_next_step() -> None:
    """One clear sentence."""
    text = str(refusal("INVALID_CREDENTIALS", "Invalid request credentials", status=401).error)
    for part in (
        "portal.example",
        "crm.deal.list",
        "Invalid request credentials",
        "INVALID_CREDENTIALS",
        "401",
        "webhook",
    ):
        assert part in text


def test_rest3_tells_which_field_is_wrong() -> None:
    """validation is part of the text."""
    error = {"code": "BITRIX_REST_V3_EXCEPTION_VALIDATION_REQUESTVALIDATIONEXCEPTION", "message": "Error",
             "validation": [{"field": "filter.userId", "message": "is not specified"}]}  # fmt: skip
    found = refusal(error).error
    assert "filter.userId: is not specified" in found.description


def test_secrets_in_the_portals_words_are_scrubbed() -> None:
    """A portal may quote what it was sent."""
    payload = {"error": "NO_AUTH_FOUND", "error_description": "token k3y is wrong"}
    found = read_refusal(payload, method="m", status=401, host="h", scrub=lambda text: text.replace("k3y", "*"))
    assert "k3y" not in str(found.error) + found.error.description


@pytest.mark.parametrize(("path", "method"), samples("error"))
def test_the_vendors_errors_become_typed_errors(path: Any, method: str) -> None:
    """Every error sample is a PortalError of some kind that tells the vendor's words."""
    body = path.read_bytes()
    told = read_answer(Heard(400, body), method=method, host="portal.example")
    assert isinstance(told, Refusal)
    assert type(told.error) is not PortalError
    assert method == told.error.method
    error = json.loads(body)["error"]
    words = error["message"] if isinstance(error, dict) else json.loads(body)["error_description"]
    assert words.strip() in told.error.description
    assert isinstance(told.error, expected_of(error, words))


def expected_of(error: Any, words: str) -> type[PortalError] | tuple[type[PortalError], ...]:
    """What a reader of the sample would expect."""
    lower = words.lower()
    if isinstance(error, dict):
        if "ACCESSDENIED" in error["code"]:
            return NotAllowed
        return NoSuchRecord if "ENTITYNOTFOUND" in error["code"] else BadRequest
    if error == "INVALID_CREDENTIALS":
        return NotAuthorised
    if error == "PAYMENT_REQUIRED":
        return PortalClosed
    if "access denied" in lower and "not found" not in lower:
        return NotAllowed
    if lower.strip(".") in {"not found", "item not found", "user not found", "task not found"}:
        return NoSuchRecord
    return PortalError

"""Every way in which the portal says no.

Laws: one row per documented code. ``status`` is what the documentation says, ``seen`` what live portals were seen to
answer; which of the two is used is the portal's switch. Source: vendor, "Error codes", "System errors".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """A documented error: its HTTP status, the one seen on live portals, its text."""

    status: int
    text: str
    seen: int = 0


KNOWN: Mapping[str, Known] = {
    "QUERY_LIMIT_EXCEEDED": Known(503, "Too many requests"),
    "OPERATION_TIME_LIMIT": Known(429, "Method is blocked due to operation time limit."),
    "OVERLOAD_LIMIT": Known(503, "REST API is blocked due to overload."),
    "INTERNAL_SERVER_ERROR": Known(500, "Internal server error"),
    "ERROR_UNEXPECTED_ANSWER": Known(500, "Server returned an unexpected response"),
    "expired_token": Known(401, "The access token provided has expired."),
    "invalid_token": Known(401, "Unable to get application by token"),
    "NO_AUTH_FOUND": Known(401, "Wrong authorization data"),
    "INVALID_CREDENTIALS": Known(403, "Invalid request credentials", 401),
    "authorization_error": Known(401, "Unable to authorize user"),
    "insufficient_scope": Known(403, "The request requires higher privileges than provided by the webhook token", 401),
    "user_access_error": Known(403, "The user does not have access to the application."),
    "ACCESS_DENIED": Known(403, "Access denied!"),
    "PAYMENT_REQUIRED": Known(401, "Payment required"),
    "APPLICATION_NOT_FOUND": Known(401, "Application not found"),
    "ERROR_OAUTH": Known(401, "Application not installed"),
    "METHOD_CONFIRM_WAITING": Known(401, "Waiting for confirmation"),
    "METHOD_CONFIRM_DENIED": Known(403, "Method call denied"),
    "WRONG_AUTH_TYPE": Known(403, "Current authorization type is denied for this method"),
    "ERROR_METHOD_NOT_FOUND": Known(404, "Method not found!"),
    "NOT_FOUND": Known(400, "Not found", 404),
    "ERROR_MANIFEST_IS_NOT_AVAILABLE": Known(404, "Manifest is not available"),
    "INVALID_REQUEST": Known(400, "Https required"),
    "ERROR_BATCH_LENGTH_EXCEEDED": Known(400, "Max batch length exceeded"),
    "ERROR_BATCH_METHOD_NOT_ALLOWED": Known(405, "Method is not allowed for batch usage"),
    "PORTAL_DELETED": Known(500, "Portal was deleted", 410),
    "WRONG_ENCODING": Known(400, "Wrong request encoding"),
    "allowed_only_intranet_user": Known(403, "Allowed only for intranet users"),
    "ERROR_CORE": Known(400, "Internal error"),
    "100": Known(400, "Could not find value for parameter"),
    "0": Known(400, "Access denied"),
    "": Known(400, "Failed to get list. General error."),
    "INVALID_ARG_VALUE": Known(400, "Invalid value of argument"),
    "ENTITY_TYPE_NOT_SUPPORTED": Known(400, "Entity type is not supported"),
    "REQUIRED_ARG_MISSING": Known(400, "Required argument is missing"),
    "OWNER_NOT_FOUND": Known(400, "Owner was not found"),
    "FEATURE_DISABLED": Known(400, "Feature is disabled"),
    "RESTRICTED_BY_TARIFF": Known(400, "Restricted by tariff"),
    "GENERAL_ERROR": Known(400, "General error"),
    "WRONG_DATETIME_FORMAT": Known(400, "Wrong datetime format"),
    "ERROR_EVENT_NOT_FOUND": Known(400, "Event not found"),
    "USER_ID_EMPTY": Known(400, "User ID can't be empty"),
    "MESSAGE_EMPTY": Known(400, "Message can't be empty"),
    "USER_NOT_FOUND": Known(400, "User not found"),
    "CHAT_ID": Known(400, "Chat ID can't be empty"),
    "ACCESS_ERROR": Known(400, "You do not have access to the specified dialog"),
    "PARAMS_ERROR": Known(400, "Incorrect params"),
    "ATTACH_ERROR": Known(400, "Incorrect attach params"),
    "ATTACH_OVERSIZE": Known(400, "You have exceeded the maximum allowable size of attach"),
    "CODE_EMPTY": Known(400, "CODE can't be empty"),
    "MISSING_REQUIRED_PARAM": Known(400, "Session ID or Chat ID must be provided"),
    "INVALID_SESSION_ID": Known(400, "Session ID is invalid"),
    "invalid_request": Known(400, "Incorrect request"),
    "invalid_client": Known(401, "Invalid client"),
    "invalid_grant": Known(400, "Invalid grant"),
    "invalid_scope": Known(400, "Invalid scope"),
    "WRONG_CLIENT": Known(200, "Wrong client"),  # a refusal with status 200, as live servers send it
    "NOT_INSTALLED": Known(401, "Application not installed"),
}


class Refusal(Exception):  # noqa: N818 - it is an answer of the portal, not a fault of this program
    """An error answer: ``error`` may be text, a number or, in REST 3.0, an object."""

    def __init__(self, error: object, text: str | None = None, status: int | None = None) -> None:
        known = KNOWN.get(str(error))
        super().__init__(str(error))
        self.error = error
        self.text = text if text is not None else (known.text if known else str(error))
        self._status = status
        self._known = known

    def status(self, *, as_seen: bool = False) -> int:
        """HTTP status: as the documentation says, or as live portals were seen to answer."""
        if self._status is not None:
            return self._status
        if self._known is None:
            return 400
        return self._known.seen or self._known.status if as_seen else self._known.status

    @property
    def body(self) -> dict[str, object]:
        return {"error": self.error, "error_description": self.text}


class RefusalV3(Refusal):
    """An error answer of REST 3.0: code without its common prefix, message, faulty fields."""

    def __init__(
        self, code: str, message: str, status: int = 400, validation: list[dict[str, str]] | None = None
    ) -> None:
        error: dict[str, object] = {"code": f"BITRIX_REST_V3_EXCEPTION_{code}", "message": message}
        if validation:
            error["validation"] = validation
        super().__init__(error, message, status)

    @property
    def body(self) -> dict[str, object]:
        return {"error": self.error}


def missing(argument: str) -> Refusal:
    """A controller's argument was not given."""
    return Refusal("100", f"Could not find value for parameter {{{argument}}}")


def legacy(text: str) -> Refusal:
    """An old CRM validation error: an empty code and a sentence."""
    return Refusal("", text)

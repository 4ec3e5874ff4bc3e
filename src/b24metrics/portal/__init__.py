"""Speaking to a Bitrix24 portal, patiently.

``Portal`` and ``AsyncPortal`` carry Requests, Listings and Batches; ``flows`` decide, ``limits`` keep to the budgets.
"""

from b24metrics.portal.address import Secret, Webhook
from b24metrics.portal.checkup import SCOPES, Checkup
from b24metrics.portal.client import AsyncPortal, Portal
from b24metrics.portal.dialects import (
    DIALECTS,
    Dialect,
    Paging,
    count_request,
    dialect_of,
    first_id_request,
    last_id_request,
    page_request,
)
from b24metrics.portal.limits import (
    ENTERPRISE,
    PLANS,
    SELF_HOSTED,
    STANDARD,
    Gate,
    GateStats,
    Lane,
    Plan,
)
from b24metrics.portal.oauth import OAuth, Tokens
from b24metrics.portal.operating import MethodStats
from b24metrics.portal.request import MAX_COMMANDS, Answer, Batch, Listing, Page, Ref, Request, Timing

__all__ = [
    "DIALECTS",
    "ENTERPRISE",
    "MAX_COMMANDS",
    "PLANS",
    "SCOPES",
    "SELF_HOSTED",
    "STANDARD",
    "Answer",
    "AsyncPortal",
    "Batch",
    "Checkup",
    "Dialect",
    "Gate",
    "GateStats",
    "Lane",
    "Listing",
    "MethodStats",
    "OAuth",
    "Page",
    "Paging",
    "Plan",
    "Portal",
    "Ref",
    "Request",
    "Secret",
    "Timing",
    "Tokens",
    "Webhook",
    "count_request",
    "dialect_of",
    "first_id_request",
    "last_id_request",
    "page_request",
]

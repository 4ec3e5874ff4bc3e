"""Everything that this room can ask a portal, one example of each question.

Laws: every public function that makes a Request or Listing stands here once per method it may call (a test sees to it),
so the table is the list of methods that we speak: samples are read by it, and ``doctor`` tells from it what a webhook
is not allowed to do.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from b24metrics.crm import activities, billing, clients, directories, events, messages, people, probe, sales
from b24metrics.crm.wiretypes import EntityType, Spelling
from b24metrics.portal.request import Listing, Request

_ITEM = Spelling.ITEM
_FAMILIES = (EntityType.LEAD, EntityType.DEAL, EntityType.CONTACT, EntityType.COMPANY, EntityType.QUOTE)

READS: tuple[Request[Any] | Listing[Any], ...] = (
    sales.deals(), sales.deal(1), sales.deals(spelling=_ITEM), sales.deal(1, spelling=_ITEM),
    sales.leads(), sales.lead(1), sales.leads(spelling=_ITEM), sales.lead(1, spelling=_ITEM),
    sales.stage_moves(EntityType.DEAL), sales.stage_moves(EntityType.LEAD),
    clients.contacts(), clients.contact(1), clients.contacts(spelling=_ITEM), clients.contact(1, spelling=_ITEM),
    clients.companies(), clients.company(1), clients.companies(spelling=_ITEM), clients.company(1, spelling=_ITEM),
    *(clients.contacts_of(kind, 1) for kind in _FAMILIES if kind is not EntityType.CONTACT), clients.companies_of(1),
    billing.quotes(), billing.quote(1), billing.quotes(spelling=_ITEM), billing.quote(1, spelling=_ITEM),
    billing.invoices(), billing.invoice(1), billing.old_invoices(), billing.old_invoice(1),
    billing.payments(EntityType.DEAL, 1), billing.payment(1),
    billing.product_rows(EntityType.DEAL, 1), billing.product_row(1),
    *(billing.all_product_rows(kind, 1) for kind in (EntityType.LEAD, EntityType.DEAL, EntityType.QUOTE)),
    activities.activities(), activities.activity(1), activities.activity_bindings(1), activities.transcript(1),
    activities.phone_calls(), activities.tasks(), activities.task(1),
    activities.comments(EntityType.DEAL, 1), activities.comment(1),
    people.users(), people.user(1), people.current_user(), people.profile(), people.departments(),
    people.absences([1], date(2026, 1, 1), date(2026, 1, 31)), people.schedule(1), people.workday(1),
    directories.statuses(), directories.status(1), directories.pipelines(EntityType.DEAL),
    directories.pipeline(EntityType.DEAL, 0), directories.currencies(), directories.base_currency(),
    *(directories.user_fields(kind) for kind in (*_FAMILIES, EntityType.INVOICE)),
    *(directories.user_field(kind, 1) for kind in (*_FAMILIES, EntityType.INVOICE)),
    directories.user_fields_of_people(), directories.user_field_settings("CRM_DEAL"), directories.user_field_setting(1),
    directories.calendar_settings(), directories.my_calendar_settings(),
    directories.smart_types(), directories.smart_type(1), directories.entity_types(), directories.crm_mode(),
    events.bindings(), events.take_offline(),
    probe.server_time(), probe.scopes(), probe.method_state("crm.deal.list"), probe.is_admin(),
)  # fmt: skip

WRITES: tuple[Request[Any], ...] = (
    events.bind("ONCRMDEALUPDATE", "https://example.org/push"),
    events.bind_offline("ONCRMDEALUPDATE"),
    events.confirm_offline("process"),
    messages.notify(1, "text"),
    messages.post("chat1", "text"),
    messages.add_todo(EntityType.DEAL, 1, datetime(2026, 1, 1, tzinfo=UTC)),
    messages.add_comment(EntityType.DEAL, 1, "text"),
)

METHODS: frozenset[str] = frozenset(question.method for question in (*READS, *WRITES))
"""Names of all REST methods that this room speaks."""

"""What questions and entities are to a type checker."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import assert_type

from b24metrics.crm import activities, billing, clients, directories, messages, people, probe, sales
from b24metrics.crm.activities import Activity, ActivityBinding, PhoneCall, Task
from b24metrics.crm.billing import Invoice, Payment, ProductRow
from b24metrics.crm.clients import ClientLink, Contact
from b24metrics.crm.directories import Pipeline, Status, UserField
from b24metrics.crm.people import Absence, Department, Schedule, User
from b24metrics.crm.sales import Deal, Lead, StageMove
from b24metrics.crm.wiretypes import (
    ActivityId,
    CompanyId,
    ContactId,
    CrmLink,
    CurrencyId,
    DealId,
    DepartmentId,
    EntityType,
    MessageId,
    Multifield,
    PipelineId,
    Semantics,
    StageId,
    UserId,
)
from b24metrics.portal.request import Listing, Request


def test_questions_say_what_they_answer() -> None:
    """A Listing or Request carries the type of its records."""
    assert_type(sales.deals(), Listing[Deal])
    assert_type(sales.deal(1), Request[Deal])
    assert_type(sales.leads(), Listing[Lead])
    assert_type(sales.stage_moves(EntityType.DEAL), Listing[StageMove])
    assert_type(clients.contacts(), Listing[Contact])
    assert_type(clients.contacts_of(EntityType.DEAL, 1), Request[tuple[ClientLink, ...]])
    assert_type(billing.invoices(), Listing[Invoice])
    assert_type(billing.payments(EntityType.DEAL, 1), Listing[Payment])
    assert_type(billing.all_product_rows(EntityType.DEAL, 1), Request[tuple[ProductRow, ...]])
    assert_type(activities.activities(), Listing[Activity])
    assert_type(activities.activity_bindings(1), Request[tuple[ActivityBinding, ...]])
    assert_type(activities.phone_calls(), Listing[PhoneCall])
    assert_type(activities.tasks(), Listing[Task])
    assert_type(activities.transcript(1), Request[str | None])
    assert_type(people.users(), Listing[User])
    assert_type(people.current_user(), Request[User])
    assert_type(people.user(1), Request[User | None])
    assert_type(people.departments(), Listing[Department])
    assert_type(people.absences([1], date(2026, 1, 1), date(2026, 1, 2)), Request[tuple[Absence, ...]])
    assert_type(people.schedule(1), Request[Schedule | None])
    assert_type(directories.statuses(), Listing[Status])
    assert_type(directories.pipelines(EntityType.DEAL), Listing[Pipeline])
    assert_type(directories.user_fields(EntityType.DEAL), Listing[UserField])
    assert_type(directories.base_currency(), Request[CurrencyId])
    assert_type(messages.notify(1, "text"), Request[MessageId | None])
    assert_type(messages.add_todo(EntityType.DEAL, 1, datetime(2026, 1, 1, tzinfo=UTC)), Request[ActivityId])
    assert_type(probe.server_time(), Request[datetime])


def test_fields_say_what_they_hold() -> None:
    """Ids are not to be mixed up, instants are not dates, and what may be missing says so."""
    deal = Deal.read({"ID": "1"})

    assert_type(deal, Deal)
    assert_type(deal.id, DealId)
    assert_type(deal.pipeline_id, PipelineId | None)
    assert_type(deal.stage_id, StageId | None)
    assert_type(deal.semantics, Semantics | None)
    assert_type(deal.opportunity, Decimal | None)
    assert_type(deal.currency_id, CurrencyId | None)
    assert_type(deal.created_at, datetime | None)
    assert_type(deal.closes_on, date | None)
    assert_type(deal.closed, bool | None)
    assert_type(deal.company_id, CompanyId | None)
    assert_type(deal.contact_ids, tuple[ContactId, ...] | None)
    assert_type(deal.user_fields, Mapping[str, object])
    user = User.read({"ID": "1"})
    assert_type(user.id, UserId)
    assert_type(user.department_ids, tuple[DepartmentId, ...] | None)
    assert_type(Contact.read({"ID": "1"}).phones, tuple[Multifield, ...] | None)
    assert_type(Task.read({"id": "1"}).bindings, tuple[CrmLink, ...] | None)
    assert_type(Activity.read({"ID": "1"}).bindings, tuple[ActivityBinding, ...] | None)
    assert_type(Activity.read({"ID": "1"}).owner_type_id, EntityType | None)

"""Leads, deals, and their moves through stages.

Laws: ``semantics`` is the vendor's P, S, F; a deal's ``closes_on`` is the expected day while it is open and is edited by
people afterwards, so the day of a win comes from stage moves. A stage move knows its kind of object only from the
question: the portal numbers the moves of each kind separately.
Source: vendor, "CRM object fields", "Stage history".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from b24metrics.crm.entity import Entity, wire
from b24metrics.crm.items import Moving, Reachable, item_listing, item_request, since
from b24metrics.crm.wiretypes import (
    Amount,
    Code,
    CompanyId,
    ContactId,
    CurrencyId,
    Day,
    DealId,
    EntityType,
    Flag,
    Id,
    Instant,
    Kind,
    LeadId,
    Meaning,
    Number,
    PipelineId,
    QuoteId,
    Ref,
    Refs,
    Spelling,
    StageId,
    StageMoveId,
    Text,
    Whole,
)
from b24metrics.portal.request import Listing, Request


class Deal(Moving):
    """A deal. ``opportunity`` is in its own currency; ``contact_id`` is the primary contact."""

    entity_type: ClassVar[EntityType] = EntityType.DEAL
    family: ClassVar[str] = "crm.deal"
    asked: ClassVar[tuple[str, ...]] = (
        "title", "type_id", "pipeline_id", "stage_id", "semantics", "opportunity", "currency_id", "probability",
        "assigned_by_id", "created_by_id", "modified_by_id", "moved_by_id", "created_at", "modified_at", "moved_at",
        "begins_on", "closes_on", "closed", "company_id", "contact_id", "lead_id", "quote_id", "source_id", "webform_id",
        "is_recurring", "is_return_customer", "is_repeated_approach", "originator_id", "origin_id", "last_activity_at",
    )  # fmt: skip

    id: Id[DealId]
    type_id: Text = None
    pipeline_id: Number[PipelineId] = wire("CATEGORY_ID")
    stage_id: Code[StageId] = None
    semantics: Meaning = wire("STAGE_SEMANTIC_ID")
    opportunity: Amount = None
    currency_id: Code[CurrencyId] = None
    is_manual_opportunity: Flag = None
    tax_value: Amount = None
    probability: Whole = None
    begins_on: Day = wire("BEGINDATE")
    closes_on: Day = wire("CLOSEDATE")
    closed: Flag = None
    company_id: Ref[CompanyId] = None
    contact_id: Ref[ContactId] = None
    contact_ids: Refs[ContactId] = wire(item="contactIds")
    lead_id: Ref[LeadId] = None
    quote_id: Ref[QuoteId] = None
    is_new: Flag = None
    is_recurring: Flag = None
    is_return_customer: Flag = None
    is_repeated_approach: Flag = None
    additional_info: Text = None
    location_id: Text = None
    order_stage: Text = wire(item="orderStage")


class Lead(Moving, Reachable):
    """A lead. Its client (``company_id``, ``contact_id``) is set on repeat leads only."""

    entity_type: ClassVar[EntityType] = EntityType.LEAD
    family: ClassVar[str] = "crm.lead"
    asked: ClassVar[tuple[str, ...]] = (
        "title", "stage_id", "semantics", "opportunity", "currency_id", "assigned_by_id", "created_by_id",
        "modified_by_id", "moved_by_id", "created_at", "modified_at", "moved_at", "closed_at", "company_id", "contact_id",
        "source_id", "webform_id", "is_return_customer", "originator_id", "origin_id", "last_activity_at",
    )  # fmt: skip

    id: Id[LeadId]
    stage_id: Code[StageId] = wire("STATUS_ID", item="stageId")
    semantics: Meaning = wire("STATUS_SEMANTIC_ID", item="stageSemanticId")
    stage_description: Text = wire("STATUS_DESCRIPTION")
    opportunity: Amount = None
    currency_id: Code[CurrencyId] = None
    is_manual_opportunity: Flag = None
    closed_at: Instant = wire("DATE_CLOSED")
    company_id: Ref[CompanyId] = None
    contact_id: Ref[ContactId] = None
    contact_ids: Refs[ContactId] = None
    is_return_customer: Flag = None
    company_title: Text = None
    name: Text = None
    second_name: Text = None
    last_name: Text = None
    honorific: Text = None
    position: Text = wire("POST")
    born_on: Day = wire("BIRTHDATE")


class StageMove(Entity):
    """One step of a lead, deal, invoice or smart process into a stage.

    ``kind``: 1 created, 2 moved to an intermediate stage, 3 moved to a final stage, 5 moved to another pipeline.
    ``pipeline_id``, ``stage_id`` and ``semantics`` are those after the move. There is no author and no previous stage.
    """

    asked: ClassVar[tuple[str, ...]] = (
        "kind", "owner_id", "created_at", "pipeline_id", "stage_id", "semantics",
    )  # fmt: skip

    entity_type_id: Kind
    id: Id[StageMoveId]
    kind: Whole = wire("TYPE_ID")
    owner_id: Ref[int] = None
    created_at: Instant = wire("CREATED_TIME")
    pipeline_id: Number[PipelineId] = wire("CATEGORY_ID")
    stage_id: Code[StageId] = wire("STAGE_ID", "STATUS_ID")
    semantics: Meaning = wire("STAGE_SEMANTIC_ID", "STATUS_SEMANTIC_ID")


def deals(
    *,
    modified_since: datetime | None = None,
    select: Iterable[str] | None = None,
    user_fields: Iterable[str] = (),
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the vendor's word
    spelling: Spelling = Spelling.LEGACY,
) -> Listing[Deal]:
    """Deals, templates of recurring ones included (``is_recurring``).

    Args:
        modified_since: only those changed at or after this aware instant.
        select: fields of Deal to ask for instead of those that the mirror keeps; ``*`` is all plain ones.
        user_fields: user fields to ask for besides, by their UPPER_CASE names.
        filter: further conditions, as the chosen methods spell them.
        spelling: LEGACY is ``crm.deal.list``; ITEM is ``crm.item.list``, which knows ``contact_ids`` and observers.

    Raises:
        ValueError: a field that Deal or the chosen methods do not have, or an instant without a zone.
    """
    return item_listing(
        Deal,
        modified_since=modified_since,
        select=select,
        user_fields=user_fields,
        filter=filter,
        spelling=spelling,
    )


def deal(deal_id: int, *, spelling: Spelling = Spelling.LEGACY) -> Request[Deal]:
    """One deal with all its fields."""
    return item_request(Deal, deal_id, spelling)


def leads(
    *,
    modified_since: datetime | None = None,
    select: Iterable[str] | None = None,
    user_fields: Iterable[str] = (),
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the vendor's word
    spelling: Spelling = Spelling.LEGACY,
) -> Listing[Lead]:
    """Leads; the arguments are those of ``deals``. Portals in simple mode have none."""
    return item_listing(
        Lead,
        modified_since=modified_since,
        select=select,
        user_fields=user_fields,
        filter=filter,
        spelling=spelling,
    )


def lead(lead_id: int, *, spelling: Spelling = Spelling.LEGACY) -> Request[Lead]:
    """One lead with all its fields, phones and addresses included."""
    return item_request(Lead, lead_id, spelling)


def stage_moves(
    entity_type: EntityType,
    *,
    created_since: datetime | None = None,
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the vendor's word
) -> Listing[StageMove]:
    """Moves of leads, deals, old or smart invoices, or smart processes. Append-only: go on after the last id.

    Source: vendor, "crm.stagehistory.list". Moves of deleted objects vanish with them.
    """
    method = "crm.stagehistory.list"
    by_status = entity_type in {EntityType.LEAD, EntityType.INVOICE}  # these two keep stages under the old name
    names = StageMove.spelled(StageMove.asked)
    return Listing(
        method,
        StageMove.reader(method, entity_type_id=entity_type),
        {**since("CREATED_TIME", created_since), **(filter or {})},
        tuple(name.replace("STAGE_", "STATUS_") if by_status else name for name in names),
        {"entityTypeId": int(entity_type)},
    )

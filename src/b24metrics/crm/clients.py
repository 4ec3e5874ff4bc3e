"""Contacts and companies: the people and firms that buy.

Laws: a deal's customer is its company if it has one, else its primary contact. Names, phones and addresses are personal
data: listings ask for them only by name. ``is_my_company`` marks the seller's own legal entities, which buy nothing.
Source: vendor, "CRM object fields", "Contact", "Company".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from b24metrics.crm.entity import Entity, many, wire
from b24metrics.crm.items import Reachable, item_listing, item_request
from b24metrics.crm.wiretypes import (
    Amount,
    Code,
    CompanyId,
    ContactId,
    CurrencyId,
    Day,
    EntityType,
    Flag,
    Id,
    LeadId,
    Number,
    PipelineId,
    Ref,
    Refs,
    Spelling,
    Text,
    Whole,
)
from b24metrics.portal.request import Listing, Request


class Contact(Reachable):
    """A person. ``title`` stays None: contacts have names instead."""

    entity_type: ClassVar[EntityType] = EntityType.CONTACT
    family: ClassVar[str] = "crm.contact"
    asked: ClassVar[tuple[str, ...]] = (
        "type_id", "assigned_by_id", "created_by_id", "modified_by_id", "created_at", "modified_at", "source_id",
        "company_id", "lead_id", "originator_id", "origin_id", "has_phone", "has_email", "last_activity_at",
    )  # fmt: skip

    id: Id[ContactId]
    type_id: Text = None
    name: Text = None
    second_name: Text = None
    last_name: Text = None
    honorific: Text = None
    position: Text = wire("POST")
    born_on: Day = wire("BIRTHDATE")
    company_id: Ref[CompanyId] = None
    company_ids: Refs[CompanyId] = wire(item="companyIds")
    lead_id: Ref[LeadId] = None
    pipeline_id: Number[PipelineId] = wire(item="categoryId")
    exported: Flag = wire("EXPORT")


class Company(Reachable):
    """A firm. ``revenue`` is what somebody typed in, not what it bought."""

    entity_type: ClassVar[EntityType] = EntityType.COMPANY
    family: ClassVar[str] = "crm.company"
    asked: ClassVar[tuple[str, ...]] = (
        "title", "type_id", "industry", "assigned_by_id", "created_by_id", "modified_by_id", "created_at", "modified_at",
        "lead_id", "is_my_company", "originator_id", "origin_id", "has_phone", "has_email", "last_activity_at",
    )  # fmt: skip

    id: Id[CompanyId]
    type_id: Text = wire("COMPANY_TYPE", item="typeId")
    industry: Text = None
    employees: Text = None
    revenue: Amount = None
    currency_id: Code[CurrencyId] = None
    is_my_company: Flag = None
    lead_id: Ref[LeadId] = None
    contact_ids: Refs[ContactId] = wire(item="contactIds")
    pipeline_id: Number[PipelineId] = wire(item="categoryId")


class ClientLink(Entity):
    """One contact or company of an object; exactly one of the two ids is set."""

    contact_id: Ref[ContactId] = None
    company_id: Ref[CompanyId] = None
    sort: Whole = None
    role_id: Ref[int] = None
    is_primary: Flag = None


def contacts(
    *,
    modified_since: datetime | None = None,
    select: Iterable[str] | None = None,
    user_fields: Iterable[str] = (),
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the vendor's word
    spelling: Spelling = Spelling.LEGACY,
) -> Listing[Contact]:
    """Contacts, without names and phones unless ``select`` names them; the arguments are those of ``sales.deals``."""
    return item_listing(
        Contact,
        modified_since=modified_since,
        select=select,
        user_fields=user_fields,
        filter=filter,
        spelling=spelling,
    )


def contact(contact_id: int, *, spelling: Spelling = Spelling.LEGACY) -> Request[Contact]:
    """One contact with all its fields, names and phones included."""
    return item_request(Contact, contact_id, spelling)


def companies(
    *,
    modified_since: datetime | None = None,
    select: Iterable[str] | None = None,
    user_fields: Iterable[str] = (),
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the vendor's word
    spelling: Spelling = Spelling.LEGACY,
) -> Listing[Company]:
    """Companies, without phones unless ``select`` names them; the arguments are those of ``sales.deals``."""
    return item_listing(
        Company,
        modified_since=modified_since,
        select=select,
        user_fields=user_fields,
        filter=filter,
        spelling=spelling,
    )


def company(company_id: int, *, spelling: Spelling = Spelling.LEGACY) -> Request[Company]:
    """One company with all its fields, phones included."""
    return item_request(Company, company_id, spelling)


def contacts_of(owner: EntityType, owner_id: int) -> Request[tuple[ClientLink, ...]]:
    """All contacts of a lead, deal, quote or company, the primary one marked.

    Raises:
        ValueError: a kind of object for which the portal keeps no such list.
    """
    kinds = {EntityType.LEAD, EntityType.DEAL, EntityType.QUOTE, EntityType.COMPANY}
    if owner not in kinds:
        raise ValueError(f"{owner.code}: contacts are listed for leads, deals, quotes and companies only")
    method = f"crm.{owner.code.lower()}.contact.items.get"
    return Request(method, {"id": int(owner_id)}, many(ClientLink.reader(method)))


def companies_of(contact_id: int) -> Request[tuple[ClientLink, ...]]:
    """All companies of a contact, the primary one marked."""
    method = "crm.contact.company.items.get"
    return Request(method, {"id": int(contact_id)}, many(ClientLink.reader(method)))

"""Quotes, invoices, payments, and the product rows of all of them.

Laws: quotes and smart invoices carry no semantics: join ``stage_id`` with the directory of their stages, and never judge
a smart invoice by the letter of its code (``…:S`` is "sent", ``…:P`` is "paid"). The day of a payment is the payment's
own ``paid_at``. A row's sum is ``price × quantity``.
Source: vendor, "CRM object fields", "Payments in CRM", "Product rows"; stage codes observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from b24metrics.crm.entity import Entity, many, one, wire
from b24metrics.crm.items import CrmItem, Moving, item_listing, item_request, since
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
    InvoiceId,
    Kind,
    LeadId,
    Number,
    PaymentId,
    PipelineId,
    ProductRowId,
    QuoteId,
    Ref,
    Refs,
    Spelling,
    StageId,
    Text,
    UserId,
    Whole,
)
from b24metrics.portal.request import Listing, Request

_ASKED = (
    "title", "stage_id", "opportunity", "currency_id", "assigned_by_id", "created_by_id", "modified_by_id",
    "created_at", "modified_at", "begins_on", "company_id", "contact_id", "last_activity_at",
)  # fmt: skip


class Quote(Moving):
    """A quote or estimate. ``valid_until`` is the last day on which the client may accept it."""

    entity_type: ClassVar[EntityType] = EntityType.QUOTE
    family: ClassVar[str] = "crm.quote"
    asked: ClassVar[tuple[str, ...]] = (*_ASKED, "closes_on", "valid_until", "closed", "lead_id", "deal_id", "number")

    id: Id[QuoteId]
    number: Text = wire("QUOTE_NUMBER")
    stage_id: Code[StageId] = wire("STATUS_ID", item="stageId")
    opportunity: Amount = None
    currency_id: Code[CurrencyId] = None
    tax_value: Amount = None
    begins_on: Day = wire("BEGINDATE")
    closes_on: Day = wire("CLOSEDATE")
    valid_until: Day = wire("ACTUAL_DATE")
    closed: Flag = None
    lead_id: Ref[LeadId] = None
    deal_id: Ref[DealId] = None
    company_id: Ref[CompanyId] = None
    contact_id: Ref[ContactId] = None
    contact_ids: Refs[ContactId] = wire(item="contactIds")
    my_company_id: Ref[CompanyId] = wire("MYCOMPANY_ID")


class Invoice(Moving):
    """A smart invoice. ``due_on`` is the last day to pay; ``moved_at`` is when it entered its present stage."""

    entity_type: ClassVar[EntityType] = EntityType.SMART_INVOICE
    asked: ClassVar[tuple[str, ...]] = (
        *_ASKED, "pipeline_id", "previous_stage_id", "moved_by_id", "moved_at", "due_on", "deal_id", "quote_id", "number",
    )  # fmt: skip

    id: Id[InvoiceId]
    number: Text = wire("ACCOUNT_NUMBER")
    xml_id: Text = None
    pipeline_id: Number[PipelineId] = wire("CATEGORY_ID")
    stage_id: Code[StageId] = None
    previous_stage_id: Code[StageId] = None
    opportunity: Amount = None
    currency_id: Code[CurrencyId] = None
    is_manual_opportunity: Flag = None
    tax_value: Amount = None
    begins_on: Day = wire("BEGINDATE")
    due_on: Day = wire("CLOSEDATE")
    deal_id: Ref[DealId] = wire("PARENT_ID_2")
    quote_id: Ref[QuoteId] = wire("PARENT_ID_7")
    company_id: Ref[CompanyId] = None
    contact_id: Ref[ContactId] = None
    contact_ids: Refs[ContactId] = wire(item="contactIds")
    my_company_id: Ref[CompanyId] = wire("MYCOMPANY_ID")
    location_id: Text = None


class OldInvoice(CrmItem):
    """An invoice of the kind before smart invoices. ``stage_id``: N draft, S sent, P paid, D declined, and custom ones."""

    entity_type: ClassVar[EntityType] = EntityType.INVOICE
    family: ClassVar[str] = "crm.invoice"
    asked: ClassVar[tuple[str, ...]] = (
        "title", "number", "stage_id", "opportunity", "currency_id", "assigned_by_id", "created_by_id", "created_at",
        "modified_at", "stage_changed_at", "billed_on", "due_on", "paid", "paid_at", "deal_id", "quote_id", "company_id",
        "contact_id", "is_recurring",
    )  # fmt: skip

    id: Id[InvoiceId]
    title: Text = wire("ORDER_TOPIC")
    number: Text = wire("ACCOUNT_NUMBER")
    xml_id: Text = None
    assigned_by_id: Ref[UserId] = wire("RESPONSIBLE_ID")
    created_by_id: Ref[UserId] = wire("CREATED_BY")
    created_at: Instant = wire("DATE_INSERT")
    modified_at: Instant = wire("DATE_UPDATE")
    stage_id: Code[StageId] = wire("STATUS_ID")
    stage_changed_at: Instant = wire("DATE_STATUS")
    opportunity: Amount = wire("PRICE")
    currency_id: Code[CurrencyId] = wire("CURRENCY")
    tax_value: Amount = None
    billed_on: Day = wire("DATE_BILL")
    due_on: Day = wire("DATE_PAY_BEFORE")
    paid: Flag = wire("PAYED")
    paid_at: Instant = wire("DATE_PAYED")
    voucher_on: Day = wire("PAY_VOUCHER_DATE")
    marked_at: Instant = wire("DATE_MARKED")
    reason_marked: Text = None
    deal_id: Ref[DealId] = wire("UF_DEAL_ID")
    quote_id: Ref[QuoteId] = wire("UF_QUOTE_ID")
    company_id: Ref[CompanyId] = wire("UF_COMPANY_ID")
    contact_id: Ref[ContactId] = wire("UF_CONTACT_ID")
    my_company_id: Ref[CompanyId] = wire("UF_MYCOMPANY_ID")
    is_recurring: Flag = None


class Payment(Entity):
    """A payment of a deal or smart invoice, made or expected."""

    id: Id[PaymentId]
    owner_type_id: Kind = None
    owner_id: Ref[int] = None
    number: Text = wire("ACCOUNT_NUMBER")
    paid: Flag = None
    paid_at: Instant = wire("DATE_PAID")
    paid_by_id: Ref[UserId] = wire("EMP_PAID_ID")
    amount: Amount = wire("SUM")
    currency_id: Code[CurrencyId] = wire("CURRENCY", "CURRENCY_ID")
    pay_system_id: Ref[int] = None
    pay_system_name: Text = None


class ProductRow(Entity):
    """A position of a deal, lead, quote or invoice.

    ``price`` is one unit after discount, tax included; ``price_account`` the same in the portal's base currency;
    ``tax_rate`` None means no tax. ``discount_kind``: 1 absolute, 2 percent.
    """

    id: Id[ProductRowId]
    owner_type_id: Kind = wire("OWNER_TYPE")
    owner_id: Ref[int] = None
    product_id: Ref[int] = None
    product_name: Text = None
    quantity: Amount = None
    price: Amount = None
    price_account: Amount = None
    price_exclusive: Amount = None
    price_netto: Amount = None
    price_brutto: Amount = None
    discount_kind: Whole = wire("DISCOUNT_TYPE_ID")
    discount_rate: Amount = None
    discount_sum: Amount = None
    tax_rate: Amount = None
    tax_included: Flag = None
    measure_code: Whole = None
    measure_name: Text = None
    sort: Whole = None
    kind: Whole = wire("TYPE")
    xml_id: Text = None


def quotes(
    *,
    modified_since: datetime | None = None,
    select: Iterable[str] | None = None,
    user_fields: Iterable[str] = (),
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the vendor's word
    spelling: Spelling = Spelling.LEGACY,
) -> Listing[Quote]:
    """Quotes; the arguments are those of ``sales.deals``."""
    return item_listing(
        Quote,
        modified_since=modified_since,
        select=select,
        user_fields=user_fields,
        filter=filter,
        spelling=spelling,
    )


def quote(quote_id: int, *, spelling: Spelling = Spelling.LEGACY) -> Request[Quote]:
    """One quote with all its fields."""
    return item_request(Quote, quote_id, spelling)


def invoices(
    *,
    modified_since: datetime | None = None,
    select: Iterable[str] | None = None,
    user_fields: Iterable[str] = (),
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the vendor's word
) -> Listing[Invoice]:
    """Smart invoices, which only ``crm.item.list`` knows; the arguments are those of ``sales.deals``."""
    return item_listing(
        Invoice,
        modified_since=modified_since,
        select=select,
        user_fields=user_fields,
        filter=filter,
        spelling=Spelling.ITEM,
    )


def invoice(invoice_id: int) -> Request[Invoice]:
    """One smart invoice with all its fields."""
    return item_request(Invoice, invoice_id, Spelling.ITEM)


def old_invoices(
    *,
    modified_since: datetime | None = None,
    select: Iterable[str] | None = None,
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the vendor's word
) -> Listing[OldInvoice]:
    """Invoices of the outdated kind; the arguments are those of ``sales.deals``."""
    return Listing(
        "crm.invoice.list",
        OldInvoice.reader("crm.invoice.list"),
        {**since("DATE_UPDATE", modified_since), **(filter or {})},
        OldInvoice.spelled(OldInvoice.asked if select is None else select),
    )


def old_invoice(invoice_id: int) -> Request[OldInvoice]:
    """One invoice of the outdated kind with all its fields."""
    return item_request(OldInvoice, invoice_id, Spelling.LEGACY)


def payments(owner: EntityType, owner_id: int) -> Listing[Payment]:
    """Payments of one deal or smart invoice."""
    method = "crm.item.payment.list"
    return Listing(
        method,
        Payment.reader(method, owner_type_id=owner, owner_id=int(owner_id)),
        params={"entityTypeId": int(owner), "entityId": int(owner_id)},
    )


def payment(payment_id: int) -> Request[Payment]:
    """One payment; the answer does not say whose."""
    method = "crm.item.payment.get"
    return Request(method, {"id": int(payment_id)}, one(Payment.reader(method), "payment"))


def product_rows(owner: EntityType, owner_id: int) -> Listing[ProductRow]:
    """Positions of one object of any kind that has them. One object per question: put many into a batch."""
    method = "crm.item.productrow.list"
    return Listing(method, ProductRow.reader(method), {"=ownerType": owner.short, "=ownerId": int(owner_id)})


def product_row(row_id: int) -> Request[ProductRow]:
    """One position."""
    method = "crm.item.productrow.get"
    return Request(method, {"id": int(row_id)}, one(ProductRow.reader(method), "productRow"))


def all_product_rows(owner: EntityType, owner_id: int) -> Request[tuple[ProductRow, ...]]:
    """Positions of one lead, deal or quote at once, by the legacy methods; good for batches.

    Raises:
        ValueError: a kind of object that has no such method.
    """
    if owner not in {EntityType.LEAD, EntityType.DEAL, EntityType.QUOTE}:
        raise ValueError(f"{owner.code}: use product_rows; only leads, deals and quotes have a legacy method")
    method = f"crm.{owner.code.lower()}.productrows.get"
    return Request(method, {"id": int(owner_id)}, many(ProductRow.reader(method)))

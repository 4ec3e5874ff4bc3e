"""Quotes, invoices, payments, product rows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from b24metrics.crm import billing
from b24metrics.crm.billing import Invoice, OldInvoice, Quote
from b24metrics.crm.wiretypes import EntityType


def test_a_quote_in_both_spellings() -> None:
    legacy = {
        "ID": "43", "TITLE": "Furniture", "STATUS_ID": "SENT", "OPPORTUNITY": "150000.00", "CURRENCY_ID": "EUR",
        "COMPANY_ID": "1", "CONTACT_ID": None, "MYCOMPANY_ID": "340", "ACTUAL_DATE": "2026-03-20T03:00:00+01:00",
        "CLOSED": "N", "DEAL_ID": None, "QUOTE_NUMBER": "43",
    }  # fmt: skip
    item = {
        "id": 43, "title": "Furniture", "stageId": "SENT", "opportunity": 150000, "currencyId": "EUR", "companyId": 1,
        "contactId": 0, "mycompanyId": 340, "actualDate": "2026-03-20T03:00:00+01:00", "closed": "N", "dealId": 0,
        "quoteNumber": "43",
    }  # fmt: skip

    quote = Quote.read(legacy)

    assert quote == Quote.read(item)
    assert ("SENT", Decimal(150000), date(2026, 3, 20), 340, None) == (
        quote.stage_id, quote.opportunity, quote.valid_until, quote.my_company_id, quote.deal_id,
    )  # fmt: skip


def test_a_smart_invoice() -> None:
    """CLOSEDATE is the last day to pay; deal and quote are its parents of type 2 and 7."""
    invoice = Invoice.read({
        "id": 5, "accountNumber": "5", "categoryId": 3, "stageId": "DT31_3:P", "previousStageId": "DT31_3:S",
        "movedTime": "2026-02-03T11:30:00+03:00", "closedate": "2026-02-08T03:00:00+03:00", "opportunity": 1500,
        "currencyId": "EUR", "companyId": 0, "contactId": 9, "contactIds": [9], "parentId2": 121, "parentId7": None,
        "assignedById": 7, "entityTypeId": 31,
    })  # fmt: skip

    assert ("5", 3, "DT31_3:P", 121, None) == (
        invoice.number, invoice.pipeline_id, invoice.stage_id, invoice.deal_id, invoice.quote_id,
    )  # fmt: skip
    assert (date(2026, 2, 8), datetime(2026, 2, 3, 8, 30, tzinfo=UTC)) == (invoice.due_on, invoice.moved_at)
    assert (None, 9, (9,)) == (invoice.company_id, invoice.contact_id, invoice.contact_ids)
    assert {} == invoice.extra


def test_invoices_are_asked_for_in_the_only_spelling_there_is() -> None:
    listing = billing.invoices()

    assert ("crm.item.list", {"entityTypeId": 31}) == (listing.method, listing.params)
    assert {"parentId2", "stageId", "closedate", "accountNumber"} <= set(listing.select)


def test_an_old_invoice() -> None:
    """Old invoices have names of their own; their links are user fields in form only."""
    invoice = OldInvoice.read({
        "ID": "7", "ORDER_TOPIC": "Boiler", "ACCOUNT_NUMBER": "12", "STATUS_ID": "P", "PRICE": "100.10", "CURRENCY": "RUB",
        "DATE_INSERT": "2026-01-01T12:00:00+03:00", "DATE_BILL": "2026-01-02T03:00:00+03:00", "PAYED": "Y",
        "DATE_PAYED": "2026-01-05T12:00:00+03:00", "RESPONSIBLE_ID": "7", "UF_DEAL_ID": "121", "UF_CRM_1": "x",
    })  # fmt: skip

    assert ("Boiler", "P", Decimal("100.10"), "RUB", True, 121, 7) == (
        invoice.title, invoice.stage_id, invoice.opportunity, invoice.currency_id, invoice.paid, invoice.deal_id,
        invoice.assigned_by_id,
    )  # fmt: skip
    assert (date(2026, 1, 2), datetime(2026, 1, 5, 9, tzinfo=UTC)) == (invoice.billed_on, invoice.paid_at)
    assert {"UF_CRM_1": "x"} == invoice.user_fields


def test_payments_know_whose_they_are_from_the_question() -> None:
    listing = billing.payments(EntityType.SMART_INVOICE, 5)
    payment = listing.decode({
        "id": 1036, "accountNumber": "3653/1", "paid": "Y", "datePaid": "2024-05-20T12:32:02+03:00", "empPaidId": 1,
        "paySystemId": 6, "sum": 0.5, "currency": "USD", "paySystemName": "Cash",
    })  # fmt: skip

    assert {"entityTypeId": 31, "entityId": 5} == listing.params
    assert (EntityType.SMART_INVOICE, 5, Decimal("0.5"), "USD", True) == (
        payment.owner_type_id, payment.owner_id, payment.amount, payment.currency_id, payment.paid,
    )  # fmt: skip
    assert datetime(2024, 5, 20, 9, 32, 2, tzinfo=UTC) == payment.paid_at


def test_product_rows_in_both_spellings() -> None:
    """Legacy rows mix text and numbers; the owner is a letter in both."""
    legacy = {
        "ID": "5", "OWNER_ID": "5", "OWNER_TYPE": "D", "PRODUCT_ID": 450, "PRODUCT_NAME": "Product", "PRICE": 899.1,
        "PRICE_ACCOUNT": "899.10", "QUANTITY": 2, "TAX_RATE": None, "TAX_INCLUDED": "Y", "TYPE": 1, "DISCOUNT_SUM": 99.9,
    }  # fmt: skip
    item = {
        "id": 5, "ownerId": 5, "ownerType": "D", "productId": 450, "productName": "Product", "price": 899.1,
        "priceAccount": 899.1, "quantity": 2, "taxRate": None, "taxIncluded": "Y", "type": 1, "discountSum": 99.9,
    }  # fmt: skip

    (row,) = billing.all_product_rows(EntityType.DEAL, 5).decode([legacy])

    assert row == billing.product_rows(EntityType.DEAL, 5).decode(item)
    assert (EntityType.DEAL, 5, Decimal("899.1"), Decimal(2), None, True) == (
        row.owner_type_id, row.owner_id, row.price, row.quantity, row.tax_rate, row.tax_included,
    )  # fmt: skip


def test_product_rows_of_one_object() -> None:
    """The method wants the kind as a letter; smart processes have one too."""
    assert {"=ownerType": "SI", "=ownerId": 5} == billing.product_rows(EntityType.SMART_INVOICE, 5).filter
    assert {"=ownerType": "T9c", "=ownerId": 5} == billing.product_rows(EntityType(156), 5).filter
    with pytest.raises(ValueError, match="only leads, deals and quotes"):
        billing.all_product_rows(EntityType.SMART_INVOICE, 5)

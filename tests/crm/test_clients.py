"""Contacts and companies."""

from __future__ import annotations

import pytest

from b24metrics.crm import clients
from b24metrics.crm.clients import ClientLink, Company, Contact
from b24metrics.crm.wiretypes import EntityType, Multifield, Spelling

PERSONAL = {"NAME", "LAST_NAME", "SECOND_NAME", "PHONE", "EMAIL", "BIRTHDATE", "POST", "COMMENTS", "*", "UF_*"}


def test_a_contact_in_both_spellings() -> None:
    legacy = {
        "ID": "43", "NAME": "John", "LAST_NAME": "Smith", "TYPE_ID": "PARTNER", "COMPANY_ID": "12", "LEAD_ID": None,
        "EXPORT": "N", "HAS_PHONE": "Y", "PHONE": [{"ID": "156", "VALUE_TYPE": "WORK", "VALUE": "+1333", "TYPE_ID": "PHONE"}],
    }  # fmt: skip
    item = {
        "id": 43, "name": "John", "lastName": "Smith", "typeId": "PARTNER", "companyId": 12, "leadId": None,
        "export": "N", "hasPhone": "Y", "fm": [{"id": 156, "valueType": "WORK", "value": "+1333", "typeId": "PHONE"}],
    }  # fmt: skip

    contact = Contact.read(legacy)

    assert contact == Contact.read(item)
    assert ("John", 12, None, False, True) == (
        contact.name, contact.company_id, contact.lead_id, contact.exported, contact.has_phone,
    )  # fmt: skip
    assert (Multifield("+1333", "WORK", 156),) == contact.phones


def test_a_company_in_both_spellings() -> None:
    """Its type is COMPANY_TYPE in one family and typeId in the other."""
    legacy = {
        "ID": "9",
        "TITLE": "GmbH",
        "COMPANY_TYPE": "CUSTOMER",
        "IS_MY_COMPANY": "N",
        "REVENUE": "0",
        "LEAD_ID": "0",
    }
    item = {"id": 9, "title": "GmbH", "typeId": "CUSTOMER", "isMyCompany": "N", "revenue": 0, "leadId": None}

    company = Company.read(legacy)

    assert company == Company.read(item)
    assert ("CUSTOMER", False, 0, None) == (company.type_id, company.is_my_company, company.revenue, company.lead_id)


def test_a_flat_alias_is_one_phone() -> None:
    """crm.item.list names no multifields; it has aliases that are plain text."""
    assert (Multifield("+1333"),) == Contact.read({"id": 1, "phone": "+1333"}).phones


@pytest.mark.parametrize("listing", [clients.contacts(), clients.companies()], ids=["contacts", "companies"])
def test_nothing_personal_is_asked_for_by_default(listing: object) -> None:
    assert set() == PERSONAL & set(listing.select)  # type: ignore[attr-defined]


def test_names_and_phones_come_when_they_are_named() -> None:
    assert ("ID", "NAME", "PHONE") == clients.contacts(select=["name", "phones"]).select
    assert ("id", "name", "phone") == clients.contacts(select=["name", "phones"], spelling=Spelling.ITEM).select


def test_contacts_of_a_deal() -> None:
    request = clients.contacts_of(EntityType.DEAL, 5)

    found = request.decode([{"CONTACT_ID": 55, "SORT": 100, "ROLE_ID": 0, "IS_PRIMARY": "Y"}])

    assert ("crm.deal.contact.items.get", {"id": 5}) == (request.method, request.params)
    assert (ClientLink(contact_id=55, sort=100, is_primary=True),) == tuple(  # type: ignore[arg-type]
        link.model_copy(update={"role_id": None}) for link in found
    )


def test_companies_of_a_contact() -> None:
    (link,) = clients.companies_of(7).decode([{"COMPANY_ID": 7, "SORT": 100, "ROLE_ID": 0, "IS_PRIMARY": "N"}])

    assert (7, None, False) == (link.company_id, link.contact_id, link.is_primary)


def test_objects_without_contacts_are_refused() -> None:
    with pytest.raises(ValueError, match="leads, deals, quotes and companies"):
        clients.contacts_of(EntityType.SMART_INVOICE, 1)

"""Stages and other directories, pipelines, currencies, user fields, settings."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from b24metrics.crm import directories
from b24metrics.crm.directories import CrmMode, Currency, Pipeline, Stages, Status, UserField
from b24metrics.crm.wiretypes import CrmLink, EntityType, Money, Semantics
from b24metrics.errors import UnreadableRow
from b24metrics.mirror.schema import CURRENCIES, PIPELINES, STATUSES


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("STATUS", Stages(EntityType.LEAD, None)),
        ("DEAL_STAGE", Stages(EntityType.DEAL, 0)),
        ("DEAL_STAGE_3", Stages(EntityType.DEAL, 3)),
        ("QUOTE_STATUS", Stages(EntityType.QUOTE, None)),
        ("INVOICE_STATUS", Stages(EntityType.INVOICE, None)),
        ("SMART_INVOICE_STAGE_13", Stages(EntityType.SMART_INVOICE, 13)),
        ("SMART_DOCUMENT_STAGE_2", Stages(EntityType.SMART_DOCUMENT, 2)),
        ("DYNAMIC_1038_STAGE_37", Stages(EntityType(1038), 37)),
        ("SOURCE", None),
        ("DEAL_TYPE", None),
        ("DEAL_STAGE_X", None),
    ],
)
def test_the_name_of_a_directory_tells_whose_stages_it_holds(directory: str, expected: Stages | None) -> None:
    assert expected == directories.stages_of(directory)
    if expected is not None:
        assert directory == directories.stage_directory(*expected)


def test_directories_that_cannot_be_named_are_refused() -> None:
    assert "DEAL_STAGE" == directories.stage_directory(EntityType.DEAL)
    with pytest.raises(ValueError, match="name the pipeline"):
        directories.stage_directory(EntityType.SMART_INVOICE)
    with pytest.raises(ValueError, match="no stages"):
        directories.stage_directory(EntityType.CONTACT, 1)


@pytest.mark.parametrize(
    ("said", "extra", "expected"),
    [
        ("S", {"SEMANTICS": "success"}, Semantics.SUCCESS),
        ("F", {"SEMANTICS": "apology"}, Semantics.FAILURE),
        (None, {"SEMANTICS": "process"}, Semantics.PROGRESS),
        (None, {"SEMANTICS": "success"}, Semantics.SUCCESS),  # older portals: only in EXTRA
        (None, {"SEMANTICS": "failure"}, Semantics.FAILURE),
        ("", {"SEMANTICS": "apology"}, Semantics.FAILURE),
        (None, [], Semantics.PROGRESS),
        (None, None, Semantics.PROGRESS),
        ("S", None, Semantics.SUCCESS),  # invoices and smart processes: only in SEMANTICS
    ],
)
def test_what_a_stage_means(said: object, extra: object, expected: Semantics) -> None:
    """SEMANTICS, else EXTRA, else in progress."""
    stage = Status.read({
        "ID": "111", "ENTITY_ID": "DEAL_STAGE_3", "STATUS_ID": "C3:WON", "NAME": "Won", "SORT": "60", "SYSTEM": "Y",
        "CATEGORY_ID": "3", "SEMANTICS": said, "EXTRA": extra,
    })  # fmt: skip

    assert (expected, EntityType.DEAL, 3, 60) == (stage.semantics, stage.entity_type_id, stage.pipeline_id, stage.sort)


def test_a_stage_for_apologies_is_marked() -> None:
    row = {
        "ENTITY_ID": "STATUS",
        "STATUS_ID": "X",
        "SEMANTICS": "F",
        "EXTRA": {"SEMANTICS": "apology", "COLOR": "#F00"},
    }

    stage = Status.read(row)

    assert (True, "#F00", EntityType.LEAD, None) == (
        stage.apology,
        stage.color,
        stage.entity_type_id,
        stage.pipeline_id,
    )


def test_entries_of_other_directories_mean_nothing() -> None:
    """A source is neither won nor lost, whatever its row says."""
    source = Status.read({"ID": "5", "ENTITY_ID": "SOURCE", "STATUS_ID": "CALL", "NAME": "Call", "SEMANTICS": "S"})

    assert (None, None, None, None) == (source.semantics, source.apology, source.entity_type_id, source.pipeline_id)
    assert set(STATUSES.columns) <= set(Status.model_fields)


def test_statuses_are_asked_for_one_directory_or_all() -> None:
    """ENTITY_ID must be one text; the method knows neither select nor pages."""
    assert ({}, ()) == (directories.statuses().filter, directories.statuses().select)
    assert {"ENTITY_ID": "SOURCE"} == directories.statuses("SOURCE").filter


def test_pipelines() -> None:
    """The first pipeline of deals has the id 0 and is a pipeline all the same."""
    listing = directories.pipelines(EntityType.DEAL)
    pipeline = listing.decode({"id": 0, "name": "General", "sort": 300, "entityTypeId": 2, "isDefault": "Y"})

    assert Pipeline(entity_type_id=EntityType.DEAL, id=0, name="General", sort=300, is_default=True) == pipeline  # type: ignore[arg-type]
    assert {"entityTypeId": 2} == listing.params
    assert set(PIPELINES.columns) <= set(Pipeline.model_fields)
    assert pipeline == directories.pipeline(EntityType.DEAL, 0).decode(
        {"category": {"id": "0", "name": "General", "sort": 300, "isDefault": "Y"}}
    )


def test_currencies() -> None:
    currency = Currency.read({
        "CURRENCY": "EUR", "AMOUNT_CNT": "1", "AMOUNT": "78.3200", "SORT": "300", "BASE": "N", "FULL_NAME": "Euro",
        "DECIMALS": "2", "DATE_UPDATE": "2023-03-21T15:19:50+02:00", "THOUSANDS_SEP": "&nbsp;",
    })  # fmt: skip

    assert ("EUR", Decimal("78.32"), 1, False, "Euro") == (
        currency.id, currency.rate, currency.rate_count, currency.is_base, currency.name,
    )  # fmt: skip
    assert {"THOUSANDS_SEP": "&nbsp;"} == currency.extra
    assert set(CURRENCIES.columns) <= set(Currency.model_fields)


def test_the_base_currency() -> None:
    assert "RUB" == directories.base_currency().decode("RUB")
    with pytest.raises(UnreadableRow, match=r"crm\.currency\.base\.get"):
        directories.base_currency().decode(None)


# ---------------------------------------------------------------- user fields


def field(kind: str, **more: object) -> UserField:
    return UserField.read({"ID": "1", "FIELD_NAME": "UF_CRM_1", "USER_TYPE_ID": kind, **more})


LOSS = {
    "ID": "6799", "ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "UF_CRM_LOSS", "USER_TYPE_ID": "enumeration", "MULTIPLE": "N",
    "MANDATORY": "Y", "SORT": "150", "SETTINGS": {"DISPLAY": "LIST"}, "EDIT_FORM_LABEL": {"en": "Loss", "ru": "Причина"},
    "LIST": [{"ID": "57", "SORT": "10", "VALUE": "Price", "DEF": "N", "XML_ID": "x"}, {"ID": "58", "VALUE": "Time"}],
}  # fmt: skip


def test_a_user_field_in_both_spellings() -> None:
    item = {
        "id": "6799", "entityId": "CRM_DEAL", "fieldName": "UF_CRM_LOSS", "userTypeId": "enumeration", "multiple": "N",
        "mandatory": "Y", "sort": "150", "settings": {"DISPLAY": "LIST"}, "editFormLabel": {"en": "Loss", "ru": "Причина"},
        "enum": [{"id": "57", "sort": "10", "value": "Price", "def": "N", "xmlId": "x"}, {"id": "58", "value": "Time"}],
    }  # fmt: skip

    legacy = UserField.read(LOSS)

    assert legacy == UserField.read(item) == directories.user_field_setting(6799).decode({"field": item})
    assert ("UF_CRM_LOSS", "enumeration", False, True, "Причина") == (
        legacy.name, legacy.kind, legacy.multiple, legacy.mandatory, legacy.label,
    )  # fmt: skip
    assert [(57, "Price", False), (58, "Time", None)] == [(one.id, one.value, one.is_default) for one in legacy.options]


@pytest.mark.parametrize(
    ("raw", "expected"), [("58", "Time"), (58, "Time"), ("", None), (None, None), (False, None), ("99", "99")]
)
def test_an_enumeration_means_its_caption(raw: object, expected: str | None) -> None:
    """Loss reasons are read so; an option that was deleted since shows its number."""
    assert expected == UserField.read(LOSS).value(raw)


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        ("boolean", "1", True), ("boolean", "N", False), ("integer", "5", 5), ("double", "1.5", Decimal("1.5")),
        ("money", "300|EUR", Money(Decimal(300), "EUR")), ("date", "2026-03-01T03:00:00+03:00", date(2026, 3, 1)),
        ("datetime", "2026-03-01T03:00:00+03:00", datetime(2026, 3, 1, tzinfo=UTC)), ("employee", "7", 7),
        ("string", "text", "text"), ("crm_status", "IT", "IT"), ("file", {"id": 5, "url": "x"}, "5"),
        ("never_heard_of", "x", "x"), ("crm", "CO_4", CrmLink(EntityType.COMPANY, 4)),
    ],
)  # fmt: skip
def test_a_value_is_read_by_the_type_of_its_field(kind: str, raw: object, expected: object) -> None:
    assert expected == field(kind).value(raw)


def test_a_multiple_field_is_a_tuple() -> None:
    """An empty one is false, [] or ""."""
    fields = field("enumeration", MULTIPLE="Y", LIST=LOSS["LIST"])

    assert ("Price", "Time") == fields.value(["57", 58])
    assert [(), (), ()] == [fields.value(nothing) for nothing in (False, [], "")]


def test_a_binding_to_one_kind_is_a_bare_id() -> None:
    only_companies = field("crm", SETTINGS={"LEAD": "N", "COMPANY": "Y"})

    assert CrmLink(EntityType.COMPANY, 4) == only_companies.value("4")
    assert CrmLink(EntityType(156), 4) == field("crm", SETTINGS={"DYNAMIC_156": "Y"}).value("4")


def test_user_fields_are_asked_for_by_kind_of_object() -> None:
    listing = directories.user_fields(EntityType.DEAL, language="ru")

    assert ("crm.deal.userfield.list", {"LANG": "ru"}) == (listing.method, listing.filter)
    with pytest.raises(ValueError, match="user_field_settings"):
        directories.user_fields(EntityType.SMART_INVOICE)
    assert {"moduleId": "crm"} == directories.user_field_settings("CRM_SMART_INVOICE").params


# ---------------------------------------------------------------- settings


def test_calendar_settings() -> None:
    """Hours are text, days are letters, holidays have no year; booleans mixed with "" do no harm."""
    settings = directories.calendar_settings().decode({
        "work_time_start": "9", "work_time_end": "18.30", "week_holidays": ["SA", "SU"], "week_start": "MO",
        "year_holidays": "1.01,2.01,8.03", "year_workdays": "31.12", "user_name_template": "#NAME#", "sync_by_push": "",
        "rm_iblock_id": False,
    })  # fmt: skip

    assert (9 * 3600, 18 * 3600 + 1800, (6, 7), 1) == (
        settings.starts_seconds, settings.ends_seconds, settings.weekend, settings.week_start,
    )  # fmt: skip
    assert (((1, 1), (1, 2), (3, 8)), ((12, 31),)) == (settings.holidays, settings.working_holidays)


def test_settings_of_one_person() -> None:
    settings = directories.my_calendar_settings().decode({"timezoneName": "Europe/Moscow", "work_time_start": "9.00"})

    assert ("Europe/Moscow", 32400) == (settings.zone, settings.starts_seconds)


@pytest.mark.parametrize(("result", "expected"), [(1, CrmMode.CLASSIC), ("2", CrmMode.SIMPLE), (7, None), (None, None)])
def test_how_the_portal_sells(result: object, expected: CrmMode | None) -> None:
    assert expected is directories.crm_mode().decode(result)

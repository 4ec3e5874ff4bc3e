"""Leads, deals and stage moves, checked by hand against the vendor's answers and the questions they came from."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from b24metrics.crm import sales
from b24metrics.crm.sales import Lead, StageMove
from b24metrics.crm.wiretypes import EntityType, Multifield, Semantics, Spelling
from b24metrics.mirror.schema import DEALS, LEADS, STAGE_MOVES
from b24metrics.portal.dialects import page_request

SINCE = datetime(2026, 2, 1, tzinfo=timezone(timedelta(hours=3)))


def test_a_lead_in_both_spellings() -> None:
    """Leads keep their stage under STATUS_ID in one family and stageId in the other."""
    legacy = {
        "ID": "40", "TITLE": "Web form", "STATUS_ID": "CONVERTED", "STATUS_SEMANTIC_ID": "S",
        "DATE_CREATE": "2026-01-19T18:00:00+03:00", "DATE_CLOSED": "2026-01-20T10:02:11+03:00", "OPPORTUNITY": "12000.00",
        "BIRTHDATE": "2001-11-11T02:00:00+02:00", "HAS_PHONE": "Y", "COMPANY_ID": None, "POST": "CEO",
        "PHONE": [{"ID": "88", "VALUE_TYPE": "WORK", "VALUE": "+700000000", "TYPE_ID": "PHONE"}],
        "EMAIL": [{"ID": "89", "VALUE_TYPE": "HOME", "VALUE": "a@b.example", "TYPE_ID": "EMAIL"}],
    }  # fmt: skip
    item = {
        "id": 40, "title": "Web form", "stageId": "CONVERTED", "stageSemanticId": "S",
        "createdTime": "2026-01-19T18:00:00+03:00", "dateClosed": "2026-01-20T10:02:11+03:00", "opportunity": 12000,
        "birthdate": "2001-11-11T02:00:00+02:00", "hasPhone": "Y", "companyId": 0, "post": "CEO",
        "fm": [
            {"id": 88, "valueType": "WORK", "value": "+700000000", "typeId": "PHONE"},
            {"id": 89, "valueType": "HOME", "value": "a@b.example", "typeId": "EMAIL"},
        ],
    }  # fmt: skip

    lead = Lead.read(legacy)

    assert lead == Lead.read(item)
    assert ("CONVERTED", Semantics.SUCCESS, Decimal(12000)) == (lead.stage_id, lead.semantics, lead.opportunity)
    assert datetime(2026, 1, 20, 7, 2, 11, tzinfo=UTC) == lead.closed_at
    assert date(2001, 11, 11) == lead.born_on
    assert (Multifield("+700000000", "WORK", 88),) == lead.phones
    assert None is lead.sites


def test_an_open_lead_has_no_closing_time() -> None:
    assert Lead.read({"ID": "41", "DATE_CLOSED": ""}).closed_at is None


def test_a_stage_move_learns_its_kind_from_the_question() -> None:
    """Moves of deals and of leads are numbered separately and do not say whose they are."""
    row = {
        "ID": 1001, "TYPE_ID": 2, "OWNER_ID": 77, "CREATED_TIME": "2026-02-03T12:01:44+03:00", "CATEGORY_ID": 0,
        "STAGE_SEMANTIC_ID": "P", "STAGE_ID": "EXECUTING",
    }  # fmt: skip

    assert StageMove(
        entity_type_id=EntityType.DEAL, id=1001, kind=2, owner_id=77, pipeline_id=0, stage_id="EXECUTING",
        created_at=datetime(2026, 2, 3, 9, 1, 44, tzinfo=UTC), semantics=Semantics.PROGRESS,
    ) == sales.stage_moves(EntityType.DEAL).decode(row)  # type: ignore[arg-type]  # fmt: skip


def test_moves_of_leads_and_old_portals() -> None:
    """Leads write STATUS_*; old portals write the id as text."""
    row = {"ID": "5", "TYPE_ID": "3", "OWNER_ID": "40", "STATUS_ID": "JUNK", "STATUS_SEMANTIC_ID": "F"}

    move = sales.stage_moves(EntityType.LEAD).decode(row)

    assert (5, 3, "JUNK", Semantics.FAILURE) == (move.id, move.kind, move.stage_id, move.semantics)
    assert (EntityType.LEAD, None) == (move.entity_type_id, move.pipeline_id)


# ---------------------------------------------------------------- questions


def test_deals_ask_for_what_the_mirror_keeps_and_nothing_personal() -> None:
    """By default no comments, no names; user fields one by one."""
    listing = sales.deals(modified_since=SINCE, user_fields=["UF_CRM_1"])

    assert "crm.deal.list" == listing.method
    assert {">=DATE_MODIFY": SINCE} == listing.filter
    assert "ID" == listing.select[0]
    assert "UF_CRM_1" == listing.select[-1]
    assert {"CATEGORY_ID", "STAGE_SEMANTIC_ID", "CLOSEDATE", "IS_RECURRING"} <= set(listing.select)
    assert set() == {"COMMENTS", "*", "UF_*"} & set(listing.select)


def test_deals_can_be_asked_for_in_the_other_spelling() -> None:
    listing = sales.deals(
        modified_since=SINCE, select=["contact_ids", "closes_on"], user_fields=["UF_CRM_1"], spelling=Spelling.ITEM
    )

    assert ("crm.item.list", {"entityTypeId": 2}) == (listing.method, listing.params)
    assert {">=updatedTime": SINCE} == listing.filter
    assert ("id", "contactIds", "closedate", "ufCrm_1") == listing.select


@pytest.mark.parametrize(
    ("entity", "table"),
    [(sales.Deal, DEALS), (sales.Lead, LEADS), (sales.StageMove, STAGE_MOVES)],
    ids=["deals", "leads", "moves"],
)
def test_the_default_question_fills_the_mirror(entity: type[sales.Deal], table: object) -> None:
    """Every column of the mirror is asked for, and nothing else."""
    columns = set(table.columns) - {"id", "user_fields", "entity_type_id"}  # type: ignore[attr-defined]

    assert columns == set(entity.asked)


def test_moves_of_leads_are_asked_for_by_their_own_names() -> None:
    """crm.stagehistory.list refuses fields that the kind does not have."""
    deals, leads = sales.stage_moves(EntityType.DEAL, created_since=SINCE), sales.stage_moves(EntityType.LEAD)

    assert ("ID", "TYPE_ID", "OWNER_ID", "CREATED_TIME", "CATEGORY_ID", "STAGE_ID", "STAGE_SEMANTIC_ID") == deals.select
    assert (
        "ID",
        "TYPE_ID",
        "OWNER_ID",
        "CREATED_TIME",
        "CATEGORY_ID",
        "STATUS_ID",
        "STATUS_SEMANTIC_ID",
    ) == leads.select
    assert ({"entityTypeId": 2}, {">=CREATED_TIME": SINCE}) == (deals.params, deals.filter)


def test_an_instant_without_a_zone_is_refused() -> None:
    """The portal would read it in a zone of its own choice."""
    with pytest.raises(ValueError, match="without a zone"):
        sales.deals(modified_since=datetime(2026, 2, 1))


def test_one_deal_in_either_spelling() -> None:
    legacy, item = sales.deal(121), sales.deal(121, spelling=Spelling.ITEM)

    assert ("crm.deal.get", {"id": 121}) == (legacy.method, legacy.params)
    assert ("crm.item.get", {"entityTypeId": 2, "id": 121}) == (item.method, item.params)
    assert legacy.decode({"ID": "121", "TITLE": "Boiler"}) == item.decode({"item": {"id": 121, "title": "Boiler"}})


def test_a_listing_travels_as_the_portal_room_wants_it() -> None:
    """The question survives its method's dialect: nothing in it is refused there."""
    request = page_request(sales.deals(modified_since=SINCE).after(120))

    assert {">=DATE_MODIFY": SINCE, ">ID": 120} == request.params["filter"]
    assert -1 == request.params["start"]

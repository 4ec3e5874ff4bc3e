"""Making, changing, moving, merging and deleting. Reference §12, §23, checklist 11 and 15."""

from __future__ import annotations

from typing import Any

import pytest

from b24metrics.clock import HandClock
from b24metrics.sim.server import Sim

from .conftest import COMPANY, CONTACT, DEAL, INVOICE, LEAD, NOON, QUOTE, Asker, deals


def history(sim: Sim, kind: int = 2) -> list[tuple[Any, ...]]:
    return sim.data.rows(
        "SELECT ID, TYPE_ID, OWNER_ID, CATEGORY_ID, STAGE_ID, STAGE_SEMANTIC_ID FROM stage_history WHERE ENTITY_TYPE_ID = ? ORDER BY ID",
        [kind],
    )


def test_a_deals_life_in_stage_history(sim: Sim, ask: Asker, clock: HandClock) -> None:
    """1 creation, 2 intermediate, 3 final; a reopened deal moves on; every move has its time and semantics."""
    number = ask.result("crm.deal.add", fields={"TITLE": "x"})
    for stage in ("EXECUTING", "WON", "EXECUTING", "APOLOGY"):
        clock.move(60)
        assert ask.result("crm.deal.update", id=number, fields={"STAGE_ID": stage}) is True

    assert [
        (1, 1, 1, 0, "NEW", "P"),
        (2, 2, 1, 0, "EXECUTING", "P"),
        (3, 3, 1, 0, "WON", "S"),
        (4, 2, 1, 0, "EXECUTING", "P"),
        (5, 3, 1, 0, "APOLOGY", "F"),
    ] == history(sim)
    row = ask.result("crm.deal.get", id=number)
    assert {
        "STAGE_ID": "APOLOGY",
        "STAGE_SEMANTIC_ID": "F",
        "CLOSED": "Y",
        "IS_NEW": "N",
        "MOVED_TIME": "2025-03-14T12:04:00+03:00",
        "DATE_MODIFY": "2025-03-14T12:04:00+03:00",
        "DATE_CREATE": "2025-03-14T12:00:00+03:00",
        "CLOSEDATE": "2025-03-14T03:00:00+03:00",  # the closing day over the expected one
    }.items() <= row.items()


def test_a_change_without_a_move_writes_no_history(sim: Sim, ask: Asker, clock: HandClock) -> None:
    """DATE_MODIFY moves, MOVED_TIME and history do not; the same stage again is no move."""
    number = ask.result("crm.deal.add", fields={"STAGE_ID": "NEW"})
    clock.move(60)
    ask.result("crm.deal.update", id=number, fields={"OPPORTUNITY": 5, "STAGE_ID": "NEW"})
    row = ask.result("crm.deal.get", id=number)

    assert 1 == len(history(sim))
    assert ("2025-03-14T12:01:00+03:00", "2025-03-14T12:00:00+03:00", "5.00") == tuple(
        row[name] for name in ("DATE_MODIFY", "MOVED_TIME", "OPPORTUNITY")
    )


def test_another_pipeline_is_type_five_and_an_event_of_its_own(sim: Sim, ask: Asker) -> None:
    """crm.item.update moves a deal; crm.deal.update cannot; no update event accompanies the move."""
    sim.add_outgoing_webhook(sim.url + "/x", "ONCRMDEALUPDATE", "ONCRMDEALMOVETOCATEGORY")
    number = ask.result("crm.deal.add", fields={"TITLE": "x"})
    ask.result("crm.deal.update", id=number, fields={"CATEGORY_ID": 3})
    assert "0" == ask.result("crm.deal.get", id=number)["CATEGORY_ID"]
    item = ask.result("crm.item.update", entityTypeId=2, id=number, fields={"categoryId": 3})["item"]

    assert (3, "C3:NEW") == (item["categoryId"], item["stageId"])
    assert [(1, 1, 1, 0, "NEW", "P"), (2, 5, 1, 3, "C3:NEW", "P")] == history(sim)
    assert ["ONCRMDEALUPDATE", "ONCRMDEALMOVETOCATEGORY"] == [delivery.event for delivery in sim.deliveries()]


def test_leads_close_with_a_date(sim: Sim, ask: Asker, clock: HandClock) -> None:
    """Semantics of leads come from EXTRA; DATE_CLOSED is set on final stages and cleared on return."""
    number = ask.result("crm.lead.add", fields={"TITLE": "x", "PHONE": [{"VALUE": "+7900", "VALUE_TYPE": "WORK"}]})
    clock.move(60)
    ask.result("crm.lead.update", id=number, fields={"STATUS_ID": "CONVERTED"})
    closed = ask.result("crm.lead.get", id=number)
    ask.result("crm.lead.update", id=number, fields={"STATUS_ID": "IN_PROCESS"})

    assert ("S", "2025-03-14T12:01:00+03:00", "Y") == tuple(
        closed[n] for n in ("STATUS_SEMANTIC_ID", "DATE_CLOSED", "HAS_PHONE")
    )
    assert "" == ask.result("crm.lead.get", id=number)["DATE_CLOSED"]
    assert [(1, "NEW"), (3, "CONVERTED"), (2, "IN_PROCESS")] == [(row[1], row[4]) for row in history(sim, 1)]


def test_invoices_remember_their_last_stage(sim: Sim, ask: Asker) -> None:
    """Default pipeline and first stage are filled in; "S" means sent, not success."""
    item = ask.result("crm.item.add", entityTypeId=31, fields={"title": "x", "parentId2": 7})["item"]
    sent = ask.result("crm.item.update", entityTypeId=31, id=item["id"], fields={"stageId": "DT31_5:S"})["item"]

    assert (5, "DT31_5:N", 7) == (item["categoryId"], item["stageId"], item["parentId2"])
    assert ("DT31_5:S", "DT31_5:N") == (sent["stageId"], sent["previousStageId"])
    assert [("DT31_5:N", "P"), ("DT31_5:S", "P")] == [(row[4], row[5]) for row in history(sim, 31)]


def test_quotes_have_stages_without_history(sim: Sim, ask: Asker) -> None:
    number = ask.result("crm.quote.add", fields={"TITLE": "x"})
    ask.result("crm.quote.update", id=number, fields={"STATUS_ID": "APPROVED"})

    assert "Y" == ask.result("crm.quote.get", id=number)["CLOSED"]
    assert [] == history(sim, 7)


def test_clients_write_dates_flags_lists_and_user_fields(sim: Sim, ask: Asker) -> None:
    """What is written comes back; read-only and unknown fields are ignored; a day may be given as it was shown."""
    sim.data.insert("userfield", {"ID": 1, "FIELD_NAME": "UF_CRM_9", "USER_TYPE_ID": "date"})
    fields = {
        "title": "Boiler",
        "closedate": "2025-04-01T03:00:00+03:00",
        "isReturnCustomer": "Y",
        "contactIds": [4, 5],
        "observers": ["7"],
        "ufCrm_9": "2025-05-01",
        "createdTime": "2000-01-01T00:00:00+00:00",
        "nonsense": 1,
    }
    item = ask.result("crm.item.add", entityTypeId=2, fields=fields)["item"]

    assert {
        "title": "Boiler",
        "closedate": "2025-04-01T03:00:00+03:00",
        "isReturnCustomer": "Y",
        "contactIds": [4, 5],
        "observers": [7],
        "ufCrm_9": "2025-05-01T03:00:00+03:00",
        "createdTime": "2025-03-14T12:00:00+03:00",
    }.items() <= item.items()


def test_a_date_that_is_none_is_refused(ask: Asker) -> None:
    assert (400, "WRONG_DATETIME_FORMAT") == ask.refused("crm.item.add", entityTypeId=2, fields={"closedate": "soon"})[
        :2
    ]


@pytest.mark.parametrize(("method", "params"), [("crm.deal.update", {"fields": {}}), ("crm.deal.delete", {})])
def test_writing_to_nothing_is_refused(ask: Asker, method: str, params: dict[str, object]) -> None:
    assert (400, "", "Not found") == ask.refused(method, id=99, **params)


# ---------------------------------------------------------------- deletion


def test_a_deleted_deal_takes_everything_along(sim: Sim, ask: Asker) -> None:
    """History, product rows and activities of its own vanish; shared activities stay with the other object."""
    for _ in range(2):
        sim.records.create(DEAL, {}, sim.hand())
    sim.data.insert("product_row", {"ID": 1, "OWNER_TYPE": "D", "OWNER_ID": 1})
    own = sim.records.create_activity({"OWNER_TYPE_ID": 2, "OWNER_ID": 1}, sim.hand())
    shared = sim.records.create_activity({"OWNER_TYPE_ID": 2, "OWNER_ID": 1}, sim.hand(), [(2, 2)])
    assert [] == ask.result("crm.item.delete", entityTypeId=2, id=1)

    assert [2] == [row[2] for row in history(sim)]
    assert [] == sim.data.rows("SELECT * FROM product_row")
    left = ask.result("crm.activity.list", select=["ID", "OWNER_ID", "BINDINGS"])
    assert [{"ID": str(shared), "OWNER_ID": "2", "BINDINGS": [{"OWNER_TYPE_ID": "2", "OWNER_ID": "2"}]}] == left
    assert own != shared
    assert (400, "NOT_FOUND", "Item not found") == ask.refused("crm.item.get", entityTypeId=2, id=1)


def test_numbers_are_never_given_twice(sim: Sim, ask: Asker) -> None:
    """A new record does not take the id of a deleted one, nor does a row of history."""
    deals(sim, 3)
    ask.result("crm.deal.delete", id=3)
    assert 4 == ask.result("crm.deal.add", fields={})
    ask.result("crm.deal.delete", id=4)
    assert 5 == ask.result("crm.deal.add", fields={})

    assert [2] == [row[0] for row in history(sim)]


def test_a_merge_gives_all_to_the_survivor(sim: Sim, clock: HandClock) -> None:
    """Duplicates vanish; their deals and activities are re-bound, and the deals' DATE_MODIFY does not tell."""
    for _ in range(2):
        sim.records.create(COMPANY, {}, sim.hand())
    deal = sim.records.create(DEAL, {"COMPANY_ID": 2}, sim.hand())
    activity = sim.records.create_activity({"OWNER_TYPE_ID": 4, "OWNER_ID": 2}, sim.hand())
    clock.move(60)
    sim.records.merge(COMPANY, 1, [2], sim.hand())

    assert [(1, NOON + 60)] == sim.data.rows("SELECT ID, DATE_MODIFY FROM company")
    assert [(1, NOON)] == sim.data.rows("SELECT COMPANY_ID, DATE_MODIFY FROM deal WHERE ID = ?", [deal])
    assert [(4, 1)] == sim.data.rows("SELECT OWNER_TYPE_ID, OWNER_ID FROM activity WHERE ID = ?", [activity])


# ---------------------------------------------------------------- behind the client's back


def test_a_vote_arrives_late(sim: Sim, ask: Asker) -> None:
    """An old row of the statistics changes without any sign of it."""
    number = sim.records.add_phone_call({"PHONE_NUMBER": "+7900", "CALL_TYPE": 2}, sim.hand())
    before = ask.result("voximplant.statistic.get")[0]
    sim.change_quietly("phone_call", number, CALL_VOTE=4, RECORD_FILE_ID=77)
    after = ask.result("voximplant.statistic.get")[0]

    assert (None, "4", 77) == (before["CALL_VOTE"], after["CALL_VOTE"], after["RECORD_FILE_ID"])
    assert {"CALL_VOTE", "RECORD_FILE_ID"} == {name for name in before if before[name] != after[name]}


def test_many_rows_may_share_one_second(sim: Sim, ask: Asker) -> None:
    deals(sim, 60)
    for number in range(1, 61):
        sim.change_quietly("deal", number, DATE_MODIFY=NOON)

    assert 60 == ask("crm.deal.list", filter={"DATE_MODIFY": "2025-03-14T12:00:00+03:00"})["total"]


def test_activities_move_the_last_activity_of_their_objects(sim: Sim, ask: Asker, clock: HandClock) -> None:
    """LAST_ACTIVITY_TIME follows, DATE_MODIFY does not."""
    sim.records.create(DEAL, {}, sim.hand())
    clock.move(60)
    sim.records.create_activity({"OWNER_TYPE_ID": 2, "OWNER_ID": 1}, sim.hand(7))
    row = ask.result("crm.deal.get", id=1)

    assert ("2025-03-14T12:01:00+03:00", "7", "2025-03-14T12:00:00+03:00") == tuple(
        row[name] for name in ("LAST_ACTIVITY_TIME", "LAST_ACTIVITY_BY", "DATE_MODIFY")
    )


def test_the_creator_of_an_employees_record_is_that_employee(sim: Sim, asker: Any) -> None:
    """A webhook writes as its owner."""
    ann = asker(sim.add_webhook(7, "ann"))
    number = ann.result("crm.contact.add", fields={"NAME": "Bob"})

    assert ("7", "7") == tuple(ann.result("crm.contact.get", id=number)[n] for n in ("CREATED_BY_ID", "ASSIGNED_BY_ID"))


def test_every_kind_can_be_made_changed_and_removed(sim: Sim, ask: Asker) -> None:
    for entity in (LEAD, DEAL, CONTACT, COMPANY, QUOTE, INVOICE):
        number = ask.result("crm.item.add", entityTypeId=entity.id, fields={"comments": "a"})["item"]["id"]
        changed = ask.result("crm.item.update", entityTypeId=entity.id, id=number, fields={"comments": "b"})["item"]
        assert "b" == changed["comments"], entity.name
        assert [] == ask.result("crm.item.delete", entityTypeId=entity.id, id=number)
        assert [] == ask.result("crm.item.list", entityTypeId=entity.id)["items"]

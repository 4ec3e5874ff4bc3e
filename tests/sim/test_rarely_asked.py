"""Methods that few ask for, answered as the vendor describes them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from b24metrics.sim.accounts import Sight
from b24metrics.sim.server import Sim
from b24metrics.sim.tables import create_dynamic
from tests.sim.conftest import Asker, deals


def test_one_product_row(sim: Sim, ask: Asker) -> None:
    """The universal method tells one row with the prices that follow from its price."""
    sim.data.execute(
        "INSERT INTO product_row BY NAME SELECT 5 AS ID, 77 AS OWNER_ID, 'Tea' AS PRODUCT_NAME, 9.5 AS PRICE"
    )

    row = ask.result("crm.item.productrow.get", id=5)["productRow"]

    assert (5, 77, "D", "Tea", 9.5, 9.5) == tuple(
        row[name] for name in ("id", "ownerId", "ownerType", "productName", "price", "priceNetto")
    )
    assert "NOT_FOUND" == ask("crm.item.productrow.get", id=6)["error"]


def test_one_smart_process(sim: Sim, ask: Asker) -> None:
    """By its own number, not by that of its objects."""
    create_dynamic(sim.data.connection, 1030, "Rent")

    found = ask.result("crm.type.get", id=1)["type"]

    assert (1, "Rent", 1030, "Y") == tuple(found[name] for name in ("id", "title", "entityTypeId", "isStagesEnabled"))
    assert {"error": 0, "error_description": "SPA not found"} == ask("crm.type.get", id=2)


def test_user_fields_of_people_are_for_administrators(sim: Sim, ask: Asker) -> None:
    """With the choices of an enumeration."""
    sim.data.execute(
        """INSERT INTO userfield BY NAME SELECT 176 AS ID, 'USER' AS ENTITY_ID, 'UF_USR_1' AS FIELD_NAME,
        'enumeration' AS USER_TYPE_ID"""
    )
    sim.data.execute("INSERT INTO userfield_enum BY NAME SELECT 26 AS ID, 176 AS USER_FIELD_ID, 'North' AS VALUE")

    [field] = ask.result("user.userfield.list")

    assert ("176", "USER", "UF_USR_1") == (field["ID"], field["ENTITY_ID"], field["FIELD_NAME"])
    assert ["North"] == [choice["VALUE"] for choice in field["LIST"]]
    sim.data.execute('UPDATE "user" SET IS_ADMIN = FALSE')
    assert "Access denied." == ask("user.userfield.list")["error_description"]


def test_duplicates_are_merged(sim: Sim, ask: Asker) -> None:
    """The first stays and gets everything; the others are gone and told; deals keep their time of change."""
    sim.data.execute("INSERT INTO contact BY NAME SELECT range AS ID, 'Name' AS NAME FROM range(1, 4)")
    deals(sim, 3)
    sim.data.execute("UPDATE deal SET CONTACT_ID = ID")
    before = sim.data.rows("SELECT ID, DATE_MODIFY FROM deal ORDER BY ID")

    told = ask.result("crm.entity.mergeBatch", params={"entityTypeId": 3, "entityIds": [2, 1, 3]})

    assert {"STATUS": "SUCCESS", "ENTITY_IDS": ["1", "3"]} == told
    assert [(2,)] == sim.data.rows("SELECT ID FROM contact")
    assert [(2,), (2,), (2,)] == sim.data.rows("SELECT CONTACT_ID FROM deal")
    assert before == sim.data.rows("SELECT ID, DATE_MODIFY FROM deal ORDER BY ID")


def test_what_cannot_be_merged_is_an_error_in_the_result(sim: Sim, ask: Asker) -> None:
    """One alone, a record that is not there, a kind without merging."""
    sim.data.execute("INSERT INTO contact BY NAME SELECT 1 AS ID")

    for kind, numbers in ((3, [1]), (3, [1, 9]), (7, [1, 2])):
        told = ask.result("crm.entity.mergeBatch", params={"entityTypeId": kind, "entityIds": numbers})
        assert {"STATUS": "ERROR", "ENTITY_IDS": []} == told


def test_records_of_applications_stay_their_own(sim: Sim, ask: Asker) -> None:
    """Written, read ten to a page, deleted; nobody else sees them."""
    deals(sim, 1)
    fields = {"entityTypeId": 2, "entityId": 1, "title": "Sync", "text": "done", "iconCode": "info"}
    for _ in range(11):
        written = ask.result("crm.timeline.logmessage.add", fields=fields)["logMessage"]

    page = ask("crm.timeline.logmessage.list", entityTypeId=2, entityId=1, order={"id": "desc"})

    assert (11, 10, 11) == (page["total"], page["next"], page["result"]["logMessages"][0]["id"])
    assert {"id", "created", "authorId", "title", "text", "iconCode"} == set(written)
    assert 10 == len(page["result"]["logMessages"])
    assert ask.result("crm.timeline.logmessage.delete", id=11) is True
    assert "NOT_FOUND" == ask("crm.timeline.logmessage.get", id=11)["error"]
    other = Asker(ask.http, sim.add_webhook())
    assert "NOT_FOUND" == other("crm.timeline.logmessage.get", id=1)["error"]


def test_answers_in_xml(sim: Sim, ask: Asker) -> None:
    """The suffix decides; members of lists are items; errors come alike."""
    deals(sim, 2)
    reply = ask.http.post(ask.address + "crm.deal.list.xml", json={"select": ["ID", "TITLE"]})

    tree = ET.fromstring(reply.text)
    assert "text/xml; charset=utf-8" == reply.headers["content-type"]
    assert ["Deal 1", "Deal 2"] == [found.text for found in tree.findall("./result/item/TITLE")]
    assert "2" == tree.findtext("total")
    refused = ET.fromstring(ask.http.post(ask.address + "no.such.method.xml").text)
    assert "ERROR_METHOD_NOT_FOUND" == refused.findtext("error")


def test_who_may_not_see_a_record_may_not_merge_it(sim: Sim, ask: Asker) -> None:
    """The vendor answers an error in the result."""
    sim.data.execute("INSERT INTO contact BY NAME SELECT range AS ID, 7 AS ASSIGNED_BY_ID FROM range(1, 3)")
    blind = Asker(ask.http, sim.add_webhook(sight=Sight(users=frozenset({8}))))

    told = blind.result("crm.entity.mergeBatch", params={"entityTypeId": 3, "entityIds": [1, 2]})

    assert "ERROR" == told["STATUS"]

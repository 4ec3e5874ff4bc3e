"""REST 3.0. Reference §7."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from b24metrics.sim.accounts import Application
from b24metrics.sim.server import Sim

from .conftest import NOON, Asker


@pytest.fixture
def ask3(sim: Sim, http: httpx.Client) -> Asker:
    """The administrator's webhook at the new address, with three workdays and three tasks."""
    for number in (1, 2, 3):
        sim.data.insert(
            "workday",
            {
                "ID": number,
                "USER_ID": 7,
                "STARTED_AT": NOON + 86_400 * number,
                "FINISHED_AT": NOON + 86_400 * number + 3600,
            },
        )
        sim.data.insert("task", {"ID": number, "TITLE": f"T{number}", "STATUS": 5})
    return Asker(http, sim.webhook.replace("/rest/", "/rest/api/"))


def code(answer: Any) -> str:
    return answer["error"]["code"].removeprefix("BITRIX_REST_V3_EXCEPTION_")


def test_workdays_of_one_employee(ask3: Asker) -> None:
    """Conditions as lists, pages by limit and offset, items in result, whole times."""
    answer = ask3(
        "timeman.record.list", filter=["userId", "=", 7], order={"id": "DESC"}, pagination={"page": 1, "limit": 2}
    )

    assert [3, 2] == [item["id"] for item in answer["result"]["items"]]
    assert {
        "id": 3,
        "startTime": "2025-03-17T12:00:00+03:00",
        "endTime": "2025-03-17T13:00:00+03:00",
        "duration": 3600,
    } == answer["result"]["items"][0]
    assert "total" not in answer


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([["userId", "=", 7], ["id", ">", 1]], [2, 3]),
        ([["userId", 7], ["id", "in", [1, 3]]], [1, 3]),
        ([["userId", "=", 7], ["id", "between", [2, 3]]], [2, 3]),
        ([["userId", "=", 7], {"logic": "or", "conditions": [["id", "=", 1], ["id", "=", 3]]}], [1, 3]),
        ([["userId", "=", 7], ["startTime", ">=", "2025-03-16T00:00:00+03:00"]], [2, 3]),
    ],
)
def test_conditions(ask3: Asker, conditions: list[Any], expected: list[int]) -> None:
    assert expected == [item["id"] for item in ask3.result("timeman.record.list", filter=conditions)["items"]]


@pytest.mark.parametrize(
    ("params", "status", "suffix"),
    [
        ({}, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ({"filter": [["userId", "=", 7], ["color", "=", 1]]}, 400, "UNKNOWNDTOPROPERTYEXCEPTION"),
        ({"filter": [["userId", "like", 7]]}, 400, "UNKNOWNFILTEROPERATOREXCEPTION"),
        ({"filter": [["userId", "=", 7]], "pagination": {"limit": 0}}, 400, "INVALIDPAGINATIONEXCEPTION"),
        ({"filter": [["userId", "=", 7]], "select": ["color"]}, 400, "UNKNOWNDTOPROPERTYEXCEPTION"),
        ({"filter": [["userId", "=", 7]], "order": {"color": "ASC"}}, 400, "UNKNOWNDTOPROPERTYEXCEPTION"),
    ],
)
def test_refusals_are_objects(ask3: Asker, params: dict[str, Any], status: int, suffix: str) -> None:
    """`error` is an object with code and message; a missing field is named."""
    answer = ask3("timeman.record.list", **params)

    assert (status, suffix) == (ask3.response.status_code, code(answer))
    assert {"error"} == set(answer)


def test_tasks_filter_by_id_alone_but_in_long_pages(sim: Sim, ask3: Asker) -> None:
    sim.data.execute("INSERT INTO task BY NAME SELECT i AS ID FROM range(10, 900) r(i)")

    assert 893 == len(ask3.result("tasks.task.list", select=["id"], pagination={"limit": 1000})["items"])
    assert [{"id": 2, "title": "T2"}] == ask3.result("tasks.task.list", filter=["id", "=", 2], select=["id", "title"])[
        "items"
    ]
    assert "UNKNOWNDTOPROPERTYEXCEPTION" == code(ask3("tasks.task.list", filter=["changed", ">", 2]))
    assert "INVALIDPAGINATIONEXCEPTION" == code(ask3("tasks.task.list", pagination={"limit": 1001}))


def test_one_task(ask3: Asker) -> None:
    assert "completed" == ask3.result("tasks.task.get", id=1)["item"]["status"]
    assert "ENTITYNOTFOUNDEXCEPTION" == code(ask3("tasks.task.get", id=99))
    assert [{"message": "Required field `id` is not specified", "field": "id"}] == ask3("tasks.task.get")["error"][
        "validation"
    ]


def test_only_json_bodies_are_read(ask3: Asker) -> None:
    """Queries are ignored, forms and broken JSON refused; GET serves what needs no parameters."""
    assert "INVALIDJSONEXCEPTION" == code(ask3.form("tasks.task.get", "id=1"))
    broken = ask3.http.post(
        ask3.address + "tasks.task.get", content=b'{"id":', headers={"Content-Type": "application/json"}
    )
    assert "INVALIDJSONEXCEPTION" == code(broken.json())
    assert "VALIDATION_REQUESTVALIDATIONEXCEPTION" == code(
        ask3.http.post(ask3.address + "tasks.task.get?id=1", json={}).json()
    )
    assert {"name": "crm"} in ask3.get("rest.scope.list")["result"]["items"]
    assert "/tasks.task.list" in ask3.get("rest.documentation.openapi")["result"]["paths"]


def test_scopes_are_checked_in_the_new_words(sim: Sim, asker: Any, ask3: Asker) -> None:
    narrow = asker(sim.add_webhook(1, "narrow", scopes=frozenset({"crm"})).replace("/rest/", "/rest/api/"))
    answer = narrow("tasks.task.list")

    assert (403, "INSUFFICIENTSCOPEEXCEPTION") == (narrow.response.status_code, code(answer))


def test_applications_put_their_token_into_the_body(sim: Sim, ask3: Asker, asker: Any) -> None:
    token = sim.add_application(Application("local.app", "app0secret"))

    assert 1 == asker(sim.url + "/rest/api/").result("tasks.task.get", id=1, auth=token.access)["item"]["id"]


def test_a_batch_is_an_array(ask3: Asker) -> None:
    """Answers come in the same order."""
    body = [{"method": "tasks.task.get", "query": {"id": number, "select": ["id"]}} for number in (3, 1)]

    assert [{"item": {"id": 3}}, {"item": {"id": 1}}] == ask3.http.post(ask3.address + "batch", json=body).json()[
        "result"
    ]


def test_a_key_makes_requests_repeatable(ask3: Asker) -> None:
    """The same key with the same request replays the answer, with another it is refused."""

    def post(number: int) -> httpx.Response:
        return ask3.http.post(ask3.address + "tasks.task.get", json={"id": number}, headers={"Idempotency-Key": "k1"})

    first, again, other = post(1), post(1), post(2)

    assert ("Idempotent-Replayed" not in first.headers, "true") == (True, again.headers["Idempotent-Replayed"])
    assert first.content == again.content
    assert (422, "IDEMPOTENCYKEYREUSEDEXCEPTION") == (other.status_code, code(other.json()))


def test_new_methods_are_unknown_at_the_old_address(ask: Asker, ask3: Asker) -> None:
    """And no CRM method exists at the new one."""
    assert (404, "ERROR_METHOD_NOT_FOUND") == ask.refused("timeman.record.list")[:2]
    assert (404, "ERROR_METHOD_NOT_FOUND") == ask3.refused("crm.deal.list")[:2]

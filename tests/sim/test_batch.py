"""Batches. Reference §6, checklist 8."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from b24metrics.sim.server import Sim

from .conftest import Asker, deals


def test_the_five_maps(sim: Sim, ask: Asker) -> None:
    """Results, errors, totals, nexts and times by the caller's keys; an error stands in no other map."""
    deals(sim, 60)
    outcome = ask.batch(
        list="crm.deal.list?select[]=ID", bad="crm.deal.get?id=999", count="crm.category.list?entityTypeId=2"
    )

    assert {"list", "count"} == set(outcome["result"]) == set(outcome["result_time"])
    assert {"bad": {"error": "", "error_description": "Not found"}} == outcome["result_error"]
    assert {"list": 60, "count": 2} == outcome["result_total"]
    assert {"list": 50} == outcome["result_next"]
    assert {
        "start",
        "finish",
        "duration",
        "processing",
        "date_start",
        "date_finish",
        "operating_reset_at",
        "operating",
    } == set(outcome["result_time"]["list"])


def test_a_batch_is_200_even_if_all_failed(ask: Asker) -> None:
    answer = ask("batch", cmd={"a": "crm.nothing", "b": "crm.deal.get"})

    assert 200 == ask.response.status_code
    assert [] == answer["result"]["result"] == answer["result"]["result_total"] == answer["result"]["result_time"]
    assert "ERROR_METHOD_NOT_FOUND" == answer["result"]["result_error"]["a"]["error"]


def test_maps_take_the_shape_of_their_keys(ask: Asker) -> None:
    """A list of commands answers with lists; with a gap, or other keys, with objects; empty maps are []."""
    whole = ask.result("batch", cmd=["profile", "server.time"])
    gap = ask.result("batch", cmd=["profile", "crm.nothing", "server.time"])

    assert isinstance(whole["result"], list)
    assert [] == whole["result_error"] == whole["result_next"]
    assert {"0", "2"} == set(gap["result"])
    assert {"1"} == set(gap["result_error"])


def test_a_legitimate_null_stays(sim: Sim, ask: Asker) -> None:
    """A command that returns null or false is a result, not an absence."""
    sim.data.insert("activity", {"ID": 1})
    outcome = ask.batch(text="crm.activity.call.getTranscript?activityId=1", line="imopenlines.config.get?CONFIG_ID=9")

    assert {"text": None, "line": False} == outcome["result"]


def test_the_fifty_first_command_is_an_error(ask: Asker) -> None:
    """The first fifty run; the rest stand in result_error."""
    outcome = ask.batch(**{f"c{number:02d}": "server.time" for number in range(53)})

    assert 50 == len(outcome["result"])
    assert {"c50", "c51", "c52"} == set(outcome["result_error"])
    assert {"ERROR_BATCH_LENGTH_EXCEEDED"} == {error["error"] for error in outcome["result_error"].values()}


def test_a_batch_in_a_batch_is_refused(ask: Asker) -> None:
    outcome = ask.batch(inner="batch?cmd[a]=server.time", time="server.time")

    assert "ERROR_BATCH_METHOD_NOT_ALLOWED" == outcome["result_error"]["inner"]["error"]
    assert {"time"} == set(outcome["result"])


@pytest.mark.parametrize("halt", [1, "1", True])
def test_halt_ends_at_the_first_failure(ask: Asker, halt: object) -> None:
    """Later keys appear nowhere."""
    outcome = ask.result("batch", halt=halt, cmd={"a": "server.time", "b": "crm.nothing", "c": "server.time"})

    assert ({"a"}, {"b"}) == (set(outcome["result"]), set(outcome["result_error"]))


def test_commands_that_are_no_text_are_skipped(ask: Asker) -> None:
    outcome = ask.result("batch", cmd={"a": {"method": "server.time"}, "b": "server.time", "c": 7})

    assert {"b"} == set(outcome["result"])
    assert [] == outcome["result_error"]


def test_references_chain_pages(sim: Sim, ask: Asker) -> None:
    """A keyset chain in one request: each page begins behind the last id of the one before."""
    deals(sim, 2_600)
    first = "crm.deal.list?order[ID]=ASC&filter[%3EID]=0&select[]=ID&start=-1"
    rest = {
        f"c{n:02d}": f"crm.deal.list?order[ID]=ASC&filter[%3EID]=$result[c{n - 1:02d}][49][ID]&select[]=ID&start=-1"
        for n in range(1, 50)
    }
    result = ask.batch(c00=first, **rest)["result"]

    assert list(range(1, 2_501)) == [int(row["ID"]) for page in result.values() for row in page]


def test_references_into_items(sim: Sim, ask: Asker) -> None:
    deals(sim, 60)
    outcome = ask.batch(
        a="crm.item.list?entityTypeId=2&order[id]=ASC&select[]=id&start=-1",
        b="crm.item.list?entityTypeId=2&order[id]=ASC&select[]=id&start=-1&filter[%3Eid]=$result[a][items][49][id]",
    )

    assert list(range(51, 61)) == [item["id"] for item in outcome["result"]["b"]["items"]]


def test_an_unresolved_reference_keeps_the_deepest_value(sim: Sim, ask: Asker) -> None:
    """A short page injects itself, an array: `>ID` then means "above 1" and repeats rows. Clients must drop doubles."""
    deals(sim, 3)
    outcome = ask.batch(
        a="crm.deal.list?order[ID]=ASC&select[]=ID&start=-1",
        b="crm.deal.list?order[ID]=ASC&select[]=ID&start=-1&filter[%3EID]=$result[a][49][ID]",
    )

    assert ["2", "3"] == [row["ID"] for row in outcome["result"]["b"]]


def test_an_empty_page_injects_nothing(sim: Sim, ask: Asker) -> None:
    """An empty array as a bound is no condition at all: the walk starts over."""
    deals(sim, 3)
    outcome = ask.batch(
        a="crm.deal.list?filter[%3EID]=900&select[]=ID&start=-1",
        b="crm.deal.list?order[ID]=ASC&select[]=ID&start=-1&filter[%3EID]=$result[a][49][ID]",
    )

    assert (0, 3) == (len(outcome["result"]["a"]), len(outcome["result"]["b"]))


@pytest.mark.parametrize(
    ("reference", "title"),
    [
        ("$result[who][NAME]", "Admin"),
        ("Call%20$result[who][NAME]%20now", "Call Admin now"),
        ("$total[deals]", "60"),
        ("$next[deals]", "50"),
        ("$time[deals][duration]", "0.05"),
        ("$error[bad][error]", "ERROR_METHOD_NOT_FOUND"),
        ("about%20$result[who]%20only", "about $result[who] only"),
        ("$nothing[who]", "$nothing[who]"),
    ],
)
def test_what_references_may_point_at(sim: Sim, ask: Asker, reference: str, title: str) -> None:
    """Results, totals, nexts, times and errors; inside a text only scalars are put in."""
    deals(sim, 60)
    ask.batch(
        who="profile",
        deals="crm.deal.list?select[]=ID",
        bad="crm.nothing",
        add=f"crm.deal.add?fields[TITLE]={reference}",
    )

    assert title == ask.result("crm.deal.list", filter={">ID": 60}, select=["TITLE"])[0]["TITLE"]


def test_keys_may_hold_references_only_to_earlier_commands(ask: Asker) -> None:
    """What comes later is not known yet: the whole map of results so far stands in."""
    outcome = ask.batch(a="crm.deal.add?fields[TITLE]=x$result[b][NAME]", b="profile")

    assert {"a", "b"} == set(outcome["result"])


def test_a_form_encodes_commands_twice(sim: Sim, ask: Asker) -> None:
    """In a form or query the whole command is a value and is encoded once more."""
    deals(sim, 3)
    command = quote("crm.deal.list?filter[%3EID]=1&select[]=ID", safe="")

    for answer in (ask.form("batch", f"cmd[a]={command}"), ask.get(f"batch?cmd[a]={command}")):
        assert [{"ID": "2"}, {"ID": "3"}] == answer["result"]["result"]["a"]


def test_commands_run_one_after_the_other(sim: Sim, ask: Asker) -> None:
    """Later commands see what earlier ones wrote, and begin when those ended."""
    outcome = ask.batch(add="crm.deal.add?fields[TITLE]=x", get="crm.deal.get?id=$result[add]")

    assert "x" == outcome["result"]["get"]["TITLE"]
    assert outcome["result_time"]["add"]["finish"] == outcome["result_time"]["get"]["start"]


def test_a_missing_scope_in_a_batch_has_no_text(sim: Sim, asker: Any) -> None:
    narrow = asker(sim.add_webhook(1, "narrow", scopes=frozenset({"crm"})))

    assert {"error": "insufficient_scope", "error_description": ""} == narrow.batch(u="user.get")["result_error"]["u"]


def test_a_batch_without_commands_is_empty(ask: Asker) -> None:
    outcome = ask.result("batch")

    assert {name: [] for name in ("result", "result_error", "result_total", "result_next", "result_time")} == outcome

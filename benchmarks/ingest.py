"""How many rows a second go from the portal's JSON into the mirror.

Batches of 50 pages as the portal writes them are answered from memory, so that nothing is waited for; the client reads and
proves them, their columns are read, rows are written to a DuckDB file and committed, in streams side by side, as a backfill
does it: some are read while others are written, together where several wait.
The baseline of the same run is ``json.loads`` of the same answers and nothing else.

    python benchmarks/ingest.py --rows 100000

Promise: 25,000 rows a second, twice what the largest plan of the vendor gives out. Where other work shares the machine,
compare the last two columns: seconds of the processor, ours and those of ``json.loads`` alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from b24metrics.clock import HandClock
from b24metrics.mirror.backfill import STREAMS, in_bulk
from b24metrics.mirror.desk import Desk
from b24metrics.mirror.feed import Feed, untouched
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.intake import Intake
from b24metrics.mirror.ledger import Ledger
from b24metrics.mirror.ranges import BATCHFUL, Range
from b24metrics.mirror.stores import DuckStore
from b24metrics.portal.client import AsyncPortal
from b24metrics.portal.dialects import PAGE, page_request

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ZONE = timezone(timedelta(hours=3))


def deal(number: int, dice: random.Random) -> dict[str, Any]:
    """A row of crm.deal.list with the fields that the mirror asks for."""
    created = NOON - timedelta(seconds=dice.randrange(40_000_000))
    closed = dice.random() < 0.9

    def at(seconds: int) -> str:
        return (created + timedelta(seconds=seconds)).astimezone(ZONE).isoformat()

    moved = dice.randrange(2_000_000)
    person = str(dice.randrange(1, 71))
    return {
        "ID": str(number), "TITLE": f"Поставка № {number}", "TYPE_ID": "SALE", "CATEGORY_ID": str(dice.randrange(4)),
        "STAGE_ID": "WON" if closed else "PREPARATION", "STAGE_SEMANTIC_ID": "S" if closed else "P",
        "OPPORTUNITY": f"{dice.randrange(10_000_000) / 100:.2f}", "CURRENCY_ID": "RUB", "PROBABILITY": None,
        "ASSIGNED_BY_ID": person, "CREATED_BY_ID": person, "MODIFY_BY_ID": person, "MOVED_BY_ID": person,
        "DATE_CREATE": at(0), "DATE_MODIFY": at(moved + dice.randrange(90_000)), "MOVED_TIME": at(moved),
        "BEGINDATE": at(0)[:10] + "T03:00:00+03:00", "CLOSEDATE": at(moved)[:10] + "T03:00:00+03:00",
        "CLOSED": "Y" if closed else "N", "COMPANY_ID": str(dice.randrange(40_000)), "CONTACT_ID": str(dice.randrange(90_000)),
        "LEAD_ID": str(number + 7), "QUOTE_ID": None, "SOURCE_ID": "WEB", "WEBFORM_ID": None, "IS_RECURRING": "N",
        "IS_RETURN_CUSTOMER": "N", "IS_REPEATED_APPROACH": "N", "ORIGINATOR_ID": None, "ORIGIN_ID": None,
        "LAST_ACTIVITY_TIME": at(moved + 60),
    }  # fmt: skip


def move(number: int, dice: random.Random) -> dict[str, Any]:
    """A row of crm.stagehistory.list."""
    at = (NOON - timedelta(seconds=dice.randrange(40_000_000))).astimezone(ZONE).isoformat()
    return {
        "ID": number, "TYPE_ID": 2, "OWNER_ID": dice.randrange(1, 500_000), "CREATED_TIME": at, "CATEGORY_ID": "0",
        "STAGE_SEMANTIC_ID": "P", "STAGE_ID": "PREPARATION",
    }  # fmt: skip


def activity(number: int, dice: random.Random) -> dict[str, Any]:
    """A row of crm.activity.list with the fields that the mirror asks for."""
    begun = NOON - timedelta(seconds=dice.randrange(40_000_000))

    def at(seconds: int) -> str:
        return (begun + timedelta(seconds=seconds)).astimezone(ZONE).isoformat()

    person, owner = str(dice.randrange(1, 71)), str(dice.randrange(1, 500_000))
    return {
        "ID": str(number), "OWNER_TYPE_ID": "2", "OWNER_ID": owner, "TYPE_ID": "2", "PROVIDER_ID": "VOXIMPLANT_CALL",
        "PROVIDER_TYPE_ID": "CALL", "DIRECTION": "2", "COMPLETED": "Y" if dice.random() < 0.9 else "N", "STATUS": "2",
        "CREATED": at(0), "LAST_UPDATED": at(dice.randrange(90_000)), "START_TIME": at(0), "END_TIME": at(300),
        "DEADLINE": at(3600), "RESPONSIBLE_ID": person, "AUTHOR_ID": person, "IS_INCOMING_CHANNEL": "N",
        "ASSOCIATED_ENTITY_ID": "0", "ORIGIN_ID": f"VI_externalCall.{number}", "RESULT_MARK": "0", "RESULT_STATUS": "0",
        "RESULT_STREAM": "0", "BINDINGS": [
            {"OWNER_TYPE_ID": "2", "OWNER_ID": owner},
            {"OWNER_TYPE_ID": "3", "OWNER_ID": str(dice.randrange(1, 90_000))},
        ],
    }  # fmt: skip


def phone_call(number: int, dice: random.Random) -> dict[str, Any]:
    """A row of voximplant.statistic.get, which cannot be asked for less."""
    at = (NOON - timedelta(seconds=dice.randrange(40_000_000))).astimezone(ZONE).isoformat()
    return {
        "ID": str(number), "CALL_ID": f"externalCall.{number:032x}", "EXTERNAL_CALL_ID": None, "CALL_CATEGORY": "external",
        "CALL_TYPE": str(dice.randrange(1, 3)), "PORTAL_USER_ID": str(dice.randrange(1, 71)), "PORTAL_NUMBER": "reg1",
        "PHONE_NUMBER": f"+7900{dice.randrange(10_000_000):07}", "CALL_DURATION": str(dice.randrange(600)),
        "CALL_START_DATE": at, "CALL_FAILED_CODE": "200", "CALL_FAILED_REASON": "Success call", "CALL_VOTE": "0",
        "COST": "0.0000", "COST_CURRENCY": "RUR", "CRM_ENTITY_TYPE": "CONTACT", "CRM_ENTITY_ID": str(dice.randrange(1, 90_000)),
        "CRM_ACTIVITY_ID": str(number + 7), "CALL_RECORD_URL": "", "RECORD_FILE_ID": None, "RECORD_DURATION": None,
        "SESSION_ID": str(number), "TRANSCRIPT_ID": None, "TRANSCRIPT_PENDING": "N", "REST_APP_ID": None,
        "REST_APP_NAME": None, "REDIAL_ATTEMPT": None, "COMMENT": None,
    }  # fmt: skip


MAKERS = {"deals": deal, "deal_moves": move, "activities": activity, "phone_calls": phone_call}


TIMING = b'{"start":1772442000.1,"finish":1772442000.2,"duration":0.1,"processing":0.09,"operating":0.5}'


def pages_of(feed: Feed, rows: int) -> list[bytes]:
    """Results of single commands, ids ascending."""
    dice = random.Random(5)
    make, found = MAKERS[feed.name], []
    for first in range(1, rows + 1, PAGE):
        page = [make(first + k, dice) for k in range(PAGE)]
        found.append(json.dumps({"items": page} if feed.name.endswith("moves") else page).encode())
    return found


def answer(keys: list[str], pages: Sequence[bytes]) -> bytes:
    """A batch as the portal answers it."""
    results = b",".join(b'"%s":%s' % (key.encode(), page) for key, page in zip(keys, pages, strict=True))
    times = b",".join(b'"%s":%s' % (key.encode(), TIMING) for key in keys)
    return (
        b'{"result":{"result":{%s},"result_error":[],"result_total":[],"result_next":[],"result_time":{%s}},"time":%s}'
        % (results, times, TIMING)
    )


class Canned(httpx.AsyncBaseTransport):
    """Hands out pages in their order, as many as were asked for."""

    def __init__(self, pages: list[bytes]) -> None:
        self._pages = iter(pages)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = list(json.loads(await request.aread())["cmd"])
        body = answer(asked, list(islice(self._pages, len(asked))))
        return httpx.Response(200, content=body, headers={"content-type": "application/json"})


async def ingest(feed: Feed, pages: list[bytes], path: Path) -> tuple[float, float]:
    """Seconds of the clock and of the processor from the first answer to the last commit."""
    store = DuckStore(path)
    rows = len(pages) * PAGE
    address = "http://127.0.0.1:1/rest/1/benchmark00/"
    async with AsyncPortal(address, transport=Canned(pages), clock=HandClock(NOON)) as portal:
        desk = Desk(portal, Ledger(store, "main"), HandClock(NOON))
        work = Range(feed.name, 1, rows, 0, rows)
        desk.ledger.begin(feed, NOON, rows, [work])
        intake = Intake(desk)
        listing = untouched(feed.listing)
        turn = asyncio.Lock()
        firsts = iter(range(0, rows, BATCHFUL))

        async def stream() -> None:
            for first in firsts:
                asked = {str(n): page_request(listing.after(first + n * PAGE)) for n in range(BATCHFUL // PAGE)}
                async with turn:  # pages come in their order
                    told = await portal.batch(asked)
                held = [one for page in told.values() for one in page.items]
                await intake.keep(feed, work, held, first + BATCHFUL)

        began, busy = time.perf_counter(), time.process_time()
        with in_bulk(store):
            await asyncio.gather(*(stream() for _ in range(STREAMS)))
        took, spent = time.perf_counter() - began, time.process_time() - busy
    [(count,)] = store.rows(f"SELECT count(*) FROM {feed.table.name}")
    store.close()
    if count != rows:
        raise SystemExit(f"{feed.name}: {count} rows of {rows} arrived")
    return took, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("feeds", nargs="*", choices=[*MAKERS, []])
    wanted = parser.parse_args()
    feeds = {feed.name: feed for feed in standard()}
    print(
        "| feed | rows/s | rows per second of processor | json.loads alone, rows per second of processor | ratio |\n"
        "|---|---|---|---|---|"
    )
    for name in wanted.feeds or MAKERS:
        feed = feeds[name]
        pages = pages_of(feed, wanted.rows // BATCHFUL * BATCHFUL)
        rows = len(pages) * PAGE
        keys = [f"c{n:02}" for n in range(BATCHFUL // PAGE)]
        bodies = [answer(keys, pages[n : n + len(keys)]) for n in range(0, len(pages), len(keys))]
        walls, busies, bares = [], [], []
        for _ in range(wanted.rounds):
            began = time.process_time()
            for body in bodies:
                json.loads(body)
            bares.append(time.process_time() - began)
            with tempfile.TemporaryDirectory() as folder:
                wall, busy = asyncio.run(ingest(feed, pages, Path(folder) / "mirror.duckdb"))
            walls.append(wall)
            busies.append(busy)
        wall, busy, bare = median(walls), median(busies), median(bares)
        print(f"| {name} | {rows / wall:,.0f} | {rows / busy:,.0f} | {rows / bare:,.0f} | {busy / bare:.1f} |")


if __name__ == "__main__":
    main()

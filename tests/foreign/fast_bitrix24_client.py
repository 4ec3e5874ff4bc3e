"""Run by `test_foreign_clients` in a process of its own: fast-bitrix24, unmodified, against a webhook.

Prints one JSON document. ``argv``: the webhook.
"""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp
from fast_bitrix24 import BitrixAsync


async def refusal(client: BitrixAsync, method: str, params: dict[str, object]) -> str:
    try:
        await client.get_all(method, params)
    except aiohttp.ClientResponseError as error:
        return str(error.status)
    except RuntimeError as error:
        return f"RuntimeError {error}"[:60]
    return "none"


async def main(webhook: str) -> dict[str, object]:
    client = BitrixAsync(webhook, verbose=False)
    deals = await client.get_all("crm.deal.list", {"select": ["ID", "TITLE"]})
    items = await client.get_all("crm.item.list", {"entityTypeId": 2, "select": ["id"]})
    history = await client.get_all("crm.stagehistory.list", {"entityTypeId": 2})
    calls = await client.get_all("voximplant.statistic.get")
    users = await client.get_all("user.get", {"FILTER": {"ACTIVE": True}})
    departments = await client.get_all("department.get")
    statuses = await client.get_all("crm.status.list", {"filter": {"ENTITY_ID": "DEAL_STAGE"}})
    by_id = await client.get_by_ID("crm.deal.get", [1, 2, 3])
    batch = await client.call_batch({"halt": 0, "cmd": {"who": "profile", "d": "crm.deal.get?id=1"}})
    added = await client.call("crm.deal.add", [{"fields": {"TITLE": f"новая {n}"}} for n in range(3)])
    return {
        "deals": len({deal["ID"] for deal in deals}),
        "items": len({item["id"] for item in items}),
        "history": len({row["ID"] for row in history}),
        "calls": len({call["ID"] for call in calls}),
        "users": sorted(user["ID"] for user in users),
        "departments": [department["NAME"] for department in departments],
        "statuses": [status["STATUS_ID"] for status in statuses],
        "by_id": sorted(by_id),
        "batch": [batch["who"]["ID"], batch["d"]["TITLE"]],
        "added": len(added),
        "unknown": await refusal(client, "crm.nothing.list", {}),
        "bad filter": await refusal(client, "crm.item.list", {"entityTypeId": 2, "filter": {"FOO": 1}}),
        "no auth": await refusal(BitrixAsync(webhook[:-5] + "/", verbose=False), "crm.deal.list", {}),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1]))))

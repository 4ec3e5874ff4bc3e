"""Run by `test_foreign_clients` in a process of its own: the vendor's SDK, unmodified, over HTTPS.

Prints one JSON document. ``argv``: host with port, ``user/secret`` of the webhook, access token of an application.
The authority that signed the certificate comes by REQUESTS_CA_BUNDLE.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from b24pysdk import BitrixWebhook, Client, Config
from b24pysdk.credentials import BitrixApp, BitrixToken
from b24pysdk.errors import BitrixAPIError, BitrixResponseJSONDecodeError, v3


def refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except (BitrixAPIError, BitrixResponseJSONDecodeError, v3.BitrixAPIError) as error:
        return type(error).__name__
    return "none"


def main(domain: str, secret: str, access: str) -> dict[str, object]:
    Config().configure(default_max_retries=2, default_initial_retry_delay=0.01)
    token = BitrixWebhook(domain=domain, webhook_token=secret)
    client = Client(token)

    def ids(method: str, params: dict[str, object] | None = None, name: str = "ID") -> int:
        return len({row[name] for row in token.call_list_fast(method, params or {})["result"]})

    deal = client.crm.deal.get(bitrix_id=1)
    batch = token.call_batch({"who": ("profile", {}), "deal": ("crm.deal.get", {"id": 1}), "bad": ("crm.nothing", {})})
    application = BitrixToken(
        domain=domain, auth_token=access, bitrix_app=BitrixApp(client_id="local.app", client_secret="app0secret")
    )
    wrong = BitrixWebhook(domain=domain, webhook_token="1/wrong0secret")
    return {
        "deal": deal.result["TITLE"],
        "operating": deal.time.operating,
        "deals": ids("crm.deal.list"),
        "items": ids("crm.item.list", {"entityTypeId": 2}, "id"),
        "history": ids("crm.stagehistory.list", {"entityTypeId": 2}),
        "calls": ids("voximplant.statistic.get"),
        "classic": len(token.call_list("crm.deal.list", {"select": ["ID"]}, limit=2000)["result"]),
        "users": [user["ID"] for user in client.user.get(filter={"ACTIVE": True}).result],
        "departments": [department["NAME"] for department in client.department.get().result],
        "batch": [
            batch["result"]["result"]["who"]["ID"],
            batch["result"]["result"]["deal"]["TITLE"],
            batch["result"]["result_error"]["bad"]["error"],
        ],
        "app": application.call_method("app.info")["result"]["CODE"],
        "errors": {
            "unknown": refusal(lambda: token.call_method("crm.nothing")),
            "filter": refusal(lambda: token.call_method("crm.item.list", {"entityTypeId": 2, "filter": {"FOO": 1}})),
            "legacy": refusal(lambda: token.call_method("crm.deal.get", {"id": 999_999_999})),
            "context": refusal(lambda: token.call_method("event.get")),
            "secret": refusal(lambda: wrong.call_method("profile")),
            "token": refusal(lambda: BitrixToken(
                domain=domain, auth_token="nonsense", bitrix_app=BitrixApp(client_id="a", client_secret="b")
            ).call_method("profile")),
            "limit": refusal(lambda: token.call_method("crm.lead.list")),
            "rate": refusal(lambda: token.call_method("crm.contact.list")),
            "inside": refusal(lambda: token.call_method("crm.company.list")),
            "page": refusal(lambda: token.call_method("crm.quote.list")),
        },
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))

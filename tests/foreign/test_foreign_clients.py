"""Clients that other people wrote, unmodified, against the practice portal.

They are the portal's witnesses: what they take for Bitrix24 cannot be our own misreading alone. Each runs in a process
of its own, because of event loops, warnings and environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from b24metrics.clock import SystemClock
from b24metrics.sim.accounts import Application
from b24metrics.sim.faults import Transport
from b24metrics.sim.limits import Costs, RateBucket
from b24metrics.sim.pytest_plugin import SimFactory
from b24metrics.sim.server import Sim

pytestmark = pytest.mark.real

HERE = Path(__file__).parent

_COMPANY = """
INSERT INTO deal BY NAME SELECT i AS ID, 'Сделка ' || i AS TITLE, 1741942800 + i AS DATE_CREATE FROM range(1, 10001) r(i);
INSERT INTO stage_history BY NAME SELECT 2 AS ENTITY_TYPE_ID, i AS ID, i AS OWNER_ID, 'NEW' AS STAGE_ID FROM range(1, 3001) r(i);
INSERT INTO phone_call BY NAME SELECT i AS ID, '+7900' || i AS PHONE_NUMBER, 1741942800 + i AS CALL_START_DATE FROM range(1, 3001) r(i);
INSERT INTO "user" BY NAME SELECT i AS ID, 'Имя ' || i AS NAME, i <> 9 AS ACTIVE, [1] AS UF_DEPARTMENT FROM range(2, 70) r(i);
INSERT INTO department BY NAME SELECT * FROM (VALUES (1, 'Компания', NULL), (2, 'Продажи', 1)) t (ID, NAME, PARENT);
INSERT INTO status BY NAME SELECT * FROM (VALUES (1, 'DEAL_STAGE', 'NEW', 10), (2, 'DEAL_STAGE', 'WON', 20)) t (ID, ENTITY_ID, STATUS_ID, SORT);
"""


def company(factory: SimFactory, bucket: RateBucket | None) -> Sim:
    """Ten thousand deals and what belongs to them, on the machine's clock."""
    options = {"bucket": bucket} if bucket else {}
    sim = factory(clock=SystemClock(), costs=Costs(seconds=0.01), **options)
    sim.data.execute(_COMPANY)
    return sim


def run(script: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """What a client's script printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / script), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "NO_PROXY": "*", **environment},
    )
    assert 0 == done.returncode, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("generous", [True, False], ids=["generous", "default limits"])
def test_fast_bitrix24_reads_everything(b24_sim_factory: SimFactory, generous: bool) -> None:
    """Offset pages in batches, nested results, single records, writes, errors; also under the default limits."""
    sim = company(b24_sim_factory, RateBucket.generous() if generous else None)
    found = run("fast_bitrix24_client.py", sim.webhook)

    assert {
        "deals": 10_000,
        "items": 10_000,
        "history": 3_000,
        "calls": 3_000,
        "departments": ["Компания", "Продажи"],
        "statuses": ["NEW", "WON"],
        "by_id": ["1", "2", "3"],
        "batch": ["1", "Сделка 1"],
        "added": 3,
        "unknown": "404",
        "bad filter": "400",
        "no auth": "403",
    } == {name: value for name, value in found.items() if name != "users"}
    assert sorted(str(number) for number in range(1, 70) if number != 9) == found["users"]
    assert 10_003 == sim.data.value("SELECT count(*) FROM deal")
    assert [] == [entry for entry in sim.log if entry.status == 503]


def test_the_vendors_sdk_reads_everything(b24_sim_factory: SimFactory) -> None:
    """HTTPS only; keyset chains in batches, an application's token, one error of every family by its own class."""
    sim = company(b24_sim_factory, None)
    token = sim.add_application(Application("local.app", "app0secret"))
    sim.fail("crm.contact.list", "QUERY_LIMIT_EXCEEDED", times=None)
    sim.fail("crm.company.list", "INTERNAL_SERVER_ERROR", times=None)
    sim.fail("crm.quote.list", Transport.BAD_GATEWAY, times=None)
    sim.block("crm.lead.list", seconds=300)
    domain = sim.https_url.removeprefix("https://")
    found = run(
        "b24pysdk_client.py", domain, "1/practice0portal0secret", token.access, REQUESTS_CA_BUNDLE=str(sim.ca_file)
    )

    assert {
        "deal": "Сделка 1",
        "deals": 10_000,
        "items": 10_000,
        "history": 3_000,
        "calls": 3_000,
        "classic": 2_000,
        "departments": ["Компания", "Продажи"],
        "batch": ["1", "Сделка 1", "ERROR_METHOD_NOT_FOUND"],
        "app": "local.app",
        "errors": {
            "unknown": "BitrixAPINotFound",
            "filter": "BitrixAPIInvalidArgValue",
            "legacy": "BitrixAPIBadRequest",
            "context": "BitrixAPIWrongAuthType",
            "secret": "BitrixAPIInvalidCredentials",
            "token": "BitrixAPIInvalidToken",
            "limit": "BitrixAPIOperationTimeLimit",
            "rate": "BitrixAPIQueryLimitExceeded",
            "inside": "BitrixAPIInternalServerError",
            "page": "BitrixResponseJSONDecodeError",
        },
    } == {name: value for name, value in found.items() if name not in {"users", "operating"}}
    assert 50 == len(found["users"])
    assert found["operating"] > 0
    assert {True} == {entry.batch for entry in sim.calls("crm.stagehistory.list")[1:]}

"""A small hand-made company, and the plainest of clients to ask the practice portal with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from b24metrics.clock import HandClock
from b24metrics.sim import tables
from b24metrics.sim.limits import RateBucket
from b24metrics.sim.pytest_plugin import SimFactory
from b24metrics.sim.server import Sim

#: 2025-03-14 12:00:00 in Moscow, where the HandClock starts.
NOON = 1_741_942_800

DEAL = tables.ENTITY_TYPES[2]
LEAD = tables.ENTITY_TYPES[1]
CONTACT = tables.ENTITY_TYPES[3]
COMPANY = tables.ENTITY_TYPES[4]
QUOTE = tables.ENTITY_TYPES[7]
INVOICE = tables.ENTITY_TYPES[31]


class Asker:
    """Speaks plain HTTP to one address and remembers the last response."""

    def __init__(self, http: httpx.Client, address: str) -> None:
        self.http = http
        self.address = address
        self.response: httpx.Response

    def __call__(self, method: str, **params: Any) -> Any:
        """POST a JSON body; the decoded envelope."""
        self.response = self.http.post(self.address + method, json=params)
        return self.response.json()

    def result(self, method: str, **params: Any) -> Any:
        """The result; anything else fails the test."""
        answer = self(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    def refused(self, method: str, **params: Any) -> tuple[int, Any, str]:
        """(status, error, description)."""
        answer = self(method, **params)
        return self.response.status_code, answer.get("error"), answer.get("error_description")

    def get(self, tail: str) -> Any:
        """GET whatever stands behind the webhook address."""
        self.response = self.http.get(self.address + tail)
        return self.response.json()

    def form(self, method: str, body: str) -> Any:
        """POST a form body as it stands."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self.response = self.http.post(self.address + method, content=body, headers=headers)
        return self.response.json()

    def batch(self, halt: int = 0, **commands: str) -> Any:
        return self.result("batch", halt=halt, cmd=commands)


_FURNITURE = """
INSERT INTO status BY NAME SELECT row_number() OVER () + 100 AS ID, *, STATUS_ID AS NAME, '#39A8EF' AS COLOR FROM (VALUES
    ('STATUS', 'NEW', 10, NULL, NULL, 'process'),
    ('STATUS', 'IN_PROCESS', 20, NULL, NULL, 'process'),
    ('STATUS', 'CONVERTED', 30, NULL, NULL, 'success'),  -- older portals: semantics of leads only in EXTRA
    ('STATUS', 'JUNK', 40, NULL, NULL, 'failure'),
    ('DEAL_STAGE', 'NEW', 10, NULL, NULL, 'process'),
    ('DEAL_STAGE', 'EXECUTING', 20, NULL, NULL, 'process'),
    ('DEAL_STAGE', 'WON', 30, NULL, 'S', 'success'),
    ('DEAL_STAGE', 'LOSE', 40, NULL, 'F', 'failure'),
    ('DEAL_STAGE', 'APOLOGY', 50, NULL, 'F', 'apology'),
    ('DEAL_STAGE_3', 'C3:NEW', 10, 3, NULL, 'process'),
    ('DEAL_STAGE_3', 'C3:UC_NYL06U', 20, 3, NULL, 'process'),
    ('DEAL_STAGE_3', 'C3:WON', 30, 3, 'S', 'success'),
    ('QUOTE_STATUS', 'DRAFT', 10, NULL, NULL, 'process'),
    ('QUOTE_STATUS', 'APPROVED', 20, NULL, 'S', 'success'),
    ('SMART_INVOICE_STAGE_5', 'DT31_5:N', 10, 5, NULL, NULL),
    ('SMART_INVOICE_STAGE_5', 'DT31_5:S', 20, 5, NULL, NULL),
    ('SMART_INVOICE_STAGE_5', 'DT31_5:P', 30, 5, 'S', NULL),
    ('SMART_INVOICE_STAGE_5', 'DT31_5:D', 40, 5, 'F', NULL),
    ('SOURCE', 'CALL', 10, NULL, NULL, NULL),
    ('SOURCE', 'WEB', 20, NULL, NULL, NULL)
) t (ENTITY_ID, STATUS_ID, SORT, CATEGORY_ID, SEMANTICS, EXTRA_SEMANTICS);
INSERT INTO category BY NAME SELECT * FROM (VALUES
    (2, 0, 'General', 10, TRUE), (2, 3, 'Service', 20, FALSE), (31, 5, 'Invoices', 10, TRUE)
) t (ENTITY_TYPE_ID, ID, NAME, SORT, IS_DEFAULT);
INSERT INTO currency BY NAME SELECT * FROM (VALUES
    ('RUB', 1, 100, TRUE, 'Рубль'), ('EUR', 91.5, 200, FALSE, 'Euro')
) t (CURRENCY, AMOUNT, SORT, BASE, FULL_NAME);
INSERT INTO department BY NAME SELECT * FROM (VALUES
    (1, 'Company', NULL, NULL), (5, 'Sales', 1, 7)
) t (ID, NAME, PARENT, UF_HEAD);
INSERT INTO "user" BY NAME SELECT *, lower(NAME) || '@example.test' AS EMAIL, 1741942800 - 86400 * ID AS TIMESTAMP_X FROM (VALUES
    (7, 'Ann', 'Lee', TRUE, [5], '', DATE '2020-05-01'),
    (8, 'Boris', 'Petrov', FALSE, [5], 'Asia/Yekaterinburg', NULL),
    (9, 'Vera', 'Orlova', TRUE, [1, 5], '', NULL)
) t (ID, NAME, LAST_NAME, ACTIVE, UF_DEPARTMENT, TIME_ZONE, UF_EMPLOYMENT_DATE);
"""


def furnish(sim: Sim) -> None:
    """Directories, people and pipelines of a small company."""
    sim.data.execute(_FURNITURE)


def deals(sim: Sim, count: int, *, first: int = 1) -> None:
    """``count`` open deals with ids from ``first``, one a minute since NOON, amounts 100, 200 …"""
    sim.data.execute(
        "INSERT INTO deal BY NAME SELECT i AS ID, 'Deal ' || i AS TITLE, 100 * i AS OPPORTUNITY, ? + 60 * i AS DATE_CREATE, "
        "? + 60 * i AS DATE_MODIFY, 7 AS ASSIGNED_BY_ID FROM range(?, ?) r(i)",
        [NOON, NOON, first, first + count],
    )


@pytest.fixture
def sim(b24_sim_factory: SimFactory, clock: HandClock) -> Sim:
    """A furnished portal that never says "too many requests"."""
    running = b24_sim_factory(clock=clock, bucket=RateBucket.generous())
    furnish(running)
    return running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    # plain HTTP: without the world's certificates, whose loading takes longer than most tests
    with httpx.Client(timeout=10, verify=False) as client:
        yield client


@pytest.fixture
def ask(sim: Sim, http: httpx.Client) -> Asker:
    """The administrator's webhook."""
    return Asker(http, sim.webhook)


@pytest.fixture
def asker(http: httpx.Client) -> Callable[[str], Asker]:
    """Any other address."""
    return lambda address: Asker(http, address)

"""A portal in memory and scripted replies, for tests of the client.

Written from the vendor's pages, in other words than the client: it parses PHP queries, keeps a bucket and a meter, and
resolves references as loosely as portals do.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx

from b24metrics.clock import HandClock

SECRET = "s3cr3tk3y0fth3w3bh"
ADDRESS = f"https://portal.example/rest/7/{SECRET}/"

OPERATION = {"error": "OPERATION_TIME_LIMIT", "error_description": "Method is blocked due to operation time limit."}
TOO_MANY = {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}
NO_METHOD = {"error": "ERROR_METHOD_NOT_FOUND", "error_description": "Method not found!"}
BROKEN = {"error": "INTERNAL_SERVER_ERROR", "error_description": "Internal server error"}


def parse_str(text: str) -> Any:
    """PHP's parse_str: brackets become maps, [] counts on."""
    root: dict[str, Any] = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        name, rest = re.fullmatch(r"([^\[]*)((?:\[[^\]]*\])*)", key).groups()
        steps = [name, *re.findall(r"\[([^\]]*)\]", rest)]
        here = root
        for n, told in enumerate(steps):
            step = told or str(len(here))
            if n == len(steps) - 1:
                here[step] = value
            else:
                here = here.setdefault(step, {})
    return root


@dataclass(frozen=True)
class Canned:
    """A reply that can be given more than once, to both clients."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(self.status, content=self.body, headers=self.headers)


def reply(body: Any, status: int = 200, **headers: str) -> Canned:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Canned(status, raw, {"content-type": "application/json; charset=utf-8", **headers})


def method_of(request: httpx.Request) -> str:
    return request.url.path.rstrip("/").rsplit("/", 1)[-1]


def body_of(request: httpx.Request) -> Any:
    return json.loads(request.content)


class Script:
    """A transport that gives prepared replies in order; an exception among them is raised. Remembers what was sent."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.sent: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        assert self.replies, f"one request more than scripted: {method_of(request)}"
        found = self.replies.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found(request) if callable(found) else reply(found)(request)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)

    @property
    def bodies(self) -> list[Any]:
        return [body_of(request) for request in self.sent]


class Toy:
    """A portal in memory.

    ``tables``: method → rows with ``ID``. ``cost``: method seconds of one command. ``x``, ``y``: the bucket; ``limit``:
    seconds per method in ten minutes; ``bill``: to ``methods``, to ``batch``, or to ``half`` (batch at half weight).
    ``floor``: shorter calls are not counted. ``ban``: flat ban seconds instead of sliding minutes.
    """

    def __init__(
        self,
        clock: HandClock,
        tables: Mapping[str, list[dict[str, Any]]] | None = None,
        *,
        cost: Callable[[str], float] | float = 0.05,
        x: float = 50,
        y: float = 2,
        limit: float = 480,
        bill: str = "methods",
        floor: float = 0,
        ban: float = 0,
        takes_time: bool = True,
        tells: bool = True,
        nowhere: str = "array",
        skew: float = 0,
    ) -> None:
        self.clock = clock
        self.tables = {name: list(rows) for name, rows in (tables or {}).items()}
        self.cost = cost if callable(cost) else (lambda _: cost)
        self.x, self.y, self.limit, self.bill, self.floor, self.ban = x, y, limit, bill, floor, ban
        self.takes_time, self.tells, self.nowhere, self.skew = takes_time, tells, nowhere, skew
        self.level, self.level_at = 0.0, clock.now()
        self.highest = 0.0
        self.minutes: dict[str, list[list[float]]] = {}
        self.banned: dict[str, float] = {}
        self.blocked: dict[str, float] = {}
        self.requests = 0
        self.commands: list[str] = []
        self.refused = {503: 0, 429: 0}
        self.faults: dict[str, list[dict[str, Any]]] = {}
        self.methods: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
        self.log: list[tuple[str, Any]] = []

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        now = self.clock.now()
        self.level = max(0.0, self.level - self.y * (now - self.level_at))
        self.level_at = now
        if self.level + 1 > self.x:
            self.refused[503] += 1
            return reply(TOO_MANY, 503)(request)
        self.level += 1
        self.highest = max(self.highest, self.level)
        self.requests += 1
        method, params = method_of(request), body_of(request)
        started = self.clock.now()
        if method == "batch":
            return self._batch(params, started)(request)
        told = self._run(method, params)
        status = {"OPERATION_TIME_LIMIT": 429, "ERROR_METHOD_NOT_FOUND": 404}.get(str(told.get("error")), 400)
        return reply(told, status if "error" in told else 200)(request)

    # ------------------------------------------------------------ batch

    def _batch(self, params: Mapping[str, Any], started: float) -> Canned:
        if self._used("batch") > self.limit:
            self.refused[429] += 1
            return reply(OPERATION, 429)
        parts: dict[str, dict[str, Any]] = {
            name: {} for name in ("result", "result_error", "result_total", "result_next", "result_time")
        }
        seconds = 0.0
        for key, text in list(params["cmd"].items())[:50]:
            method, _, query = text.partition("?")
            told = self._run(method, self._resolved(parse_str(query), parts["result"]))
            if "error" in told:
                parts["result_error"][key] = told
                if params.get("halt"):
                    break
                continue
            parts["result"][key] = told["result"]
            for name in ("total", "next", "time"):
                if name in told:
                    parts[f"result_{name}"][key] = told[name]
            seconds += self._last_cost
        if self.bill in {"batch", "half"}:
            self._spend("batch", seconds * (0.5 if self.bill == "half" else 1))
            if self.tells:
                for times in parts["result_time"].values():
                    times.update(self._budget("batch"))
        time = self._time("batch", started)
        return reply({"result": {name: part or [] for name, part in parts.items()}, "time": time})

    def _resolved(self, value: Any, results: Mapping[str, Any]) -> Any:
        """References as portals resolve them: what cannot be found leaves the deepest thing that could."""
        if isinstance(value, dict):
            return {key: self._resolved(item, results) for key, item in value.items()}
        found = re.fullmatch(r"\$result((?:\[[^\]]*\])+)", value)
        if not found:
            return value
        here: Any = results
        for step in re.findall(r"\[([^\]]*)\]", found[1]):
            if isinstance(here, list) and step.isdigit() and int(step) < len(here):
                here = here[int(step)]
            elif isinstance(here, dict) and step in here:
                here = here[step]
            else:
                return here if self.nowhere == "array" else ""
        return here

    # ------------------------------------------------------------ one command

    def _run(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        started = self.clock.now()
        self.commands.append(method)
        self.log.append((method, params))
        if method not in self.tables and method not in self.methods:
            return dict(NO_METHOD)
        if (
            self._used(method) > self.limit
            or self.blocked.get(method, 0) > started
            or self.banned.get(method, 0) > started
        ):
            self.refused[429] += 1
            return dict(OPERATION)
        if self.faults.get(method):
            return self.faults[method].pop(0)
        self._last_cost = self.cost(method)
        if self.takes_time:
            self.clock.move(self._last_cost)
        if self.bill == "methods" and self._last_cost >= self.floor:
            self._spend(method, self._last_cost)
            if self.ban and self._used(method) > self.limit:
                self.minutes[method] = []
                self.banned[method] = self.clock.now() + self.ban
        told = self.methods[method](params) if method in self.methods else self._list(method, params)
        if isinstance(told, dict) and "error" in told:
            return told
        if not isinstance(told, dict) or "result" not in told:
            told = {"result": told}
        if self.tells:
            told["time"] = self._time(method, started)
        return told

    def _list(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        lower = {key.lower(): value for key, value in params.items()}
        rows = self.tables[method]  # by id
        low, high = 0, len(rows)
        for key, value in (lower.get("filter") or {}).items():
            if key in {">ID", "<=ID"} and not isinstance(value, (dict, list)):
                at = bisect_right(rows, int(value or 0), key=lambda row: int(row["ID"]))
                low, high = (at, high) if key == ">ID" else (low, at)
        count = max(0, high - low)
        start = int(lower.get("start", 0))
        begin = low + max(0, start)
        found = rows[begin : min(high, begin + 50)]
        if "DESC" in str(lower.get("order")).upper():
            found = rows[low:high][::-1][:50]
        if start < 0:
            return {"result": found, "total": 0}
        told: dict[str, Any] = {"result": found, "total": count}
        if start + 50 < count:
            told["next"] = start + 50
        return told

    # ------------------------------------------------------------ the meter

    def _used(self, method: str) -> float:
        now = self.clock.now()
        self.minutes[method] = [each for each in self.minutes.get(method, []) if each[0] + 600 > now]
        return sum(seconds for _, seconds in self.minutes[method])

    def _spend(self, method: str, seconds: float) -> None:
        now = self.clock.now()
        self._used(method)
        minutes = self.minutes[method]
        if minutes and now < minutes[-1][0] + 60:
            minutes[-1][1] += seconds
        else:
            minutes.append([now, seconds])

    def _budget(self, method: str) -> dict[str, Any]:
        used = self._used(method)
        first = self.minutes[method][0][0] if self.minutes[method] else self.clock.now()
        reset = self.banned.get(method, 0)
        reset = reset if reset > self.clock.now() else first + 600
        return {"operating": used, "operating_reset_at": int(reset + self.skew)}

    def _time(self, method: str, started: float) -> dict[str, Any]:
        now = self.clock.now()
        times = {
            "start": started + self.skew,
            "finish": now + self.skew,
            "duration": now - started,
            "processing": now - started,
        }
        return times | self._budget(method) if self.tells else times


def deals(ids: Iterable[int]) -> list[dict[str, Any]]:
    return [{"ID": str(n), "TITLE": f"Deal {n}"} for n in sorted(ids)]


def deal_id(row: Mapping[str, Any]) -> int:
    return int(row["ID"])

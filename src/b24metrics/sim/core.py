"""The practice portal without its sockets: decoded requests in, answers out.

Laws: checks run in the vendor's order: moved, HTTPS, closed, rate, method, caller, scope, operating time, work. One lock
covers a whole request. Time passes only as the cost of commands. A request that costs more than the ceiling is cut off
by the front; what it did stays done. XML answers are not offered. Source: vendor, "General principles", "Batch".
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl, urlencode

from b24metrics.clock import Clock, HandClock
from b24metrics.sim import php
from b24metrics.sim.accounts import Accounts, Credential
from b24metrics.sim.calls import PAGE, Answer, Call, Method, Session
from b24metrics.sim.data import Data
from b24metrics.sim.events import Events
from b24metrics.sim.faults import Fault, Faults, Transport
from b24metrics.sim.limits import Billing, Costs, OperatingMeter, RateBucket, Spending
from b24metrics.sim.methods import METHODS, METHODS_V3
from b24metrics.sim.records import Records
from b24metrics.sim.refusals import Refusal, RefusalV3

__all__ = ["Ask", "Logged", "PracticePortal", "Reply", "Switches"]

BATCH_LENGTH = 50
_REFERENCE = re.compile(r"\$(result|total|next|time|error)(\[\S+\])")


@dataclass(slots=True)
class Ask:
    """A decoded HTTP request. ``json`` is the parsed body where it was JSON, for REST 3.0."""

    verb: str
    path: str
    query: str = ""
    body: php.Params = field(default_factory=dict)
    json: object = None
    is_json: bool = False
    scheme: str = "http"
    host: str = "127.0.0.1"
    address: str = "127.0.0.1"
    idempotency_key: str = ""


@dataclass(slots=True)
class Reply:
    """An HTTP answer; ``seconds`` are to be really waited, ``fault`` is what the transport does to it."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Logged:
    """One command as it was handled. ``request`` numbers the HTTP requests; ``batch`` marks commands of a batch."""

    at: float
    request: int
    method: str
    params: Mapping[str, object]
    status: int
    error: object
    seconds: float
    credential: str = field(repr=False)
    batch: bool = False
    total: int | None = None


@dataclass(slots=True)
class Switches:
    """How the portal behaves beyond the documentation.

    Args:
        https_only: plain HTTP is refused, as in the cloud.
        as_seen: HTTP statuses as seen on live portals instead of the documented ones.
        moved_to: the portal was renamed: everything answers 302 to this base address.
        closed_by: code with which every call is refused (``PORTAL_DELETED``, ``OVERLOAD_LIMIT``).
        unpaid: REST is not part of the plan any more.
        skew: the portal's clock is this many seconds ahead of the client's.
        whole_start: ``time.start`` as an integer, as newer portals send it.
        extended_queue: the offline queue may be reserved and confirmed.
    """

    https_only: bool = False
    as_seen: bool = False
    moved_to: str = ""
    closed_by: str = ""
    unpaid: bool = False
    skew: float = 0.0
    whole_start: bool = False
    extended_queue: bool = True


_PAGE = """<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>
<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"""


def front_page(status: int, title: str) -> Reply:
    """What the front proxy answers when the portal behind it does not."""
    page = _PAGE.format(title=f"{status} {title}")
    return Reply(status, page.encode("ascii"), {"Content-Type": "text/html"})


class PracticePortal:
    """All state of one portal and its front desk.

    Args:
        clock: shared with the client and the test.
        data: its records.
        meter, costs, switches: see there.
        bucket: None: as the plan in the settings says.
        keep_log: how many commands are remembered.
    """

    def __init__(
        self,
        clock: Clock,
        data: Data,
        *,
        bucket: RateBucket | None = None,
        meter: OperatingMeter | None = None,
        costs: Costs | None = None,
        switches: Switches | None = None,
        keep_log: int = 100_000,
    ) -> None:
        self.clock = clock
        self.data = data
        self.switches = switches or Switches()
        self.meter = meter or OperatingMeter()
        self.costs = costs or Costs()
        self.bucket = bucket or RateBucket.of_plan(php.text(data.value("SELECT PLAN FROM settings")))
        if self.costs.spending is Spending.MOVE and not isinstance(clock, HandClock):
            raise ValueError("Spending.MOVE moves a HandClock; give the portal one, or choose Spending.SLEEP")
        self.accounts = Accounts()
        self.faults = Faults()
        self.log: deque[Logged] = deque(maxlen=keep_log)
        self.domain = "practice.bitrix24.test"
        self.events = Events(data, domain=self.domain, member_id=php.text(data.value("SELECT MEMBER_ID FROM settings")))
        self.records = Records(data, self.events)
        self.external_calls: dict[str, dict[str, object]] = {}  # registered, not finished
        self._requests = itertools.count(1)
        self._messages = itertools.count(1001)
        self._external = itertools.count(1)
        self._replayed: dict[tuple[str, str], tuple[bytes, Reply]] = {}

    def now(self) -> float:
        """The portal's own time, epoch seconds."""
        return self.clock.now() + self.switches.skew

    def next_message(self) -> int:
        """Number of the next notice or message."""
        return next(self._messages)

    def next_external_call(self) -> int:
        """Number of the next call of an outside PBX."""
        return next(self._external)

    # ------------------------------------------------------------ the door

    def handle(self, ask: Ask) -> Reply:
        """Answer one HTTP request."""
        place = _Place.of(ask.path)
        if place is None:
            return front_page(404, "Not Found")
        fault = self.faults.transport_for(place.method)
        if fault is None:
            return self._answer(ask, place)
        if fault.what is Transport.BAD_GATEWAY:
            return front_page(502, "Bad Gateway")
        reply = self._answer(ask, place) if fault.executed else front_page(504, "Gateway Time-out")
        if fault.what is Transport.GATEWAY_TIMEOUT:
            return front_page(504, "Gateway Time-out")
        reply.fault = fault
        return reply

    def _answer(self, ask: Ask, place: _Place) -> Reply:
        with self.data.lock:
            self.data.fresh()
            number = next(self._requests)
            try:
                if place.kind == "oauth":
                    return self._oauth(ask, place)
                return self._rest(ask, place, number)
            except Refusal as refusal:
                status = refusal.status(as_seen=self.switches.as_seen)
                self._note(number, place.method, {}, status, refusal.error, 0.0, "")
                return self._told(status, refusal.body, place)

    def _rest(self, ask: Ask, place: _Place, number: int) -> Reply:
        if self.switches.moved_to:
            query = f"?{ask.query}" if ask.query else ""
            return Reply(302, b"", {"Location": self.switches.moved_to.rstrip("/") + ask.path + query})
        if self.switches.https_only and ask.scheme != "https":
            raise Refusal("INVALID_REQUEST")
        if self.switches.closed_by:
            raise Refusal(self.switches.closed_by)
        if self.switches.unpaid:
            raise Refusal("ACCESS_DENIED", "REST API is available only on commercial plans")
        if not self.bucket.admit(ask.address, self.now()):
            raise Refusal("QUERY_LIMIT_EXCEEDED")
        params = {**php.parse_query(ask.query), **ask.body}
        if place.kind == "v3":
            return self._rest_v3(ask, place, number)
        found = METHODS.get(place.method)
        if found is None and place.method != "batch":
            raise Refusal("ERROR_METHOD_NOT_FOUND")
        session = Session(self, self._caller(place, params), number)
        params.pop("auth", None)
        body = self._batch(session, params) if found is None else self._single(session, found, params)
        if session.now - session.started_at > self.costs.ceiling:
            late = front_page(504, "Gateway Time-out")
            late.seconds = self._to_wait(min(session.pending, self.costs.ceiling))
            return late
        reply = self._told(200, body, place)
        reply.seconds = self._to_wait(session.pending)
        return reply

    def _caller(self, place: _Place, params: php.Params) -> Credential:
        now = self.now()
        if place.user_id:
            credential = self.accounts.by_webhook(place.user_id, place.secret, now)
        else:
            credential = self.accounts.by_token(php.text(params.get("auth")), now)
        active = self.data.value('SELECT ACTIVE FROM "user" WHERE ID = ?', [credential.user_id])
        if active is not True:
            raise Refusal("authorization_error")
        return credential

    def _to_wait(self, seconds: float) -> float:
        return seconds if self.costs.spending is Spending.SLEEP else 0.0

    # ------------------------------------------------------------ calls

    def _single(self, session: Session, method: Method, params: php.Params) -> php.Params:
        answer, time = self._run(session, method, params, batch=False)
        return _enveloped(answer, time)

    def _run(
        self, session: Session, method: Method, params: php.Params, *, batch: bool
    ) -> tuple[Answer, dict[str, object]]:
        """Carry out one command; its cost is spent whether it succeeds or not.

        Raises:
            Refusal: it did not succeed.
        """
        began = session.now
        name = method.name.lower()
        cost = 0.0
        try:
            self._admit(session, method)
            answer = method.run(Call(session, method.name, params))
            if not isinstance(answer, Answer):
                answer = Answer(answer)
            cost = self.costs.of(name, counted_rows=answer.counted_rows, skipped_rows=answer.skipped_rows)
        except Refusal as refusal:
            status = refusal.status(as_seen=self.switches.as_seen)
            self._note(session.number, name, params, status, refusal.error, cost, session.credential.key, batch=batch)
            raise
        self._spend(session, cost)
        if not batch or self.meter.billing is Billing.METHODS:
            self.meter.book(session.credential.key, name, cost, began)
        self._note(
            session.number, name, params, 200, None, cost, session.credential.key, batch=batch, total=answer.total
        )
        return answer, self._time(session, began, name)

    def _admit(self, session: Session, method: Method) -> None:
        name = method.name.lower()
        credential = session.credential
        if method.application and credential.application is None:
            raise (
                Refusal("WRONG_AUTH_TYPE")
                if name != "app.info"
                else Refusal("ACCESS_DENIED", "Access denied! Application context required", 400)
            )
        if method.scopes and not method.scopes & credential.scopes:
            bearer = "webhook token" if credential.kind == "webhook" else "access token"
            raise Refusal("insufficient_scope", f"The request requires higher privileges than provided by the {bearer}")
        if injected := self.faults.answer_for(name):
            raise injected
        if self.meter.refuses(credential.key, name, session.now):
            raise Refusal("OPERATION_TIME_LIMIT")

    def _spend(self, session: Session, seconds: float) -> None:
        if self.costs.spending is Spending.MOVE:
            assert isinstance(self.clock, HandClock)
            self.clock.move(seconds)
        else:
            session.pending += seconds

    def _time(self, session: Session, began: float, account: str) -> dict[str, object]:
        ended = session.now
        time: dict[str, object] = {
            "start": int(began) if self.switches.whole_start else php.number(round(began, 6)),
            "finish": php.number(round(ended, 6)),
            "duration": php.number(round(ended - began, 6)),
            "processing": 0 if self.switches.whole_start else php.number(round(ended - began, 6)),
            "date_start": datetime.fromtimestamp(int(began), session.zone).isoformat(),
            "date_finish": datetime.fromtimestamp(int(ended), session.zone).isoformat(),
        }
        if self.meter.limit is not None:
            key = session.credential.key
            time["operating_reset_at"] = self.meter.reset_at(key, account, ended)
            time["operating"] = php.number(round(self.meter.operating(key, account, ended), 6))
        return time

    def _note(
        self,
        request: int,
        method: str,
        params: php.Params,
        status: int,
        error: object,
        seconds: float,
        credential: str,
        *,
        batch: bool = False,
        total: int | None = None,
    ) -> None:
        self.log.append(Logged(self.now(), request, method, params, status, error, seconds, credential, batch, total))

    def _told(self, status: int, body: php.Params, place: _Place) -> Reply:
        """An answer in the form that the method's suffix asks for."""
        if not place.xml:
            return self._json(status, body)
        headers = {"Content-Type": "text/xml; charset=utf-8", "Access-Control-Allow-Origin": "*"}
        return Reply(status, php.encode_xml(body), headers)

    def _json(self, status: int, body: object) -> Reply:
        headers = {"Content-Type": "application/json; charset=utf-8", "Access-Control-Allow-Origin": "*"}
        return Reply(status, php.encode(body), headers)

    # ------------------------------------------------------------ batch

    def _batch(self, session: Session, params: php.Params) -> php.Params:
        began = session.now
        key = session.credential.key
        if injected := self.faults.answer_for("batch"):
            raise injected
        if self.meter.billing is Billing.BATCH and self.meter.refuses(key, "batch", began):
            raise Refusal("OPERATION_TIME_LIMIT")
        outcome = _Outcome()
        commands = php.as_map(params.get("cmd"))
        for index, (name, command) in enumerate(commands.items()):
            if not isinstance(command, str):
                continue
            if session.now - began > self.costs.ceiling:
                break  # the front has hung up
            if index >= BATCH_LENGTH:
                outcome.error[name] = Refusal("ERROR_BATCH_LENGTH_EXCEEDED").body
                continue
            self.data.expected = PAGE * (min(len(commands), BATCH_LENGTH) - index)
            failed = self._command(session, outcome, name, command)
            if failed and php.yes(params.get("halt")):
                break
        spent = session.now - began
        if self.meter.billing is Billing.BATCH:
            self.meter.book(key, "batch", spent * self.meter.batch_weight, began)
        self._note(session.number, "batch", {"halt": params.get("halt"), "cmd": commands}, 200, None, spent, key)
        return {"result": outcome.wire(), "time": self._time(session, began, "batch")}

    def _command(self, session: Session, outcome: _Outcome, name: str, command: str) -> bool:
        """Run one command of a batch; True when it failed."""
        path, _, query = command.partition("#")[0].partition("?")
        params = {key: outcome.substituted(value) for key, value in php.parse_query(query).items()}
        try:
            answer, time = self._run(session, _in_batch(_bare(path)), params, batch=True)
        except Refusal as refusal:
            body = refusal.body
            if refusal.error == "insufficient_scope":
                body["error_description"] = ""
            outcome.error[name] = body
            return True
        outcome.result[name] = answer.result
        outcome.time[name] = time
        if answer.total is not None:
            outcome.total[name] = answer.total
        if answer.next is not None:
            outcome.next[name] = answer.next
        return False

    # ------------------------------------------------------------ REST 3.0

    def _rest_v3(self, ask: Ask, place: _Place, number: int) -> Reply:
        body = ask.json
        if ask.verb == "POST" and (not ask.is_json or not isinstance(body, dict | list)):
            raise RefusalV3("INVALIDJSONEXCEPTION", "Request body is not valid JSON")
        params = body if isinstance(body, dict) else {}
        session = Session(self, self._caller(place, params), number)
        replay = (session.credential.key, ask.idempotency_key)
        said = php.encode([place.method, body])
        if ask.idempotency_key and replay in self._replayed:
            known, reply = self._replayed[replay]
            if known != said:
                raise RefusalV3("IDEMPOTENCYKEYREUSEDEXCEPTION", "Idempotency key was used with another request", 422)
            return Reply(reply.status, reply.body, {**reply.headers, "Idempotent-Replayed": "true"})
        began = session.now
        if place.method == "batch" and isinstance(body, list):
            results: list[object] = []
            for command in body:
                inner = php.as_map(command)
                results.append(self._run_v3(session, php.text(inner.get("method")), php.as_map(inner.get("query"))))
            result: object = results
        else:
            result = self._run_v3(session, place.method, {k: v for k, v in params.items() if k != "auth"})
        reply = self._json(200, {"result": result, "time": self._time(session, began, place.method)})
        reply.seconds = self._to_wait(session.pending)
        if ask.idempotency_key:
            self._replayed[replay] = (said, reply)
        return reply

    def _run_v3(self, session: Session, name: str, params: php.Params) -> object:
        method = METHODS_V3.get(name.lower())
        if method is None:
            raise Refusal("ERROR_METHOD_NOT_FOUND")
        if method.scopes and not method.scopes & session.credential.scopes:
            raise RefusalV3("INSUFFICIENTSCOPEEXCEPTION", "Insufficient scope", 403)
        answer, _ = self._run(session, method, params, batch=False)
        return answer.result

    # ------------------------------------------------------------ OAuth

    def _oauth(self, ask: Ask, place: _Place) -> Reply:
        given = dict(parse_qsl(ask.query)) | {name: php.text(value) for name, value in ask.body.items()}
        if place.method == "authorize":
            return self._authorize(given)
        application, token = self.accounts.exchange(given, self.now())
        if self.switches.unpaid:
            raise Refusal("PAYMENT_REQUIRED")
        answer: dict[str, object] = {
            "access_token": token.access,
            "refresh_token": token.refresh,
            "expires_in": int(token.expires_at - self.now()),
            "expires": int(token.expires_at),
            "client_endpoint": f"{ask.scheme}://{ask.host}/rest/",
            "server_endpoint": "https://oauth.bitrix.info/rest/",
            "domain": "oauth.bitrix.info",
            "member_id": self.events.member_id,
            "scope": ",".join(sorted(application.scopes)),
            "status": application.status,
            "user_id": token.user_id,
        }
        return self._json(200, answer)

    def _authorize(self, given: Mapping[str, str]) -> Reply:
        """The browser step; the practice portal knows its user without a login (``user_id``, else 1)."""
        application = self.accounts.applications.get(given.get("client_id", ""))
        if application is None:
            return front_page(404, "Application not found")
        answer = urlencode(
            {
                "code": self.accounts.code(application, int(given.get("user_id", "1")), self.now()),
                "state": given.get("state", ""),
                "domain": self.domain,
                "member_id": self.events.member_id,
                "scope": ",".join(sorted(application.scopes)),
                "server_domain": "oauth.bitrix.info",
            }
        )
        return Reply(302, b"", {"Location": f"{application.redirect_url}?{answer}"})


# ---------------------------------------------------------------- parts


@dataclass(frozen=True, slots=True)
class _Place:
    """What an address means."""

    kind: str  # classic, v3, oauth
    method: str  # lower case, without suffix
    user_id: str = ""
    secret: str = field(default="", repr=False)
    xml: bool = False

    @classmethod
    def of(cls, path: str) -> _Place | None:
        match [part for part in path.split("/") if part]:
            case ["oauth", ("authorize" | "token") as step]:
                return cls("oauth", step)
            case ["rest", "api", user_id, secret, method]:
                return cls("v3", _bare(method), user_id, secret)
            case ["rest", "api", method]:
                return cls("v3", _bare(method))
            case ["rest", user_id, secret, method]:
                return cls("classic", _bare(method), user_id, secret, xml=_is_xml(method))
            case ["rest", method]:
                return cls("classic", _bare(method), xml=_is_xml(method))
            case ["rest", user_id, secret]:
                return cls("classic", "", user_id, secret)
        return None


def _bare(name: str) -> str:
    return name.strip("/").lower().removesuffix(".json").removesuffix(".xml")


def _is_xml(name: str) -> bool:
    return name.strip("/").lower().endswith(".xml")


def _in_batch(name: str) -> Method:
    """The method that a command of a batch names.

    Raises:
        Refusal: there is none, or it may not be called from a batch.
    """
    method = METHODS.get(name)
    if name == "batch" or (method is not None and not method.batchable):
        raise Refusal("ERROR_BATCH_METHOD_NOT_ALLOWED")
    if method is None:
        raise Refusal("ERROR_METHOD_NOT_FOUND")
    return method


def _enveloped(answer: Answer, time: dict[str, object]) -> php.Params:
    body: php.Params = {"result": answer.result}
    if answer.next is not None:
        body["next"] = answer.next
    if answer.total is not None:
        body["total"] = answer.total
    body["time"] = time
    return body


@dataclass(slots=True)
class _Outcome:
    """The five maps of a batch answer."""

    result: dict[str, object] = field(default_factory=dict)
    error: dict[str, object] = field(default_factory=dict)
    total: dict[str, object] = field(default_factory=dict)
    next: dict[str, object] = field(default_factory=dict)
    time: dict[str, object] = field(default_factory=dict)

    def wire(self) -> dict[str, object]:
        return {
            "result": php.php_map(self.result),
            "result_error": php.php_map(self.error),
            "result_total": php.php_map(self.total),
            "result_next": php.php_map(self.next),
            "result_time": php.php_map(self.time),
        }

    def substituted(self, value: object) -> object:
        """Replace references to earlier answers: a whole value by anything, a part of a text by scalars only."""
        if isinstance(value, dict):
            return {key: self.substituted(member) for key, member in value.items()}
        if isinstance(value, list):
            return [self.substituted(member) for member in value]
        if not isinstance(value, str) or "$" not in value:
            return value
        if whole := _REFERENCE.fullmatch(value):
            return self._found(whole)

        def scalar(match: re.Match[str]) -> str:
            found = self._found(match)
            return match[0] if php.is_array(found) else php.text(found)

        return _REFERENCE.sub(scalar, value)

    def _found(self, match: re.Match[str]) -> object:
        maps = {
            "result": self.result, "total": self.total, "next": self.next, "time": self.time, "error": self.error,
        }  # fmt: skip
        return php.dig(maps[match[1]], match[2][1:-1].split("]["))

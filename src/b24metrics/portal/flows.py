"""Flows: generators that decide what to do next and never do it themselves.

A flow yields a Step and is sent what came of it: a Post or Get → Heard or Silence, a Wait, Call or Hand → nothing that
matters. Both clients drive the same flows.

Laws: no I/O, no sleeping, no clock of its own. Only what may be repeated is repeated: a refusal that says "not run"
(rate, method time, expired token, moved portal) always, a lost or broken answer only for repeatable requests. What is
reserved at the Gate is given back on every way out, also when the flow is closed or an error is thrown into it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

from b24metrics.clock import Clock
from b24metrics.errors import B24Error, LostReply, PortalFault, TryLater, Unreachable, UnreadableReply
from b24metrics.portal.address import Address, Secret, checked_method
from b24metrics.portal.limits import LONGEST, Gate, Lane, Ticket
from b24metrics.portal.oauth import Credential, OAuth, Tokens
from b24metrics.portal.refusals import Cure, Refusal
from b24metrics.portal.request import Answer, Page, Request, Timing
from b24metrics.portal.wire import Heard, json_body, plain, read_answer, read_batch

T = TypeVar("T")

_LOOK_AGAIN = 30.0  # longest single Wait: meanwhile another flow may learn that the wait is over
_HOPS = 3
_TURN = 0.05  # seconds between looks at a refresh that another flow is doing


# ---------------------------------------------------------------- steps


@dataclass(frozen=True, slots=True)
class Post:
    """Send a JSON body. Answered with Heard or Silence."""

    url: Secret
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Get:
    """Fetch an address. Answered with Heard or Silence."""

    url: Secret


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """Call the owner's function, and await it where that is due."""

    function: Callable[..., object]
    argument: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class Hand:
    """Hand a page to whoever walks."""

    page: Page[Any]


@dataclass(frozen=True, slots=True)
class Silence:
    """No HTTP reply came.

    Attributes:
        why: in words, without address. sent: the request may have reached the portal. slow: it was given up after a
        time-out. final: repeating cannot help (a certificate).
    """

    why: str
    sent: bool = True
    slow: bool = False
    final: bool = False


Step: TypeAlias = Post | Get | Wait | Call | Hand
Flow: TypeAlias = Generator[Step, Any, T]


# ---------------------------------------------------------------- the line and its patience


@dataclass(frozen=True, slots=True)
class Line:
    """One way to one portal: who we are, what we may use, how patient we are.

    Attributes:
        attempts: how often a repeatable request is sent before its failure is believed.
        patience: seconds that one request, or one step of a walk, may spend waiting for budgets.
        trusted: hosts to which a renamed portal may lead besides those that ``address`` allows.
        on_moved: called with the new host when the portal was renamed.
    """

    credential: Credential
    gate: Gate
    clock: Clock
    chance: random.Random
    lane: Lane = Lane.LIVE
    attempts: int = 5
    patience: float = 1800.0
    trusted: Collection[str] = ()
    on_moved: Callable[[str], object] | None = None

    @property
    def host(self) -> str:
        return self.credential.current.host

    def in_lane(self, lane: Lane | None, patience: float | None = None) -> Line:
        """The same line for the other kind of work, or for somebody more or less patient."""
        line = self if lane is None or lane is self.lane else replace(self, lane=lane)
        return line if patience is None else replace(line, patience=patience)


@dataclass(slots=True)
class Trial:
    """How often and how long one request, or one step of a walk, has been tried."""

    line: Line
    method: str
    failures: int = 0
    waited: float = 0.0
    hops: int = 0
    refreshed: bool = False

    def passed(self) -> None:
        """A step has succeeded: patience begins anew."""
        self.failures, self.waited, self.hops, self.refreshed = 0, 0.0, 0, False

    def wait(self, seconds: float) -> Flow[None]:
        """Wait for a budget.

        Raises:
            TryLater: that would take longer than patience lasts.
        """
        line = self.line
        if self.waited + seconds > line.patience:
            raise TryLater(
                f"{line.host}: {self.method} must wait {seconds:.0f} s more, longer than the {line.patience:.0f} s "
                "that were allowed: try again then, or ask for fewer fields and rows",
                until=line.clock.now() + seconds,
                method=self.method,
                host=line.host,
            )
        step = min(seconds, _LOOK_AGAIN) + 1e-3  # past the very moment, where floats disagree
        self.waited += step
        line.gate.waited(step)
        yield Wait(step)

    def failed(self, error: B24Error) -> Flow[None]:
        """Back off after a failure that may pass: 0.5, 1, 2, 4 … seconds, half to one and a half times as long.

        Raises:
            the error itself, when it has happened often enough.
        """
        self.failures += 1
        if self.failures >= self.line.attempts:
            raise error
        seconds = min(30.0, 0.5 * 2.0 ** (self.failures - 1)) * (0.5 + self.line.chance.random())
        self.line.gate.waited(seconds)
        yield Wait(seconds)


# ---------------------------------------------------------------- one request


@dataclass(frozen=True, slots=True)
class Errand:
    """One HTTP request: what to send and what may be done with it. ``commands``: key → method, for a batch."""

    method: str
    body: Mapping[str, Any]
    work: Mapping[str, int]
    repeatable: bool = True
    rest3: bool = False
    commands: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Got:
    """What an errand brought home. ``parts``: key → answer or refusal of each command of a batch that ran."""

    answer: Answer
    parts: Mapping[str, Answer | Refusal]


def fetch(line: Line, request: Request[T]) -> Flow[T]:
    """Carry one request past limits and passing faults to its typed answer.

    Raises:
        PortalError: refused, and neither waiting nor repeating helps. Unreachable, UnreadableReply: also after
            repeats. LostReply: a write whose answer was lost. UnreadableRow: the result does not decode.
        ValueError, TypeError: parameters that have no meaning on the wire.
    """
    errand = Errand(
        checked_method(request.method),
        plain(request.params),
        {request.method: 1},
        repeatable=request.repeatable,
        rest3=request.rest3,
    )
    trial = Trial(line, request.method)
    while True:
        ticket = yield from admission(line, trial, lambda: (errand.work, False))
        got = yield from attempt(line, trial, errand, ticket)
        if got is not None:
            return request.read(got.answer)


def admission(line: Line, trial: Trial, work: Callable[[], tuple[Mapping[str, int], bool]]) -> Flow[Ticket]:
    """Wait until the Gate lets this work pass.

    ``work`` says what it is (method → commands) and whether it travels as a batch; it is asked anew after every wait,
    because room changes.

    Raises:
        TryLater: patience is over.
    """
    while True:
        commands, batched = work()
        got = line.gate.admit(commands, batched=batched, lane=line.lane)
        if isinstance(got, Ticket):
            return got
        yield from trial.wait(got)


def attempt(line: Line, trial: Trial, errand: Errand, ticket: Ticket) -> Flow[Got | None]:
    """Send an errand once. None: it must be tried again, and the waiting before that is done.

    Raises:
        as ``fetch``.
    """
    gate, posted = line.gate, False
    try:
        address = line.credential.current
        if isinstance(address, Tokens) and not address.access:
            yield from refresh(line, trial, address)
            address = line.credential.current
        sent_at = line.clock.monotonic()
        posted = True
        # Not through a variable: a body may hold a token, and some tracebacks show variables.
        heard = yield Post(address.url(errand.method, rest3=errand.rest3), json_body(address.sealed(errand.body)))
        elapsed = max(0.0, line.clock.monotonic() - sent_at)
        if isinstance(heard, Silence):
            slow = max(elapsed, LONGEST) if heard.slow or elapsed >= LONGEST else None
            gate.abandoned(ticket, ran=heard.sent, seconds=slow)
            yield from _silence(line, trial, errand, heard)
            return None
        if 300 <= heard.status < 400:
            gate.settled(ticket, {})
            yield from _moved(line, trial, errand, address, heard)
            return None
        return (yield from _read(line, trial, errand, ticket, address, heard, elapsed))
    finally:
        gate.abandoned(ticket, ran=posted)  # does nothing after any of the ordinary ways out


def _read(
    line: Line, trial: Trial, errand: Errand, ticket: Ticket, address: Address, heard: Heard, elapsed: float
) -> Flow[Got | None]:
    """Understand a reply, book its cost, and cure what can be cured."""
    gate, host = line.gate, address.host
    try:
        told = read_answer(heard, method=errand.method, host=host, scrub=address.scrub)
        parts = (
            read_batch(told, errand.commands, status=heard.status, host=host, scrub=address.scrub)
            if errand.commands is not None and isinstance(told, Answer)
            else {}
        )
    except UnreadableReply as error:
        slow = max(elapsed, LONGEST) if heard.status == 504 or elapsed >= LONGEST else None
        gate.abandoned(ticket, seconds=slow)
        if heard.cut:
            raise
        if not errand.repeatable:
            raise _lost(errand, host, str(error)) from None
        yield from trial.failed(error)
        return None

    if isinstance(told, Answer):
        _book(line, errand, ticket, told, parts, elapsed)
        return Got(told, parts)

    if told.cure is Cure.REPEAT and elapsed >= LONGEST:
        gate.abandoned(ticket, seconds=elapsed)
    match told.cure:
        case Cure.PAUSE:
            gate.paused(ticket)
        case Cure.REST:
            gate.settled(ticket, {})
            gate.rested(ticket, [errand.method])
        case Cure.REFRESH if isinstance(address, Tokens) and not trial.refreshed:
            gate.settled(ticket, {})
            trial.refreshed = True
            yield from refresh(line, trial, address)
        case Cure.REPEAT if errand.repeatable:
            gate.settled(ticket, {})
            yield from trial.failed(told.error)
        case _:
            gate.settled(ticket, {})
            raise told.error
    return None


def _book(
    line: Line, errand: Errand, ticket: Ticket, told: Answer, parts: Mapping[str, Answer | Refusal], elapsed: float
) -> None:
    """Settle the Ticket with what the portal says of the cost, or with what we have seen where it says nothing."""
    if errand.commands is None:
        line.gate.settled(ticket, {errand.method: [_timed(told.timing, elapsed)]})
        return
    ran = {key: part for key, part in parts.items() if isinstance(part, Answer)}
    fallback = (told.timing.duration if told.timing.duration is not None else elapsed) / max(1, len(ran))
    timings: dict[str, list[Timing]] = {}
    for key, part in ran.items():
        timings.setdefault(errand.commands[key], []).append(_timed(part.timing, fallback))
    line.gate.settled(ticket, timings, told.timing)
    line.gate.rested(
        ticket,
        {
            errand.commands[key]: None
            for key, part in parts.items()
            if isinstance(part, Refusal) and part.cure is Cure.REST
        },
    )


def _timed(timing: Timing, fallback: float) -> Timing:
    return timing if timing.duration is not None else replace(timing, duration=fallback)


def _silence(line: Line, trial: Trial, errand: Errand, silence: Silence) -> Flow[None]:
    host = line.host
    if silence.sent and not errand.repeatable:
        raise _lost(errand, host, silence.why)
    error = Unreachable(f"{host} does not answer: {silence.why}", host=host)
    if silence.final:
        raise error
    yield from trial.failed(error)


def _lost(errand: Errand, host: str, why: str) -> LostReply:
    return LostReply(
        f"{host}: {errand.method} was sent and its answer was lost ({why}): it may have happened; look before you repeat",
        method=errand.method,
        host=host,
    )


def _moved(line: Line, trial: Trial, errand: Errand, address: Address, heard: Heard) -> Flow[None]:
    """Follow a renamed portal: the old address has not run the method, so writes are sent again too."""
    trial.hops += 1
    if trial.hops > _HOPS:
        raise UnreadableReply(
            f"{address.host} sends us from one address to another and never answers: check the address in a browser",
            status=heard.status,
            host=address.host,
        )
    base = address.follow(heard.location, errand.method, rest3=errand.rest3, trusted=line.trusted)
    line.credential.move(base)
    if line.on_moved is not None:
        yield Call(line.on_moved, line.host)


# ---------------------------------------------------------------- tokens


def refresh(line: Line, trial: Trial, stale: Tokens) -> Flow[None]:
    """See that newer tokens than ``stale`` are in use: refresh, or wait for the flow or the process that does.

    Raises:
        PortalError: the token endpoint refuses. Unreachable, UnreadableReply: also after repeats.
    """
    oauth = line.credential
    assert isinstance(oauth, OAuth)
    while not oauth.claim(stale.access):
        if not oauth.is_stale(stale.access):
            return
        yield from trial.wait(_TURN)
    try:
        while not oauth.takes_turn():
            yield from trial.wait(_TURN)
        if oauth.takes_stored(stale.access):
            return
        tokens = yield from _new_tokens(line, oauth)
        try:
            if oauth.on_tokens is not None:
                yield Call(oauth.on_tokens, tokens)
        finally:
            oauth.take(tokens)  # even if storing failed: the old refresh token is spent
        if tokens.host != stale.host and line.on_moved is not None:
            yield Call(line.on_moved, tokens.host)
    finally:
        oauth.release()


def _new_tokens(line: Line, oauth: OAuth) -> Flow[Tokens]:
    trial = Trial(line, "oauth.token")
    while True:
        heard = yield Get(oauth.refresh_url())
        failure: B24Error
        if isinstance(heard, Silence):
            failure = Unreachable(f"{oauth.token_host} does not answer: {heard.why}", host=oauth.token_host)
            if heard.final:
                raise failure
        else:
            try:
                return oauth.read_tokens(heard)
            except (UnreadableReply, PortalFault) as error:
                failure = error
        yield from trial.failed(failure)

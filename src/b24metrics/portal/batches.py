"""Batches: requests that travel together, in as few rounds as limits and references allow.

Laws: every request ends as done or failed, or, behind a failure of a halting batch, as not run. A request that needs
the result of another one is not run without it: inside one round the portal halts at the first failure, so that no
reference can point to nothing; between rounds references are replaced by what they point to. A write never travels in
the same round as the request that it refers to, because the portal would also run it with a reference that leads
nowhere; and a write neither overtakes nor is overtaken. A command that was refused for want of time is repeated in a
later round.
Source: vendor, "Batch"; observed: what the portal puts in for a reference that it cannot resolve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from b24metrics.errors import (
    B24Error,
    BatchFailed,
    LostReply,
    NotAuthorised,
    NotRun,
    PortalClosed,
    PortalError,
    TryLater,
    UnreadableReply,
)
from b24metrics.portal.address import checked_method
from b24metrics.portal.flows import Errand, Flow, Got, Line, Trial, admission, attempt
from b24metrics.portal.limits import LONGEST, Ticket
from b24metrics.portal.refusals import Cure, Refusal
from b24metrics.portal.request import MAX_COMMANDS, Answer, Batch, Ref
from b24metrics.portal.wire import MAX_LEAVES, command, find_refs, plain, replace_refs, resolve


def run_batch(line: Line, batch: Batch) -> Flow[dict[str, Any]]:
    """Name → decoded result of every request, in the order of the batch.

    Raises:
        BatchFailed: some failed; ``done`` holds the others. A batch that is refused as a whole before anything was
            done raises the error of the refusal itself.
        ValueError, TypeError: a reference to a request that does not come before it, a REST 3.0 request, parameters
            that have no meaning on the wire.
    """
    work = _Work(line, batch, Trial(line, "batch"), list(batch.requests))
    work.check()
    try:
        while work.waiting:
            yield from work.one_round()
    except B24Error as error:
        if not work.done and not work.failed:
            raise
        work.failed |= dict.fromkeys(work.waiting, error)
    done = {name: work.done[name] for name in batch.requests if name in work.done}
    if not work.failed:
        return done
    failed = {name: work.failed[name] for name in batch.requests if name in work.failed}
    told = "; ".join(f"{name}: {error}" for name, error in list(failed.items())[:3])
    more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
    raise BatchFailed(
        f"{line.host}: {len(failed)} of {len(batch.requests)} requests of a batch failed: {told}{more}",
        failed=failed,
        done=done,
    )


@dataclass(slots=True)
class _Work:
    """What of a batch is done, failed, and still waiting.

    Attributes:
        alone: requests that cannot be written as a command and so must be sent alone. commands: those without references,
        as they are written. raw: results as they came, for references.
    """

    line: Line
    batch: Batch
    trial: Trial
    waiting: list[str]
    alone: set[str] = field(default_factory=set)
    commands: dict[str, str] = field(default_factory=dict)
    done: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, B24Error] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    refs: dict[str, tuple[Ref, ...]] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what cannot be meant. Raises as ``run_batch``."""
        before: dict[str, str] = {}
        for name, request in self.batch.requests.items():
            checked_method(request.method)
            if request.rest3:
                raise ValueError(
                    f"{name}: {request.method} belongs to REST 3.0 and cannot travel in a batch: fetch it alone"
                )
            for ref in self._refs(name):
                if ref.name not in before:
                    raise ValueError(f"{name}: {ref} does not point to an earlier request of the batch")
            try:
                written = command(request.method, request.params, before)
            except ValueError:
                plain(replace_refs(request.params, lambda _: 0))  # this has no meaning anywhere, or only in a command
                self.alone.add(name)
            else:
                if written.count("&") >= MAX_LEAVES:
                    self.alone.add(name)
                if not self._refs(name):
                    self.commands[name] = written
            before[name] = name

    def one_round(self) -> Flow[None]:
        """Send what can be sent now, and sort what comes back."""
        self._drop_orphans()
        if self.waiting:
            names: list[str] = []

            def work() -> tuple[Mapping[str, int], bool]:
                names[:] = self._pick()
                return _count(self.batch.requests[name].method for name in names), len(names) > 1

            ticket = yield from admission(self.line, self.trial, work)
            try:
                yield from self._send_one(names[0], ticket) if len(names) == 1 else self._send(names, ticket)
            finally:
                self.line.gate.abandoned(ticket, ran=False)  # only where it was not even sent
        if self.batch.halt and self.failed:
            self.waiting.clear()

    # ------------------------------------------------------------ choosing

    def _pick(self) -> list[str]:
        """Names for the next round, in order; at least one."""
        gate = self.line.gate
        names: list[str] = []
        counts: dict[str, int] = {}
        rests: dict[str, bool] = {}
        seconds, overtaking = 0.0, False
        for name in self.waiting:
            request = self.batch.requests[name]
            method = request.method
            if method not in rests:
                rests[method] = gate.rest(method, self.line.lane) > 0
            cost = gate.cost(method)
            fits = not names or (
                seconds + cost <= LONGEST and counts.get(method, 0) < gate.ceiling(method) and name not in self.alone
            )
            may = fits and not rests[method] and self._refs_met(name, names)
            if len(names) >= MAX_COMMANDS or (not may and (self.batch.halt or not request.repeatable)):
                break
            if not may:
                overtaking = True
                continue
            if overtaking and not request.repeatable:
                break
            names.append(name)
            counts[method] = counts.get(method, 0) + 1
            seconds += cost
            if name in self.alone:
                break
        return names or self.waiting[:1]

    def _refs_met(self, name: str, names: list[str]) -> bool:
        """Whether everything that a request refers to is done, or may be found in the same round."""
        request = self.batch.requests[name]
        return all(
            ref.name in self.raw
            or (ref.name in names and request.repeatable and self.batch.requests[ref.name].repeatable)
            for ref in self._refs(name)
        )

    def _drop_orphans(self) -> None:
        """Give up requests that need the result of one that failed, or a place in it that does not exist."""
        for name in list(self.waiting):
            for ref in self._refs(name):
                if ref.name in self.failed:
                    self._give_up(name, f"it needs the result of {ref.name!r}, which failed")
                    break
                if ref.name in self.raw and not _exists(ref, self.raw[ref.name]):
                    self._give_up(name, f"there is nothing at {ref}")
                    break

    def _give_up(self, name: str, why: str) -> None:
        method = self.batch.requests[name].method
        self._fail(name, NotRun(f"{method} was not run: {why}", method=method))

    def _params(self, name: str) -> Any:
        """Parameters with references to earlier rounds replaced by what they point to."""

        def known(ref: Ref) -> Any:
            return resolve(ref, self.raw[ref.name]) if ref.name in self.raw else ref

        params = self.batch.requests[name].params
        return replace_refs(params, known) if self._refs(name) else params

    # ------------------------------------------------------------ sending

    def _send_one(self, name: str, ticket: Ticket) -> Flow[None]:
        """A round of one request needs no batch around it."""
        request = self.batch.requests[name]
        errand = Errand(request.method, plain(self._params(name)), {request.method: 1}, repeatable=request.repeatable)
        try:
            got = yield from attempt(self.line, self.trial, errand, ticket)
        except (PortalError, LostReply) as error:
            if isinstance(error, (NotAuthorised, PortalClosed, TryLater)):
                raise  # not about this request
            self._fail(name, error)
            return
        if got is not None:
            self._keep(name, got.answer)
            self.trial.passed()

    def _send(self, names: list[str], ticket: Ticket) -> Flow[None]:
        keys = {name: f"c{n:02}" for n, name in enumerate(names)}
        requests = {name: self.batch.requests[name] for name in names}
        commands: dict[str, str] = {}
        # A refused command must not be overtaken by a write behind it, nor leave a reference to it without an end.
        halt = self.batch.halt or not all(request.repeatable for request in requests.values())
        for n, name in enumerate(names):
            if name in self.commands:
                commands[keys[name]] = self.commands[name]
                continue
            params = self._params(name)
            halt = halt or next(find_refs(params), None) is not None
            try:
                commands[keys[name]] = command(requests[name].method, params, {each: keys[each] for each in names[:n]})
            except ValueError:  # what a reference was replaced by cannot be written as a command
                self.alone.add(name)
                return
        errand = Errand(
            "batch",
            {"halt": int(halt), "cmd": commands},
            ticket.work,
            repeatable=all(request.repeatable for request in requests.values()),
            commands={keys[name]: request.method for name, request in requests.items()},
        )
        try:
            got = yield from attempt(self.line, self.trial, errand, ticket)
        except LostReply as error:
            for name, request in requests.items():
                if not request.repeatable:
                    self._fail(name, error)
            return
        if got is not None:
            yield from self._sort(names, keys, got)

    def _sort(self, names: list[str], keys: Mapping[str, str], got: Got) -> Flow[None]:
        """Done, failed, or to be sent again."""
        passing: list[Refusal] = []
        progress = False
        for name in names:
            part = got.parts.get(keys[name])
            if isinstance(part, Answer):
                progress = True
                if all(ref.name in self.raw and _exists(ref, self.raw[ref.name]) for ref in self._refs(name)):
                    self._keep(name, part)
                else:  # the portal ran it with something else in place of the reference
                    self._give_up(name, "a reference in it points to nothing; what came was thrown away")
            elif part is not None and self._comes_again(name, part):
                passing.append(part)
            elif part is not None:
                self._fail(name, part.error)
                progress = True
            # No part at all: not run, because the portal halted before it. It waits for the next round.
        if progress:
            self.trial.passed()
        failing = next((refusal for refusal in passing if refusal.cure is not Cure.REST), None)
        if failing is not None:
            yield from self.trial.failed(failing.error)
        elif not progress and not passing:
            why = f"{self.line.host}: a batch came back without any of its commands"
            yield from self.trial.failed(UnreadableReply(why, host=self.line.host))

    def _comes_again(self, name: str, refusal: Refusal) -> bool:
        if refusal.cure in {Cure.REST, Cure.PAUSE}:
            return True  # not run
        return refusal.cure is Cure.REPEAT and self.batch.requests[name].repeatable

    def _refs(self, name: str) -> tuple[Ref, ...]:
        """What a request refers to; looked for once, most have no reference at all."""
        if name not in self.refs:
            self.refs[name] = tuple(find_refs(self.batch.requests[name].params))
        return self.refs[name]

    def _keep(self, name: str, answer: Answer) -> None:
        self.waiting.remove(name)
        self.raw[name] = answer.result
        try:
            self.done[name] = self.batch.requests[name].read(answer)
        except B24Error as error:
            self.failed[name] = error

    def _fail(self, name: str, error: B24Error) -> None:
        self.waiting.remove(name)
        self.failed[name] = error


def _exists(ref: Ref, raw: Any) -> bool:
    """Whether a reference points to a value; null is none."""
    try:
        return resolve(ref, raw) is not None
    except LookupError:
        return False


def _count(methods: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for method in methods:
        counts[method] = counts.get(method, 0) + 1
    return counts

"""The exporter's word about itself, told live at every scrape.

Laws: what must be true between rounds (age, reachability, lag) is worked out when it is asked for, because a failing
round leaves the last edition untouched; the portal's budgets are read from its own statistics, never counted twice.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from b24exporter.board import Board
from b24metrics.clock import Clock
from b24metrics.exposition.text import Family, Renderer
from b24metrics.portal.limits import GateStats


class _Counters(Collector):
    """Counters that others keep, in the client library's words."""

    def __init__(
        self,
        board: Board,
        gate: Callable[[], GateStats] | None,
        notices: Callable[[], Mapping[str, float]] | None,
    ) -> None:
        self._board = board
        self._gate = gate
        self._notices = notices

    def collect(self) -> Iterator[Metric]:
        yield _counter("b24_exporter_rounds", "Refresh rounds by outcome.", "outcome", self._board.rounds)
        feeds = [feed for feed in self._board.feeds if feed.reconciled_at is not None]
        yield _counter(
            "b24_mirror_buried_records",
            "Records found to be deleted in the portal, by comparing ids; they count no more.",
            "source",
            {feed.name: feed.buried for feed in feeds},
        )
        yield _counter(
            "b24_mirror_healed_records",
            "Records that the mirror was found to lack, by comparing ids; they have been fetched.",
            "source",
            {feed.name: feed.healed for feed in feeds},
        )
        if self._notices is not None:
            yield _counter(
                "b24_exporter_push_notices", "Notices of the portal by what became of them.", "outcome", self._notices()
            )
        if self._gate is None:
            return
        gate = self._gate()
        refused = {"rate": gate.paused, "method_time": gate.rested}
        yield _counter("b24_exporter_api_requests", "Requests sent to the portal.", None, gate.requests)
        yield _counter("b24_exporter_api_lost", "Requests without a readable answer.", None, gate.lost)
        yield _counter("b24_exporter_api_refusals", "Refusals of the portal by exceeded budget.", "budget", refused)
        yield _counter(
            "b24_exporter_api_wait_seconds", "Seconds waited so that the portal need not refuse.", None, gate.waited
        )


def _counter(name: str, help_: str, label: str | None, values: Mapping[str, float] | float) -> Metric:
    """A family of counters by one label, or a single one without."""
    family = CounterMetricFamily(name, help_, labels=[] if label is None else [label])
    for key, value in sorted(values.items()) if isinstance(values, Mapping) else [("", values)]:
        family.add_metric([] if label is None else [key], value)
    return family


def _budgets(gate: GateStats) -> Iterator[Family]:
    """How full the portal's budgets are, as we reckon them."""
    if gate.capacity is not None:
        yield Family("b24_exporter_api_bucket_level", "Requests in the leaky bucket.", (), {(): gate.level})
        yield Family("b24_exporter_api_bucket_capacity", "Requests that the bucket holds.", (), {(): gate.capacity})
    yield Family(
        "b24_exporter_api_operating_seconds",
        "Method time in use of the portal's ten-minute budget, per method.",
        ("method",),
        {(one.method,): one.used for one in gate.methods},
    )
    yield Family(
        "b24_exporter_api_operating_limit_seconds",
        "Method time that the portal allows in ten minutes, per method.",
        ("method",),
        {(one.method,): one.limit for one in gate.methods},
    )
    if gate.skew is not None:
        yield Family(
            "b24_exporter_portal_clock_skew_seconds", "How far the portal's clock is ahead.", (), {(): gate.skew}
        )


class Health:
    """Prints what is true now.

    ``gate``: statistics of the portal's limits. ``working_now``: whether the company works at an instant (epoch
    seconds); None: not known. ``notices``: those of the portal by outcome.
    """

    def __init__(
        self,
        board: Board,
        clock: Clock,
        version: str,
        *,
        gate: Callable[[], GateStats] | None = None,
        working_now: Callable[[float], bool | None] = lambda _: None,
        notices: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        self._board = board
        self._clock = clock
        self._version = version
        self._working_now = working_now
        self._renderer = Renderer()
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._gate = gate
        self._registry.register(_Counters(board, gate, notices))

    def text(self) -> bytes:
        """Text format 0.0.4."""
        return self._renderer.text(self._families()) + generate_latest(self._registry)

    def _families(self) -> Iterator[Family]:
        board, now = self._board, self._clock.now()
        yield Family(
            "b24_exporter_build_info",
            "Which exporter this is.",
            ("version", "python"),
            {(self._version, platform.python_version()): 1},
        )
        if board.portal_up is not None:
            yield Family(
                "b24_up", "Whether the last refresh round could speak to the portal.", (), {(): board.portal_up}
            )
            yield Family(
                "b24_exporter_standby",
                "Whether another process keeps this portal's mirror in step and this one would take over.",
                (),
                {(): board.keeper is not None},
            )
        yield Family(
            "b24_exporter_refresh_success",
            "Whether the last refresh round was complete; after a failure the figures of the last good one stay.",
            (),
            {(): board.failure is None} if sum(board.rounds.values()) else {},
        )
        yield Family(
            "b24_exporter_refresh_duration_seconds",
            "How long the phases of the last refresh round took.",
            ("phase",),
            {(phase,): seconds for phase, seconds in board.seconds.items()},
        )
        if (working := self._working_now(now)) is not None:
            yield Family(
                "b24_company_working_now", "Whether the company's working time runs at this moment.", (), {(): working}
            )
        if self._gate is not None:
            yield from _budgets(self._gate())
        yield from self._feeds(now)
        yield from self._edition()

    def _feeds(self, now: float) -> Iterator[Family]:
        feeds = self._board.feeds
        yield Family(
            "b24_source_up",
            "Whether the last look at this entity of the portal succeeded; without it its KPIs have no series.",
            ("source",),
            {(feed.name,): feed.error is None and feed.synced_at is not None for feed in feeds},
        )
        yield Family(
            "b24_sync_lag_seconds",
            "How far this entity is behind: time since it was last seen in step, less the interval at which it is meant to be.",
            ("source",),
            {(feed.name,): lag for feed in feeds if (lag := feed.lag(now)) is not None},
        )
        yield Family(
            "b24_last_full_reconcile_seconds",
            "How long ago all ids of this entity were last compared with the portal's, so that deletions are found.",
            ("source",),
            {(feed.name,): max(0.0, now - feed.reconciled_at) for feed in feeds if feed.reconciled_at is not None},
        )
        yield Family(
            "b24_source_doubted",
            "Whether more of this entity seems to be gone than is believed: deleted, or the webhook has lost a right.",
            ("source",),
            {(feed.name,): feed.doubt is not None for feed in feeds if feed.synced_at is not None},
        )
        yield Family(
            "b24_mirror_rows",
            "Records of this entity in the mirror.",
            ("source",),
            {(feed.name,): feed.rows for feed in feeds},
        )

    def _edition(self) -> Iterator[Family]:
        edition = self._board.edition
        if edition is None:
            return
        yield Family(
            "b24_exporter_last_refresh_success_timestamp_seconds",
            "When the served figures were last in step with the portal.",
            (),
            {(): edition.at},
        )
        facts = edition.portal
        yield Family(
            "b24_portal_info",
            "What portal the figures are of, the zone of its windows and the currency of its amounts.",
            ("portal_host", "time_zone", "currency"),
            {(facts.host, facts.zone, facts.currency): 1},
        )
        yield Family("b24_exporter_series", "KPI series served.", (), {(): edition.series})
        yield Family(
            "b24_exporter_series_dropped",
            "Series left out: whole families over the budget, doubtful ones one by one.",
            ("family", "reason"),
            {key: float(count) for key, count in edition.dropped.items()},
        )

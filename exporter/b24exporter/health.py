"""The exporter's word about itself, told live at every scrape.

Laws: what must be true between rounds (age, reachability, lag) is worked out when it is asked for, because a failing
round leaves the last edition untouched; the portal's budgets are read from its own statistics, never counted twice.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from b24exporter.board import Board
from b24exporter.render import Family, Renderer
from b24metrics.clock import Clock


@dataclass(frozen=True, slots=True)
class PortalUse:
    """What we have asked of the portal since the start; maps are by method, refusals by the portal's code."""

    requests: dict[str, float] = field(default_factory=dict)
    operating_seconds: dict[str, float] = field(default_factory=dict)
    refusals: dict[str, float] = field(default_factory=dict)
    waited_seconds: float = 0.0


class _Counters(Collector):
    """Counters that others keep, in the client library's words."""

    def __init__(self, board: Board, portal_use: Callable[[], PortalUse] | None) -> None:
        self._board = board
        self._portal_use = portal_use

    def collect(self) -> Iterator[Metric]:
        yield _counter("b24_exporter_rounds", "Refresh rounds by outcome.", "outcome", self._board.rounds)
        if self._portal_use is None:
            return
        use = self._portal_use()
        yield _counter(
            "b24_exporter_api_requests", "REST calls, those inside a batch included.", "method", use.requests
        )
        yield _counter("b24_exporter_api_refusals", "Answers that were errors, by code.", "code", use.refusals)
        yield _counter(
            "b24_exporter_api_operating_seconds",
            "Seconds of the portal's own work that it has billed.",
            "method",
            use.operating_seconds,
        )
        yield CounterMetricFamily(
            "b24_exporter_api_wait_seconds",
            "Seconds waited so that the portal need not refuse.",
            value=use.waited_seconds,
        )


def _counter(name: str, help_: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, help_, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


class Health:
    """Prints what is true now. ``working_now``: whether the company works at an instant, where a calendar is known."""

    def __init__(
        self,
        board: Board,
        clock: Clock,
        version: str,
        *,
        portal_use: Callable[[], PortalUse] | None = None,
        working_now: Callable[[float], bool] | None = None,
    ) -> None:
        self._board = board
        self._clock = clock
        self._version = version
        self._working_now = working_now
        self._renderer = Renderer()
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._registry.register(_Counters(board, portal_use))

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
        if self._working_now is not None:
            yield Family(
                "b24_company_working_now",
                "Whether the company's working time runs at this moment.",
                (),
                {(): self._working_now(now)},
            )
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
            "How long ago this entity was last seen in step with the portal.",
            ("source",),
            {(feed.name,): max(0.0, now - feed.synced_at) for feed in feeds if feed.synced_at is not None},
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
            "When the served figures were complete.",
            (),
            {(): edition.at},
        )
        yield Family("b24_exporter_series", "KPI series served.", (), {(): edition.series})
        yield Family(
            "b24_exporter_series_dropped",
            "Series left out: whole families over the budget, doubtful ones one by one.",
            ("family", "reason"),
            {key: float(count) for key, count in edition.dropped.items()},
        )

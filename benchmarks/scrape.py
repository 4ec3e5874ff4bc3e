"""What a scrape of 100,000 samples costs, beside the client library's own renderer in the same run.

    python benchmarks/scrape.py [--samples 100000] [--repeat 7]

Prints medians. The two texts are first compared sample by sample: a fast renderer that says something else is no gain.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import http.client
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from b24exporter.board import Board, Edition, PortalFacts
from b24exporter.health import Health
from b24exporter.layout import Layout
from b24exporter.publication import Publication
from b24exporter.server import bind, make_server
from b24exporter.web import Web, WebOptions, hosts_for
from b24exporter.webconfig import WebConfig
from b24metrics.clock import SystemClock
from b24metrics.exposition.text import Family, Renderer
from b24metrics.kpi.results import Snapshot

LABELS = ("manager_id", "department_id", "pipeline_id", "window")
WINDOWS = ("today", "yesterday", "7d", "30d", "wtd", "mtd", "qtd", "prev_month")
MANAGERS, PIPELINES = 70, 3


def families(samples: int) -> list[Family]:
    """Families of 1,680 series each until there are enough; a third of the values has decimals."""
    keys = [
        (str(manager), str(manager % 8), str(pipeline), window)
        for manager in range(MANAGERS)
        for pipeline in range(PIPELINES)
        for window in WINDOWS
    ]
    return [
        Family(
            f"b24_manager_benchmark_{number:03d}",
            "A benchmark.",
            LABELS,
            {key: (n * 7 + number) / 3 if number % 3 else float(n + number) for n, key in enumerate(keys)},
        )
        for number in range(-(-samples // len(keys)))
    ]


def library(given: list[Family]) -> bytes:
    """The usual way: a custom collector whose families are built and printed per scrape."""

    class Everything:
        def collect(self) -> Iterator[GaugeMetricFamily]:
            for family in given:
                gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
                for key, value in family.series.items():
                    gauge.add_metric(key, value)
                yield gauge

    registry = CollectorRegistry()
    registry.register(Everything())
    return generate_latest(registry)


def content(text: bytes) -> dict[tuple, float]:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def milliseconds(action: Callable[[], object], repeat: int) -> float:
    """Median wall time."""
    times = []
    for _ in range(repeat):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


def scrapes(publication: Publication, coding: str, repeat: int) -> float:
    """Median of whole scrapes over loopback, one connection, as Prometheus keeps it."""
    clock = SystemClock()
    snapshot = Snapshot(portal="x", at=datetime.now(UTC), samples=())
    edition = Edition(clock.now(), snapshot, publication, PortalFacts("x", "UTC", "RUB"), 0)
    board = Board(clock.now(), edition=edition)
    options = WebOptions(hosts_for("127.0.0.1", ()), pages=False, language="en", interval=60, title="x", version="0")
    nothing = Layout(plan=None, revenue=None, today=(), month=(), present=())  # type: ignore[arg-type]
    web = Web(board, Health(board, clock, "0"), nothing, clock, options, WebConfig(None), None)  # type: ignore[arg-type]
    listener = bind("127.0.0.1", 0)
    server = make_server(web.app)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    connection = http.client.HTTPConnection(*listener.getsockname(), timeout=60)

    def scrape() -> None:
        connection.request("GET", "/metrics", headers={"Accept-Encoding": coding})
        connection.getresponse().read()

    try:
        scrape()
        return milliseconds(scrape, repeat * 5)
    finally:
        connection.close()
        server.should_exit = True
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=7)
    given = parser.parse_args()

    print("building …", flush=True)
    made = families(given.samples)
    renderer = Renderer()
    first = milliseconds(lambda: renderer.text(made), 1)
    text = renderer.text(made)
    theirs = library(made)
    assert content(text) == content(theirs), "the two renderers disagree"

    render = milliseconds(lambda: renderer.text(made), given.repeat)
    pack = milliseconds(lambda: Publication(text), given.repeat)
    publication = Publication(text)
    own = b"b24_exporter_x 1\n" * 100
    append = milliseconds(lambda: publication.packed(own), given.repeat * 20)
    library_render = milliseconds(lambda: library(made), max(3, given.repeat // 2))
    library_packed = library_render + milliseconds(lambda: gzip.compress(theirs), 3)
    plain = scrapes(publication, "identity", given.repeat)
    packed = scrapes(publication, "gzip", given.repeat)

    count = sum(len(family.series) for family in made)
    print(f"{count} samples, {len(text) / 1e6:.1f} MB, packed {len(b''.join(publication.packed(b''))) / 1e6:.2f} MB")
    print(f"round: first text {first:8.1f} ms, later {render:8.1f} ms, gzip {pack:8.1f} ms (off the event loop)")
    print(
        f"round: client library's text            {library_render:8.1f} ms  → {library_render / render:5.1f} times ours"
    )
    print(f"scrape: live part appended              {append:8.3f} ms")
    print(f"scrape over loopback, plain             {plain:8.2f} ms")
    print(f"scrape over loopback, gzip              {packed:8.2f} ms")
    print(
        f"scrape by the library, gzip, no network {library_packed:8.1f} ms  → {library_packed / packed:5.0f} times ours"
    )


if __name__ == "__main__":
    main()

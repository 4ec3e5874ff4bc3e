"""The page for a person who has just started the exporter: are the numbers there, are they fresh, what do they say?

Laws: it stands alone (no script, no foreign file) and works in any browser, in Russian and in English, light and dark;
every name passes through ``clean`` and ``el``; it computes nothing but ages and the lengths of bars.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from b24exporter.board import Board, Edition, FeedState
from b24exporter.layout import Layout
from b24exporter.markup import Content, Node, document, el
from b24exporter.phrases import FEEDS, SAID, WINDOWS
from b24metrics.exposition.families import clean
from b24metrics.kpi.model import MANAGER, Kpi, Language, Unit, WindowId
from b24metrics.kpi.results import Sample
from b24metrics.wording import NOTHING, age, grouped, moment, percent, shown

#: Seconds between two reloads by the browser itself.
RELOAD_SECONDS = 30

#: Missed intervals after which the figures are called old.
PATIENCE = 3

#: Attainment by elapsed working time: from here on it is on pace, and from here on it is not yet lost (catalogue §15.13).
ON_PACE, BEHIND = 1.0, 0.85

#: Rows of the ranking; the rest is for dashboards.
RANKED = 30

_STYLE = files("b24exporter").joinpath("page.css").read_text(encoding="utf-8")

#: Content-Security-Policy source of the one style sheet.
STYLE_SOURCE = f"'sha256-{base64.b64encode(sha256(_STYLE.encode()).digest()).decode()}'"

#: Columns of a ranking: (key of the heading, look).
_BY_PLAN = (("", "rank"), ("manager", ""), ("attained", "number"), ("", "wide"), ("fact", "number"), ("goal", "number"))
_BY_REVENUE = (("", "rank"), ("manager", ""), ("", "wide"), ("fact", "number"))


def landing_page(
    board: Board, layout: Layout, now: float, language: Language, *, interval: float, version: str, title: str
) -> bytes:
    """The whole page as UTF-8 HTML.

    ``now``: epoch seconds. ``interval``: seconds between rounds. ``title``: the portal's name before it has answered.
    """
    view = _View(board, board.edition, layout, now, language, interval, version, title)
    return document(view.page())


@dataclass(frozen=True)
class _View:
    board: Board
    edition: Edition | None
    layout: Layout
    now: float
    language: Language
    interval: float
    version: str
    title: str

    def say(self, key: str, *facts: str) -> str:
        return SAID[key].said(self.language).format(*facts)

    def page(self) -> Node:
        return el(
            "html",
            el(
                "head",
                el("meta", charset="utf-8"),
                el("meta", name="viewport", content="width=device-width, initial-scale=1"),
                el("meta", name="robots", content="noindex"),
                el("meta", http_equiv="refresh", content=str(RELOAD_SECONDS)),
                el("title", f"{self.host} – b24metrics"),
                el("link", rel="icon", href="data:,"),
                el("style", _STYLE),
            ),
            el("body", self.header(), el("main", *self.main()), self.footer()),
            lang=self.language,
        )

    @property
    def host(self) -> str:
        return clean(self.edition.portal.host if self.edition else self.title)

    # ------------------------------------------------------------ head and foot

    def header(self) -> Node:
        return el(
            "header",
            el("h1", self.host),
            el("p", self.taken_at()),
            el(
                "div",
                self.state(),
                el("a", self.say("other language"), href=f"?lang={self.other}", hreflang=self.other, lang=self.other),
                class_="state",
            ),
        )

    @property
    def other(self) -> Language:
        return "en" if self.language == "ru" else "ru"

    def taken_at(self) -> str:
        if self.edition is None:
            return ""
        try:
            zone = ZoneInfo(self.edition.portal.zone)
        except (ZoneInfoNotFoundError, ValueError):
            zone = ZoneInfo("UTC")
        return f"{moment(datetime.fromtimestamp(self.edition.at, UTC).astimezone(zone), self.language)} ({zone.key})"

    def state(self) -> Node:
        if self.edition is None:
            return el("span", self.say("starting"), class_="pill fair")
        seconds = self.now - self.edition.at
        fresh = seconds <= PATIENCE * self.interval
        look = "good" if fresh and self.board.failure is None else "fair" if fresh else "poor"
        words = f"{self.say('fresh' if fresh else 'old')} · {self.say('ago', age(seconds, self.language))}"
        return el("span", words, class_=f"pill {look}")

    def footer(self) -> Node:
        facts = [f"b24metrics {self.version}"]
        if self.edition is not None:
            facts.append(self.say("series", grouped(self.edition.series, self.language)))
        return el(
            "footer",
            el("a", self.say("metrics"), href="metrics"),
            el("a", self.say("json"), href="api/v1/kpi"),
            el("a", self.say("status"), href="api/v1/status"),
            el("span", " · ".join(facts), class_="end"),
        )

    # ------------------------------------------------------------ what it says

    def main(self) -> Iterator[Node]:
        if self.board.failure is not None:
            yield el(
                "div",
                el("p", el("b", f"{self.say('failed')}. "), self.board.failure),
                el("p", self.say("kept")) if self.edition else None,
                class_="card notice",
                role="alert",
            )
        elif self.edition is None:
            yield el(
                "div", el("p", self.say("first round"), self.board.doing.said(self.language), "."), class_="card notice"
            )
        if self.board.keeper is not None:
            yield el("div", el("p", self.say("standby", clean(self.board.keeper))), class_="card notice")
        if self.edition is not None:
            yield el("h2", self.say("plan"))
            yield self.hero()
            yield from self.group("today", self.layout.today)
            yield from self.group("month", self.layout.month)
            yield from self.group("present", self.layout.present)
            yield from self.ranking(self.edition)
        yield el("h2", self.say("feeds"))
        yield self.feeds(self.board.feeds)

    def hero(self) -> Node:
        sample = self.sample(self.layout.plan, WindowId.MTD)
        elapsed = self.elapsed()
        if sample is None or sample.value is None or not sample.denominator:
            return el("div", el("p", self.say("no plan"), class_="empty"), class_="card")
        notes = []
        if elapsed:
            notes.append(self.say("elapsed", percent(elapsed, self.language)))
            notes.append(self.say("pace", grouped(sample.value / elapsed, self.language, 2)))
        return el(
            "div",
            el("div", percent(sample.value, self.language), class_=f"figure {_look(sample.value, elapsed)}"),
            el(
                "div",
                el("b", self.amount(sample.numerator)),
                f" {self.say('of plan')} {self.amount(sample.denominator)}",
                class_="fact",
            ),
            el(
                "div",
                _bar(sample.value, elapsed),
                el("p", ", ".join(notes), class_="note") if notes else None,
                class_=_look(sample.value, elapsed),
            ),
            class_="card hero",
        )

    def group(self, heading: str, tiles: Iterable[tuple[Kpi, WindowId]]) -> Iterator[Node]:
        yield el("h2", self.say(heading))
        yield el("div", *(self.tile(kpi, window) for kpi, window in tiles), class_="tiles")

    def tile(self, kpi: Kpi, window: WindowId) -> Node:
        sample = self.sample(kpi, window)
        value = None if sample is None else sample.value
        figure = shown(value, kpi.unit, self.language, self.currency)
        label = kpi.title.said(self.language)
        if window in WINDOWS:
            label = f"{label}, {WINDOWS[window].said(self.language)}"
        return el(
            "div",
            el("div", figure, class_="figure none" if figure == NOTHING else "figure"),
            el("div", label, class_="label"),
            class_="card tile",
            title=kpi.definition.said(self.language),
        )

    def ranking(self, edition: Edition) -> Iterator[Node]:
        """Managers by plan attainment; where nobody has a plan, by what they have won."""
        elapsed = self.elapsed()
        if planned := self.of_managers(edition, self.layout.plan):
            yield from self.ranked("ranking", _BY_PLAN, planned, lambda one: self.attainment(one, elapsed))
        elif won := [one for one in self.of_managers(edition, self.layout.revenue) if one.value]:
            most = max(one.value or 0.0 for one in won)
            yield from self.ranked("ranking by revenue", _BY_REVENUE, won, lambda one: self.revenue(one, most))

    def of_managers(self, edition: Edition, kpi: Kpi) -> list[Sample]:
        """This month's samples with a value, the best first."""
        found = [
            one for one in edition.snapshot.of(kpi, MANAGER) if one.window == WindowId.MTD and one.value is not None
        ]
        return sorted(found, key=lambda one: (-(one.value or 0.0), one.labels["manager_id"]))

    def ranked(
        self,
        heading: str,
        columns: tuple[tuple[str, str], ...],
        samples: list[Sample],
        cells: Callable[[Sample], tuple[Node, ...]],
    ) -> Iterator[Node]:
        """A table of managers; ``cells``: what stands right of a name."""
        rows = [
            el("tr", el("td", str(rank), class_="number rank"), self.manager(one), *cells(one))
            for rank, one in enumerate(samples[:RANKED], 1)
        ]
        yield el("h2", self.say(heading), " ", el("small", self.say("ranking note")))
        yield el("div", el("table", self.heads(*columns), el("tbody", *rows)), class_="card scroll")
        if len(samples) > RANKED:
            yield el("p", self.say("and more", grouped(len(samples) - RANKED, self.language)), class_="empty")

    def manager(self, sample: Sample) -> Node:
        """Name and department of whom a sample is about."""
        manager, department = sample.labels["manager_id"], sample.labels.get("department_id", "")
        names, departments = self.names
        unit = clean(departments.get(department, ""))
        return el(
            "th",
            el("bdi", clean(names.get(manager, "")) or f"#{manager}"),
            el("small", el("bdi", unit)) if unit else None,
            scope="row",
        )

    @cached_property
    def names(self) -> tuple[dict[str, str], dict[str, str]]:
        """Manager id → name, department id → name."""
        if self.edition is None:
            return {}, {}
        directory = self.edition.snapshot.directory
        return {str(one.id): one.name for one in directory.managers}, {
            str(one.id): one.name for one in directory.departments
        }

    def attainment(self, sample: Sample, elapsed: float | None) -> tuple[Node, ...]:
        value = sample.value or 0.0
        return (
            el("td", el("b", percent(value, self.language)), class_="number"),
            el("td", _bar(value, elapsed), class_=f"wide {_look(value, elapsed)}"),
            el("td", self.amount(sample.numerator), class_="number"),
            el("td", self.amount(sample.denominator), class_="number"),
        )

    def revenue(self, sample: Sample, most: float) -> tuple[Node, ...]:
        value = sample.value or 0.0
        return (
            el("td", _bar(value / most if most > 0 else 0.0, None), class_="wide good"),
            el("td", el("b", self.amount(value)), class_="number"),
        )

    def feeds(self, feeds: Iterable[FeedState]) -> Node:
        rows = [
            el(
                "tr",
                el("th", FEEDS[feed.name].said(self.language) if feed.name in FEEDS else feed.name, scope="row"),
                el("td", grouped(feed.rows, self.language), class_="number"),
                el("td", self.synced(feed)),
                el("td", *self.condition(feed), class_="text"),
            )
            for feed in feeds
        ]
        if not rows:
            return el("div", el("p", self.say("no feeds"), class_="empty"), class_="card")
        return el(
            "div",
            el(
                "table", self.heads(("feed", ""), ("rows", "number"), ("synced", ""), ("state", "")), el("tbody", *rows)
            ),
            class_="card scroll",
        )

    def synced(self, feed: FeedState) -> str:
        if feed.synced_at is None:
            return self.say("never")
        return self.say("ago", age(self.now - feed.synced_at, self.language))

    def condition(self, feed: FeedState) -> tuple[Content, ...]:
        if feed.error is not None:
            return (el("span", feed.error, class_="pill poor"),)
        if feed.doubt is not None:
            return (el("span", feed.doubt, class_="pill fair"),)
        if feed.pending:
            left = grouped(feed.pending, self.language)
            return (el("span", self.say("copying", left), class_="pill fair"),)
        if feed.synced_at is None:
            return (el("span", self.say("never"), class_="pill fair"),)
        if (feed.lag(self.now) or 0.0) > PATIENCE * self.interval:
            return (el("span", self.say("behind"), class_="pill fair"),)
        return (el("span", self.say("in order"), class_="pill good"),)

    def heads(self, *columns: tuple[str, str]) -> Node:
        return el(
            "thead",
            el(
                "tr",
                *(
                    el("th", self.say(key) if key else None, scope="col" if key else None, class_=look or None)
                    for key, look in columns
                ),
            ),
        )

    # ------------------------------------------------------------ figures

    def sample(self, kpi: Kpi, window: WindowId) -> Sample | None:
        return None if self.edition is None else self.edition.snapshot.sample(kpi, window)

    def elapsed(self) -> float | None:
        """Share of the month's working time that has passed."""
        interval = self.edition.snapshot.intervals.get(WindowId.MTD) if self.edition else None
        if interval is None or interval.working_seconds is None or not interval.working_seconds_whole:
            return None
        return interval.working_seconds / interval.working_seconds_whole

    @property
    def currency(self) -> str:
        return self.edition.portal.currency if self.edition else ""

    def amount(self, value: float | None) -> str:
        return shown(value, Unit.MONEY, self.language, self.currency)


def _look(value: float, elapsed: float | None) -> str:
    """Whether a plan attainment keeps pace with the working time that has passed."""
    if elapsed is None:
        return "good" if value >= 1 else ""
    if value >= ON_PACE * elapsed:
        return "good"
    return "fair" if value >= BEHIND * elapsed else "poor"


def _bar(value: float, mark: float | None) -> Node:
    """A bar of 0…1, full beyond it; ``mark``: where it should be by now. Drawn, because styles are locked."""
    length = max(0.0, min(1.0, value)) * 1000
    return el(
        "svg",
        el("rect", width=1000, height=10, class_="track"),
        el("rect", width=f"{length:.0f}", height=10, class_="fill"),
        None
        if mark is None
        else el("rect", x=f"{max(0.0, min(1.0, mark)) * 1000 - 2:.0f}", width=4, height=10, class_="mark"),
        class_="bar",
        viewBox="0 0 1000 10",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def plain_page(language: Language, version: str) -> bytes:
    """The page where figures are not to be shown: name and links."""
    return document(
        el(
            "html",
            el("head", el("meta", charset="utf-8"), el("title", "b24metrics"), el("style", _STYLE)),
            el(
                "body",
                el("header", el("h1", f"b24metrics {version}")),
                el("main", el("p", el("a", SAID["metrics"].said(language), href="metrics"))),
            ),
            lang=language,
        )
    )

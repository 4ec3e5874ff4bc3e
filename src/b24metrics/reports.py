"""Questions to a mirror as the command line asks them, and answers as objects and rows.

Laws: words of people become KPIs, windows, grains and instants here, and a wrong one is answered with the right ones;
the mirror is only read; whatever is shown is what the evaluator says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from itertools import pairwise
from typing import IO, Any, TypeAlias
from zoneinfo import ZoneInfo

from b24metrics.clock import SystemClock
from b24metrics.config import Settings
from b24metrics.errors import ConfigError
from b24metrics.exposition.history import instants, write_history
from b24metrics.kpi import Grain, Kpi, KpiOptions, Record, Sample, Snapshot, WindowId
from b24metrics.kpi import evaluate as evaluate_all
from b24metrics.kpi import explain as explain_one
from b24metrics.kpi.ground import Ground
from b24metrics.kpi.model import COMPANY, Axis, Language, Unit
from b24metrics.mirror.stores import Store, open_store
from b24metrics.mirror.sync import which_portal
from b24metrics.wording import NOTHING, duration, grouped, shown

#: Of instants that are asked for: every window of theirs can be counted in working time.
_YEARS = range(2000, 2099)
#: Values of a trend, the present one included.
TREND = 8
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: KPIs, and which windows and cuts of theirs.

    ``windows``: None: all of the card. ``grains``: None: all of the card; empty: the company, or what comes first on it.
    """

    kpis: tuple[Kpi, ...]
    windows: frozenset[WindowId] | None
    grains: frozenset[Grain] | None

    def cuts(self, kpi: Kpi) -> tuple[Grain, ...]:
        """The cuts of this KPI that are asked for."""
        if self.grains is None:
            return kpi.grains
        if not self.grains:
            return (COMPANY,) if COMPANY in kpi.grains else kpi.grains[:1]
        return tuple(grain for grain in kpi.grains if grain in self.grains)

    def looks(self, kpi: Kpi) -> tuple[WindowId, ...]:
        """The windows of this KPI that are asked for."""
        return tuple(window for window in kpi.windows if self.windows is None or window in self.windows)

    @property
    def all_windows(self) -> frozenset[WindowId]:
        return frozenset(window for kpi in self.kpis for window in self.looks(kpi))

    @property
    def all_cuts(self) -> frozenset[Grain]:
        return frozenset(grain for kpi in self.kpis for grain in self.cuts(kpi))

    def wants(self, sample: Sample) -> bool:
        """Whether a sample belongs to the answer. Own members are the exporter's cut, never a person's."""
        return sample.window in self.looks(sample.kpi) and sample.grain in self.cuts(sample.kpi)


def asked(
    known: Mapping[str, Kpi], ids: Sequence[str], windows: Sequence[str], by: Sequence[str], *, everything: bool
) -> Question:
    """A question in people's words, about the KPIs in force. No ids: all KPIs; no windows: all of each card; no cuts: the
    company, or all with ``everything``.

    Raises:
        ConfigError: words that name nothing, all of them; or none of the KPIs named here has such a window or cut.
    """
    wrong = [_no_kpi(name, known) for name in ids if name not in known]
    for name in windows:
        if name not in set(WindowId):
            near = get_close_matches(name.lower(), WindowId, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(WindowId)}."
            wrong.append(f"There is no window {name!r}. {hint}")
    grains: list[Grain] = []
    for name in by:
        try:
            grains.append(grain_of(name))
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(wrong))
    found = Question(
        tuple(known[name] for name in dict.fromkeys(ids)) or tuple(known.values()),
        frozenset(WindowId(name) for name in windows) or None,
        None if everything and not by else frozenset(grains),
    )
    for kpi in found.kpis if ids else ():
        if not found.looks(kpi):
            wrong.append(f"{kpi.id} has no window {', '.join(windows)}. Its windows: {', '.join(kpi.windows)}.")
        elif not found.cuts(kpi):
            wrong.append(f"{kpi.id} is not cut by {', '.join(by)}. Its cuts: {', '.join(map(str, kpi.grains))}.")
    if len(wrong) == len(found.kpis):  # where some are asked for in vain, the others still answer
        raise ConfigError("\n".join(wrong))
    return found


def _no_kpi(name: str, known: Mapping[str, Kpi]) -> str:
    near = get_close_matches(name.lower(), known, n=3) or [one for one in known if name.lower() in one][:3]
    hint = f"Did you mean {' or '.join(near)}?" if near else "b24metrics kpi --list shows all of them."
    return f"There is no KPI {name!r}. {hint}"


def grain_of(name: str) -> Grain:
    """``M``, ``MxP``, ``T`` …

    Raises:
        ConfigError: an unknown letter.
    """
    try:
        return Grain.parse(name.upper().replace("X", "×"))
    except ValueError:
        raise ConfigError(f"There is no grain {name!r}. Known: T, M, D, P, S, R, C and pairs such as MxP.") from None


def instant_of(text: str | None) -> datetime:
    """An instant, now by default; without an offset it is left naive, because only the mirror knows the portal's zone.

    Raises:
        ConfigError: no instant, or one of a year that no mirror knows.
    """
    if text is None:
        return datetime.fromtimestamp(SystemClock().now(), UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no instant such as 2026-03-14T12:00 or 2026-03-14T12:00+03:00.") from None
    if found.year not in _YEARS:
        raise ConfigError(f"{text} lies outside the years {_YEARS.start} to {_YEARS.stop - 1}: check the date.")
    return found


def place(question: Question, written: Sequence[str]) -> tuple[Grain, Mapping[str, str]]:
    """Whose number of the only KPI is meant: a cut, and ``manager_id=101`` … as its labels.

    Where the question names no cut, the labels tell which one it is.

    Raises:
        ConfigError: words that are no labels, labels that belong to no such cut, or too few of them.
    """
    (kpi,) = question.kpis
    pairs = [word.partition("=")[::2] for word in written]
    if wrong := [word for word, (name, value) in zip(written, pairs, strict=True) if not (name and value)]:
        raise ConfigError(f"{', '.join(map(repr, wrong))}: say whose number as in manager_id=101.")
    labels = dict(pairs)
    cuts = kpi.grains if not question.grains else question.cuts(kpi)
    fitting = [grain for grain in cuts if labels.keys() <= {*grain.labels, *kpi.labels}]
    if not fitting:
        known = "; ".join(f"{grain} {' '.join((*_own_labels(grain), *kpi.labels))}".rstrip() for grain in cuts)
        raise ConfigError(f"{kpi.id} has no number of {' '.join(written)}. Its cuts and their labels: {known}.")
    told = [grain for grain in fitting if labels.keys() >= set(_own_labels(grain))]
    grain = max(told, key=lambda grain: len(grain.axes)) if told else fitting[0]
    if missing := [name for name in (*_own_labels(grain), *kpi.fact_labels) if name not in labels]:
        raise ConfigError(f"Say whose number: {' '.join(f'{label}=…' for label in missing)}.")
    return grain, labels


def _own_labels(grain: Grain) -> list[str]:
    """One label for every letter. A manager's department and a stage's pipeline follow from those."""
    return [axis.labels[-1] if axis is Axis.STAGE else axis.labels[0] for axis in grain.axes]


# ---------------------------------------------------------------- answers


def answer(settings: Settings, portal: str | None, question: Question, at: datetime) -> Snapshot:
    """Evaluate from the mirror.

    ``portal``: which one, where the mirror holds several; ``at``: naive means the reporting zone's wall.

    Raises:
        MirrorError: the mirror cannot be read, or holds nothing. ConfigError: a setting cannot be meant.
    """
    options = settings.kpi_options()
    with _mirror(settings) as store:
        name = which_portal(store, portal)
        now = _aware(store, name, at, options)
        return evaluate_all(
            store, name, question.kpis, question.all_windows, question.all_cuts, now=now, options=options
        )


def trends(
    settings: Settings,
    portal: str | None,
    question: Question,
    at: datetime,
    watched: Callable[[Sequence[datetime]], Iterable[datetime]] = iter,
) -> Mapping[tuple[str, Grain, WindowId, tuple[tuple[str, str], ...]], Sequence[float | None]]:
    """What each number was over the comparable windows before, the oldest first, as of then; the present is not among them.

    A state is looked at a week apart. ``watched``: as for ``history``.

    Raises:
        as ``answer``.
    """
    options = settings.kpi_options()
    with _mirror(settings) as store:
        name = which_portal(store, portal)
        now = _aware(store, name, at, options)
        rules = Ground(store, name, now, options).rules
        moments: dict[datetime, dict[WindowId, int]] = {}
        for window in question.all_windows:
            for back in range(1, TREND):
                moment = (
                    now - timedelta(weeks=back) if window is WindowId.NOW else rules.previous(window, now, back).end
                )
                moments.setdefault(moment, {})[window] = TREND - 1 - back
        found: dict[tuple[str, Grain, WindowId, tuple[tuple[str, str], ...]], list[float | None]] = {}
        for moment in watched(sorted(moments)):
            windows = moments[moment]
            past = evaluate_all(
                store, name, question.kpis, windows.keys(), question.all_cuts, now=moment, options=options
            )
            for sample in past.samples:
                if question.wants(sample):
                    found.setdefault(place_of(sample), [None] * (TREND - 1))[windows[sample.window]] = sample.value
        return found


@dataclass(frozen=True, slots=True)
class Explanation:
    """One number and the records behind it. ``samples``: the number, or all that these records tell of (ranks by several
    KPIs), or none where there is nothing to say.
    """

    snapshot: Snapshot
    samples: Sequence[Sample]
    records: Sequence[Record]


def explanation(
    settings: Settings,
    portal: str | None,
    kpi: Kpi,
    window: WindowId,
    grain: Grain,
    labels: Mapping[str, str],
    at: datetime,
) -> Explanation:
    """The records behind one number, and the number.

    Raises:
        as ``answer``, and ConfigError for people, departments, pipelines and stages that the mirror does not know.
    """
    options = settings.kpi_options()
    with _mirror(settings) as store:
        name = which_portal(store, portal)
        now = _aware(store, name, at, options)
        snapshot = evaluate_all(store, name, [kpi], [window], [grain], now=now, options=options)
        found = explain_one(store, name, kpi, window, grain, labels, now=now, options=options)
    samples = [one for one in snapshot.of(kpi, grain) if one.window is window and labels.items() <= one.labels.items()]
    if not found and not samples:
        known = _names(snapshot)
        kinds = {kind for kind, _ in known}
        if unknown := [
            f"{label}={text}" for label, text in labels.items() if label in kinds and (label, text) not in known
        ]:
            raise ConfigError(f"The mirror knows no {', '.join(unknown)}, or it does not count.")
    return Explanation(snapshot, samples, found)


@dataclass(frozen=True, slots=True)
class Past:
    """The instants of a history: from ``days`` ago to now, or between two instants; see ``exposition.history``."""

    step: timedelta
    days: int
    since: datetime | None = None
    until: datetime | None = None


def history(
    settings: Settings,
    portal: str | None,
    kpis: Sequence[Kpi],
    past: Past,
    into: IO[str],
    watched: Callable[[Sequence[datetime]], Iterable[datetime]] = iter,
) -> int:
    """Write what scrapes of the past would have said, as OpenMetrics text; returns the number of samples.

    ``watched``: hands the instants on, one after the other, and shows how far it is.

    Raises:
        as ``answer``, and ConfigError where there are too many instants, or none.
    """
    options = settings.kpi_options()
    now = datetime.fromtimestamp(SystemClock().now(), UTC)
    with _mirror(settings) as store:
        name = which_portal(store, portal)
        zone = Ground(store, name, now, options).zone
        until = min(now, now if past.until is None else _aware(store, name, past.until, options))
        since = until - timedelta(days=past.days) if past.since is None else _aware(store, name, past.since, options)
        moments = instants(since, until, past.step, zone)
        snapshots = (evaluate_all(store, name, kpis, now=moment, options=options) for moment in watched(moments))
        return write_history(snapshots, kpis, into)


@contextmanager
def _mirror(settings: Settings) -> Iterator[Store]:
    store = open_store(settings.mirror.where(), read_only=True)
    try:
        yield store
    finally:
        store.close()


def _aware(store: Store, portal: str, at: datetime, options: KpiOptions) -> datetime:
    """An instant without an offset is on the reporting zone's wall."""
    if at.tzinfo is not None:
        return at
    return at.replace(tzinfo=ZoneInfo(Ground(store, portal, at.replace(tzinfo=UTC), options).zone))


# ---------------------------------------------------------------- shapes


def place_of(sample: Sample) -> tuple[str, Grain, WindowId, tuple[tuple[str, str], ...]]:
    """Which number it is, whatever it says."""
    return sample.kpi.id, sample.grain, sample.window, tuple(sample.labels.items())


def objects(snapshot: Snapshot, question: Question) -> Iterator[dict[str, Any]]:
    """The answer for JSON: one object a sample. Of the company there is always one, null where there is nothing to say."""
    for kpi in question.kpis:
        for grain in question.cuts(kpi):
            samples = [sample for sample in snapshot.of(kpi, grain) if question.wants(sample)]
            yield from map(as_object, samples)
            if grain == COMPANY and not kpi.labels:
                told = {sample.window for sample in samples}
                yield from (
                    as_object(Sample(kpi, grain, {}, window, None))
                    for window in question.looks(kpi)
                    if window not in told
                )


def as_object(sample: Sample) -> dict[str, Any]:
    """A sample for JSON: ids as strings, a missing value as null.

    ``labels`` hold one id for every letter of the level, and the KPI's own labels. What else a series carries (the
    department of a manager, the pipeline of a stage) follows from those, and would make two shapes of one level.
    """
    return {
        "id": sample.kpi.id,
        "level": str(sample.grain),
        "labels": {name: sample.labels[name] for name in (*_own_labels(sample.grain), *sample.kpi.labels)},
        "window": str(sample.window),
        "value": sample.value,
        "n": sample.n,
        "numerator": sample.numerator,
        "denominator": sample.denominator,
    }


def table_of(
    snapshot: Snapshot,
    kpi: Kpi,
    question: Question,
    language: Language,
    trend: Mapping[Any, Sequence[float | None]] | None,
) -> tuple[Sequence[str], list[tuple[str, ...]], frozenset[int]]:
    """Head and rows of one KPI for people: whose number, then a column for each window; the size behind a single one.

    The third: rows with which a cut ends, because a department and a pipeline may have one name.
    """
    names = _names(snapshot)
    samples = [sample for grain in question.cuts(kpi) for sample in snapshot.of(kpi, grain) if question.wants(sample)]
    windows = [window for window in WindowId if any(sample.window is window for sample in samples)]
    rows: _Rows = {}
    for sample in samples:
        rows.setdefault((sample.grain, tuple(sample.labels.items())), {})[sample.window] = sample
    rows = _in_order(rows, names)
    single = len(windows) == 1
    head = ["", *windows, *(["n"] if single else [])]
    if trend is not None:
        head = ["", *(part for window in windows for part in (window, "trend")), *(["n"] if single else [])]
    written = []
    for (grain, labels), cells in rows.items():
        line = [_who(grain, labels, names, language)]
        for window in windows:
            cell = cells.get(window)
            line.append(
                NOTHING
                if cell is None
                else shown(cell.value, kpi.unit, language, cell.labels.get("currency", snapshot.currency))
            )
            if trend is not None:
                line.append("" if cell is None else spark((*trend.get(place_of(cell), ()), cell.value)))
        if single:
            size = cells[windows[0]].n if cells[windows[0]].n is not None else cells[windows[0]].denominator
            line.append("" if size is None else grouped(size, language))
        written.append(tuple(line))
    cuts = [grain for grain, _ in rows]
    ends = frozenset(place for place, (one, next_one) in enumerate(pairwise(cuts)) if one != next_one)
    return tuple(head), written, ends


#: Labels that the portal gives no order: what weighs most comes first.
_WEIGHED = frozenset({"product", "segment", "reason", "source"})
_Rows: TypeAlias = dict[tuple[Grain, tuple[tuple[str, str], ...]], dict[WindowId, Sample]]


def _in_order(rows: _Rows, names: Mapping[tuple[str, str], str]) -> _Rows:
    """Cut by cut; people, departments, pipelines and stages as the portal shows them."""
    cuts = {grain: place for place, grain in enumerate(dict.fromkeys(grain for grain, _ in rows))}
    places = {label: place for place, label in enumerate(names)}
    kinds = {kind for kind, _ in names}

    def place(row: tuple[Grain, tuple[tuple[str, str], ...]]) -> tuple[object, ...]:
        grain, labels = row
        known = tuple(places.get(label, len(places)) for label in labels if label[0] in kinds)
        weighed = any(key in _WEIGHED and (key, text) not in places for key, text in labels)
        return cuts[grain], known, -(next(iter(rows[row].values())).value or 0.0) if weighed else 0.0

    return {row: rows[row] for row in sorted(rows, key=place)}


def spark(values: Sequence[float | None]) -> str:
    """A little chart, a sign for each value; a dot for none. Lower is less: its bottom is the least value, or zero."""
    given = [value for value in values if value is not None]
    if len(given) < 2:
        return ""
    low, high = min(0.0, *given), max(given)
    wide = (high - low) or 1.0
    top = len(_BARS) - 1
    return "".join("·" if one is None else _BARS[round((one - low) / wide * top)] for one in values)


def _who(
    grain: Grain, labels: Sequence[tuple[str, str]], names: Mapping[tuple[str, str], str], language: Language
) -> str:
    # A manager's department and a stage's pipeline say nothing more; a department outside the scope has no name.
    implied = {"department_id"} if Axis.MANAGER in grain else set[str]()
    parts = [names.get((key, value), value) for key, value in labels if key not in implied]
    company = "компания" if language == "ru" else "company"
    return ", ".join(part or "?" for part in parts) or company


def record_object(record: Record) -> dict[str, Any]:
    """A record for JSON."""
    contribution = record.contribution
    return {
        "part": record.part,
        "kind": record.kind,
        "id": record.id,
        "title": record.title,
        "contribution": float(contribution) if isinstance(contribution, Decimal) else contribution,
        "link": record.link,
    }


def record_row(record: Record, kpi: Kpi, language: Language) -> tuple[str, ...]:
    """A record for people: part, what it is, what it gave, where it stands."""
    value = record.contribution
    if value is None:
        gave = NOTHING
    elif kpi.unit is Unit.SECONDS and not record.part:
        gave = duration(float(value), language)
    else:
        gave = grouped(float(value), language, 0 if float(value).is_integer() else 2)
    return record.part, f"{record.kind} {record.id}", record.title, gave, record.link


def title_of(
    kpi: Kpi, window: WindowId, grain: Grain, labels: Mapping[str, str], found: Explanation, language: Language
) -> str:
    """Whose number it is, what it says, and how many records stand behind each part of it."""
    who = _who(grain, tuple(labels.items()), _names(found.snapshot), language)
    if not found.samples:
        value = NOTHING
    elif len(found.samples) == 1:
        (one,) = found.samples
        value = shown(one.value, kpi.unit, language, one.labels.get("currency", found.snapshot.currency))
    else:
        value = ""
    counts = {"": 0} if not found.records else dict[str, int]()
    for record in found.records:
        counts[record.part] = counts.get(record.part, 0) + 1
    parts = ", ".join(f"{part or 'records'} {grouped(count, language)}" for part, count in counts.items())
    return f"{kpi.title.said(language)} ({kpi.id}), {window}, {who}: {f'{value} ({parts})' if value else parts}"


def absence(kpi: Kpi, snapshot: Snapshot) -> str:
    """Why a KPI has no numbers."""
    reasons = [
        f"{name} was not {'loaded' if name.startswith('inputs.') else 'copied'}" for name in snapshot.absent[kpi.id]
    ]
    return f"{kpi.id}: no numbers, because {', '.join(reasons)}."


def listing(known: Mapping[str, Kpi], language: Language) -> list[tuple[str, ...]]:
    """Id, title, unit, cuts and windows of every KPI in force."""
    return [
        (
            kpi.id,
            kpi.title.said(language),
            kpi.unit.value,
            " ".join(map(str, kpi.grains)),
            " ".join(kpi.windows),
        )
        for kpi in known.values()
    ]


def _names(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    directory = snapshot.directory
    stages = {("stage_id", one.id): one.name for one in directory.stages}
    return {
        **{("manager_id", str(one.id)): one.name for one in directory.managers},
        **{("department_id", str(one.id)): one.name for one in directory.departments},
        **{("pipeline_id", str(one.id)): one.name for one in directory.pipelines},
        **stages,
        **{("stage", stage): name for (_, stage), name in stages.items()},
        **{("source_id", one.id): one.name for one in directory.sources},
        **{("source", one.id): one.name for one in directory.sources},
    }

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
from typing import IO, Any
from zoneinfo import ZoneInfo

from b24metrics.clock import SystemClock
from b24metrics.config import Settings
from b24metrics.console import duration, grouped
from b24metrics.errors import ConfigError
from b24metrics.exposition.history import instants, write_history
from b24metrics.kpi import KPIS, Grain, Kpi, KpiOptions, Record, Sample, Snapshot, Unit, WindowId
from b24metrics.kpi import evaluate as evaluate_all
from b24metrics.kpi import explain as explain_one
from b24metrics.kpi.ground import Ground
from b24metrics.kpi.model import Axis
from b24metrics.mirror.stores import Store, open_store
from b24metrics.mirror.sync import which_portal


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: KPIs, and which windows and grains of theirs (None: all of the card)."""

    kpis: tuple[Kpi, ...]
    windows: frozenset[WindowId] | None
    grains: frozenset[Grain] | None

    def wants(self, sample: Sample) -> bool:
        """Whether a sample belongs to the answer. Own members are the exporter's cut, never a person's."""
        return (
            (self.windows is None or sample.window in self.windows)
            and (self.grains is None or sample.grain in self.grains)
            and Axis.OWN not in sample.grain
        )


def asked(ids: Sequence[str], windows: Sequence[str], by: Sequence[str], *, everything: bool) -> Question:
    """A question in people's words. No ids: all KPIs; no windows: all; no grains: the company, or all with ``everything``.

    Raises:
        ConfigError: a word that names nothing.
    """
    for name in ids:
        if name not in KPIS:
            near = get_close_matches(name, KPIS, n=3) or [known for known in KPIS if name.lower() in known][:3]
            hint = f"Did you mean {' or '.join(near)}?" if near else "docs/kpi.md lists all of them."
            raise ConfigError(f"There is no KPI {name!r}. {hint}")
    for name in windows:
        if name not in set(WindowId):
            raise ConfigError(f"There is no window {name!r}. Known: {', '.join(WindowId)}.")
    return Question(
        tuple(KPIS[name] for name in ids) or tuple(KPIS.values()),
        frozenset(WindowId(name) for name in windows) or None,
        None if everything and not by else frozenset(grain_of(name) for name in by or ["T"]),
    )


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
        ConfigError: no instant.
    """
    if text is None:
        return datetime.fromtimestamp(SystemClock().now(), UTC)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no instant such as 2026-03-14T12:00 or 2026-03-14T12:00+03:00.") from None


def labels_of(grain: Grain, written: Sequence[str]) -> Mapping[str, str]:
    """``manager_id=101`` … as labels of a cut.

    Raises:
        ConfigError: the cut needs another one.
    """
    found = dict(one.partition("=")[::2] for one in written)
    # A manager's primary department follows from the manager.
    needed = [label for label in grain.labels if label != "department_id" or "manager_id" not in grain.labels]
    missing = [label for label in needed if not found.get(label)]
    if missing:
        raise ConfigError(f"Say whose number: {' '.join(f'{label}=…' for label in missing)}.")
    return found


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
        return evaluate_all(store, name, question.kpis, now=_aware(store, name, at, options), options=options)


def records(
    settings: Settings,
    portal: str | None,
    kpi: Kpi,
    window: WindowId,
    grain: Grain,
    labels: Mapping[str, str],
    at: datetime,
) -> Sequence[Record]:
    """The records behind one number.

    Raises:
        as ``answer``, and ConfigError where the KPI has no such window or cut.
    """
    options = settings.kpi_options()
    with _mirror(settings) as store:
        name = which_portal(store, portal)
        now = _aware(store, name, at, options)
        try:
            return explain_one(store, name, kpi, window, grain, labels, now=now, options=options)
        except LookupError as error:
            raise ConfigError(f"{error}. Its windows: {', '.join(kpi.windows)}.") from None


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


def as_object(sample: Sample) -> dict[str, Any]:
    """A sample for JSON: ids as strings, a missing value as null."""
    return {
        "id": sample.kpi.id,
        "level": str(sample.grain),
        "labels": dict(sample.labels),
        "window": str(sample.window),
        "value": sample.value,
        "n": sample.n,
        "numerator": sample.numerator,
        "denominator": sample.denominator,
    }


def as_row(snapshot: Snapshot, sample: Sample) -> tuple[str, str, str, str]:
    """Who, window, value and size, for people."""
    names = _names(snapshot)
    who = ", ".join(names.get((key, value), value) for key, value in sample.labels.items()) or "company"
    size = sample.n if sample.n is not None else sample.denominator
    return who, str(sample.window), _written(sample), "" if size is None else grouped(size)


def record_object(record: Record) -> dict[str, Any]:
    """A record for JSON."""
    contribution = record.contribution
    return {
        "part": record.part,
        "kind": record.kind,
        "id": record.id,
        "title": record.title,
        "contribution": float(contribution) if isinstance(contribution, Decimal) else contribution,
    }


def record_row(record: Record) -> tuple[str, str, int, str, str]:
    """A record for people."""
    amount = "" if record.contribution is None else f"{record.contribution:,.2f}".removesuffix(".00")
    return record.part, record.kind, record.id, record.title, amount.replace(",", "\u202f")


def _names(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    known = snapshot.directory
    return {
        **{("manager_id", str(one.id)): one.name for one in known.managers},
        **{("department_id", str(one.id)): one.name for one in known.departments},
        **{("pipeline_id", str(one.id)): one.name for one in known.pipelines},
        **{("stage_id", one.id): one.name for one in known.stages},
        **{("source_id", one.id): one.name for one in known.sources},
    }


def _written(sample: Sample) -> str:
    if sample.value is None:
        return "—"
    match sample.kpi.unit:
        case Unit.RATIO:
            return f"{sample.value:.1%}"
        case Unit.SECONDS:
            return duration(sample.value)
        case _:
            return grouped(sample.value)

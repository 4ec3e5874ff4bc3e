"""Snapshot → metric families.

Laws: every name, help text and label of a KPI comes from its declaration; ids stand on KPI series, names of people and
things in the ``*_info`` families alone; a series that would be printed twice, or whose value is no number, is not
printed and is reported, because a doubtful figure is worse than none. Nothing is computed here.
Source: naming, info metrics and windows: observability conventions of Prometheus ("Writing exporters", "Naming").
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from b24metrics.exposition.series import IntArray, LabelValues, Series
from b24metrics.exposition.text import Family
from b24metrics.kpi.model import Family as Declared
from b24metrics.kpi.model import Kpi, WindowId
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.results import Block, Directory, Interval, Labels, Snapshot

#: Longest name that travels as a label, in characters; the rest is cut with an ellipsis.
NAME_LENGTH = 120

#: Said of every windowed family, because ``sum()`` over windows is the one trap of this scheme.
WINDOW_REMARK = "One series per window: pin the window, never add windows up."

#: Marks that turn the direction of text: they could make a name read as something else. (Unicode, Bidi_Control.)
_TURNING = {
    *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x061C, 0x200E, 0x200F,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Collection:
    """Families of one snapshot, and what had to be left out: (family, reason) → series."""

    families: tuple[Family, ...]
    dropped: Mapping[tuple[str, str], int]


def clean(name: str) -> str:
    """A name as people wrote it, without control characters, direction marks and lone surrogates; blanks are single."""
    kept = "".join(
        " " if unicodedata.category(letter) in {"Cc", "Zl", "Zp", "Cs"} else letter
        for letter in name
        if ord(letter) not in _TURNING
    )
    line = " ".join(kept.split())
    return line if len(line) <= NAME_LENGTH else line[: NAME_LENGTH - 1].rstrip() + "…"


def collect(snapshot: Snapshot, kpis: Iterable[Kpi]) -> Collection:
    """Everything that one snapshot says: KPIs, the names behind their ids, and what the windows meant."""
    dropped: dict[tuple[str, str], int] = {}
    families = [_family(snapshot, declared, dropped) for kpi in kpis for declared in kpi.families]
    families += _names(snapshot.directory)
    families += _windows(snapshot.intervals)
    return Collection(tuple(families), dropped)


def thresholds(options: KpiOptions) -> tuple[Family, ...]:
    """The configured numbers that definitions compare with, as series, so that panels and rules read the same ones."""
    return (
        Family(
            "b24_threshold_response_sla_seconds",
            "Working time within which a request is to be answered, as configured.",
            (),
            {(): options.sla_seconds},
        ),
        Family(
            "b24_threshold_activity_grace_seconds",
            "Working time during which a new deal may lack an activity, as configured.",
            (),
            {(): options.grace_seconds},
        ),
        Family(
            "b24_threshold_effective_call_seconds",
            "Talk from which a connected call is effective, as configured.",
            (),
            {(): options.effective_call_seconds},
        ),
    )


def _family(snapshot: Snapshot, declared: Declared, dropped: dict[tuple[str, str], int]) -> Family:
    name, labels = declared.name, declared.labels
    series = _series(snapshot.columns(declared.kpi, declared.grain), declared, dropped)
    return Family(name, f"{declared.help()} {WINDOW_REMARK}", labels, series, optional=True)


def _series(
    blocks: Sequence[Block], declared: Declared, dropped: dict[tuple[str, str], int]
) -> Mapping[LabelValues, float]:
    """What the family shows of these samples; what it must not show is counted."""
    own = declared.labels[:-1]  # the window is a field of the sample, not one of its labels
    shown = [(block, numbers) for block in blocks if (numbers := block.part(declared.part)) is not None]
    if not shown:
        return {}
    windows = tuple(dict.fromkeys(window for block, _ in shown for window in block.windows))
    rows, places = _rows([block.labels for block, _ in shown], own)
    at_row = _joined([place[block.at_key] for (block, _), place in zip(shown, places, strict=True)])
    at_window = _joined([_renumbered(block, windows) for block, _ in shown])
    figures = _joined([figures for _, figures in shown])
    right = np.isfinite(figures)
    if not right.all() or len(shown) > 1 or not _ascends(at_window * len(rows) + at_row):
        said = ~np.isnan(figures)  # the others have nothing to say
        at_row, at_window, figures, right = at_row[said], at_window[said], figures[said], right[said]
        _, where, times = np.unique(at_window * len(rows) + at_row, return_inverse=True, return_counts=True)
        alone = times[where] == 1
        for reason, count in (("duplicate", int((times > 1).sum())), ("not a number", int((alone & ~right).sum()))):
            if count:
                dropped[declared.name, reason] = count
        right &= alone
        at_row, at_window, figures = at_row[right], at_window[right], figures[right]
    return Series(rows, at_row, tuple([window.value for window in windows]), at_window, figures)


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _renumbered(block: Block, windows: tuple[WindowId, ...]) -> IntArray:
    """Which of all windows each sample has."""
    if block.windows == windows:
        return block.at_window
    return np.array([windows.index(one) for one in block.windows], dtype=np.int64)[block.at_window]


def _ascends(numbers: IntArray) -> bool:
    """Whether no number comes twice, because each is above the one before it."""
    return bool((numbers[1:] > numbers[:-1]).all())


def _rows(labels: Sequence[Labels], names: tuple[str, ...]) -> tuple[Sequence[LabelValues], list[IntArray]]:
    """Different label texts, and for every one of ``labels`` the number of each of its keys among them."""
    if len(labels) == 1 and labels[0].distinct(names):
        return labels[0].ordered(names), [np.arange(len(labels[0]))]
    known: dict[LabelValues, int] = {}
    numbers = [
        np.array([known.setdefault(row, len(known)) for row in one.ordered(names)], dtype=np.int64) for one in labels
    ]
    return list(known), numbers


def _names(directory: Directory) -> Iterator[Family]:
    """One info family per kind of id; where an id comes twice, the last one has the name."""
    yield _info(
        "b24_manager_info",
        "Who a manager_id is. Joined by manager_id; department_id is the primary department.",
        ("manager_id", "manager", "department_id", "active"),
        {
            one.id: (clean(one.name), str(one.department_id), "true" if one.active else "false")
            for one in directory.managers
        },
    )
    yield _info(
        "b24_department_info",
        "What a department_id is, and its place in the tree.",
        ("department_id", "department", "parent_id", "head_id"),
        {one.id: (clean(one.name), _id(one.parent_id), _id(one.head_id)) for one in directory.departments},
    )
    yield _info(
        "b24_pipeline_info",
        "What a pipeline_id is.",
        ("pipeline_id", "pipeline", "sort"),
        {one.id: (clean(one.name), str(one.sort)) for one in directory.pipelines},
    )
    yield _info(
        "b24_stage_info",
        "What a stage_id is; semantics is P in progress, S won, F lost.",
        ("stage_id", "stage", "pipeline_id", "semantics", "sort"),
        {one.id: (clean(one.name), str(one.pipeline_id), one.semantics, str(one.sort)) for one in directory.stages},
    )
    yield _info(
        "b24_source_info",
        "What a source_id is.",
        ("source_id", "source"),
        {one.id: (clean(one.name),) for one in directory.sources},
    )


def _info(name: str, help_: str, labels: tuple[str, ...], rows: Mapping[int | str, LabelValues]) -> Family:
    return Family(name, help_, labels, {(str(key), *values): 1 for key, values in rows.items()})


def _id(number: int | None) -> str:
    return "" if number is None else str(number)


def _windows(intervals: Mapping[WindowId, Interval]) -> Iterator[Family]:
    yield Family(
        "b24_window_start_timestamp_seconds",
        "First instant of the window at the last refresh round.",
        ("window",),
        {(window.value,): interval.start.timestamp() for window, interval in intervals.items()},
    )
    yield Family(
        "b24_window_end_timestamp_seconds",
        "First instant after the window at the last refresh round.",
        ("window",),
        {(window.value,): interval.end.timestamp() for window, interval in intervals.items()},
    )
    yield Family(
        "b24_window_worktime_elapsed_ratio",
        "Share of the company's working time of the whole period that has passed: compare plan attainment with it.",
        ("window",),
        {
            (window.value,): interval.working_seconds / interval.working_seconds_whole
            for window, interval in intervals.items()
            if interval.working_seconds is not None and interval.working_seconds_whole
        },
    )

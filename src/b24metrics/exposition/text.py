"""Families of series → text: format 0.0.4 for scrapes, OpenMetrics with moments for histories.

Laws: the same families give the same bytes, whatever order they come in; a series is printed once, because series are
the keys of a mapping. Escaped prefixes (everything left of the value) are kept between rounds: they change only when a
series appears. Nothing here knows what the numbers mean.
Source: Prometheus, "Exposition formats", text format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import add

import numpy as np

from b24metrics.exposition.series import FloatArray, IntArray, LabelValues, Series, Wording, number, numbers, prefix

#: Media type of the text; every Prometheus takes it, whatever it asked for.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family of gauges.

    Attributes:
        name, help: as printed; help is English and may hold any character.
        labels: label names, in the order of every key of ``series``.
        series: label values → finite number.
        optional: may be left out as a whole when the series budget is exceeded.
    """

    name: str
    help: str
    labels: tuple[str, ...]
    series: Mapping[LabelValues, float]
    optional: bool = False


def fit(families: Iterable[Family], max_series: int) -> tuple[list[Family], dict[str, int]]:
    """Leave out whole optional families, the largest first, until the rest is within ``max_series``.

    Returns:
        What stays, in the order it came; and family name → series left out. What must stay may exceed the budget.
    """
    kept = list(families)
    total = sum(len(family.series) for family in kept)
    dropped: dict[str, int] = {}
    for family in sorted(kept, key=lambda one: (-len(one.series), one.name)):
        if total <= max_series:
            break
        if family.optional:
            dropped[family.name] = len(family.series)
            total -= len(family.series)
    return [family for family in kept if family.name not in dropped], dropped


_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})


@dataclass(frozen=True, slots=True)
class _Drawn:
    """How a family is written: its series, their order; everything left of the values, and the values, in that order."""

    series: Series
    order: IntArray
    starts: list[str]
    figures: FloatArray

    def holds(self, series: Series, wording: Wording) -> bool:
        """Whether the same series are there again."""
        old = self.series
        return (
            old.ends == series.ends
            and np.array_equal(old.at_row, series.at_row)
            and np.array_equal(old.at_end, series.at_end)
            and wording.alike(old.rows, series.rows)
        )


@dataclass(slots=True)
class Renderer:
    """Prints families; remembers prefixes. For one thread at a time."""

    _drawn: dict[tuple[str, tuple[str, ...]], _Drawn] = field(default_factory=dict)

    def text(self, families: Iterable[Family]) -> bytes:
        """The families as text, sorted by name and then by label values; families without series leave no trace."""
        fresh: dict[tuple[str, tuple[str, ...]], _Drawn] = {}
        wording = Wording()
        shown = sorted((family for family in families if family.series), key=lambda one: one.name)
        for one, other in pairwise(shown):
            assert one.name != other.name, f"two families are called {one.name}"
        for family in shown:
            if isinstance(family.series, Series):
                key = (family.name, family.labels)
                fresh[key] = self._known(key, family.series, wording)
        # Numbers of all families at once: there are more than a thousand, most of them small.
        figures = [drawn.figures for drawn in fresh.values()]
        told = iter(numbers(np.concatenate(figures) if figures else np.empty(0)))
        lines: list[str] = []
        for family in shown:
            lines.append(f"# HELP {family.name} {family.help.translate(_HELP)}")
            lines.append(f"# TYPE {family.name} gauge")
            drawn = fresh.get((family.name, family.labels))
            if drawn is not None:
                lines += map(add, drawn.starts, told)  # takes as many numbers as there are prefixes
            else:
                lines += [
                    prefix(family.name, family.labels, values) + number(family.series[values])
                    for values in sorted(family.series)
                ]
        self._drawn = fresh  # what vanished is forgotten
        lines.append("")
        # A lone surrogate cannot be encoded; it must cost one character, not the round.
        return "\n".join(lines).encode("utf-8", "replace")

    def _known(self, key: tuple[str, tuple[str, ...]], series: Series, wording: Wording) -> _Drawn:
        """Order and prefixes; taken over unchanged where the same series were there last time."""
        old = self._drawn.get(key)
        if old is not None and old.holds(series, wording):
            return replace(old, figures=series.figures[old.order])
        order, starts = wording.starts(*key, series)
        return _Drawn(series, order, starts, series.figures[order])

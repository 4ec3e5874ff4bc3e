"""Families of series → text: format 0.0.4 for scrapes, OpenMetrics with moments for histories.

Laws: the same families give the same bytes, whatever order they come in; a series is printed once, because series are
the keys of a mapping. Escaped prefixes (everything left of the value) are kept between rounds: they change only when a
series appears. Nothing here knows what the numbers mean.
Source: Prometheus, "Exposition formats", text format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

#: Media type of the text; every Prometheus takes it, whatever it asked for.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Integers up to here are exact in a float, so that ``7.0`` may be written as ``7``.
EXACT = 2.0**53

LabelValues = tuple[str, ...]


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


def number(value: float) -> str:
    """A finite number, as short as it reads back: ``7`` for 7.0, ``0.1``, ``1e+22``."""
    if isinstance(value, int):
        return str(int(value))  # int: a bool is 0 or 1
    return str(int(value)) if -EXACT < value < EXACT and value.is_integer() else repr(float(value))


_LABEL = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})


def prefix(name: str, labels: tuple[str, ...], values: LabelValues) -> str:
    """Everything left of a sample's value, the blank included. An empty label value is no label."""
    pairs = ",".join(
        f'{label}="{value.translate(_LABEL)}"' for label, value in zip(labels, values, strict=True) if value
    )
    return f"{name}{{{pairs}}} " if pairs else f"{name} "


@dataclass(slots=True)
class Renderer:
    """Prints families; remembers prefixes. For one thread at a time."""

    _prefixes: dict[tuple[str, tuple[str, ...]], dict[LabelValues, str]] = field(default_factory=dict)

    def text(self, families: Iterable[Family]) -> bytes:
        """The families as text, sorted by name and then by label values; families without series leave no trace."""
        fresh: dict[tuple[str, tuple[str, ...]], dict[LabelValues, str]] = {}
        lines: list[str] = []
        names: set[str] = set()
        for family in sorted(families, key=lambda one: one.name):
            assert family.name not in names, f"two families are called {family.name}"
            names.add(family.name)
            if not family.series:
                continue
            key = (family.name, family.labels)
            fresh[key] = prefixes = self._known(key, family.series)
            series = family.series
            lines.append(f"# HELP {family.name} {family.help.translate(_HELP)}")
            lines.append(f"# TYPE {family.name} gauge")
            lines += [start + number(series[values]) for values, start in prefixes.items()]
        self._prefixes = fresh  # what vanished is forgotten
        lines.append("")
        # A lone surrogate cannot be encoded; it must cost one character, not the round.
        return "\n".join(lines).encode("utf-8", "replace")

    def _known(self, key: tuple[str, tuple[str, ...]], series: Mapping[LabelValues, float]) -> dict[LabelValues, str]:
        """Label values → prefix, sorted; taken over unchanged where the same series were there last time."""
        old = self._prefixes.get(key, {})
        if old.keys() == series.keys():
            return old
        name, labels = key
        return {values: old.get(values) or prefix(name, labels, values) for values in sorted(series)}

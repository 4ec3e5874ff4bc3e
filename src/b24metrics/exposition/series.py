"""Series of one family in columns, and how they are written.

Laws: label texts are escaped once for all families that share them; order and prefixes of a family (everything left of the
value) are kept between rounds and taken over where the same series were there last time. NaN and infinity never come here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: Integers up to here are exact in a float, so that ``7.0`` may be written as ``7``.
EXACT = 2.0**53

LabelValues: TypeAlias = tuple[str, ...]
FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]

_LABEL = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def number(value: float) -> str:
    """A finite number, as short as it reads back: ``7`` for 7.0, ``0.1``, ``1e+22``."""
    if isinstance(value, int):
        return str(int(value))  # int: a bool is 0 or 1
    return str(int(value)) if -EXACT < value < EXACT and value.is_integer() else repr(float(value))


def numbers(values: FloatArray) -> list[str]:
    """The same for many."""
    whole = (np.trunc(values) == values) & (np.abs(values) < EXACT)
    texts = np.empty(len(values), dtype=object)
    texts[whole] = list(map(str, values[whole].astype(np.int64).tolist()))
    texts[~whole] = list(map(repr, values[~whole].tolist()))
    return list(texts)


def pairs(labels: tuple[str, ...], values: LabelValues) -> str:
    """``a="1",b="2"``. An empty label value is no label."""
    return ",".join(
        f'{label}="{value.translate(_LABEL)}"' for label, value in zip(labels, values, strict=True) if value
    )


def prefix(name: str, labels: tuple[str, ...], values: LabelValues) -> str:
    """Everything left of a sample's value, the blank included."""
    said = pairs(labels, values)
    return f"{name}{{{said}}} " if said else f"{name} "


class Series(Mapping[LabelValues, float]):
    """Label values → finite number, in columns; each combination of ``at_row`` and ``at_end`` occurs once.

    Attributes:
        rows: values of all labels but the last, each tuple once; shared with other families where they are the same.
        ends: values of the last label. at_row, at_end: what each series has of them; shape of ``figures``.
    """

    def __init__(
        self,
        rows: Sequence[LabelValues],
        at_row: IntArray,
        ends: LabelValues,
        at_end: IntArray,
        figures: FloatArray,
    ) -> None:
        self.rows = rows
        self.at_row = at_row
        self.ends = ends
        self.at_end = at_end
        self.figures = figures

    @cached_property
    def _by_labels(self) -> Mapping[LabelValues, float]:
        rows, ends = self.rows, self.ends
        keys = ((*rows[row], ends[end]) for row, end in zip(self.at_row.tolist(), self.at_end.tolist(), strict=True))
        return dict(zip(keys, self.figures.tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.figures)

    def __iter__(self) -> Iterator[LabelValues]:
        return iter(self._by_labels)

    def __getitem__(self, values: LabelValues) -> float:
        return self._by_labels[values]


@dataclass(slots=True)
class Wording:
    """What is said of shared label texts, while the families of one snapshot are written."""

    _inner: dict[tuple[int, tuple[str, ...]], list[str]] = field(default_factory=dict)
    _ranks: dict[int, IntArray] = field(default_factory=dict)
    _alike: dict[tuple[int, int], bool] = field(default_factory=dict)

    def alike(self, one: Sequence[LabelValues], other: Sequence[LabelValues]) -> bool:
        """Whether both are the same texts."""
        if one is other:
            return True
        key = id(one), id(other)
        if key not in self._alike:
            self._alike[key] = one == other
        return self._alike[key]

    def starts(self, name: str, labels: tuple[str, ...], series: Series) -> tuple[IntArray, list[str]]:
        """Series in the order of their label values, and their prefixes in that order."""
        order = np.lexsort((_ranks(series.ends)[series.at_end], self._rank(series.rows)[series.at_row]))
        inner = self._told(labels[:-1], series.rows)
        last = [pairs(labels[-1:], (end,)) for end in series.ends]
        at_row, at_end = series.at_row[order].tolist(), series.at_end[order].tolist()
        if all(last) and all(inner):
            heads = [f"{name}{{{said}," for said in inner]
            tails = [f"{said}}} " for said in last]
            return order, [heads[row] + tails[end] for row, end in zip(at_row, at_end, strict=True)]
        starts = []
        for row, end in zip(at_row, at_end, strict=True):
            said = ",".join(part for part in (inner[row], last[end]) if part)
            starts.append(f"{name}{{{said}}} " if said else f"{name} ")
        return order, starts

    def _told(self, labels: tuple[str, ...], rows: Sequence[LabelValues]) -> list[str]:
        key = id(rows), labels
        if key not in self._inner:
            self._inner[key] = [pairs(labels, row) for row in rows]
        return self._inner[key]

    def _rank(self, rows: Sequence[LabelValues]) -> IntArray:
        key = id(rows)
        if key not in self._ranks:
            self._ranks[key] = _ranks(rows)
        return self._ranks[key]


def _ranks(values: Sequence[object]) -> IntArray:
    """The place of each value among all of them in order."""
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[sorted(range(len(values)), key=values.__getitem__)] = np.arange(len(values))  # type: ignore[arg-type]
    return ranks

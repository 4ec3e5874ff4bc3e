"""Chance without a generator: every draw is a hash of the seed, the question and the record's number.

Laws: the same (seed, question, number) always falls the same way, whatever the thread, the order of rows or the step
of a clock; two questions about one record are independent. Only expressions over integers and one row's doubles may
reach a table: sums of doubles depend on the order in which threads add them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import duckdb

#: Macros by signature; `install` puts the seed in place.
_MACROS = {
    # The last multiplication brings 53 random bits into [0, 1). Hashing twice keeps questions independent.
    "dice(question, number)": "(hash(xor(hash(number::BIGINT), hash('{seed}/' || question))) >> 11) * 1.1102230246251565e-16",
    "dice2(question, number, again)": "(hash(xor(hash(xor(hash(number::BIGINT), hash('{seed}/' || question))), hash(again::BIGINT))) >> 11) * 1.1102230246251565e-16",
    "whole(question, number, below)": "floor(dice(question, number) * below)::BIGINT",
    "gauss(question, number)": "sqrt(-2 * ln(1 - dice(question || '.r', number))) * cos(6.283185307179586 * dice(question || '.a', number))",
    "gauss2(question, number, again)": "sqrt(-2 * ln(1 - dice2(question || '.r', number, again))) * cos(6.283185307179586 * dice2(question || '.a', number, again))",
    # Log-normal by its median and the deviation of its logarithm.
    "around(question, number, median, spread)": "median * exp(spread * gauss(question, number))",
    "around2(question, number, again, median, spread)": "median * exp(spread * gauss2(question, number, again))",
    "waiting(question, number, mean)": "-mean * ln(1 - dice(question, number))",
    "pick(items, question, number)": "items[1 + floor(dice(question, number) * len(items))::BIGINT]",
    "pick2(items, question, number, again)": "items[1 + floor(dice2(question, number, again) * len(items))::BIGINT]",
    # Inverse of a distribution function given by equidistant knots.
    "along(knots, share)": "knots[1 + floor(share * (len(knots) - 1))::BIGINT] + (share * (len(knots) - 1) - floor(share * (len(knots) - 1))) * (knots[least(2 + floor(share * (len(knots) - 1))::BIGINT, len(knots))] - knots[1 + floor(share * (len(knots) - 1))::BIGINT])",
}


def install(connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    """Make the macros, temporary, for one connection."""
    for signature, body in _MACROS.items():
        connection.execute(f"CREATE OR REPLACE TEMP MACRO {signature} AS ({body.replace('{seed}', str(seed))})")


def remove(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop the macros."""
    for signature in reversed(_MACROS):
        connection.execute(f"DROP MACRO IF EXISTS temp.{signature.partition('(')[0]}")


def listed(items: Iterable[str | int | float]) -> str:
    """A list literal."""
    return "[" + ", ".join(quoted(item) if isinstance(item, str) else repr(item) for item in items) + "]"


def quoted(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("'", "''") + "'"


def choice(share: str, *options: tuple[float, str]) -> str:
    """CASE over weighted SQL expressions; ``share`` is an expression in [0, 1)."""
    total = sum(weight for weight, _ in options)
    parts, reached = [], 0.0
    for weight, expression in options[:-1]:
        reached += weight / total
        parts.append(f"WHEN {share} < {reached:.9f} THEN {expression}")
    return f"CASE {' '.join(parts)} ELSE {options[-1][1]} END" if parts else options[-1][1]


class Profile:
    """How chance spreads over a span: weights of its equal parts."""

    def __init__(self, weights: Sequence[float], length: float, steps: int = 96) -> None:
        self._edges = [0.0]
        total = sum(weights)
        for weight in weights:
            self._edges.append(self._edges[-1] + weight / total)
        self._part = length / len(weights)
        #: Weights with the mean 1, as a list in SQL.
        self.densities = listed([round(weight * len(weights) / total, 6) for weight in weights])
        self.knots = listed([round(self._inverse(step / steps), 6) for step in range(steps + 1)])

    def _inverse(self, share: float) -> float:
        for at, (low, high) in enumerate(pairwise(self._edges)):
            if share <= high and high > low:
                return (at + (share - low) / (high - low)) * self._part
        return (len(self._edges) - 1) * self._part

    def reached(self, at: float) -> float:
        """Share of the weight before a point of the span."""
        place = at / self._part
        index = int(place)
        if index >= len(self._edges) - 1:
            return 1.0
        low, high = self._edges[index], self._edges[index + 1]
        return low + (place - index) * (high - low)


#: Seconds of a day at which people fill in forms and write to chats, at which they ring, and share of an own working day.
WEB = Profile(
    (
        0.6,
        0.4,
        0.3,
        0.2,
        0.2,
        0.3,
        0.6,
        1.3,
        2.7,
        5.2,
        7.2,
        7.6,
        7.0,
        6.1,
        6.9,
        7.1,
        6.7,
        5.9,
        5.0,
        4.6,
        4.2,
        3.5,
        2.4,
        1.3,
    ),
    86_400,
)
RING = Profile(
    (
        0.05,
        0.03,
        0.02,
        0.02,
        0.02,
        0.04,
        0.1,
        0.4,
        1.8,
        6.5,
        10.5,
        11.2,
        9.2,
        6.6,
        9.6,
        10.4,
        9.7,
        7.6,
        3.2,
        1.5,
        0.8,
        0.4,
        0.2,
        0.1,
    ),
    86_400,
)
WORK = Profile((0.72, 1.26, 1.32, 1.08, 0.62, 1.04, 1.22, 1.12, 0.74), 1.0)

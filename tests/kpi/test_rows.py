"""Quantiles over summed legs, against plain loops."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

import numpy as np
import pytest

from b24metrics.kpi.aggregates import Cut
from b24metrics.kpi.facts.calls import CALLS
from b24metrics.kpi.model import COMPANY, MANAGER, Quantile
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.rows import Coded, RowSet


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("keys", [1, 5, 60, 10_000])
def test_rows_that_share_a_key_are_one(seed: int, keys: int) -> None:
    """However many keys stand alone: sums of each key inside each cell, and their median."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 80))
    managers, calls = random.integers(0, 4, count), random.integers(0, keys, count)
    seconds = random.integers(0, 9, count) / 2
    measure = Quantile(CALLS, "seconds", 0.5, per="call")
    rows = RowSet(
        segment=np.zeros(count, dtype=np.int64),
        dims={"manager_id": Coded(managers, range(4))},
        columns={"seconds": seconds, "call": calls.astype(np.float64)},
        met={"": np.ones(count, dtype=np.bool_)},
        spans={0: [0]},
        ancestors={},
        options=KpiOptions(),
    )
    for grain in (COMPANY, MANAGER):
        sums: dict[object, dict[int, float]] = defaultdict(lambda: defaultdict(float))
        for manager, call, talked in zip(managers.tolist(), calls.tolist(), seconds.tolist(), strict=True):
            sums[(manager,) if grain is MANAGER else ()][call] += talked
        for piece, found in rows.values(measure, Cut(grain)):
            assert {key: median(one.values()) for key, one in sums.items()} == {
                found[code]: value
                for code, value in zip(piece.codes.tolist(), piece.values.value.tolist(), strict=True)
            }
            assert piece.values.n is not None
            assert [len(sums[found[code]]) for code in piece.codes.tolist()] == piece.values.n.tolist()

"""A snapshot as a table: plain rows, Arrow, pandas, polars.

Laws: one row a sample; the columns are the same for all rows: ``kpi``, ``grain``, ``window``, every label that occurs,
then ``value``, ``n``, ``numerator``, ``denominator``; None where a sample does not have it. What a library outside ours
needs is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from b24metrics.kpi.results import Block

Row: TypeAlias = dict[str, str | float | int | None]


def label_names(blocks: Sequence[Block]) -> tuple[str, ...]:
    """Every label name, in order of appearance."""
    return tuple(dict.fromkeys(name for block in blocks for name in block.labels.names))


def rows(blocks: Sequence[Block]) -> list[Row]:
    """One dictionary a sample."""
    names = label_names(blocks)
    return [
        {
            "kpi": sample.kpi.id,
            "grain": str(sample.grain),
            "window": sample.window.value,
            **{name: sample.labels.get(name) for name in names},
            "value": sample.value,
            "n": sample.n,
            "numerator": sample.numerator,
            "denominator": sample.denominator,
        }
        for block in blocks
        for sample in block
    ]


def arrow(blocks: Sequence[Block]) -> pa.Table:
    """As Arrow: texts, doubles, and whole numbers for ``n``; types do not depend on what is there.

    Raises:
        ImportError: pyarrow is not installed.
    """
    pa = _library("pyarrow", "b24metrics[mirror]")
    names = label_names(blocks)
    kinds = dict.fromkeys(("kpi", "grain", "window", *names), pa.string())
    kinds |= {"value": pa.float64(), "n": pa.int64(), "numerator": pa.float64(), "denominator": pa.float64()}
    pieces: dict[str, list[Any]] = {name: [] for name in kinds}
    written: dict[tuple[int, str], Any] = {}  # label texts of every key, once for all blocks that share them
    for block in blocks:
        size = len(block)
        pieces["kpi"].append(pa.repeat(pa.scalar(block.kpi.id, pa.string()), size))
        pieces["grain"].append(pa.repeat(pa.scalar(str(block.grain), pa.string()), size))
        windows = pa.array([window.value for window in block.windows], pa.string())
        pieces["window"].append(windows.take(pa.array(block.at_window)))
        keys = pa.array(block.at_key)
        for name in names:
            if name not in block.labels.names:
                pieces[name].append(pa.nulls(size, pa.string()))
                continue
            place = id(block.labels), name
            if place not in written:
                written[place] = pa.array(block.labels.column(name), pa.string())
            pieces[name].append(written[place].take(keys))
        for name in ("value", "n", "numerator", "denominator"):
            told = getattr(block, name)
            if told is None:
                pieces[name].append(pa.nulls(size, kinds[name]))
            elif name == "n":
                pieces[name].append(pa.array(np.nan_to_num(told).astype(np.int64), kinds[name], mask=np.isnan(told)))
            else:
                pieces[name].append(pa.array(told, kinds[name], from_pandas=True))
    return pa.table({name: pa.chunked_array(some, kinds[name]) for name, some in pieces.items()})


def pandas(blocks: Sequence[Block]) -> Any:
    """As a ``pandas.DataFrame``; a missing number is NaN, a missing label None.

    Raises:
        ImportError: pandas is not installed.
    """
    _library("pandas", "pandas")
    return arrow(blocks).to_pandas()


def polars(blocks: Sequence[Block]) -> Any:
    """As a ``polars.DataFrame``.

    Raises:
        ImportError: polars is not installed.
    """
    return _library("polars", "polars").from_arrow(arrow(blocks))


def _library(name: str, package: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"{name} is not installed here: pip install '{package}'", name=name) from error

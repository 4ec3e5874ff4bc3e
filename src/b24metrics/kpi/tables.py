"""A snapshot as a table: plain rows, Arrow, pandas, polars.

Laws: one row a sample; the columns are the same for all rows: ``kpi``, ``grain``, ``window``, every label that occurs,
then ``value``, ``n``, ``numerator``, ``denominator``; None where a sample does not have it. What a library outside ours
needs is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

    from b24metrics.kpi.model import Sample

Row: TypeAlias = dict[str, str | float | int | None]


def label_names(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Every label name, in order of appearance."""
    return tuple(
        dict.fromkeys(name for labels in {id(s.labels): s.labels for s in samples}.values() for name in labels)
    )


def rows(samples: Sequence[Sample]) -> list[Row]:
    """One dictionary a sample."""
    names = label_names(samples)
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
        for sample in samples
    ]


def arrow(samples: Sequence[Sample]) -> pa.Table:
    """As Arrow: texts, doubles, and whole numbers for ``n``; types do not depend on what is there.

    Raises:
        ImportError: pyarrow is not installed.
    """
    pa = _library("pyarrow", "b24metrics[mirror]")
    texts = {
        "kpi": [sample.kpi.id for sample in samples],
        "grain": [str(sample.grain) for sample in samples],
        "window": [sample.window.value for sample in samples],
        **{name: [sample.labels.get(name) for sample in samples] for name in label_names(samples)},
    }
    numbers = {
        "value": [sample.value for sample in samples],
        "numerator": [sample.numerator for sample in samples],
        "denominator": [sample.denominator for sample in samples],
    }
    columns = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    columns["value"] = pa.array(numbers.pop("value"), pa.float64())
    columns["n"] = pa.array([sample.n for sample in samples], pa.int64())
    columns |= {name: pa.array(values, pa.float64()) for name, values in numbers.items()}
    return pa.table(columns)


def pandas(samples: Sequence[Sample]) -> Any:
    """As a ``pandas.DataFrame``; a missing number is NaN, a missing label None.

    Raises:
        ImportError: pandas is not installed.
    """
    _library("pandas", "pandas")
    return arrow(samples).to_pandas()


def polars(samples: Sequence[Sample]) -> Any:
    """As a ``polars.DataFrame``.

    Raises:
        ImportError: polars is not installed.
    """
    return _library("polars", "polars").from_arrow(arrow(samples))


def _library(name: str, package: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"{name} is not installed here: pip install '{package}'", name=name) from error

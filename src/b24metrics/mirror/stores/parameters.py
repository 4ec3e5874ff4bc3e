"""Where the parameters of a statement stand.

Laws: a ``?`` inside quotes or a comment is no parameter; a value becomes part of a statement only through ``quoted``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

_PIECE = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|\?", re.DOTALL)


@lru_cache(maxsize=4096)
def pieces(sql: str) -> tuple[str, ...]:
    """The text between the parameters: one piece more than there are parameters."""
    found, since = [], 0
    for match in _PIECE.finditer(sql):
        if match[0] == "?":
            found.append(sql[since : match.start()])
            since = match.end()
    return (*found, sql[since:])


def spoken(sql: str, params: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """The statement with its values written out, and what is left to bind: nothing, or all of them.

    DuckDB's Python driver looks for pandas at every value that it binds; where pandas is not installed, each look
    searches the disk (0.2 ms; a round binds hundreds of values). What is not a plain value is bound as ever.
    """
    if not params:
        return sql, params
    parts = pieces(sql)
    if len(parts) != len(params) + 1:
        return sql, params  # the database says what is wrong
    said = [quoted(value) for value in params]
    if None in said:
        return sql, params
    text = [parts[0]]
    for value, part in zip(said, parts[1:], strict=True):
        text += (str(value), part)
    return "".join(text), ()


def quoted(value: object) -> str | None:
    """A plain value as a literal of DuckDB; None for what has no plain literal."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int() if -(2**63) < value < 2**63:
            return f"({int(value)})" if value < 0 else str(int(value))
        case str() if "\0" not in value:
            # DuckDB knows no escapes but the doubled quote (standard-conforming strings).
            return "'" + value.replace("'", "''") + "'"
        case datetime():
            kind = "TIMESTAMPTZ" if value.tzinfo else "TIMESTAMP"
            return f"{kind} '{value.isoformat(sep=' ')}'"
        case date():
            return f"DATE '{value.isoformat()}'"
        case Decimal() if value.is_finite():
            text = f"{value:f}"
            return f"({text if '.' in text else text + '.0'})"
        case _:
            return None

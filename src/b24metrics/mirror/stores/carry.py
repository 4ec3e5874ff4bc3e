"""DuckDB's SQL, as PostgreSQL is asked.

Laws: pure text; the same statement is carried once and remembered; a value is never part of it. What the dialects mean
differently is settled here, once: division (never by integers, never by zero), the place of NULL in an order, letters
beyond ASCII (patterns and case follow Unicode, whatever the database's locale), temporary tables that replace each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp

from b24metrics.mirror.stores.parameters import pieces
from b24metrics.mirror.stores.patterns import as_postgres

_OURS = re.compile(r"(%\(mirror_\d+\)s)")
_DOUBLE = "CREATE FUNCTION pg_temp.mirror_double(%s) RETURNS DOUBLE PRECISION IMMUTABLE STRICT PARALLEL SAFE RETURN %s"
#: What PostgreSQL must know in each session: a truth value is a number for DuckDB, and for nobody else.
SESSION = (
    _DOUBLE % ("BOOLEAN", "CAST(CAST($1 AS INTEGER) AS DOUBLE PRECISION)"),
    _DOUBLE % ("DOUBLE PRECISION", "$1"),
)
#: Stands for the collation that knows letters; replaced by one that the server has.
LETTERS = "mirror_letters"


@dataclass(frozen=True, slots=True)
class Carried:
    """What to ask PostgreSQL, in psycopg's words.

    Attributes:
        statements: in order; parameters are ``%(mirror_0)s`` …, in the order of the ``?`` they stand for.
        patterns: numbers of the parameters that are regular expressions.
    """

    statements: tuple[str, ...]
    patterns: frozenset[int] = frozenset()


def parameter(number: int) -> str:
    """The name of a parameter."""
    return f"mirror_{number}"


@lru_cache(maxsize=4096)
def carried(sql: str, letters: str) -> Carried:
    """A text of one or several statements for a server whose collation ``letters`` knows letters beyond ASCII.

    Raises:
        sqlglot.errors.SqlglotError: it is not DuckDB's SQL, or PostgreSQL has no word for it.
    """
    parts = pieces(sql)
    marked = "".join((parts[0], *(f"${parameter(n)}{part}" for n, part in enumerate(parts[1:]))))
    statements: list[str] = []
    patterns: set[int] = set()
    for tree in sqlglot.parse(marked, read="duckdb"):
        if tree is None:
            continue
        settled = tree.transform(_settled, patterns)
        if isinstance(settled, exp.Create) and settled.args.get("replace") and settled.kind == "TABLE":
            name = settled.this.name
            settled.set("replace", False)
            statements += (f"DROP TABLE IF EXISTS pg_temp.{name}", _written(settled, letters), f"ANALYZE {name}")
        else:
            statements.append(_written(settled, letters))
    return Carried(tuple(statements), frozenset(patterns))


def _settled(node: exp.Expression, patterns: set[int]) -> exp.Expression:
    """One node in words that mean the same in PostgreSQL."""
    match node:
        case exp.Div():
            below = node.expression
            if not (isinstance(below, exp.Literal) and float(below.this)):
                node.set("expression", exp.Nullif(this=below, expression=exp.Literal.number(0)))
        case exp.RegexpLike():
            _note_pattern(node, patterns)
            node.set("this", _lettered(node.this))
        case exp.Cast() if isinstance(node.this, exp.Column) and node.to.is_type("double"):
            return exp.Dot.build([exp.to_identifier("pg_temp"), exp.func("mirror_double", node.this)])
        case exp.Order() if len(node.expressions) == 1 and node.expressions[0].this == exp.var("ALL"):
            listed = node.find_ancestor(exp.Select)
            assert listed is not None
            columns = [exp.Literal.number(n) for n in range(1, len(listed.expressions) + 1)]
            node.set("expressions", [exp.Ordered(this=column, nulls_first=False) for column in columns])
        case exp.ILike() | exp.Lower() | exp.Upper():
            node.set("this", _lettered(node.this))
        case _:
            pass
    return node


def _lettered(node: exp.Expression) -> exp.Expression:
    return exp.Collate(this=exp.paren(node, copy=False), expression=exp.to_identifier(LETTERS, quoted=True))


def _note_pattern(node: exp.RegexpLike, patterns: set[int]) -> None:
    pattern = node.expression
    if isinstance(pattern, exp.Placeholder | exp.Parameter):
        patterns.add(int(pattern.name.removeprefix("mirror_")))
    elif isinstance(pattern, exp.Literal):
        node.set("expression", exp.Literal.string(as_postgres(pattern.this)))


def _written(tree: exp.Expression, letters: str) -> str:
    text = tree.sql("postgres", unsupported_level=sqlglot.ErrorLevel.RAISE).replace(f'"{LETTERS}"', f'"{letters}"')
    # A percent sign of the statement itself is doubled: psycopg takes single ones for parameters.
    return "".join(part if _OURS.fullmatch(part) else part.replace("%", "%%") for part in _OURS.split(text))

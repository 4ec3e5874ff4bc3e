"""What people write about rows: only what is known gets through, and it means the same on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from b24metrics.kpi.expressions import FUNCTIONS, LONGEST, Kind, read
from b24metrics.mirror.stores import DuckStore, Store, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres import Server

COLUMNS = {"amount": Kind.NUMBER, "n": Kind.NUMBER, "outcome": Kind.TEXT, "won": Kind.TRUTH, "met_at": Kind.INSTANT}

READ = [
    ("outcome = 'won' AND amount >= 1e5", "((outcome = 'won') AND (amount >= 100000))"),
    ("Won or not WON", "(won OR (NOT won))"),
    ("outcome NOT IN ('a', 'it''s')", "(NOT (outcome IN ('a', 'it''s')))"),
    ("amount / n > 2", "((CAST(amount AS DOUBLE) / nullif(CAST(n AS DOUBLE), 0)) > 2)"),
    ("amount between 1 and 2 or n is not null", "((amount BETWEEN 1 AND 2) OR (NOT (n IS NULL)))"),
    ("CASE WHEN won THEN amount ELSE 0 END > 1", "((CASE WHEN won THEN amount ELSE 0 END) > 1)"),
    ("coalesce(outcome, '') LIKE '%on'", "(coalesce(outcome, '') LIKE '%on')"),
    ("least(amount, n, 3) <> greatest(1, n)", "(least(amount, n, 3) <> greatest(1, n))"),
    ("met_at >= TIMESTAMPTZ '2025-03-01T00:00:00+03:00'", "(met_at >= TIMESTAMPTZ '2025-03-01 00:00:00+03:00')"),
]


@pytest.mark.parametrize(("text", "sql"), READ)
def test_what_is_known_is_written_anew(text: str, sql: str) -> None:
    """From the tables of the reader, not from the text."""
    found, mistakes = read(text, COLUMNS, Kind.TRUTH)

    assert ((), sql) == (mistakes, found.sql)


REFUSED = [
    ("amount > (SELECT 1)", "SELECT 1"),
    ("EXISTS(SELECT 1 FROM users)", "EXISTS"),
    ("amount IN (SELECT id FROM deals)", "SELECT id FROM deals"),
    ("deals.amount > 1", "deals.amount"),
    ("read_csv('/etc/passwd') = 1", "READ_CSV"),
    ("pg_read_file('/etc/passwd') = 'x'", "pg_read_file"),
    ("getenv('B24_WEBHOOK') = 'x'", "getenv"),
    ("lower(outcome) = 'won'", "LOWER(outcome)"),
    ("count(*) > 1", "COUNT(*)"),
    ("won; DROP TABLE deals", "several statements"),
    ("won -- and more", "comment"),
    ("won /* and more */", "comment"),
    ("amount > $1", "$1"),
    ("amount > ?", "?"),
    ("list_filter([amount], x -> x > 1)", "LIST_FILTER"),
    ("amount::VARCHAR = '1'", "not converted"),
    ("outcome LIKE 'a' ESCAPE 'b'", "ESCAPE"),
    ("outcome LIKE '\\%'", "backslash"),
    ("outcome ILIKE 'a'", "ILIKE"),
    ("outcome > 'a'", "compared by order"),
    ("outcome = 1", "different kinds"),
    ("amount", "not a condition"),
    ("amout > 1", "did you mean amount?"),
    ("amount > 1e99", "too many digits"),
    ("met_at > TIMESTAMPTZ '2025-03-01'", "offset"),
    ("amount >", "is no expression"),
    ("won UNION SELECT 1", "at 'UNION'"),
    ("amount > 1) OR (won", "at ')'"),
    ("met_at > DATE '2025-03-01'", "DATE '2025-03-01' is a date"),
    ("(" * 600 + "won" + ")" * 600, "nested"),
    ("won AND " * LONGEST + "won", "longer than"),
    ("'\x07' = outcome", "control character"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[str(n) for n in range(len(REFUSED))])
def test_what_is_not_known_is_named(text: str, words: str) -> None:
    """The offending words stand in the mistake, and nothing is to be asked."""
    found, mistakes = read(text, COLUMNS, Kind.TRUTH)

    assert "" == found.sql
    assert words in " ".join(mistakes)


def test_all_mistakes_are_told_at_once() -> None:
    """Not only the first."""
    _, mistakes = read("foo(1) = 2 AND bar > 1 AND outcome LIKE amount", COLUMNS, Kind.TRUTH)

    assert 3 == len(mistakes)


# ---------------------------------------------------------------- whatever is written

WORDS = st.sampled_from(
    [*COLUMNS, *FUNCTIONS, "deals", "users", "SELECT", "FROM", "WHERE", "UNION", "DROP", "TABLE", "COPY", "ATTACH", "PRAGMA",
     "INSTALL", "EXISTS", "read_csv", "getenv", "now", "sum", "count", "AND", "OR", "NOT", "IN", "IS", "NULL", "CASE", "WHEN",
     "THEN", "ELSE", "END", "LIKE", "BETWEEN", "OVER", "FILTER", "LATERAL", "CAST", "AS", "DATE", "x", "1", "0.5", "'a'", "'",
     '"', "$$", "$1", "?", ":a", "(", ")", "[", "]", "{", "}", ",", ".", ";", "--", "/*", "*/", "->", "::", "||", "=", "<", ">",
     "<>", "+", "-", "*", "/", "%", "\\", "\x00", "\n"]
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=30)
CONDITIONS = st.recursive(
    st.sampled_from(
        ["won", "outcome = 'a'", "amount > 1", "n IS NULL", "amount / n > 0.5", "n - amount < 2", "outcome LIKE 'w%'",
         "coalesce(won, FALSE)", "abs(n) >= 1", "floor(amount) = 1", "nullif(n, 1) IS NULL", "length(outcome) = 3",
         "trim(outcome) IN ('won', '')", "met_at < TIMESTAMPTZ '2025-03-02T00:00:00Z'", "least(amount, n) BETWEEN -1 AND 1.5",
         "CASE outcome WHEN 'won' THEN n ELSE amount END > 0"]
    ),
    lambda one: st.tuples(one, st.sampled_from([" AND ", " OR ", " = "]), one).map(lambda t: f"({t[0]}){t[1]}({t[2]})")
    | one.map(lambda text: f"NOT ({text})"),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(text=TEXTS | CONDITIONS)
def test_nothing_foreign_gets_through(text: str) -> None:
    """What comes out, whoever parses it, names columns of the fact and functions of the list, and nothing else."""
    found, mistakes = read(text, COLUMNS)
    assert bool(mistakes) is not bool(found.sql)
    if mistakes:
        return
    (tree,) = sqlglot.parse(f"SELECT {found.sql}", read="duckdb")
    assert tree is not None
    allowed = (
        exp.Cast, exp.DataType, exp.And, exp.Or, exp.Not, exp.Case, exp.If, exp.Abs, exp.Ceil, exp.Coalesce, exp.Floor,
        exp.Greatest, exp.Least, exp.Length, exp.Nullif, exp.Trim,
    )  # fmt: skip
    for node in tree.walk():
        assert not isinstance(
            node, exp.Table | exp.Subquery | exp.Placeholder | exp.Parameter | exp.Command | exp.Lambda
        )
        assert not isinstance(node, exp.Select) or node is tree
        assert not isinstance(node, exp.Func) or isinstance(node, allowed)
        assert not isinstance(node, exp.Column) or (node.name in COLUMNS and not node.table)
        assert not node.comments


ROWS = """
SELECT * FROM (VALUES
    (1, 'won', 10.5, 3, TRUE, TIMESTAMPTZ '2025-03-01 00:00:00+00'),
    (2, 'lost', 0, 0, FALSE, TIMESTAMPTZ '2025-03-05 00:00:00+00'),
    (3, '', -1.25, NULL, NULL, TIMESTAMPTZ '2025-03-03 00:00:00+00'),
    (4, NULL, NULL, 7, TRUE, TIMESTAMPTZ '2025-02-03 00:00:00+00')
) AS v(id, outcome, amount, n, won, met_at)
"""


@pytest.fixture(scope="module")
def both(postgres: Server, empty_mirror: str) -> Iterator[tuple[Store, Store]]:
    """A file and a server with the same few rows."""
    stores = DuckStore(threads=1), open_store(postgres.fresh(empty_mirror))
    for store in stores:
        store.execute(f"CREATE TEMP TABLE kpi_rows AS {ROWS}")
    yield stores
    for store in stores:
        store.close()


@settings(max_examples=60, deadline=None)
@given(text=CONDITIONS)
def test_a_condition_means_the_same_on_both_databases(both: tuple[Store, Store], text: str) -> None:
    """And every one that gets through can be asked."""
    found, mistakes = read(text, COLUMNS, Kind.TRUTH)
    assert () == mistakes

    in_file, shared = (store.rows(f"SELECT id, {found.sql} FROM kpi_rows ORDER BY id") for store in both)

    assert in_file == shared

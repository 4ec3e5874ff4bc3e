"""Patterns and statements on their way from DuckDB's words to PostgreSQL's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from b24metrics.errors import ConfigError
from b24metrics.mirror.stores import DuckStore, open_store
from b24metrics.mirror.stores.carry import carried
from b24metrics.mirror.stores.parameters import pieces
from b24metrics.mirror.stores.patterns import as_postgres

if TYPE_CHECKING:
    from tests.postgres import Server

PATTERNS = [
    r"(?i)(^|[^\pL\pN_])(test|тест)([^\pL\pN_]|$)", r"(?i)ТЕСТ", r"\btest\b", r"\Btest", r"^\w+$", r"[\d.]+x", r"[^\w\s]",
    r"\p{Lu}\p{Ll}+", r"\PL", r"(?P<word>a+)b", r"(?:ab)+?c", r"a{2,3}", r"[]a]", r"[[x]", r"\Qa.b\E", r"\.", r"\x{442}", r"\D\z",
    r"(\+7|8)[\s\-(]*\d{3}[\s\-)]*\d{3}[\s\-]*\d{2}[\s\-]*\d{2}",
]  # fmt: skip
TEXTS = ["", "test", "Test!", "атест", "тест", "ТЕСТ 2", "contest", "тестовый", "a test.", "aab", "abababc", "aa", "]", "[x", "a.b",
         "axb", "12.5x", "Котёл", "т", "call 8 (912) 345-67-89", "+79123456789", "_", " "]  # fmt: skip


@pytest.fixture(scope="module")
def answers(postgres: Server, empty_mirror: str) -> dict[tuple[str, str], tuple[bool, bool]]:
    """Whether each pattern matches each text: (in a file, in PostgreSQL)."""
    found: list[dict[tuple[str, str], bool]] = []
    for store in (DuckStore(), open_store(postgres.fresh(empty_mirror))):
        found.append(
            {
                (pattern, text): store.rows("SELECT regexp_matches(CAST(? AS VARCHAR), ?)", [text, pattern])[0][0]
                for pattern in PATTERNS
                for text in TEXTS
            }
        )
        store.close()
    return {key: (found[0][key], found[1][key]) for key in found[0]}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_the_same_texts(answers: dict[tuple[str, str], tuple[bool, bool]], pattern: str) -> None:
    """Whatever language the letters are of."""
    differing = {text: found for (of, text), found in answers.items() if of == pattern and found[0] != found[1]}

    assert {} == differing
    assert {True, False} == {found[0] for (of, _), found in answers.items() if of == pattern}


@pytest.mark.parametrize(("pattern", "word"), [(r"a(?i)b", "(?i)"), (r"\p{Greek}", r"\p{Greek}"), (r"[\W]", r"\W")])
def test_a_pattern_without_a_word_is_refused(pattern: str, word: str) -> None:
    """By name, instead of meaning something else."""
    with pytest.raises(ConfigError, match=re.escape(repr(word))):
        as_postgres(pattern)


def test_marks_in_quotes_and_comments_are_none() -> None:
    sql = "SELECT '?', \"?\", a /* ? */ FROM t -- ?\nWHERE b = ? AND c = 'it''s ?' AND d = ?"

    assert 3 == len(pieces(sql))


def test_a_temporary_table_replaces_its_namesake() -> None:
    """PostgreSQL knows no OR REPLACE for tables; the planner is told what is in the new one."""
    found = carried(
        "CREATE OR REPLACE TEMP TABLE x AS SELECT ? AS a, b % 2 FROM t WHERE regexp_matches(b, ?)", "letters"
    )

    assert "DROP TABLE IF EXISTS pg_temp.x" == found.statements[0]
    assert (
        'CREATE TEMPORARY TABLE x AS SELECT %(mirror_0)s AS a, b %% 2 FROM t WHERE (b) COLLATE "letters" ~ %(mirror_1)s'
        == found.statements[1]
    )
    assert "ANALYZE x" == found.statements[2]
    assert {1} == found.patterns

"""Inputs from a file: every kind has one form, mistakes are told line by line, nothing is half loaded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from b24metrics.cli import app
from b24metrics.errors import ConfigError
from b24metrics.mirror import schema
from b24metrics.mirror.inputs import FORMS, UNDATED, Input, load_inputs, read_inputs
from b24metrics.mirror.stores import DuckStore
from tests.conftest import ROOT

MARCH = date(2026, 3, 1)

EXAMPLES = {
    "visits": (
        "date;source;visits\n2026-03-02;WEB;1 500\n2026-03-02;;40\n",
        [
            Input("visits", "R", 0, date(2026, 3, 2), "WEB", Decimal(1500)),
            Input("visits", "T", 0, date(2026, 3, 2), "", Decimal(40)),
        ],
    ),
    "costs": (
        "month,level,subject_id,item,amount\n2026-03,M,101,salary,120000\n2026-03,T,,rent,50000.50\n",
        [
            Input("costs", "M", 101, MARCH, "salary", Decimal(120000)),
            Input("costs", "T", 0, MARCH, "rent", Decimal("50000.50")),
        ],
    ),
    "training": (
        "month,user_id,assigned,passed\n2026-03-15,101,4,3\n",
        [
            Input("training_assigned", "M", 101, MARCH, "", Decimal(4)),
            Input("training_passed", "M", 101, MARCH, "", Decimal(3)),
        ],
    ),
    "score": (
        "month,user_id,criterion,points\n2026-03,101,standards,3.8\n2026-03,101,8,4\n",
        [
            Input("score", "M", 101, MARCH, "standards", Decimal("3.8")),
            Input("score", "M", 101, MARCH, "communication", Decimal(4)),
        ],
    ),
    "call_points": (
        "call_id,c1,c2,c6,c9\n77,2,1,n/a,0\n",
        [
            Input("call_points", "call", 77, UNDATED, "1", Decimal(2)),
            Input("call_points", "call", 77, UNDATED, "2", Decimal(1)),
            Input("call_points", "call", 77, UNDATED, "9", Decimal(0)),
        ],
    ),
    "speech": (
        "call_id,operator_seconds,client_seconds\n77,180,120\n",
        [
            Input("speech", "call", 77, UNDATED, "operator", Decimal(180)),
            Input("speech", "call", 77, UNDATED, "client", Decimal(120)),
        ],
    ),
}


@pytest.fixture
def store() -> Iterator[DuckStore]:
    store = DuckStore(threads=1)
    yield store
    store.close()


def written(folder: Path, text: str, name: str = "inputs.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def kept(store: DuckStore) -> set[tuple[object, ...]]:
    return set(store.rows("SELECT kind, level, subject_id, starts_on, label, amount FROM inputs WHERE portal = 'here'"))


def test_every_kind_has_an_example() -> None:
    """A kind that nobody tries is a kind that does not work."""
    assert set(FORMS) == set(EXAMPLES)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_kind_is_read(tmp_path: Path, kind: str) -> None:
    """The documented columns, commas or semicolons, digits as people group them."""
    text, expected = EXAMPLES[kind]

    assert {kind: expected} == read_inputs(written(tmp_path, text), kind)


def test_a_toml_file_holds_several_kinds(tmp_path: Path) -> None:
    """The name of the table is the kind."""
    path = written(
        tmp_path,
        '[[visits]]\ndate = 2026-03-02\nsource = "WEB"\nvisits = 1500\n\n'
        '[[costs]]\nmonth = "2026-03"\nlevel = "M"\nsubject_id = 101\namount = 120000.5\n',
        "march.toml",
    )

    assert {
        "visits": [Input("visits", "R", 0, date(2026, 3, 2), "WEB", Decimal(1500))],
        "costs": [Input("costs", "M", 101, MARCH, "", Decimal("120000.5"))],
    } == read_inputs(path)
    assert {"costs"} == set(read_inputs(path, "costs"))


def test_the_guide_shows_files_that_are_read(tmp_path: Path) -> None:
    """Every kind has a section with an example, and TOML one of its own."""
    sections = (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8").split("\n## ")
    examples = {
        one.split("\n")[0]: one.split("```text\n")[1].split("```")[0]
        for one in sections
        if "```text" in one and one[0] != "#"
    }

    assert {*FORMS, "TOML"} == examples.keys()
    for kind in FORMS:
        assert read_inputs(written(tmp_path, examples[kind]), kind)[kind]
    assert {"visits", "costs"} == read_inputs(written(tmp_path, examples["TOML"], "a.toml")).keys()


@pytest.mark.parametrize(
    ("kind", "text", "lines"),
    [
        ("visits", "date,visits\n2026-13-01,1\n\n2026-03-01,many\n2026-03-02,1\n2026-03-02,2\n", [2, 4, 6]),
        ("costs", "month,level,subject_id,amount\n2026-03,X,1,1\n2026-03,M,Anna,1\n2026-03,T,5,1\n2026-03,M,1,-1\n", [2, 3, 4, 5]),
        ("training", "month,user_id,assigned,passed\n2026-03,1,2,3\n2026-03,x,2,1\n", [2, 3]),
        ("score", "month,user_id,criterion,points\n2026-03,1,charm,3\n2026-03,1,8,6\n2026-03,1,8,0\n2026-03,1,10,3\n", [2, 3, 4, 5]),
        ("call_points", "call_id,c1\n1,3\n2,\nx,1\n4,2\n4,1\n", [2, 3, 4, 6]),
        ("speech", "call_id,operator_seconds,client_seconds\n1,a,1\n2,1,\n", [2, 3]),
        ("visits", 'date,visits\n2026-03-01,1,,\n2026-03-02,1500,50\n2026-03-03,"1500,50"\n', [3]),
    ],
)  # fmt: skip
def test_every_mistake_is_told_with_its_line(tmp_path: Path, kind: str, text: str, lines: list[int]) -> None:
    """Nobody mends a file one error at a time."""
    with pytest.raises(ConfigError) as caught:
        read_inputs(written(tmp_path, text), kind)

    assert lines == [int(line.split()[1].rstrip(":")) for line in str(caught.value).splitlines()[1:]]


def test_mistakes_in_toml_have_lines_too(tmp_path: Path) -> None:
    """The line of the table, for every kind of the file."""
    path = written(
        tmp_path,
        '[[visits]]\ndate = 2026-03-02\nvisits = 1\n[[visits]]\ndate = 2026-03-03\nvisits = "x"\n'
        '[[score]]\nmonth = "2026-03"\nuser_id = 1\ncriterion = "standards"\npoints = 9\n',
        "march.toml",
    )
    with pytest.raises(ConfigError) as caught:
        read_inputs(path)

    told = str(caught.value)
    assert "line 4: visits is 'x'" in told
    assert "line 7: points is 9" in told


@pytest.mark.parametrize(
    ("name", "kind", "text", "expected"),
    [
        ("a.csv", None, "date,visits\n", "--kind"),
        ("a.csv", "weather", "date,visits\n", "There is no kind 'weather'"),
        ("a.csv", "visits", "date,visits,colour\n2026-03-01,1,red\n", "colour"),
        ("a.csv", "visits", "date\n2026-03-01\n", "lack the column visits"),
        ("a.toml", None, "[[weather]]\nx = 1\n", "weather"),
        ("a.toml", "costs", "[[visits]]\ndate = 2026-03-01\nvisits = 1\n", "holds no costs"),
        ("a.toml", None, "visits = 1\n", "line 1: visits is no list of tables"),
        ("a.toml", None, "[[visits\n", "not TOML"),
    ],
)
def test_a_file_that_cannot_be_meant(tmp_path: Path, name: str, kind: str | None, text: str, expected: str) -> None:
    """The message says what to do."""
    with pytest.raises(ConfigError) as caught:
        read_inputs(written(tmp_path, text, name), kind)

    assert expected in str(caught.value)


def test_loading_again_replaces_what_is_the_same(store: DuckStore) -> None:
    """Another month is added, the same month is corrected; with ``replace`` the file alone is true."""

    def costs(*rows: tuple[date, int]) -> dict[str, list[Input]]:
        return {"costs": [Input("costs", "M", 101, month, "", Decimal(amount)) for month, amount in rows]}

    april = date(2026, 4, 1)
    assert 1 == load_inputs(store, "here", costs((MARCH, 10)))
    load_inputs(store, "here", costs((MARCH, 11), (april, 12)))
    load_inputs(store, "there", costs((MARCH, 99)))
    assert {
        ("costs", "M", 101, MARCH, "", Decimal(11)),
        ("costs", "M", 101, april, "", Decimal(12)),
    } == kept(store)

    load_inputs(store, "here", costs((april, 13)), replace=True)
    assert {("costs", "M", 101, april, "", Decimal(13))} == kept(store)


def test_a_call_is_scored_anew_as_a_whole(store: DuckStore) -> None:
    """A criterion that no longer applies is gone."""

    def points(**of: int) -> dict[str, list[Input]]:
        return {"call_points": [Input("call_points", "call", 77, UNDATED, c[1:], Decimal(n)) for c, n in of.items()]}

    load_inputs(store, "here", points(c1=2, c2=1))
    load_inputs(store, "here", points(c1=0))

    assert {("call_points", "call", 77, UNDATED, "1", Decimal(0))} == kept(store)


def test_the_command_loads_or_changes_nothing(tmp_path: Path) -> None:
    """``b24metrics input FILE --kind costs``: numbers are there; a file with a mistake leaves them as they were."""
    path = tmp_path / "mirror.duckdb"
    store = DuckStore(path)
    store.upsert(schema.PORTALS, [{"portal": "here", "host": "here.example", "user_id": 1}])
    store.close()
    good = written(tmp_path, "month,level,subject_id,amount\n2026-03,M,101,10\n", "good.csv")
    bad = written(tmp_path, "month,level,subject_id,amount\n2026-04,M,101,10\n2026-05,M,101,much\n", "bad.csv")

    done = CliRunner().invoke(app, ["input", str(good), "--kind", "costs", "--mirror", str(path)])
    assert 0 == done.exit_code, done.output
    failed = CliRunner().invoke(app, ["input", str(bad), "--kind", "costs", "--mirror", str(path)])
    assert 0 != failed.exit_code

    store = DuckStore(path, read_only=True)
    assert {("costs", "M", 101, MARCH, "", Decimal(10))} == kept(store)
    store.close()

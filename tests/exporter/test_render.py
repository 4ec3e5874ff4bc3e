"""Text format, byte for byte."""

from __future__ import annotations

import gzip
import random
import subprocess
import zlib
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from b24exporter.publication import Publication
from b24metrics.exposition.text import Family, Renderer, fit, number

DEALS = Family(
    name="b24_deals_won",
    help="Deals won.",
    labels=("department_id", "window"),
    series={("11", "today"): 0.0, ("10", "mtd"): 3.0, ("10", "today"): 1},
)
INFO = Family(
    name="b24_manager_info",
    help='Names, "as in\nthe portal", C:\\people.',
    labels=("manager", "manager_id"),
    series={('O\'Neil "Max" \\ \n<b>', "7"): 1},
)


def test_text_is_what_a_person_would_write() -> None:
    """Families by name, series by label values, HELP and TYPE once, short numbers, escapes of the format."""
    expected = (
        "# HELP b24_deals_won Deals won.\n"
        "# TYPE b24_deals_won gauge\n"
        'b24_deals_won{department_id="10",window="mtd"} 3\n'
        'b24_deals_won{department_id="10",window="today"} 1\n'
        'b24_deals_won{department_id="11",window="today"} 0\n'
        '# HELP b24_manager_info Names, "as in\\nthe portal", C:\\\\people.\n'
        "# TYPE b24_manager_info gauge\n"
        'b24_manager_info{manager="O\'Neil \\"Max\\" \\\\ \\n<b>",manager_id="7"} 1\n'
        "# HELP b24_up Reached.\n"
        "# TYPE b24_up gauge\n"
        "b24_up 1\n"
    )

    up = Family("b24_up", "Reached.", (), {(): 1})
    assert expected == Renderer().text([up, INFO, DEALS]).decode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (7.0, "7"),
        (244000.0, "244000"),
        (81333.33333333333, "81333.33333333333"),
        (0.1, "0.1"),
        (-1.5, "-1.5"),
        (1e22, "1e+22"),
        (1e-7, "1e-07"),
        (9007199254740991.0, "9007199254740991"),
        (True, "1"),
    ],
)
def test_numbers_are_short_and_read_back(value: float, text: str) -> None:
    """Every number is printed in the shortest form that reads back as the same number."""
    assert text == number(value)
    assert value == float(text)


def test_the_order_of_arrival_leaves_no_trace() -> None:
    """The same series give the same bytes, whatever order families and series come in."""
    keys = [(str(a), str(b)) for a in range(9) for b in range(9)]
    shuffled = random.Random(1).sample(keys, len(keys))
    straight = [Family(n, "h", ("a", "b"), dict.fromkeys(keys, 1.5)) for n in ("x", "y")]
    crooked = [Family(n, "h", ("a", "b"), dict.fromkeys(shuffled, 1.5)) for n in ("y", "x")]

    assert Renderer().text(straight) == Renderer().text(crooked)


def test_a_second_round_shows_what_came_went_and_changed() -> None:
    """Kept prefixes never bring back a series that is gone, and a new one finds its place."""
    renderer = Renderer()
    renderer.text([DEALS])
    later = Family(DEALS.name, DEALS.help, DEALS.labels, {("10", "mtd"): 4, ("10", "7d"): 2})
    relabelled = Family(DEALS.name, DEALS.help, ("department_id", "season"), {("10", "mtd"): 5})

    assert [
        'b24_deals_won{department_id="10",window="7d"} 2',
        'b24_deals_won{department_id="10",window="mtd"} 4',
    ] == renderer.text([later]).decode().splitlines()[2:]
    assert ['b24_deals_won{department_id="10",season="mtd"} 5'] == renderer.text([relabelled]).decode().splitlines()[2:]
    assert b"" == renderer.text([])


def test_an_independent_parser_reads_the_same() -> None:
    """The client library's parser, which nobody here wrote, gives back names, labels and values."""
    families = {f.name: f for f in text_string_to_metric_families(Renderer().text([DEALS, INFO]).decode())}

    assert {
        tuple(sample.labels[name] for name in DEALS.labels): sample.value for sample in families[DEALS.name].samples
    } == DEALS.series
    (info,) = families[INFO.name].samples
    assert 'O\'Neil "Max" \\ \n<b>' == info.labels["manager"]
    assert INFO.help == families[INFO.name].documentation


def test_two_families_of_one_name_are_a_programming_error() -> None:
    """One name, one family: otherwise one series could be printed twice."""
    with pytest.raises(AssertionError, match="b24_deals_won"):
        Renderer().text([DEALS, DEALS])


def test_a_label_that_cannot_be_encoded_costs_one_character() -> None:
    """A lone surrogate, which UTF-8 has no bytes for, does not cost the round."""
    text = Renderer().text([Family("x", "h", ("a",), {("b\ud800c",): 1})])

    assert b'x{a="b?c"} 1' in text


def test_the_budget_drops_whole_families_largest_first() -> None:
    """Over the budget the largest optional family goes, whole; what must stay stays and is not counted as dropped."""
    small = Family("small", "h", ("i",), {(str(i),): 1 for i in range(3)}, optional=True)
    large = Family("large", "h", ("i",), {(str(i),): 1 for i in range(10)}, optional=True)
    needed = Family("needed", "h", ("i",), {(str(i),): 1 for i in range(20)})

    assert ([small, large, needed], {}) == fit([small, large, needed], 33)
    assert ([small, needed], {"large": 10}) == fit([small, large, needed], 32)
    assert ([needed], {"large": 10, "small": 3}) == fit([small, large, needed], 5)


def test_live_counters_join_the_one_gzip_member() -> None:
    """Packed and plain say the same, the packed one is a single member, and a scrape leaves the next one untouched."""
    publication = Publication(b"x 1\n" * 50_000)

    for own in (b"", b"own 1\n", b"own 2\n" * 300):
        packed = b"".join(publication.packed(own))
        reader = zlib.decompressobj(31)
        assert publication.body + own == reader.decompress(packed)
        assert reader.eof
        assert b"" == reader.unused_data
        assert publication.body + own == gzip.decompress(packed)
        assert publication.body + own == b"".join(publication.plain(own))


@pytest.mark.real
def test_promtool_has_nothing_to_say(program: Callable[[str], str]) -> None:
    """`promtool check metrics` accepts the text, hostile names included."""
    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=Renderer().text([DEALS, INFO]),
        capture_output=True,
        check=False,
    )

    assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)

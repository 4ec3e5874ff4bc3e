"""PHP's manners: parameters in, JSON out."""

from __future__ import annotations

import pytest

from b24metrics.sim import php


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("a=1&b=x%20y+z", {"a": "1", "b": "x y z"}),
        ("filter%5B%3EID%5D=10&order[ID]=ASC", {"filter": {">ID": "10"}, "order": {"ID": "ASC"}}),
        ("select[]=ID&select[]=TITLE", {"select": ["ID", "TITLE"]}),
        ("filter[@STAGE_ID][]=NEW&filter[@STAGE_ID][]=WON", {"filter": {"@STAGE_ID": ["NEW", "WON"]}}),
        (
            "f[0][logic]=OR&f[0][0][a]=1&f[0][1][b]=2&f[c]=3",
            {"f": {"0": {"logic": "OR", "0": {"a": "1"}, "1": {"b": "2"}}, "c": "3"}},
        ),
        ("a=1&a=2", {"a": "2"}),
        ("a[3]=x&a[]=y", {"a": {"3": "x", "4": "y"}}),
        ("a.b=1", {"a_b": "1"}),
        ("a[b=1", {"a_b": "1"}),
        ("", {}),
    ],
)
def test_query_strings_nest_as_in_php(query: str, params: php.Params) -> None:
    """Brackets nest, ``[]`` counts on, keys 0..n-1 are a list, later values win."""
    assert params == php.parse_query(query)


def test_an_unescaped_operator_ends_the_name() -> None:
    """A name ends at the first ``=`` even inside brackets: ``filter[>=ID]`` must be percent-encoded."""
    assert {"filter_>": "ID]=5"} == php.parse_query("filter[>=ID]=5")


def test_a_broken_json_body_means_no_parameters() -> None:
    assert {} == php.parse_json(b'{"filter": {')


def test_json_is_escaped_as_php_does() -> None:
    r"""Slashes as ``\/``, everything beyond ASCII as ``\uXXXX``, no blanks."""
    assert rb'{"a":"\u0416\/b","c":[1,null,true]}' == php.encode({"a": "Ж/b", "c": [1, None, True]})


@pytest.mark.parametrize(
    ("given", "wire"),
    [({}, []), ({"0": "a", "1": "b"}, ["a", "b"]), ({"0": "a", "2": "b"}, {"0": "a", "2": "b"}), ({"k": 1}, {"k": 1})],
)
def test_maps_leave_as_php_arrays(given: dict[str, object], wire: object) -> None:
    """Empty maps are ``[]``, keys 0..n-1 make a list, gaps keep an object."""
    assert wire == php.php_map(given)


@pytest.mark.parametrize(
    ("value", "number"), [("12abc", 12), ("", 0), (None, 0), (" 7", 7), ("-3", -3), ([], 0), ([1, 2], 1), ("x", 0)]
)
def test_integers_are_cast_as_in_php(value: object, number: int) -> None:
    assert number == php.integer(value)

"""PHP's manners, which are the portal's: how parameters arrive, how JSON leaves, how one type passes for another.

Laws: parameters are nested dicts and lists of str, int, float, bool and None; what came by form or query is all text.
Source: vendor, "Request encoding"; PHP's ``parse_str``, ``intval`` and ``json_encode``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote_plus
from xml.sax.saxutils import escape

Params = dict[str, object]

_SEGMENT = re.compile(r"\[([^\]]*)\]")
_INTEGER = re.compile(r"\s*[+-]?\d+")


def parse_query(text: str) -> Params:
    """``filter[>ID]=1&select[]=ID`` → nested parameters; the name ends at the first ``=`` even inside brackets."""
    pairs = (part.partition("=") for part in text.split("&") if part)
    return parse_pairs((unquote_plus(name), unquote_plus(value)) for name, _, value in pairs)


def parse_pairs(pairs: Iterable[tuple[str, str]]) -> Params:
    """Decoded name-value pairs → nested parameters; a later pair wins over an earlier of the same name."""
    params: Params = {}
    for raw, value in pairs:
        name = raw.lstrip(" ")
        if not name:
            continue
        path = _path(name)
        place: dict[str, object] = params
        for key in path[:-1]:
            step = _next_key(place) if key == "" else key
            inner = place.get(step)
            if not isinstance(inner, dict):
                inner = {}
                place[step] = inner
            place = inner
        last = path[-1]
        place[_next_key(place) if last == "" else last] = value
    return {key: _listed(value) for key, value in params.items()}


def _path(name: str) -> list[str]:
    """``a[b][]`` → ``["a", "b", ""]``; an unclosed bracket becomes part of the name."""
    start = name.find("[")
    if start <= 0:
        return [_mended(name)]
    path = [_mended(name[:start])]
    at = start
    while match := _SEGMENT.match(name, at):
        path.append(match[1])
        at = match.end()
    return path if len(path) > 1 else [_mended(name)]


def _mended(name: str) -> str:
    return name.replace(".", "_").replace(" ", "_").replace("[", "_")


def _next_key(place: Mapping[str, object]) -> str:
    return str(max((int(key) for key in place if key.isdigit()), default=-1) + 1)


def _listed(value: object) -> object:
    """PHP arrays with keys 0..n-1 are lists here."""
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(member) for key, member in value.items()}
    return list(inner.values()) if inner and is_list(inner) else inner


def is_list(value: Mapping[str, object]) -> bool:
    """Whether the keys are 0..n-1 in this order."""
    return all(key == str(index) for index, key in enumerate(value))


def parse_json(body: bytes) -> Params:
    """A JSON body; a broken one, or one that is no map, means "no parameters"."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return as_map(value)


def as_map(value: object) -> Params:
    """A PHP array as a map: lists get the keys 0..n-1; anything else is empty."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {str(index): member for index, member in enumerate(value)}
    return {}


def as_list(value: object) -> list[object]:
    """A PHP array as a list; a scalar is a list of one, nothing is an empty list."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list):
        return value
    return [] if value is None or value == "" else [value]


def is_array(value: object) -> bool:
    return isinstance(value, dict | list)


def text(value: object) -> str:
    """PHP's cast to string."""
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "Array" if is_array(value) else str(value)


def integer(value: object) -> int:
    """PHP's ``intval``: the leading digits, else 0; an array counts 1 unless it is empty."""
    if isinstance(value, bool | int | float):
        return int(value)
    if isinstance(value, dict | list):
        return 1 if value else 0
    match = _INTEGER.match(text(value))
    return int(match[0]) if match else 0


def yes(value: object) -> bool:
    """``Y``, ``1``, ``true`` and true are yes, as most of the vendor's switches take them."""
    return value is True or text(value).upper() in {"Y", "1", "TRUE"}


def no(value: object) -> bool:
    """``N``, ``0`` and false say no; nothing said is not a no."""
    return value is False or text(value).upper() in {"N", "0"}


def blank(value: object) -> bool:
    """Nothing given: absent, null or an empty text. An empty array is something."""
    return value is None or value == ""


def encode(value: object) -> bytes:
    r"""JSON as ``json_encode`` makes it: ``\/`` and ``\uXXXX``, nothing between the marks."""
    return (
        json.dumps(value, ensure_ascii=True, check_circular=False, separators=(",", ":"))
        .replace("/", "\\/")
        .encode("ascii")
    )


def number(value: float) -> int | float:
    """A JSON number without a trailing ``.0``."""
    return int(value) if float(value).is_integer() else float(value)


def php_map(value: Mapping[str, object]) -> object:
    """An associative array: ``[]`` when empty, a list when the keys are 0..n-1, else an object."""
    if not value:
        return []
    return list(value.values()) if is_list(value) else dict(value)


def dig(value: object, path: Sequence[str]) -> object:
    """Walk into nested arrays as far as the path goes; where it ends early, the deepest value found is kept."""
    for key in path:
        inner = as_map(value) if is_array(value) else {}
        if key not in inner:
            return value
        value = inner[key]
    return value


def encode_xml(value: Mapping[str, object]) -> bytes:
    """An answer as the suffix ``.xml`` wants it: elements named by keys, ``item`` for the members of lists."""
    return ('<?xml version="1.0" encoding="utf-8"?><response>' + _elements(value) + "</response>").encode()


def _elements(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = [("item" if str(key).isdecimal() else str(key), inner) for key, inner in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [("item", inner) for inner in value]
    else:
        return escape(text(value))
    return "".join(f"<{name}>{_elements(inner)}</{name}>" for name, inner in pairs)

"""The portal's way of writing: parameters as PHP reads them, and the envelopes that come back.

Laws: whatever PHP makes of an empty or numbered map is put right here and nowhere else. HTTP status never decides alone.
A reply that cannot be understood raises UnreadableReply; it is never taken for an empty one.
Source: vendor, "How to call REST", "Data encoding", "Batch", "Data types", "REST 3.0"; observed payloads.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from b24metrics.errors import UnreadableReply
from b24metrics.portal.address import Secret, checked_method
from b24metrics.portal.refusals import Refusal, read_refusal
from b24metrics.portal.request import Answer, Ref, Timing

try:
    import orjson
except ImportError:  # it comes with the mirror, and nothing but speed depends on it
    _PARSERS: tuple[Callable[[bytes], Any], ...] = (json.loads,)
else:
    # Half the time where texts are escaped as PHP does it. What it refuses (half characters, infinite numbers) is the
    # other's. It reads whole numbers past 64 bits as others; PHP has none either.
    _PARSERS = (orjson.loads, json.loads)

MAX_LEAVES = 900
"""Values that one command of a batch may carry: PHP drops those beyond ``max_input_vars`` (1000) without a word."""

_REFERENCE = re.compile(r"\$(result|total|next|time|error)\[")


# ---------------------------------------------------------------- asking


def plain(value: Any, *, where: str = "params") -> Any:
    """A parameter as JSON can carry it: enums by value, Decimal and dates as text, sets as lists.

    Raises:
        ValueError: an instant without a zone (the portal would read it in a zone of its own), a number that is none,
            a Ref outside a batch. TypeError: a value that has no meaning on the wire.
    """
    match value:
        case Enum():
            return plain(value.value, where=where)
        case None | bool() | int() | str():
            return value
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{where}: {value} cannot be sent")
            return value
        case Decimal():
            if not value.is_finite():
                raise ValueError(f"{where}: {value} cannot be sent")
            return format(value, "f")
        case datetime():
            if value.tzinfo is None:
                raise ValueError(f"{where}: an instant without a zone; the portal would read it in a zone of its own")
            return value.isoformat(timespec="seconds")
        case date():
            return value.isoformat()
        case Ref():
            raise ValueError(f"{where}: {value} has a meaning only inside a batch")
        case Mapping():
            return {_key(key, where): plain(item, where=f"{where}.{key}") for key, item in value.items()}
        case set() | frozenset():
            return [plain(item, where=where) for item in sorted(value, key=str)]
        case list() | tuple():
            return [plain(item, where=f"{where}[{n}]") for n, item in enumerate(value)]
        case _:
            raise TypeError(f"{where}: {type(value).__name__} has no meaning on the wire")


def json_body(value: Any) -> bytes:
    """A request's JSON body."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def query(params: Mapping[str, Any], refs: Mapping[str, str] | None = None) -> str:
    """Parameters in PHP's style: ``filter%5B%3EID%5D=10&select%5B%5D=ID``; brackets and operators are encoded.

    Booleans become 1 and 0, None becomes the empty text. An empty list or map on top is left out; inside, where PHP
    would drop it together with the condition it stood for, it is refused. ``refs`` are the batch keys that Refs may
    name; without it Refs are refused.

    Raises:
        ValueError, TypeError: as ``plain``; text that the portal would read as a reference; a key with brackets.
    """
    parts = (
        _of_texts(key, tuple(value), refs is not None)
        if type(value) is list and set(map(type, value)) == {str} and type(key) is str
        else _written({key: value}, refs)
        for key, value in params.items()
    )
    return "&".join(filter(None, parts))


def _written(params: Mapping[str, Any], refs: Mapping[str, str] | None) -> str:
    return "&".join(f"{_quoted(key)}={_quoted(text)}" for key, text in _leaves(params, "", refs))


@lru_cache(maxsize=256)  # the fields to ask for, in fifty commands the same
def _of_texts(key: str, texts: tuple[str, ...], in_batch: bool) -> str:
    return _written({key: texts}, {} if in_batch else None)


@lru_cache(maxsize=4096)  # fifty commands name the same fields
def _quoted(text: str) -> str:
    return quote(text, safe="")


def command(method: str, params: Mapping[str, Any], refs: Mapping[str, str] | None = None) -> str:
    """One command of a batch: ``method?query``."""
    asked = query(params, {} if refs is None else refs)
    return f"{checked_method(method)}?{asked}" if asked else checked_method(method)


def count_leaves(params: Any) -> int:
    """How many single values parameters hold."""
    if isinstance(params, Mapping):
        return sum(count_leaves(item) for item in params.values())
    if isinstance(params, (list, tuple, set, frozenset)):
        return sum(count_leaves(item) for item in params)
    return 1


def find_refs(value: Any) -> Iterator[Ref]:
    """All references inside parameters."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from find_refs(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            if type(item) is not str:  # fields to ask for are many
                yield from find_refs(item)


def replace_refs(value: Any, known: Callable[[Ref], Any]) -> Any:
    """The parameters with every reference replaced by what ``known`` says of it."""
    if isinstance(value, Ref):
        return known(value)
    if isinstance(value, Mapping):
        return {key: replace_refs(item, known) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [replace_refs(item, known) for item in value]
    return value


def resolve(ref: Ref, result: Any) -> Any:
    """What a reference points to in a result.

    Raises:
        LookupError: nothing; the portal would put in whatever it found on the way.
    """
    found = result
    for step in ref.path:
        if isinstance(found, list) and str(step).isdecimal():
            found = found[int(step)]
        elif isinstance(found, Mapping) and str(step) in found:
            found = found[str(step)]
        else:
            raise LookupError(str(step))
    return found


def _leaves(value: Any, path: str, refs: Mapping[str, str] | None) -> Iterator[tuple[str, str]]:
    if isinstance(value, Ref):
        if refs is None or value.name not in refs:
            raise ValueError(f"{path}: {value} names no earlier request of this batch")
        yield path, value.spelled(refs[value.name])
    elif isinstance(value, (Mapping, list, tuple, set, frozenset)):
        items: list[tuple[str, Any]]
        if isinstance(value, Mapping):
            items = [(_key(key, path), item) for key, item in value.items()]
        elif any(isinstance(item, (Mapping, list, tuple, set, frozenset)) for item in value):
            items = [(str(n), item) for n, item in enumerate(value)]  # [] would tear the parts of a record asunder
        else:
            items = [("", item) for item in (sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)]
        if not items and path.endswith("]"):
            raise ValueError(f"{path}: an empty list or map cannot be sent this way: the portal would not see it")
        for key, item in items:
            yield from _leaves(item, f"{path}[{key}]" if path else key, refs)
    else:
        text = _scalar(plain(value, where=path or "params"))
        if refs is not None and _REFERENCE.search(text):
            raise ValueError(f"{path}: the portal would read this text as a reference: send the request alone")
        yield path, text


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return str(value)


def _key(key: Any, where: str) -> str:
    if not isinstance(key, (str, int)) or isinstance(key, bool):
        raise TypeError(f"{where}: a key must be text or a number, not {type(key).__name__}")
    name = str(key.value if isinstance(key, Enum) else key)
    if "[" in name or "]" in name:
        raise ValueError(f"{where}: the key {name!r} holds a bracket: nest maps instead")
    return name


# ---------------------------------------------------------------- hearing


@dataclass(frozen=True, slots=True)
class Heard:
    """An HTTP reply, as it came. ``location``: where a redirect leads. ``cut``: the body is larger than allowed."""

    status: int
    body: bytes
    location: Secret = Secret("")  # noqa: RUF009 - it never changes
    cut: bool = False

    def __repr__(self) -> str:  # bodies hold personal data
        return f"Heard({self.status}, {len(self.body)} bytes)"


def read_answer(heard: Heard, *, method: str, host: str, scrub: Callable[[str], str] = str) -> Answer | Refusal:
    """The answer or the refusal that a reply holds.

    Raises:
        UnreadableReply: neither JSON nor an envelope.
    """
    payload = read_json(heard, host=host, scrub=scrub)
    if isinstance(payload, Mapping):
        if "result" in payload and not payload.get("error"):
            return Answer(
                payload["result"],
                _whole(payload.get("total")),
                _whole(payload.get("next")),
                timing(payload.get("time")),
            )
        if payload.get("error") is not None:
            return read_refusal(payload, method=method, status=heard.status, host=host, scrub=scrub)
    del payload  # it may quote the secret, and some tracebacks show variables
    raise _unreadable(heard, host, "JSON, but no answer of a portal: neither result nor error", scrub)


def read_json(heard: Heard, *, host: str, scrub: Callable[[str], str] = str) -> Any:
    """The JSON of a reply.

    Raises:
        UnreadableReply: it is something else, damaged, or too large.
    """
    if heard.cut:
        raise _unreadable(heard, host, "the reply is larger than allowed: ask for fewer fields", scrub)
    for parse in _PARSERS:
        try:
            return parse(heard.body)
        except (ValueError, RecursionError):
            pass  # told below: the error of the parser quotes the text
    raise _unreadable(heard, host, _looks(heard.body[:200].lstrip().lower()), scrub)


def _looks(start: bytes) -> str:
    """What a reply that is no JSON seems to be."""
    if start.startswith(b"<"):
        return "a web page, not REST: check the address; if it is right, the portal is down or being updated"
    if start.startswith((b"{", b"[")):
        return "the reply is cut off or damaged"
    return "the reply is not JSON" if start else "the reply is empty"


def _unreadable(heard: Heard, host: str, why: str, scrub: Callable[[str], str]) -> UnreadableReply:
    text = " ".join(heard.body[:2000].decode("utf-8", "replace").split())
    return UnreadableReply(
        f"{host} (HTTP {heard.status}): {why}", status=heard.status, host=host, excerpt=scrub(text)[:120]
    )


def read_batch(
    answer: Answer, methods: Mapping[str, str], *, status: int, host: str, scrub: Callable[[str], str] = str
) -> dict[str, Answer | Refusal]:
    """Key → answer or refusal of each command that was run. A command that was not run has no entry.

    ``methods`` are the methods sent, by key, in order.

    Raises:
        UnreadableReply: no batch result.
    """
    inside = answer.result
    if not isinstance(inside, Mapping):
        raise UnreadableReply(f"{host}: a batch was answered without its results", status=status, host=host)
    keys = list(methods)
    results, errors, totals, nexts, times = (
        _by_key(inside.get(name), keys)
        for name in ("result", "result_error", "result_total", "result_next", "result_time")
    )
    found: dict[str, Answer | Refusal] = {}
    for key, method in methods.items():
        if key in errors:
            told = errors[key]
            payload = told if isinstance(told, Mapping) and "error" in told else {"error": told}
            found[key] = read_refusal(payload, method=method, status=0, host=host, scrub=scrub)
        elif key in results:
            found[key] = Answer(results[key], _whole(totals.get(key)), _whole(nexts.get(key)), timing(times.get(key)))
    return found


def _by_key(part: Any, keys: Sequence[str]) -> Mapping[str, Any]:
    """A map of a batch result: PHP writes an empty one as [] and one whose keys count from 0 as a list."""
    if isinstance(part, Mapping):
        return part
    if isinstance(part, list):
        return dict(zip(keys, part, strict=False))
    return {}


def timing(part: Any) -> Timing:
    """The ``time`` of an envelope; whatever is missing or odd is None."""
    if not isinstance(part, Mapping):
        return Timing()
    finish = _number(part.get("finish"))
    return Timing(
        finish=finish if finish is not None else _instant(part.get("date_finish")),
        duration=_number(part.get("duration")),
        processing=_number(part.get("processing")),
        operating=_number(part.get("operating")),
        reset_at=_instant(part.get("operating_reset_at")),
    )


def _number(value: Any) -> float | None:
    """A number, also one written as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _instant(value: Any) -> float | None:
    """Epoch seconds, from a number or from ISO 8601 text with an offset."""
    number = _number(value)
    if number is not None or not isinstance(value, str):
        return number
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if at.tzinfo is None else at.timestamp()

"""Numbers that no portal has: people, or programs of theirs, write them into a file, the mirror keeps them by kind.

Laws: a kind has one form (``FORMS``); a file is loaded whole or not at all, and every mistake in it is told with its line.
Rows of the same key replace what was there; with ``replace`` everything else of those kinds goes, so that the file alone
is true. The form of every kind, with examples, stands in ``docs/inputs.md``.

A file is CSV with the kind's columns, or TOML with a list of tables for each kind (``[[costs]]``); then one file may hold
several kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final

from b24metrics.errors import ConfigError
from b24metrics.mirror.schema import INPUTS
from b24metrics.mirror.sheets import Cells, amount, csv_sheet, day, month, number, subject, toml_sheets
from b24metrics.mirror.stores import Store

_LARGEST: Final = Decimal(10) ** 14
#: What is said of a phone call has no date of its own: that of the call counts.
UNDATED: Final = date(1970, 1, 1)
#: Criteria of a scorecard, in the order of the template; a file may also number them.
CRITERIA: Final = (
    "calls", "talk_time", "successful_calls", "call_conversion", "average_check", "repeat_purchases", "positive_reviews",
    "communication", "standards",
)  # fmt: skip
_CALL_CRITERIA: Final = 10
_NOT_APPLICABLE: Final = frozenset({"", "-", "–", "n/a", "na", "н/д", "нет"})
_MOST_POINTS: Final = 2
_SCORES: Final = (Decimal(1), Decimal(5))


@dataclass(frozen=True, slots=True)
class Input:
    """One number. ``level``: M, D, T, R (a source) or call; ``label``: what of the subject; see ``schema.INPUTS``."""

    kind: str
    level: str
    subject_id: int
    starts_on: date
    label: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Form:
    """How a kind is written.

    Attributes:
        needed: columns that a row cannot do without. others: those that it may leave out.
        kinds: of the rows that it makes. meant: a row of the file to rows of the mirror.
    """

    needed: tuple[str, ...]
    others: tuple[str, ...]
    kinds: tuple[str, ...]
    meant: Callable[[Cells], tuple[Input, ...]]


def _visits(cells: Cells) -> tuple[Input, ...]:
    source = cells.get("source", "")
    return (Input("visits", "R" if source else "T", 0, day(cells), source, amount(cells, "visits", _LARGEST)),)


def _costs(cells: Cells) -> tuple[Input, ...]:
    level, who = subject(cells)
    return (Input("costs", level, who, month(cells), cells.get("item", ""), amount(cells, most=_LARGEST)),)


def _training(cells: Cells) -> tuple[Input, ...]:
    who, first, course = number(cells, "user_id"), month(cells), cells.get("course", "")
    assigned, passed = amount(cells, "assigned", _LARGEST), amount(cells, "passed", _LARGEST)
    if passed > assigned:
        raise ValueError(f"passed is {passed}: more than the {assigned} that were assigned")
    return (
        Input("training_assigned", "M", who, first, course, assigned),
        Input("training_passed", "M", who, first, course, passed),
    )


def _score(cells: Cells) -> tuple[Input, ...]:
    criterion = cells.get("criterion", "").lower()
    if criterion.isascii() and criterion.isdecimal() and 1 <= int(criterion) <= len(CRITERIA):
        criterion = CRITERIA[int(criterion) - 1]
    if criterion not in CRITERIA:
        raise ValueError(f"criterion is {cells.get('criterion', '')!r}: it is one of {', '.join(CRITERIA)}, or 1 … 9")
    points = amount(cells, "points", _LARGEST)
    if not _SCORES[0] <= points <= _SCORES[1]:
        raise ValueError(f"points is {points}: it must be between 1 and 5")
    return (Input("score", "M", number(cells, "user_id"), month(cells), criterion, points),)


def _call_points(cells: Cells) -> tuple[Input, ...]:
    found = []
    call = number(cells, "call_id")
    for criterion in range(1, _CALL_CRITERIA + 1):
        column = f"c{criterion}"
        if cells.get(column, "").lower() in _NOT_APPLICABLE:
            continue
        points = amount(cells, column, _LARGEST)
        if points not in {0, 1, _MOST_POINTS}:
            raise ValueError(f"{column} is {points}: it must be 0, 1 or 2, or empty where it does not apply")
        found.append(Input("call_points", "call", call, UNDATED, str(criterion), points))
    if not found:
        raise ValueError("no criterion has points: leave the line out")
    return tuple(found)


def _speech(cells: Cells) -> tuple[Input, ...]:
    call = number(cells, "call_id")
    return tuple(
        Input("speech", "call", call, UNDATED, who, amount(cells, f"{who}_seconds", _LARGEST))
        for who in ("operator", "client")
    )


#: Every kind that a file may hold.
FORMS: Mapping[str, Form] = {
    "visits": Form(("date", "visits"), ("source",), ("visits",), _visits),
    "costs": Form(("month", "level", "amount"), ("subject_id", "item"), ("costs",), _costs),
    "training": Form(
        ("month", "user_id", "assigned", "passed"), ("course",), ("training_assigned", "training_passed"), _training
    ),
    "score": Form(("month", "user_id", "criterion", "points"), (), ("score",), _score),
    "call_points": Form(
        ("call_id",), tuple(f"c{n}" for n in range(1, _CALL_CRITERIA + 1)), ("call_points",), _call_points
    ),
    "speech": Form(("call_id", "operator_seconds", "client_seconds"), (), ("speech",), _speech),
}


def read_inputs(path: Path, kind: str | None = None) -> Mapping[str, list[Input]]:
    """Numbers of a file, by kind.

    Args:
        path: CSV, or TOML where the name ends so.
        kind: which one; a TOML file may hold several, None reads all of them.

    Raises:
        ConfigError: the file cannot be read, or holds mistakes: all of them, with their lines.
    """
    if kind is not None and kind not in FORMS:
        raise ConfigError(f"There is no kind {kind!r}. The kinds are {', '.join(FORMS)}.")
    if path.suffix.lower() == ".toml":
        sheets = toml_sheets(path, "inputs")
        if unknown := [name for name in sheets if name not in FORMS]:
            raise ConfigError(f"{path} holds {', '.join(unknown)}. The kinds are {', '.join(FORMS)}.")
        chosen = sheets if kind is None else {name: sheet for name, sheet in sheets.items() if name == kind}
        if not chosen:
            raise ConfigError(f"{path} holds no {kind or 'inputs'}: write [[{kind or 'costs'}]] above each row.")
    elif kind is None:
        raise ConfigError(f"Say what {path} holds: --kind {', '.join(FORMS)}. Only a TOML file says so itself.")
    else:
        chosen = {kind: csv_sheet(path, "inputs")}
    found: dict[str, list[Input]] = {}
    wrong = []
    for name, sheet in chosen.items():
        form = FORMS[name]
        foreign = [column for column in sheet.head if column and column not in form.needed + form.others]
        if foreign:
            wrong.append(
                f"The {name} in {path} have the column {', '.join(foreign)}. "
                f"The columns are {', '.join(form.needed + form.others)}."
            )
            continue
        try:
            rows = sheet.read(form.needed, form.meant, _key)
        except ConfigError as error:
            wrong.append(str(error))
            continue
        found[name] = [one for row in rows for one in row]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return found


def read_files(paths: Sequence[Path]) -> Mapping[str, list[Input]]:
    """Numbers of several files, by kind. A CSV file says by its name what it holds: ``visits.csv``.

    Raises:
        ConfigError: as ``read_inputs``; or a kind stands in two files.
    """
    found: dict[str, list[Input]] = {}
    held: dict[str, Path] = {}
    for path in paths:
        for kind, numbers in read_inputs(path, None if path.suffix.lower() == ".toml" else path.stem.lower()).items():
            if kind in held:
                raise ConfigError(f"Both {held[kind]} and {path} hold {kind}: keep each kind in one file.")
            held[kind], found[kind] = path, numbers
    return found


def load_inputs(store: Store, portal: str, found: Mapping[str, Sequence[Input]], *, replace: bool = False) -> int:
    """Put numbers into the mirror; returns how many.

    Rows of a call replace all that was said of that call before, because what is left out does not apply.
    """
    rows = [
        {
            "portal": portal,
            "kind": one.kind,
            "level": one.level,
            "subject_id": one.subject_id,
            "starts_on": one.starts_on,
            "label": one.label,
            "amount": one.amount,
        }
        for numbers in found.values()
        for one in numbers
    ]
    with store.transaction():
        for name, numbers in found.items():
            kinds = FORMS[name].kinds
            for kind in kinds if replace else ():
                store.execute("DELETE FROM inputs WHERE portal = ? AND kind = ?", [portal, kind])
            for call in dict.fromkeys(one.subject_id for one in numbers if one.level == "call" and not replace):
                store.execute(
                    "DELETE FROM inputs WHERE portal = ? AND kind = ? AND level = 'call' AND subject_id = ?",
                    [portal, kinds[0], call],
                )
        if rows:
            store.upsert(INPUTS, rows)
    return len(rows)


def _key(row: tuple[Input, ...]) -> object:
    first = row[0]
    return first.level, first.subject_id, first.starts_on, "" if first.level == "call" else first.label

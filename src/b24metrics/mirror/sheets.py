"""Tables that people make: CSV out of a spreadsheet, TOML out of an editor, read so that every mistake has its line.

Laws: UTF-8, with or without a byte-order mark; commas or semicolons, as the head says; every cell is text without blanks
around it; nothing is given back of a file that holds a mistake. People paste "1 250 000,50" with no-break spaces.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeAlias, TypeVar

from b24metrics.errors import ConfigError

LARGEST = Decimal(10) ** 16
_MOST_TOLD = 10
_HEAD = re.compile(r"^\s*\[\[\s*[\"']?([\w-]+)[\"']?\s*\]\]")

#: Column → text.
Cells: TypeAlias = Mapping[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows of one table with the lines on which they stand.

    Attributes:
        what: how messages call it, such as "plans".
        head: columns; those of TOML are whatever its tables name.
        longer: lines that hold more than the head has columns, as where a decimal comma parts a number.
    """

    path: Path
    what: str
    head: tuple[str, ...]
    rows: tuple[tuple[int, Cells], ...]
    longer: frozenset[int] = frozenset()

    def read(self, needed: Sequence[str], meant: Callable[[Cells], T], key: Callable[[T], object]) -> list[T]:
        """What every row means.

        Args:
            needed: columns that a row cannot do without.
            meant: raises ValueError for a row that cannot be meant.
            key: no two rows may have the same one.

        Raises:
            ConfigError: every mistake, with its line.
        """
        missing = [name for name in needed if name not in self.head]
        if missing:
            raise ConfigError(
                f"The {self.what} in {self.path} lack the column {', '.join(missing)}. Its first line names the columns."
            )
        if twice := {name for name in self.head if name and self.head.count(name) > 1}:
            raise ConfigError(f"The {self.what} in {self.path} have the column {', '.join(sorted(twice))} twice.")
        found: dict[object, T] = {}
        mistakes = Mistakes(f"the {self.what} {self.path}")
        for line, cells in self.rows:
            if line in self.longer:
                mistakes.add(line, f"it holds more than {len(self.head)} cells: a number with a comma needs quotes")
                continue
            try:
                one = meant(cells)
            except ValueError as error:
                mistakes.add(line, str(error))
                continue
            if key(one) in found:
                mistakes.add(line, f"the same {self.what.removesuffix('s')} stands in an earlier line")
            found[key(one)] = one
        mistakes.settle()
        return list(found.values())


@dataclass(slots=True)
class Mistakes:
    """All that is wrong with a file."""

    place: str
    lines: list[str] = field(default_factory=list)

    def add(self, line: int, text: str) -> None:
        self.lines.append(f"  line {line}: {text}")

    def settle(self) -> None:
        """Raise what was found, the first ten spelled out.

        Raises:
            ConfigError: there was something.
        """
        if self.lines:
            count, told = len(self.lines), self.lines[:_MOST_TOLD]
            more = [f"  … and {count - _MOST_TOLD} more"] if count > _MOST_TOLD else []
            named = f"{count} mistake{'s' if count > 1 else ''}"
            raise ConfigError("\n".join([f"{named} in {self.place}:", *told, *more]))


def _text(path: Path, what: str, form: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"Cannot read the {what} in {path} ({error.strerror}). Check path and permissions.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The {what} in {path} are not UTF-8. Save the file as {form}.") from None


def csv_sheet(path: Path, what: str) -> Sheet:
    """A CSV file whose first line names the columns.

    Raises:
        ConfigError: the file cannot be read.
    """
    lines = _text(path, what, "CSV UTF-8").splitlines()
    first = next((line for line in lines if line.strip()), "")
    table = csv.DictReader(lines, delimiter=";" if first.count(";") > first.count(",") else ",")
    head = tuple(name.strip() for name in table.fieldnames or ())
    rows, longer = [], set()
    for row in table:
        cells = {name.strip(): (text or "").strip() for name, text in row.items() if name is not None}
        if any(text.strip() for text in row.get(None, ())):  # what the head has no column for
            longer.add(table.line_num)
        if any(cells.values()):
            rows.append((table.line_num, cells))
    return Sheet(path, what, head, tuple(rows), frozenset(longer))


def toml_sheets(path: Path, what: str) -> dict[str, Sheet]:
    """A TOML file of arrays of tables (``[[costs]]``), by their names.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    text = _text(path, what, "UTF-8")
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The {what} in {path} are not TOML: {error}. Mend that line.") from None
    starts: dict[str, list[int]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if head := _HEAD.match(line):
            starts.setdefault(head[1], []).append(number)
    sheets = {}
    mistakes = Mistakes(f"the {what} {path}")
    for name, tables in found.items():
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            mistakes.add(_line_of(text, name), f"{name} is no list of tables: write [[{name}]] above each row")
            continue
        lines = starts.get(name, [])
        if len(lines) != len(tables):  # written as an inline array: all rows stand on one line
            lines = [_line_of(text, name)] * len(tables)
        rows = [{key: _cell(value) for key, value in table.items()} for table in tables]
        columns = tuple(dict.fromkeys(key for row in rows for key in row))
        sheets[name] = Sheet(path, what, columns, tuple(zip(lines, rows, strict=True)))
    mistakes.settle()
    return sheets


def _line_of(text: str, name: str) -> int:
    return next((n for n, line in enumerate(text.splitlines(), start=1) if line.lstrip(" \t[\"'").startswith(name)), 1)


def _cell(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value).strip()


# ---------------------------------------------------------------- cells


def month(cells: Cells, column: str = "month") -> date:
    """``2026-03`` or any date of the month: its first day.

    Raises:
        ValueError: neither.
    """
    text = cells.get(column, "")
    try:
        return date.fromisoformat(text if text.count("-") == 2 else f"{text}-01").replace(day=1)
    except ValueError:
        raise ValueError(f"{column} is {text!r}: write it as 2026-03") from None


def day(cells: Cells, column: str = "date") -> date:
    """``2026-03-14``.

    Raises:
        ValueError: something else.
    """
    text = cells.get(column, "")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{column} is {text!r}: write it as 2026-03-14") from None


def number(cells: Cells, column: str) -> int:
    """An id.

    Raises:
        ValueError: no whole number, or one beyond what a portal numbers its records with.
    """
    text = cells.get(column, "")
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ValueError(f"{column} is {text!r}: a whole number is needed")
    return int(text)


def subject(cells: Cells) -> tuple[str, int]:
    """``level`` and ``subject_id``: M a user, D a department, T the company (0 or empty).

    Raises:
        ValueError: they cannot be meant.
    """
    level, who = cells.get("level", "").upper(), cells.get("subject_id", "")
    if level not in {"M", "D", "T"}:
        raise ValueError(f"level is {cells.get('level', '')!r}: M, D or T is needed")
    if level == "T":
        who = who or "0"
    if not who.isascii() or not who.isdecimal() or len(who) > 18:
        raise ValueError(f"subject_id is {who!r}: the number of a user or department is needed")
    if (level == "T") != (int(who) == 0):
        raise ValueError(f"subject_id is {who}: 0 stands for the company, and only for it")
    return level, int(who)


def amount(cells: Cells, column: str = "amount", most: Decimal = LARGEST) -> Decimal:
    """A number from 0 to below ``most``, as people write it.

    Raises:
        ValueError: something else.
    """
    text = cells.get(column, "")
    plain = text.translate({0x20: None, 0xA0: None, 0x202F: None})
    if plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        found = Decimal(plain)
    except InvalidOperation:
        raise ValueError(f"{column} is {text!r}: a number is needed") from None
    if not found.is_finite() or found < 0 or found >= most:
        bound = "ten quadrillion" if most == LARGEST else str(most)
        raise ValueError(f"{column} is {text!r}: it must be between 0 and {bound}")
    return found

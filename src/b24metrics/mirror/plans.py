"""Sales plans: people write them into a CSV file, the mirror keeps them beside the facts.

Laws: a portal gives out no plans over REST, so the file is the only source; loading replaces all plans of the portal in
one transaction, or nothing; every mistake is told with its line.

The file: UTF-8, comma or semicolon, with the head ``kpi_id,level,subject_id,month,amount``. ``kpi_id`` may be left out
(``revenue_won``); ``level`` is M (a user), D (a department) or T (the company, subject 0 or empty); ``month`` is
``2026-03`` or any date of the month; ``amount`` is in the reporting currency.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from b24metrics.errors import ConfigError
from b24metrics.mirror.schema import PLANS
from b24metrics.mirror.stores import Store

_LARGEST = Decimal(10) ** 16
_NEEDED = ("level", "month", "amount")
_MOST_TOLD = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What somebody is to reach in one month. ``month``: its first day. ``subject_id``: user or department, 0 for T."""

    kpi_id: str
    level: str
    subject_id: int
    month: date
    amount: Decimal


def read_plans(path: Path) -> list[Plan]:
    """Plans of a file.

    Raises:
        ConfigError: the file cannot be read, or every line that cannot be meant.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"Cannot read the plans in {path} ({error.strerror}). Check path and permissions.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The plans in {path} are not UTF-8. Save the file as CSV UTF-8.") from None
    first = text.splitlines()[0] if text.strip() else ""
    table = csv.DictReader(text.splitlines(), delimiter=";" if first.count(";") > first.count(",") else ",")
    missing = [name for name in _NEEDED if name not in (table.fieldnames or ())]
    if missing:
        raise ConfigError(
            f"The plans in {path} lack the column {', '.join(missing)}. Its first line names the columns."
        )
    plans: dict[tuple[str, str, int, date], Plan] = {}
    wrong: list[str] = []
    for line, row in enumerate(table, start=2):
        try:
            plan = _plan(row)
        except ValueError as error:
            wrong.append(f"  line {line}: {error}")
            continue
        key = (plan.kpi_id, plan.level, plan.subject_id, plan.month)
        if key in plans:
            wrong.append(f"  line {line}: the same plan stands in an earlier line")
        plans[key] = plan
    if wrong:
        more = [f"  … and {len(wrong) - _MOST_TOLD} more"] if len(wrong) > _MOST_TOLD else []
        raise ConfigError("\n".join([f"{len(wrong)} mistakes in the plans {path}:", *wrong[:_MOST_TOLD], *more]))
    return list(plans.values())


def load_plans(store: Store, portal: str, plans: Sequence[Plan]) -> None:
    """Replace all plans of a portal."""
    with store.transaction():
        store.execute("DELETE FROM plans WHERE portal = ?", [portal])
        store.upsert(
            PLANS,
            [
                {
                    "portal": portal,
                    "kpi_id": plan.kpi_id,
                    "level": plan.level,
                    "subject_id": plan.subject_id,
                    "month": plan.month,
                    "amount": plan.amount,
                }
                for plan in plans
            ],
        )


def _plan(row: Mapping[str | None, str | None]) -> Plan:
    cells = {name: (text or "").strip() for name, text in row.items() if name is not None}
    level = cells["level"].upper()
    if level not in {"M", "D", "T"}:
        raise ValueError(f"level is {cells['level']!r}: M, D or T is needed")
    subject = cells.get("subject_id", "")
    if level == "T":
        subject = subject or "0"
    if not subject.isdecimal():
        raise ValueError(f"subject_id is {subject!r}: the number of a user or department is needed")
    if (level == "T") != (int(subject) == 0):
        raise ValueError(f"subject_id is {subject}: 0 stands for the company, and only for it")
    return Plan(
        cells.get("kpi_id") or "revenue_won", level, int(subject), _month(cells["month"]), _amount(cells["amount"])
    )


def _month(text: str) -> date:
    try:
        return date.fromisoformat(text if text.count("-") == 2 else f"{text}-01").replace(day=1)
    except ValueError:
        raise ValueError(f"month is {text!r}: write it as 2026-03") from None


def _amount(text: str) -> Decimal:
    # People paste "1 250 000,50" from their spreadsheets, with no-break spaces.
    plain = text.translate({0x20: None, 0xA0: None, 0x202F: None})
    if plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        amount = Decimal(plain)
    except InvalidOperation:
        raise ValueError(f"amount is {text!r}: a number is needed") from None
    if not amount.is_finite() or amount < 0 or amount >= _LARGEST:
        raise ValueError(f"amount is {text!r}: it must be between 0 and ten quadrillion")
    return amount

"""Sales plans: people write them into a CSV file, the mirror keeps them beside the facts.

Laws: a portal gives out no plans over REST, so the file is the only source; loading replaces all plans of the portal in
one transaction, or nothing; every mistake is told with its line.

The file: UTF-8, comma or semicolon, with the head ``kpi_id,level,subject_id,month,amount``. ``kpi_id`` may be left out
(``revenue_won``); ``level`` is M (a user), D (a department) or T (the company, subject 0 or empty); ``month`` is
``2026-03`` or any date of the month; ``amount`` is in the reporting currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np

from b24metrics.mirror.schema import PLANS
from b24metrics.mirror.sheets import Cells, amount, csv_sheet, month, subject
from b24metrics.mirror.stores import Store

_NEEDED = ("level", "month", "amount")
#: Levels whose subjects have an id: where they stand, and what they are called.
_KNOWN = {"M": ("users", "user"), "D": ("departments", "department"), "call": ("phone_calls", "call")}


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
    return csv_sheet(path, "plans").read(
        _NEEDED, _plan, lambda plan: (plan.kpi_id, plan.level, plan.subject_id, plan.month)
    )


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


def strangers(store: Store, portal: str, subjects: Sequence[tuple[str, int]]) -> list[str]:
    """Whom a portal does not know of these levels and ids: ``user 999``, ``department 3``, ``call 12``; each once."""
    found = []
    for level, (table, said) in _KNOWN.items():
        if ids := dict.fromkeys(number for of_level, number in subjects if of_level == level):
            asked = np.array(list(ids), dtype=np.int64)
            known = store.arrow(f"SELECT id FROM {table} WHERE portal = ?", [portal]).column("id").to_numpy()
            found += [f"{said} {number}" for number in asked[~np.isin(asked, known)].tolist()]
    return found


def _plan(cells: Cells) -> Plan:
    level, who = subject(cells)
    return Plan(cells.get("kpi_id") or "revenue_won", level, who, month(cells), amount(cells))

"""Facts: dated, attributed rows over the mirror's tables.

Laws: all filters of the base population live here; a measure adds only a condition on the fact's own columns.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class View:
    """A named SELECT over mirror tables and other views. ``feeds``: mirror tables that must have been copied."""

    name: str
    sql: str
    feeds: tuple[str, ...] = ()
    needs: tuple[View, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact(View):
    """A view whose rows are counted: ``id``, ``at`` (unless a state), ``manager_id``, the axes, the measured columns.

    ``kind``: the entity that ``id`` names. ``state``: rows of the present, without ``at``; their only window is ``now``.
    """

    kind: str = ""
    state: bool = False

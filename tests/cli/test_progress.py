"""People see how a copy gets on, what it may still use, and what to do next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from b24metrics import console
from b24metrics.cli import next_step
from b24metrics.clock import HandClock
from b24metrics.mirror.forecast import Budgets
from b24metrics.mirror.sync import FeedStatus, Progress

SPENT = Budgets(requests=0.4, method="crm.deal.list", seconds=230.4, limit=480)
STRETCH = Progress("deals", 5_000, 20_000, 7_500, 30_000, 1_234.5, 95.0, SPENT)
WELL = FeedStatus(
    "deals", "deals", 10, backfilled=True, pending=0, cursor_at=None, cursor_id=None, synced_at=datetime.now(UTC),
    age_seconds=20, unread=0, error=None,
)  # fmt: skip


def test_where_nobody_watches_progress_is_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clock: HandClock
) -> None:
    """Now and then, with rows per second, both budgets and the time that is left; the last one always."""
    monkeypatch.setattr(console, "err", Console(stderr=True, force_terminal=False, width=200))
    with console.backfill_meter(clock) as show:
        show(STRETCH)
        clock.move(3)
        show(STRETCH)
        clock.move(8)
        show(replace(STRETCH, budgets=replace(SPENT, rests=140.0)))
        show(replace(STRETCH, all_rows=30_000, eta_seconds=0.0))
    lines = capsys.readouterr().err.replace("\u202f", " ").splitlines()

    begins, spent = (
        "copied 7 500 of about 30 000 rows (deals), 1 234 rows/s, 1 min 35 s left",
        "requests 40 %, crm.deal.list 230 of 480 s",
    )
    assert [
        f"{begins}; {spent}",
        f"{begins}; {spent}, resting 2 min 20 s",
        f"copied 30 000 of about 30 000 rows (deals), 1 234 rows/s, 0 s left; {spent}",
    ] == lines


def test_in_a_terminal_it_is_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With the same words beside it."""
    monkeypatch.setattr(console, "err", Console(stderr=True, force_terminal=True, width=200))
    with console.backfill_meter() as show:
        show(STRETCH)
    shown = capsys.readouterr().err.replace("\u202f", " ")

    assert "copying deals" in shown
    assert "crm.deal.list 230 of 480 s" in shown


def test_budgets_without_limits_are_not_told() -> None:
    """A portal of one's own limits no requests."""
    assert "crm.deal.list 230 of 480 s" == console.budgets(replace(SPENT, requests=None))
    assert "" == console.budgets(Budgets())


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (WELL, "nothing is to be done"),
        (replace(WELL, error="scope"), "Mend what stands under trouble"),
        (replace(WELL, backfilled=False, pending=3), "goes on where it stood"),
        (replace(WELL, age_seconds=4000), "Nobody keeps the mirror in step"),
        (replace(WELL, doubt="gone"), "Look whether the webhook's owner"),
    ],
)
def test_the_status_says_what_to_do(state: FeedStatus, words: str) -> None:
    """One sentence, the most urgent thing."""
    assert words in next_step([state, state])

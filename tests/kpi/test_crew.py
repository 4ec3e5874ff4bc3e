"""Steps side by side: order, failure, the end."""

from __future__ import annotations

import threading

import pytest

from b24metrics.kpi import crew
from b24metrics.kpi.aggregates import facts
from b24metrics.kpi.catalogue import KPIS
from b24metrics.kpi.crew import carry_out
from b24metrics.kpi.facts import Fact, View
from b24metrics.kpi.making import Step, steps

ALL = steps(dict.fromkeys(fact for kpi in KPIS.values() for fact in facts(kpi.measure)))


def needs(view: View) -> set[View]:
    return {view}.union(*(needs(one) for one in view.needs))


def test_every_table_is_made_once_and_behind_those_it_reads() -> None:
    """All that the facts read is in some step; a step makes or waits for whatever its tables read."""
    made = [view for step in ALL for view in step.makes]
    shared = {step.table.name for step in ALL}

    assert len(made) == len(set(made))
    assert set(made) == set().union(*(needs(step.table) for step in ALL if isinstance(step.table, Fact)))
    for step in ALL:
        read = {needed for view in step.makes for needed in view.needs}
        assert {view.name for view in read - set(step.makes)} == step.waits_for
        assert step.waits_for <= shared


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_step_begins_when_what_it_waits_for_is_done(workers: int) -> None:
    """Every step is carried out once, by a worker that is there, and never too early."""
    done: set[str] = set()
    early: list[str] = []
    by: list[int] = []

    def work(step: Step, worker: int) -> None:
        if not step.waits_for <= done:
            early.append(step.table.name)
        by.append(worker)
        done.add(step.table.name)

    carry_out(ALL, workers, work)

    assert ([], {step.table.name for step in ALL}) == (early, done)
    assert len(ALL) == len(by)
    assert set(by) <= set(range(workers))


def test_two_steps_are_carried_out_at_the_same_time() -> None:
    """Workers do not wait for each other: both meet inside their steps."""
    meeting = threading.Barrier(2)
    free = [step for step in ALL if not step.waits_for][:2]

    carry_out(free, 2, lambda _step, _worker: meeting.wait(timeout=30) and None)

    assert not meeting.broken


@pytest.mark.parametrize("failing", [0, 1])
def test_the_first_failure_ends_everything(monkeypatch, failing: int) -> None:
    """The other worker finishes its step and begins no more; the failure is raised, whoever met it."""
    meeting = threading.Barrier(2)
    told = threading.Event()
    begun: list[int] = []

    class Board(crew._Board):
        def give_up(self, error: BaseException) -> None:
            super().give_up(error)
            told.set()

    def work(_step: Step, worker: int) -> None:
        begun.append(worker)
        meeting.wait(timeout=30)
        if worker == failing:
            raise LookupError("no such thing")
        told.wait(timeout=30)

    monkeypatch.setattr(crew, "_Board", Board)
    before = threading.active_count()

    with pytest.raises(LookupError, match="no such thing"):
        carry_out([step for step in ALL if not step.waits_for], 2, work)

    assert ([0, 1], before) == (sorted(begun), threading.active_count())

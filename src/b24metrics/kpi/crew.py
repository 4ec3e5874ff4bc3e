"""Steps carried out by several workers at the same time.

Laws: a step begins when those that it waits for are done, and of those that could begin the one that most others wait for;
the first failure ends everything: nobody begins another step, and it is raised when all have put down their tools. The
calling thread is one of the workers, and with one worker the only one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from b24metrics.kpi.making import Step


def carry_out(steps: Sequence[Step], workers: int, work: Callable[[Step, int], None]) -> None:
    """Do ``work(step, worker)`` for every step; ``steps``: each behind those it waits for."""
    if workers == 1:
        for step in steps:
            work(step, 0)
        return
    board = _Board(steps)
    helpers = [threading.Thread(target=_help, args=(board, work, number), daemon=True) for number in range(1, workers)]
    for helper in helpers:
        helper.start()
    try:
        _work(board, work, 0)
    except BaseException as error:  # noqa: BLE001 - raised below, when the helpers have stopped
        board.give_up(error)
    finally:
        for helper in helpers:
            helper.join()
    if board.failure is not None:
        raise board.failure


def _help(board: _Board, work: Callable[[Step, int], None], worker: int) -> None:
    try:
        _work(board, work, worker)
    except BaseException as error:  # noqa: BLE001 - raised in the calling thread
        board.give_up(error)


def _work(board: _Board, work: Callable[[Step, int], None], worker: int) -> None:
    while (step := board.take()) is not None:
        work(step, worker)
        board.done(step)


class _Board:
    """What is to do, what is being done."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.failure: BaseException | None = None
        self._changed = threading.Condition()
        self._waited_for = _waited_for(steps)
        self._open = list(steps)
        self._done: set[str] = set()

    def take(self) -> Step | None:
        """The next step, as soon as there is one that can begin; None when nothing is left."""
        with self._changed:
            while self._open and self.failure is None:
                ready = [step for step in self._open if step.waits_for <= self._done]
                if ready:
                    step = max(ready, key=lambda one: self._waited_for[one])
                    self._open.remove(step)
                    return step
                self._changed.wait()
            return None

    def done(self, step: Step) -> None:
        with self._changed:
            self._done.add(step.table.name)
            self._changed.notify_all()

    def give_up(self, error: BaseException) -> None:
        with self._changed:
            if self.failure is None:
                self.failure = error
            self._changed.notify_all()


def _waited_for(steps: Sequence[Step]) -> dict[Step, int]:
    """How many steps cannot begin before each one is done."""
    behind: dict[str, set[str]] = {step.table.name: set() for step in steps}
    for step in reversed(steps):
        for name in step.waits_for:
            behind[name] |= {step.table.name, *behind[step.table.name]}
    return {step: len(behind[step.table.name]) for step in steps}

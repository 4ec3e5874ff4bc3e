"""Companies with a directory of stages, for tests of funnels and of time at stages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from b24metrics.mirror import schema
from tests.kpi.small import Company, at

SEMANTICS = {"WON": "S", "LOSE": "F"}


def semantics(stage: str) -> str:
    """P unless the stage's name says otherwise."""
    return SEMANTICS.get(stage.rpartition(":")[2], "P")


class Funnels(Company):
    """Stages A, B, C, D of the pipeline 0, success and failure; ``second()`` adds a pipeline 3 with A, B."""

    def __init__(self, **facts: Any) -> None:
        super().__init__(**facts)
        self.staff()
        self.stages(0, ("A", "B", "C", "D", "WON", "LOSE"))

    def stages(self, pipeline: int, names: Iterable[str], **facts: Any) -> None:
        prefix = f"C{pipeline}:" if pipeline else ""
        for place, name in enumerate(names, start=1):
            row = {
                "directory": f"DEAL_STAGE_{pipeline}", "status_id": prefix + name, "name": name.title(), "sort": 10 * place,
                "semantics": semantics(name), "entity_type_id": 2, "pipeline_id": pipeline,
            }  # fmt: skip
            self.add(schema.STATUSES, **(row | facts))

    def second(self) -> Funnels:
        self.add(schema.PIPELINES, entity_type_id=2, id=3, name="Second", sort=2, is_default=False)
        self.stages(3, ("A", "B", "WON", "LOSE"))
        return self

    def path(self, written: str, start: str = "03-03 10:00", step: timedelta = timedelta(hours=1), **facts: Any) -> int:
        """A deal that goes through the stages ``"A B C3:A WON"``, one every ``step`` from ``start`` on."""
        places = [(at(start) + step * n, stage) for n, stage in enumerate(written.split())]
        return self.walked(places, **facts)

    def walked(self, places: list[tuple[datetime, str]], **facts: Any) -> int:
        moved_at, stage = places[-1]
        standing = {
            "created_at": places[0][0], "moved_at": moved_at, "stage_id": stage, "semantics": semantics(stage),
            "pipeline_id": pipeline_of(stage),
        }  # fmt: skip
        deal = self.deal(**(standing | facts))
        for n, (moment, visited) in enumerate(places):
            self.move(
                deal, moment, semantics(visited), kind=1 if n == 0 else 2, stage_id=visited,
                pipeline_id=pipeline_of(visited),
            )  # fmt: skip
        return deal


def pipeline_of(stage: str) -> int:
    """A stage's id names its pipeline."""
    prefix, colon, _ = stage.partition(":")
    return int(prefix[1:]) if colon else 0

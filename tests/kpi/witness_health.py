"""Technical health (§11, end) once more: what the mirror knows of its own copies, and whether the company works."""

from __future__ import annotations

from b24metrics.mirror import schema
from tests.kpi.witness_ground import Ground, Told, seconds


class Health(Ground):
    """Answers of the chapter on health."""

    def answers(self) -> None:
        for row in self.rows(schema.FEED_STATE):
            name = row["feed"]
            if row["synced_at"] is not None:
                lag = seconds(self.now) - seconds(row["synced_at"])
                self.found["sync_lag_seconds", "T", (("entity", name),), "now"] = Told(lag)
            up = row["error"] is None and row["synced_at"] is not None
            self.found["source_up", "T", (("source", name),), "now"] = Told(int(up))
        compared = [row["reconciled_at"] for row in self.rows(schema.FEED_STATE) if row["reconciled_at"]]
        self.found["last_full_reconcile_seconds", "T", (), "now"] = Told(
            seconds(self.now) - min(map(seconds, compared)) if compared else None, len(compared)
        )
        opens = self.OFFICE.get(self.now.weekday())
        works = opens is not None and opens[0] <= self.now.hour < opens[1]
        self.found["company_working_now", "T", (), "now"] = Told(int(works), 1)

"""Facts, one file a subject; ``view`` says what they are."""

from b24metrics.kpi.facts.view import ASKED, ASSIGNMENTS, Fact, View

__all__ = ["ASKED", "ASSIGNMENTS", "Fact", "View"]

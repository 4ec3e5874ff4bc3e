"""Facts, one file a subject; ``view`` says what they are."""

from b24metrics.kpi.facts.view import ASKED, Fact, View

__all__ = ["ASKED", "Fact", "View"]

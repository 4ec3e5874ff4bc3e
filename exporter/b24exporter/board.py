"""What the daemon publishes and the web serves: one edition at a time, swapped whole.

Laws: an edition is never changed after it was put up; only the daemon writes on the board; a failing round leaves the
edition where it is and its age shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from b24exporter.publication import Publication
from b24metrics.kpi.model import Title
from b24metrics.kpi.results import Snapshot

_STARTING = Title("запускаемся", "starting")


@dataclass(frozen=True, slots=True)
class FeedState:
    """How far one entity's copy has come.

    Attributes:
        synced_at: epoch seconds of the last complete look; None before the first. every: seconds between two looks that
            are meant to be. rows: in the mirror. pending: rows of the past that are still to be copied.
        error: the last failure in one sentence, or None. reconciled_at: epoch seconds of the last comparison of all ids;
            None before the first. doubt: why what seems to be deleted in the portal is kept, or None. buried, healed:
            deletions, and records that were lost, which such comparisons have found so far.
    """

    name: str
    synced_at: float | None
    rows: int
    error: str | None = None
    pending: int = 0
    every: float = 0.0
    reconciled_at: float | None = None
    doubt: str | None = None
    buried: int = 0
    healed: int = 0

    def lag(self, now: float) -> float | None:
        """Seconds by which the copy is behind what was meant; None before the first look."""
        return None if self.synced_at is None else max(0.0, now - self.synced_at - self.every)


@dataclass(frozen=True, slots=True)
class PortalFacts:
    """What a reader should know of the portal. ``host`` is all of its address that is ever shown."""

    host: str
    zone: str
    currency: str


@dataclass(frozen=True, slots=True)
class Edition:
    """One round's results, ready to be sent.

    Attributes:
        at: epoch seconds at which the figures were last in step with the portal. series: printed. dropped: (family, reason) → series left out.
    """

    at: float
    snapshot: Snapshot
    publication: Publication
    portal: PortalFacts
    series: int
    dropped: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(slots=True)
class Board:
    """The daemon's notice board. Assignments are atomic; readers take ``edition`` once and keep it.

    Attributes:
        doing: what the running round is at, for those who wait. failure: why the last round failed, in a sentence.
        portal_up: whether the last round could speak to the portal; None when there is no portal to speak to.
        keeper: the other process that keeps the portal's mirror in step while this one stands by; None: this one does.
        seconds: phase → duration in the last round that had it. rounds: outcome → how many.
    """

    started_at: float
    edition: Edition | None = None
    feeds: tuple[FeedState, ...] = ()
    doing: Title = _STARTING
    failure: str | None = None
    portal_up: bool | None = None
    keeper: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    rounds: Mapping[str, int] = field(default_factory=lambda: {"good": 0, "failed": 0})

"""Chapter B of the catalogue: activity."""

from __future__ import annotations

from b24metrics.kpi.model import Kpi

CHAPTER: tuple[Kpi, ...] = ()

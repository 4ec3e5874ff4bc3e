"""All declared KPIs, by id, in the order of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from b24metrics.kpi import (
    activity,
    conversion,
    discipline,
    efficiency,
    feedback,
    health,
    invoices,
    planning,
    quality,
    retention,
    telephony,
    volume,
)
from b24metrics.kpi.model import Kpi

_CHAPTERS = (
    volume.CHAPTER, planning.CHAPTER, telephony.CHAPTER, activity.CHAPTER, invoices.CHAPTER, discipline.CHAPTER,
    conversion.CHAPTER, telephony.CONVERSION, efficiency.CHAPTER, retention.CHAPTER,
    quality.CHAPTER, health.CHAPTER, feedback.CHAPTER,
)  # fmt: skip

KPIS: Mapping[str, Kpi] = MappingProxyType({kpi.id: kpi for chapter in _CHAPTERS for kpi in chapter})

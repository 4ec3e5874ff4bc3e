"""Chapter D of the catalogue: conversion and funnel."""

from __future__ import annotations

from b24metrics.kpi.facts.deals import CLOSED_DEALS
from b24metrics.kpi.model import Better, Chapter, Kpi, Number, Ratio, Title, Unit, grains, windows

WIN_RATE = Kpi(
    id="win_rate",
    title=Title(ru="Доля выигранных сделок", en="Win rate"),
    measure=Ratio(Number(CLOSED_DEALS, where="outcome = 'won'"), Number(CLOSED_DEALS)),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D P R T, M×P"),
    windows=windows("7d 30d mtd qtd prev_month t90 t180"),  # t180: baseline of the rule on a falling win rate
    chapter=Chapter.CONVERSION,
    source="catalogue D 8.4: win_rate",
    definition=Title(
        ru="Выигранные сделки среди всех, закрытых за период.",
        en="Deals won among all deals closed in the window.",
    ),
    formula="won / (won + lost) by closed_at ∈ w",
)

CHAPTER = (WIN_RATE,)

"""The wall "Result": nine tiles for the office screen, one page, no scrolling. Layout only.

Source: catalogue §14, page 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from b24grafana import queries
from b24grafana.panels import (
    AGE_STEPS,
    NONE_WANTED,
    PACE_STEPS,
    PLAN_STEPS,
    SOURCE,
    Figure,
    Panel,
    described,
    figure,
    ranking,
    tile,
)
from b24grafana.sdk import dashboard, models, units
from b24metrics.kpi.catalogue import KPIS
from b24metrics.kpi.model import Language, Title, WindowId

AVG_DEAL_SIZE = KPIS["avg_deal_size"]
CALLS_COUNT = KPIS["calls_count"]
DEALS_WON_COUNT = KPIS["deals_won_count"]
FIRST_RESPONSE_SECONDS_MEDIAN = KPIS["first_response_seconds_median"]
NEW_DEALS_COUNT = KPIS["new_deals_count"]
OPEN_DEALS_COUNT = KPIS["open_deals_count"]
OPEN_DEALS_OVERDUE_ACTIVITY_COUNT = KPIS["open_deals_overdue_activity_count"]
OPEN_DEALS_WITHOUT_ACTIVITY_COUNT = KPIS["open_deals_without_activity_count"]
PLAN_ATTAINMENT_RATIO = KPIS["plan_attainment_ratio"]
REVENUE_WON = KPIS["revenue_won"]
TALK_TIME_TOTAL_SECONDS = KPIS["talk_time_total_seconds"]
WIN_RATE = KPIS["win_rate"]

TODAY, MTD, WEEK, NOW = WindowId.TODAY, WindowId.MTD, WindowId.D7, WindowId.NOW

#: Columns and rows of the page; kiosk mode stretches the rows to the screen.
WIDTH, HEIGHT = 24, 22


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tile hangs, in grid units."""

    x: int
    y: int
    w: int
    h: int


Hung = tuple[Place, Panel]


@dataclass(frozen=True, slots=True)
class Wall:
    """One page for a screen: its uid without the language, its title and the tiles of one language."""

    name: str
    title: Title
    tiles: Callable[[Language], tuple[Hung, ...]]


def result(language: Language) -> tuple[Hung, ...]:
    """Money on the left from top to bottom, then what leads to it; people on the right."""

    def said(ru: str, en: str) -> str:
        return Title(ru, en).said(language)

    today, month = Title("сегодня", "today"), Title("месяц", "month")
    pace = f"{queries.company(PLAN_ATTAINMENT_RATIO, MTD)} / ({queries.elapsed(MTD)} > 0)"  # 1 is on schedule
    left = (
        (
            Place(0, 0, 8, 6),
            tile(
                said("Продажи сегодня, $currency", "Sales today, $currency"),
                [figure(REVENUE_WON, queries.company(REVENUE_WON, TODAY))],
                described([REVENUE_WON], language),
                language,
            ),
        ),
        (
            Place(8, 0, 8, 6),
            tile(
                said("Продажи с начала месяца, $currency", "Sales month to date, $currency"),
                [figure(REVENUE_WON, queries.company(REVENUE_WON, MTD))],
                described([REVENUE_WON], language),
                language,
            ),
        ),
        (
            Place(0, 6, 8, 6),
            tile(
                said("План месяца", "Plan of the month"),
                [
                    figure(
                        PLAN_ATTAINMENT_RATIO,
                        queries.company(PLAN_ATTAINMENT_RATIO, MTD),
                        Title("выполнено", "attained"),
                        PLAN_STEPS,
                    ),
                    figure(PLAN_ATTAINMENT_RATIO, pace, Title("темп", "pace"), PACE_STEPS),
                ],
                described([PLAN_ATTAINMENT_RATIO], language)
                + "\n\n"
                + said(
                    "Темп — выполнение плана, делённое на долю прошедшего рабочего времени месяца; 100 % — точно в графике.",
                    "Pace is attainment divided by the share of the month's working time that has passed; 100 % is on schedule.",
                ),
                language,
            ),
        ),
        (
            Place(8, 6, 8, 6),
            tile(
                said("Выиграно сделок", "Deals won"),
                [
                    figure(DEALS_WON_COUNT, queries.company(DEALS_WON_COUNT, TODAY), today),
                    figure(DEALS_WON_COUNT, queries.company(DEALS_WON_COUNT, MTD), month),
                ],
                described([DEALS_WON_COUNT], language),
                language,
            ),
        ),
        (
            Place(0, 12, 8, 5),
            tile(
                said("Месяц: чек, $currency, и доля побед", "Month: deal size, $currency, and win rate"),
                [
                    figure(AVG_DEAL_SIZE, queries.company(AVG_DEAL_SIZE, MTD), Title("средний чек", "average")),
                    figure(WIN_RATE, queries.company(WIN_RATE, MTD), Title("выиграно", "won")),
                ],
                described([AVG_DEAL_SIZE, WIN_RATE], language),
                language,
            ),
        ),
        (
            Place(8, 12, 8, 5),
            tile(
                said("Сегодня: новые сделки и звонки", "Today: new deals and calls"),
                [
                    figure(NEW_DEALS_COUNT, queries.company(NEW_DEALS_COUNT, TODAY), Title("сделки", "deals")),
                    figure(CALLS_COUNT, queries.company(CALLS_COUNT, TODAY), Title("звонки", "calls")),
                    Figure(
                        Title("разговор, ч", "talk, h"),
                        f"{queries.company(TALK_TIME_TOTAL_SECONDS, TODAY)} / 3600",
                        units.LocaleFormat,
                        1,
                    ),
                ],
                described([NEW_DEALS_COUNT, CALLS_COUNT, TALK_TIME_TOTAL_SECONDS], language),
                language,
            ),
        ),
        (
            Place(0, 17, 8, 5),
            tile(
                said("Сделки в работе", "Open deals"),
                [
                    figure(OPEN_DEALS_COUNT, queries.company(OPEN_DEALS_COUNT, NOW), Title("всего", "all")),
                    figure(
                        OPEN_DEALS_WITHOUT_ACTIVITY_COUNT,
                        queries.company(OPEN_DEALS_WITHOUT_ACTIVITY_COUNT, NOW),
                        Title("без дел", "no next step"),
                        NONE_WANTED,
                    ),
                    figure(
                        OPEN_DEALS_OVERDUE_ACTIVITY_COUNT,
                        queries.company(OPEN_DEALS_OVERDUE_ACTIVITY_COUNT, NOW),
                        Title("просрочены", "overdue"),
                        NONE_WANTED,
                    ),
                ],
                described(
                    [OPEN_DEALS_COUNT, OPEN_DEALS_WITHOUT_ACTIVITY_COUNT, OPEN_DEALS_OVERDUE_ACTIVITY_COUNT], language
                ),
                language,
            ),
        ),
        (
            Place(8, 17, 8, 5),
            tile(
                said("Реакция на заявку · свежесть данных", "First response · freshness"),
                [
                    Figure(
                        Title("медиана за 7 дней, мин", "median of 7 days, min"),
                        f"{queries.company(FIRST_RESPONSE_SECONDS_MEDIAN, WEEK)} / 60",
                        units.LocaleFormat,
                    ),
                    Figure(
                        Title("возраст данных, с", "age of the figures, s"),
                        queries.AGE,
                        units.LocaleFormat,
                        0,
                        AGE_STEPS,
                    ),
                ],
                described([FIRST_RESPONSE_SECONDS_MEDIAN], language)
                + "\n\n"
                + said(
                    "Возраст данных — сколько секунд назад закончился последний полный цикл обновления.",
                    "Age is how many seconds ago the last complete refresh round ended.",
                ),
                language,
            ),
        ),
    )
    people = (
        Place(16, 0, 8, HEIGHT),
        ranking(
            said("Выполнение плана по менеджерам", "Plan attainment by manager"),
            # The order is stated last: a join promises none.
            f"sort_desc(topk(20, {queries.by_manager(PLAN_ATTAINMENT_RATIO, MTD)}) {queries.MANAGER_NAME})",
            "{{manager}}",
            PLAN_ATTAINMENT_RATIO,
            described([PLAN_ATTAINMENT_RATIO], language),
            PLAN_STEPS,
        ),
    )
    return (*left, people)


WALLS: tuple[Wall, ...] = (Wall("wall-result", Title("Экран: результат", "Wall: result"), result),)


def page(wall: Wall, language: Language) -> dashboard.Dashboard:
    """The dashboard of a wall in one language; ids and places are ours, the library would leave them out."""
    builder = (
        dashboard.Dashboard(wall.title.said(language))
        .uid(f"b24-{wall.name}-{language}")
        .tags(["b24metrics", "wall", language])
        .description(
            Title(
                "Экран отдела продаж: откройте с параметрами ?kiosk&autofitpanels.",
                "The office wall: open with ?kiosk&autofitpanels.",
            ).said(language)
        )
        .readonly()
        .refresh("1m")
        .time("now-24h", "now")
        .tooltip(models.DashboardCursorSync.OFF)
        .timepicker(dashboard.TimePicker().hidden(hidden=True))
        .with_variable(
            dashboard.DatasourceVariable("datasource")
            .label("Data source")
            .type("prometheus")
            .hide(models.VariableHide.HIDE_VARIABLE)
        )
        .with_variable(
            dashboard.QueryVariable("currency")
            .datasource(SOURCE)
            .query("label_values(b24_portal_info, currency)")
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .hide(models.VariableHide.HIDE_VARIABLE)
        )
    )
    for number, (place, panel) in enumerate(wall.tiles(language), start=1):
        builder = builder.with_panel(
            panel.id(number).grid_pos(models.GridPos(x=place.x, y=place.y, w=place.w, h=place.h))
        )
    return builder

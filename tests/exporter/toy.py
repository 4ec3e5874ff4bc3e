"""A small company by hand: enough samples for every kind of family, names as hostile as people can type them."""

from __future__ import annotations

from datetime import UTC, datetime

from b24exporter.board import Board, Edition, FeedState, PortalFacts
from b24exporter.layout import Layout
from b24exporter.publication import Publication
from b24metrics.kpi.facts import Fact
from b24metrics.kpi.model import (
    ALL,
    COMPANY,
    DEPARTMENT,
    MANAGER,
    NOW,
    OWN,
    OWN_PIPELINE,
    Better,
    Chapter,
    Kpi,
    Measure,
    Number,
    Plan,
    Quantile,
    Ratio,
    Title,
    Total,
    Unit,
    WindowId,
    grains,
)
from b24metrics.kpi.results import (
    DepartmentInfo,
    Directory,
    Interval,
    ManagerInfo,
    PipelineInfo,
    Sample,
    Snapshot,
    SourceInfo,
    StageInfo,
)

#: 2025-03-14 12:00 in Moscow.
AT = datetime(2025, 3, 14, 9, tzinfo=UTC)

WON = Fact(name="won_deals", sql="SELECT 1", kind="deal")


def a_kpi(kpi_id: str, ru: str, en: str, measure: Measure, unit: Unit, written: str, windows=ALL) -> Kpi:
    return Kpi(
        id=kpi_id, title=Title(ru, en), measure=measure, unit=unit, better=Better.HIGHER, grains=grains(written),
        windows=windows, chapter=Chapter.VOLUME, source="toy", definition=Title(f"{ru}, как есть.", f"{en}, as it is."),
        formula="x",
    )  # fmt: skip


REVENUE = a_kpi("revenue_won", "Объём продаж", "Revenue won", Total(WON, "amount"), Unit.MONEY, "M D T")
DEALS = a_kpi("deals_won_count", "Выигранные сделки", "Deals won", Number(WON), Unit.DEALS, "M D P T")
OPEN = a_kpi("open_deals_count", "Сделки в работе", "Open deals", Number(WON), Unit.DEALS, "M T", NOW)
RESPONSE = a_kpi(
    "first_response_seconds_median", "Время ответа", "First response", Quantile(WON, "w", 0.5), Unit.SECONDS, "M D T"
)
PLAN = a_kpi(
    "plan_attainment_ratio", "Выполнение плана", "Plan attainment",
    Ratio(Total(WON, "amount"), Plan("revenue_won")), Unit.RATIO, "M D T",
)  # fmt: skip
KPIS = (REVENUE, DEALS, OPEN, RESPONSE, PLAN)

ANNA, BORIS, VERA, ZOE = ("101", "102", "103", "104")
HOSTILE = 'Зоя "Max" \\ O\'Neil\n<script>alert(1)</script>\u202e&amp;\u0000'

DIRECTORY = Directory(
    managers=(
        ManagerInfo(101, "Анна Петрова", 11, active=True),
        ManagerInfo(102, "Борис Ким", 11, active=True),
        ManagerInfo(103, "Вера Соколова", 10, active=True),
        ManagerInfo(104, HOSTILE, 10, active=False),
    ),
    departments=(DepartmentInfo(10, "Отдел продаж", None, 103), DepartmentInfo(11, 'Группа <b>"Юг"</b>', 10, None)),
    pipelines=(PipelineInfo(0, "Общая", 10),),
    stages=(StageInfo("NEW", "Новая", 0, "P", 10), StageInfo("C1:WON", "Успех", 1, "S", 90)),
    sources=(SourceInfo("WEB", "Сайт"),),
)


def _samples() -> list[Sample]:
    mtd, today, now = WindowId.MTD, WindowId.TODAY, WindowId.NOW
    samples = [
        Sample(REVENUE, COMPANY, {}, mtd, 244_000.0), Sample(REVENUE, COMPANY, {}, today, 0.0),
        Sample(REVENUE, OWN, {"department_id": "10"}, mtd, 54_000.0),
        Sample(REVENUE, OWN, {"department_id": "11"}, mtd, 190_000.0),
        Sample(REVENUE, DEPARTMENT, {"department_id": "10"}, mtd, 244_000.0),
        Sample(DEALS, COMPANY, {}, mtd, 3.0), Sample(DEALS, COMPANY, {}, today, 0.0),
        Sample(DEALS, OWN_PIPELINE, {"department_id": "11", "pipeline_id": "0"}, mtd, 2.0),
        Sample(OPEN, COMPANY, {}, now, 3.0),
        Sample(RESPONSE, COMPANY, {}, today, None, n=0), Sample(RESPONSE, COMPANY, {}, mtd, 754.5, n=4),
        Sample(PLAN, COMPANY, {}, mtd, 0.488, numerator=244_000.0, denominator=500_000.0),
    ]  # fmt: skip
    for manager, department, fact, plan in (
        (ANNA, "11", 190_000.0, 300_000.0), (BORIS, "11", 0.0, 200_000.0),
        (VERA, "10", 54_000.0, 50_000.0), (ZOE, "10", 12_345_678.0, 40_000_000.0),
    ):  # fmt: skip
        labels = {"manager_id": manager, "department_id": department}
        samples.append(Sample(REVENUE, MANAGER, labels, mtd, fact))
        samples.append(Sample(PLAN, MANAGER, labels, mtd, fact / plan, numerator=fact, denominator=plan))
    return samples


def a_snapshot(samples=None) -> Snapshot:
    return Snapshot(
        portal="example.bitrix24.ru",
        at=AT,
        samples=tuple(_samples() if samples is None else samples),
        intervals={
            WindowId.TODAY: Interval(datetime(2025, 3, 13, 21, tzinfo=UTC), AT),
            WindowId.MTD: Interval(datetime(2025, 2, 28, 21, tzinfo=UTC), AT, 84 * 3600, 189 * 3600),
        },
        directory=DIRECTORY,
    )


LAYOUT = Layout(
    plan=PLAN,
    revenue=REVENUE,
    today=((REVENUE, WindowId.TODAY), (DEALS, WindowId.TODAY), (RESPONSE, WindowId.TODAY)),
    month=((REVENUE, WindowId.MTD), (DEALS, WindowId.MTD), (RESPONSE, WindowId.MTD)),
    present=((OPEN, WindowId.NOW),),
)

FEEDS = (
    FeedState("deals", AT.timestamp() - 12, 512_345),
    FeedState("activities", AT.timestamp() - 12, 100_000, pending=2_900_000),
    FeedState("phone_calls", None, 0, error="<i>telephony</i> may not be read: add the scope telephony."),
    FeedState("users", None, 0),
)


def an_edition(
    body: bytes = b"b24_deals_won 3\n", snapshot: Snapshot | None = None, at: float | None = None
) -> Edition:
    return Edition(
        at=AT.timestamp() if at is None else at,
        snapshot=a_snapshot() if snapshot is None else snapshot,
        publication=Publication(body),
        portal=PortalFacts("example.bitrix24.ru", "Europe/Moscow", "RUB"),
        series=body.count(b"\n"),
    )


def a_board(edition: Edition | None = None) -> Board:
    return Board(AT.timestamp(), edition=edition, feeds=FEEDS)

"""The pages of this folder that are made from declarations: KPIs, metric families, settings.

::

    python docs/generate.py            # write what differs
    python docs/generate.py --check    # compare, write nothing; exit code 1 where something differs

Laws: the same declarations give the same bytes (no dates); what can be said by a declaration is said there and not here;
what is printed here is what the exporter serves and what the settings accept.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from b24exporter.board import Board, Edition, FeedState, PortalFacts
from b24exporter.health import Health
from b24exporter.publication import Publication
from b24metrics.clock import HandClock
from b24metrics.config import CustomSettings, SaidSettings, Settings
from b24metrics.exposition.families import WINDOW_REMARK, collect, thresholds
from b24metrics.kpi.aggregates import facts
from b24metrics.kpi.catalogue import KPIS
from b24metrics.kpi.custom import SUBJECTS, columns_of
from b24metrics.kpi.expressions import FUNCTIONS
from b24metrics.kpi.facts import View
from b24metrics.kpi.model import (
    COMPANY,
    Axis,
    Better,
    Book,
    Chapter,
    Derived,
    Family,
    Grain,
    Kpi,
    Language,
    Measure,
    Number,
    Over,
    Plan,
    Previous,
    Ratio,
    Title,
    Total,
    Unit,
    WindowId,
)
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.results import Snapshot
from b24metrics.portal import GateStats, MethodStats

DOCS = Path(__file__).resolve().parent

_MARK = "<!-- Made by docs/generate.py from the declarations: change those and run `make generate`. -->"

Row = Sequence[str]


def pages() -> Mapping[str, str]:
    """Every generated page: file name → text."""
    made = {
        "kpi.md": kpi_page("en"),
        "kpi.ru.md": kpi_page("ru"),
        "kpi/sql.md": sql_page(),
        "kpi-coverage.md": coverage_page(),
        "custom-kpis.md": custom_page(),
        "metrics.md": metrics_page(),
        "configuration.md": configuration_page(),
    }
    for chapter in _CHAPTERS:
        made |= {f"kpi/{_place(chapter, language)}": chapter_page(chapter, language) for language in ("en", "ru")}
    return made


def stale(folder: Path = DOCS) -> list[str]:
    """Names of pages that differ from what would be made now, or are missing."""
    return [
        name
        for name, text in pages().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def write(folder: Path = DOCS) -> list[str]:
    """Write what differs; returns the names."""
    old, made = stale(folder), pages()
    for name in old:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(made[name], encoding="utf-8")
    return old


# ---------------------------------------------------------------- Markdown


def _table(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")  # also inside code: there GitHub shows it as a plain bar


def _code(text: str) -> str:
    return f"`{text}`"


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(_code(text) for text in texts)


def _page(*parts: str) -> str:
    return "\n\n".join((_MARK, *(part.strip("\n") for part in parts))) + "\n"


# ---------------------------------------------------------------- KPIs

_CHAPTERS: Mapping[Chapter, Title] = {
    Chapter.VOLUME: Title("Объём и план", "Volume and plan"),
    Chapter.ACTIVITY: Title("Активность", "Activity"),
    Chapter.DISCIPLINE: Title("Дисциплина и реакция", "Discipline and reaction"),
    Chapter.CONVERSION: Title("Конверсия и воронка", "Conversion and funnel"),
    Chapter.EFFICIENCY: Title("Эффективность менеджера", "Efficiency of managers"),
    Chapter.RETENTION: Title("Удержание и ценность клиентов", "Retention and value of customers"),
    Chapter.QUALITY: Title("Качество данных", "Quality of data"),
    Chapter.FEEDBACK: Title("Обратная связь клиентов", "Feedback of customers"),
    Chapter.HEALTH: Title("Состояние системы", "Technical health"),
}

_UNITS: Mapping[Unit, Title] = {
    Unit.RATIO: Title("доля от 0 до 1 (проценты показывают панели)", "ratio, 0 to 1 (panels show per cent)"),
    Unit.SECONDS: Title("секунды", "seconds"),
    Unit.MONEY: Title("деньги, в валюте отчёта", "money, in the reporting currency"),
    Unit.DEALS: Title("сделки", "deals"),
    Unit.CALLS: Title("звонки", "phone calls"),
    Unit.MONEY_PER_DAY: Title("деньги в день, в валюте отчёта", "money a day, in the reporting currency"),
    Unit.LEADS: Title("лиды", "leads"),
    Unit.REQUESTS: Title("заявки", "requests"),
    Unit.MEETINGS: Title("встречи", "meetings"),
    Unit.EMAILS: Title("письма", "e-mails"),
    Unit.SESSIONS: Title("чаты", "chats"),
    Unit.EVENTS: Title("события", "events"),
    Unit.TASKS: Title("задачи", "tasks"),
    Unit.ACTIVITIES: Title("дела", "activities"),
    Unit.MOVES: Title("переходы", "moves"),
    Unit.QUOTES: Title("предложения", "quotes"),
    Unit.INVOICES: Title("счета", "invoices"),
    Unit.UNITS: Title("единицы товара", "units of goods"),
    Unit.CUSTOMERS: Title("клиенты", "customers"),
    Unit.CONTACTS: Title("контакты", "contacts"),
    Unit.PURCHASES: Title("покупки", "purchases"),
    Unit.REVIEWS: Title("отзывы", "reviews"),
    Unit.RECORDS: Title("записи", "records"),
    Unit.MANAGERS: Title("менеджеры", "managers"),
    Unit.POINTS: Title("баллы", "points"),
    Unit.RANK: Title("место", "rank"),
    Unit.FLAG: Title("да или нет: 1 или 0", "yes or no: 1 or 0"),
}

_BETTER: Mapping[Better, Title] = {
    Better.HIGHER: Title("больше", "higher"),
    Better.LOWER: Title("меньше", "lower"),
    Better.NEITHER: Title("ни то ни другое: для понимания", "neither: context"),
    Better.BAND: Title("в пределах", "within a band"),
}

_AXES: Mapping[Axis, Title] = {
    Axis.MANAGER: Title("менеджер", "manager"),
    Axis.DEPARTMENT: Title("отдел с подотделами", "department with its sub-departments"),
    Axis.PIPELINE: Title("воронка", "pipeline"),
    Axis.STAGE: Title("этап", "stage"),
    Axis.SOURCE: Title("источник", "source"),
    Axis.CURRENCY: Title("валюта сделки", "currency of the deal"),
    Axis.LINE: Title("телефонная линия", "telephone line"),
}

#: What a fact reads → entities of the mirror, as `b24metrics status` names them.
_FEEDS: Mapping[str, Title] = {
    "requests": Title("лиды или сделки (смотря где появляются заявки)", "leads or deals (wherever requests appear)"),
    "deals": Title("сделки", "deals"),
    "leads": Title("лиды", "leads"),
    "deal_moves": Title("история этапов", "stage history"),
    "activities": Title("дела", "activities"),
    "phone_calls": Title("звонки", "phone calls"),
    "lead_moves": Title("история лидов", "history of leads"),
    "users": Title("пользователи", "users"),
    "statuses": Title("справочники этапов", "directories of stages"),
    "quotes": Title("предложения", "quotes"),
    "invoices": Title("счета", "invoices"),
    "invoice_moves": Title("история счетов", "history of invoices"),
    "payments": Title("оплаты", "payments"),
    "product_rows": Title("товарные строки", "product rows"),
    "contacts": Title("контакты", "contacts"),
    "companies": Title("компании", "companies"),
    "proposals": Title("предложения или этапы (смотря что настроено)", "quotes or stages (as configured)"),
    "purchases": Title("сделки или счета (смотря что считать покупкой)", "deals or invoices (whichever are purchases)"),
    "assignments": Title("наблюдение за ответственными", "observed changes of the person responsible"),
}

_WINDOWS: Sequence[tuple[str, Title]] = (
    ("now", Title("состояние на этот момент", "the present state")),
    ("today", Title("с 00:00 до этого момента", "from 00:00 until now")),
    ("yesterday", Title("весь вчерашний день", "the whole of yesterday")),
    ("7d, 30d", Title("последние 7 или 30 дней, скользящие", "the last 7 or 30 days, rolling")),
    ("wtd, mtd, qtd", Title("с начала недели, месяца, квартала", "since the week, month, quarter began")),
    ("prev_month", Title("весь прошлый месяц", "the whole of last month")),
    (
        "t90, t180, t365",
        Title("последние 90, 180, 365 дней: база для правил", "the last 90, 180, 365 days: baselines of rules"),
    ),
)

_SIGNS: Sequence[tuple[str, Title]] = (
    ("w", Title("окно", "the window")),
    ("d ∈ D", Title("сделки, которые считаются", "deals that count")),
    ("c ∈ C", Title("звонки, которые считаются", "phone calls that count")),
    ("sem(d)", Title("P в работе, S выиграна, F проиграна", "P in progress, S won, F lost")),
    ("won_at(d), closed_at", Title("момент выигрыша; выигрыша или проигрыша", "moment of the win; of the win or loss")),
    ("amt(d)", Title("сумма сделки в валюте отчёта", "amount of the deal in the reporting currency")),
    ("W_e, W0", Title("рабочее время сотрудника e; компании", "working time of the employee e; of the company")),
    ("Q50", Title("медиана", "median")),
    ("|…|", Title("количество", "how many")),
)

_INTRODUCTION = Title(
    ru="""
# Показатели

English: [KPIs](kpi.md).

Каждый показатель объявлен в коде один раз; эта страница, подсказки панелей, справка метрик и страница экспортёра сделаны из того же объявления.

```sh
b24metrics sync --once
b24metrics kpi revenue_won --by M --window mtd
```

## Общие правила

* Не считаются: шаблоны повторяющихся сделок, сделки и лиды со словом «тест» или «test» в названии и всё, что исключено в [настройках](configuration.md) (`[scope]`). Об удалённых записях: [копия портала](mirror.md#what-is-not-noticed).
* Сделка выиграна или проиграна в тот момент, когда она вошла в свой нынешний завершающий этап, по истории этапов; поле «дата завершения» люди правят, поэтому ему верят только по настройке `kpi.closed_at_source`.
* Выигранная сделка принадлежит тому, кто отвечал за неё, когда её впервые увидели выигранной, и пересчитывается по курсу того же момента. У сделок, закрытых до первого копирования, это нынешний ответственный и нынешний курс.
* Звонок принадлежит тому, кто говорил; дело — ответственному за него.
* Отдел — это все записи, чей ответственный состоит в отделе или в подотделах. Если у человека несколько отделов, считается первый или указанный в `scope.primary_departments`. Компания — все записи, не сумма отделов.
* Доли, медианы и средние считаются из записей на каждом уровне и никогда не усредняются.
* Пустая доля, медиана или среднее — это отсутствие значения, а не ноль. Количество и сумма по пустому множеству — ноль. Если сущность портала не скопирована (нет прав, нет телефонии), у её показателей нет ни одного значения.
* Рабочее время считается по [рабочему календарю](working-time.md) того, о ком речь.

## Окна

Полуоткрытые интервалы в часовом поясе отчёта.
""",
    en="""
# KPIs

По-русски: [Показатели](kpi.ru.md).

Every KPI is declared once, in code; this page, the descriptions of panels, the help of metrics and the exporter's page are made from the same declaration.

```sh
b24metrics sync --once
b24metrics kpi revenue_won --by M --window mtd
```

## Rules for all of them

* These never count: templates of recurring deals, deals and leads with "test" or "тест" as a word of their title, and whatever the [settings](configuration.md) exclude (`[scope]`). About deleted records: [the mirror](mirror.md#what-is-not-noticed).
* A deal was won or lost when it entered the final stage in which it now is, by its stage history; the field "closing date" is edited by people and is believed only with `kpi.closed_at_source`.
* A won deal belongs to the person who was responsible when it was first seen won, and is converted at the rate of that moment. For deals that were closed before the first copy, these are the present ones.
* A phone call belongs to the one who spoke, an activity to the one responsible for it.
* A department is all records whose manager belongs to it or to one of its sub-departments. Of a manager's several departments the first one counts, or the one in `scope.primary_departments`. The company is all records, not the sum of its departments.
* Ratios, medians and means are computed from records at every level and are never averaged.
* An empty ratio, median or mean is no value, not zero. A count or sum of nothing is zero. Where an entity of the portal was not copied (no permission, no telephony), its KPIs have no values at all.
* Working time follows the [working calendar](working-time.md) of the person concerned.

## Windows

Half-open intervals in the reporting zone.
""",
)


def kpi_page(language: Language) -> str:
    """All declared KPIs, by chapter."""

    def said(ru: str, en: str) -> str:
        return Title(ru, en).said(language)

    parts = [
        _INTRODUCTION.said(language),
        _table(
            (said("окно", "window"), said("что это", "what it is")),
            [(_codes(names.split(", ")), what.said(language)) for names, what in _WINDOWS],
        ),
        said("## Знаки в формулах", "## Signs in formulas"),
        _table(
            (said("знак", "sign"), said("что значит", "what it means")),
            [(_codes(signs.split(", ")), what.said(language)) for signs, what in _SIGNS],
        ),
    ]
    parts.append(said("## Компания для примеров", "## The company of the examples"))
    parts.append(_T1.said(language))
    for chapter in _CHAPTERS:
        place = f"kpi/{_place(chapter, language)}"
        parts.append(f"## {_CHAPTERS[chapter].said(language)}")
        parts.append(
            _table(
                (said("показатель", "KPI"), said("что это", "what it is"), said("единица", "unit")),
                [
                    (f"[{_code(kpi.id)}]({place}#{kpi.id})", kpi.title.said(language), _UNITS[kpi.unit].said(language))
                    for kpi in _declared(chapter)
                ],
            )
        )
    return _page(*parts)


def _declared(chapter: Chapter) -> list[Kpi]:
    return [kpi for kpi in KPIS.values() if kpi.chapter is chapter]


def _place(chapter: Chapter, language: Language) -> str:
    """File of a chapter, inside the folder ``kpi``."""
    return f"{chapter.name.lower()}{'.ru' if language == 'ru' else ''}.md"


def chapter_page(chapter: Chapter, language: Language) -> str:
    """The cards of one chapter."""
    other: Language = "en" if language == "ru" else "ru"
    there = Title(f"English: [{_CHAPTERS[chapter].en}]", f"По-русски: [{_CHAPTERS[chapter].ru}]").said(language)
    rules = Title(
        "Правила, окна и знаки: [Показатели](../kpi.ru.md).", "Rules, windows and signs: [KPIs](../kpi.md)."
    ).said(language)
    head = f"# {_CHAPTERS[chapter].said(language)}\n\n{there}({_place(chapter, other)}).\n\n{rules}"
    return _page(head, *(_card(kpi, language) for kpi in _declared(chapter)))


def _card(kpi: Kpi, language: Language) -> str:
    """One KPI. The heading is the id, so that links to it hold in both languages."""

    def said(ru: str, en: str) -> str:
        return Title(ru, en).said(language)

    read = facts(kpi.measure)
    feeds = dict.fromkeys(feed for fact in read for feed in fact.feeds)
    sources = [*(_FEEDS[feed].said(language) for feed in feeds), *(_code(kind) for kind in _inputs(kpi))]
    section = kpi.source.removeprefix("catalogue ").removesuffix(f": {kpi.id}")
    rows = [
        (said("формула", "formula"), _code(kpi.formula)),
        (said("единица", "unit"), _UNITS[kpi.unit].said(language)),
        (said("хорошо, когда", "good is"), _BETTER[kpi.better].said(language)),
        (said("окна", "windows"), _codes(window for window in WindowId if window in kpi.windows)),
        (said("разрезы", "cut by"), "; ".join(_cut(grain, language) for grain in kpi.grains)),
        *([(said("метки", "labels"), _codes(kpi.labels))] if kpi.labels else []),
        (said("складывается", "adds up"), said("да", "yes") if kpi.adds_up else said("нет", "no")),
        (said("если нечего считать", "with nothing to count"), _emptiness(kpi, language)),
        (said("нужны", "needs"), ", ".join(sources) or "-"),
        ("SQL", ", ".join(f"[{_code(fact.name)}](sql.md#{fact.name})" for fact in read) or "-"),
        (said("раздел каталога", "section of the catalogue"), section),
    ]
    if kpi.families:
        rows.append((said("ряды", "series"), _codes(family.name for family in kpi.families)))
    shown = [one for one in examples() if one.kpi == kpi.id]
    parts = [
        f"### {kpi.id}",
        f"**{kpi.title.said(language)}.** {kpi.definition.said(language)}",
        _table((said("что", "what"), said("значение", "value")), rows),
    ]
    if shown:
        told = "\n".join(_told_example(one, language) for one in shown)
        parts.append(said("Пример, компания T1:", "Example, company T1:") + "\n\n" + told)
    if read:
        parts.append(f"```sh\n{_explained(kpi)}\n```")
    return "\n\n".join(parts)


def _told_example(one: Example, language: Language) -> str:
    labels = "".join(f" {_code(f'{name}={value}')}" for name, value in one.labels if value)
    amount = f"{one.value:,.4f}".rstrip("0").rstrip(".").replace(",", " ")
    amount = amount.replace(".", ",") if language == "ru" else amount
    how = f" ({one.how})" if one.how else ""
    return f"* {_code(one.window)} {_code(one.level)}{labels}: **{amount}**{how}"


def _explained(kpi: Kpi) -> str:
    """The command that lists the records behind a number of this KPI."""
    grain = COMPANY if COMPANY in kpi.grains else kpi.grains[0]
    needed = [name for name in grain.labels if name != "department_id" or "manager_id" not in grain.labels]
    labels = [f"{name}={_SAMPLE_LABELS.get(name, '…')}" for name in (*needed, *kpi.fact_labels)]
    by = [] if grain == COMPANY else ["--by", str(grain).replace("×", "x")]
    return " ".join(["b24metrics explain", kpi.id, *labels, *by, "--window", kpi.windows[0]])


_SAMPLE_LABELS: Mapping[str, str] = {
    "manager_id": "101", "department_id": "10", "pipeline_id": "0", "stage_id": "NEW", "stage": "NEW", "source_id": "WEB",
    "source": "WEB", "currency": "RUB", "entity": "deals",
}  # fmt: skip


def _emptiness(kpi: Kpi, language: Language) -> str:
    nothing = Title("нет значения", "no value").said(language)
    return "0" if isinstance(kpi.measure, Number | Total) else nothing


def _inputs(kpi: Kpi) -> list[str]:
    """What of a KPI comes from files: plans, and kinds of inputs."""
    found = dict.fromkeys([f"inputs.{kpi.needs_input}"] if kpi.needs_input else [])

    def look(measure: Measure) -> None:
        match measure:
            case Plan(book=Book.PLANS):
                found["plans"] = None
            case Plan(kpi_id=kind, book=Book.INPUTS):
                found[f"inputs.{kind}"] = None
            case Ratio():
                look(measure.numerator)
                look(measure.denominator)
            case Previous() | Over():
                look(measure.of)
            case Derived():
                for one in measure.inputs.values():
                    look(one)
            case _:
                pass

    look(kpi.measure)
    return list(found)


# ---------------------------------------------------------------- worked examples


class Example(NamedTuple):
    """One line of ``examples.csv``: a figure of company T1, typed from a card, and how it comes about."""

    kpi: str
    window: str
    level: str
    labels: tuple[tuple[str, str], ...]
    value: float
    how: str


@cache
def examples() -> tuple[Example, ...]:
    """The worked examples, in the order of their file."""
    with (DOCS / "examples.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Example(
                row["kpi"],
                row["window"],
                row["level"],
                tuple(
                    (name, value) for name, _, value in (one.partition("=") for one in row["labels"].split(";") if one)
                ),
                float(row["value"]),
                row["how"],
            )
            for row in csv.DictReader(file)
        )


_T1 = Title(
    ru="""
T1 живёт в тестах: сейчас пятница, 14 марта 2025, 12:00 по Москве; работают с понедельника по пятницу, с 9 до 18.
В продажах Анна (101, отдел 11), Борис (102, отдел 12), Вера (103, отдел 10, над обоими) и уволенный Глеб (104, отдел 11).
План марта 500 000 ₽: Анна 300 000, Борис 200 000; 1 USD = 90 ₽, 100 KZT = 18 ₽.
Сделки называются d1 … d12, счета i1 … i4, телефоны P1 … P11, клиенты C1 … C9.
""",
    en="""
T1 lives in the tests: it is Friday, 14 March 2025, 12:00 in Moscow; people work from Monday to Friday, 9 to 18.
Sales are Anna (101, department 11), Boris (102, department 12), Vera (103, department 10, above both) and Gleb (104, department 11), dismissed.
The plan of March is 500,000 ₽: Anna 300,000, Boris 200,000; 1 USD = 90 ₽, 100 KZT = 18 ₽.
Deals are called d1 … d12, invoices i1 … i4, telephones P1 … P11, clients C1 … C9.
""",
)


# ---------------------------------------------------------------- SQL, coverage, KPIs of one's own


def sql_page() -> str:
    """Every view that a KPI reaches, those that it reads before it."""
    ordered: dict[View, None] = {}
    said = _said_of_views()

    def visit(view: View) -> None:
        for one in view.needs:
            visit(one)
        ordered.setdefault(view, None)

    for kpi in KPIS.values():
        for fact in facts(kpi.measure):
            visit(fact)
    parts = [
        """
# SQL of the facts

What the [KPIs](../kpi.md) count, as the database is asked: each becomes a temporary table of an evaluation, after those that it reads.
`$name` is a bound value; tables `kpi_…` that are not shown here hold the settings and directories of the evaluation.
On PostgreSQL the same text is carried over by sqlglot.
"""
    ]
    for view in ordered:
        reads = ", ".join(f"[{_code(one.name)}](#{one.name})" for one in view.needs)
        text = view.sql.strip("\n")
        parts.append(f"## {view.name}")
        if view.name in said:
            parts.append(said[view.name])
        if reads:
            parts.append(f"Reads {reads}.")
        parts.append(f"```sql\n{text}\n```")
    return _page(*parts)


def _said_of_views() -> Mapping[str, str]:
    """What stands above each view in the source: its columns and the edges that it decides."""
    found = {}
    for path in sorted((DOCS.parent / "src/b24metrics/kpi/facts").glob("*.py")):
        for match in _ABOVE.finditer(path.read_text(encoding="utf-8")):
            text = " ".join(line.removeprefix("#:").strip() for line in match["lines"].splitlines())
            found[match["name"]] = text.replace("``", "`")
    return found


_ABOVE = re.compile(r'(?P<lines>(?:^#:.*\n)+)^\w+(?:: \w+)? = (?:View|Fact)\(\s*"(?P<name>\w+)"', re.MULTILINE)


def coverage_page() -> str:
    """Every id of the catalogue: where its numbers come from, and which tests prove them."""
    ids = (DOCS.parent / "tests" / "golden" / "kpi_ids.txt").read_text(encoding="utf-8").split("\n")
    tests = {
        path.name: path.read_text(encoding="utf-8") for path in sorted((DOCS.parent / "tests/kpi").glob("test_*.py"))
    }
    rows, done = [], 0
    for line in filter(None, ids):
        chapter, written = line.split()
        kpi = KPIS.get(written.partition("{")[0])
        if kpi is None:
            rows.append((chapter, _code(written), "no", "-", "-"))
            continue
        done += 1
        feeds = dict.fromkeys(feed for fact in facts(kpi.measure) for feed in fact.feeds)
        source = [f"REST: {', '.join(_FEEDS[feed].en for feed in feeds)}"] if feeds else []
        source += [f"file: {_code(kind)}" for kind in _inputs(kpi)]
        own = kpi.chapter is Chapter.HEALTH and not source
        naming = [name for name, text in tests.items() if re.search(rf"\b{kpi.id}\b", text) and name not in _GENERAL]
        rows.append(
            (
                chapter,
                f"[{_code(written)}](kpi/{_place(kpi.chapter, 'en')}#{kpi.id})",
                "yes",
                "; ".join(source) or ("the mirror's own state" if own else "other KPIs"),
                ", ".join(_code(name.removesuffix(".py")) for name in naming) or _code("test_both_stores"),
            )
        )
    return _page(
        f"""
# Which KPIs there are

{done} of the {len(rows)} ids of the catalogue are implemented.
Every id is also proven on an empty company and on one record (`tests/kpi/test_one_record.py`), on both databases (`test_both_stores.py`) and by the records behind it (`test_explain.py`).
What comes from a file is told in [inputs](inputs.md) and [plans](mirror.md#plans); without it there is no sample.
""",
        _table(("chapter", "id", "implemented", "input", "tests in `tests/kpi`"), rows),
    )


#: Tests of all ids alike.
_GENERAL = {
    "test_both_stores.py",
    "test_explain.py",
    "test_model.py",
    "test_one_record.py",
    "test_surface.py",
    "test_sql.py",
}


def custom_page() -> str:
    """How KPIs of one's own are written, and what they may name."""
    keys = [
        (
            _code(key),
            _kind(field.annotation),
            "required" if field.is_required() else _default(field.default),
            field.description or "",
        )
        for key, field in CustomSettings.model_fields.items()
    ]
    known = columns_of()
    parts = [
        _CUSTOM,
        _table(("key", "value", "default", "meaning"), keys),
        "Units: " + _codes(Unit) + ".",
        """
## Expressions

`where`, `among` and `column` are expressions over the columns of the fact, and over nothing else: no other table, no subquery, no parameter, no comment.
They are read down to the last word and written anew; what is not known is refused with the words that are wrong.
""",
        _table(
            ("what", "how it is written"),
            [
                ("numbers, texts, truth", "`0.5`, `'won'`, `TRUE`, `NULL`"),
                ("instants", "`TIMESTAMPTZ '2025-03-01T00:00:00+03:00'`"),
                (
                    "conditions",
                    "`AND`, `OR`, `NOT`, `=`, `<>`, `IN (…)`, `IS NULL`, `LIKE 'a%'`; `<`, `<=`, `>`, `>=`, `BETWEEN` for numbers and instants",
                ),
                ("arithmetic", "`+`, `-`, `*`, `/`; a division by zero gives nothing"),
                ("choice", "`CASE WHEN … THEN … ELSE … END`"),
                ("functions", _codes(FUNCTIONS)),
            ],
        ),
        "## Facts and their columns",
    ]
    for name, subject in SUBJECTS.items():
        when = "the present: window `now`" if subject.fact.state else "dated: every window but `now`"
        listed = ", ".join(f"{_code(column)} {kind}" for column, kind in known[name].items())
        parts.append(
            f"### {name}\n\n{subject.title.en}; {when}.\nSQL: [{_code(subject.fact.name)}](kpi/sql.md#{subject.fact.name}).\n\n{listed}."
        )
    return _page(*parts)


_CUSTOM = """
# KPIs of your own

Write one `[[custom]]` section for each into the settings file:

```toml
[[custom]]
id = "large_deals_won"
title = { ru = "Крупные сделки", en = "Large deals" }
definition = { ru = "Выигранные сделки от 500 000.", en = "Deals won from 500,000 on." }
fact = "closed_deals"
measure = "count"
where = "outcome = 'won' AND amount >= 500000"
by = ["T", "D", "M"]
windows = ["mtd", "prev_month"]
unit = "deals"
better = "higher"

[[custom]]
id = "long_talk_share"
title = "Long talks"
fact = "calls"
measure = "share"
where = "duration_seconds >= 180"
among = "connected"
```

Look at them before anything else is started; every mistake of every one is told at once:

```sh
b24metrics config --config b24metrics.toml
```

From then on they are like all others: `b24metrics kpi large_deals_won`, `b24metrics explain large_deals_won`, `b24metrics history`, and `/metrics`, where their names begin like those of all KPIs.
The id must be new, and so must be the names of its metrics.
"""


def _cut(grain: Grain, language: Language) -> str:
    named = " × ".join(_AXES[axis].said(language) for axis in grain.axes)
    return f"{_code(str(grain))} {named or Title('компания', 'company').said(language)}"


# ---------------------------------------------------------------- metric families


def metrics_page() -> str:
    """Every family that the exporter serves."""
    kpis = (part for kpi in KPIS.values() for part in _families(kpi))
    about = [
        (family.name, "gauge", family.labels, family.help)
        for family in (*collect(_SILENT, ()).families, *thresholds(KpiOptions()))
    ]
    head = ("family", "type", "labels", "HELP")
    return _page(
        f"""
# Metric families

What `/metrics` of [b24exporter](exporter.md) serves, and only that.
What the KPIs mean stands in [KPIs](kpi.md).

* Units are base units: seconds, the reporting currency, ratios from 0 to 1.
* Series carry ids; names are in the `…_info` families. Join them last: `… * on (manager_id) group_left (manager) b24_manager_info`.
* `window` is one of a closed set. Pin it in every query: sums over windows mean nothing.
* `b24_<kpi>` counts the *own* members of each department, so that `sum(b24_revenue_won{{window="mtd"}})` is the company; `department_id="0"` is everybody outside the sales departments.
* `b24_department_<kpi>` includes sub-departments: never sum it.
* What does not add up (ratios, means, medians) is ready at every level, with `b24_company_<kpi>` for the company.
* No series means no data: an empty ratio, an entity that was not copied, a past that is still being copied.

## KPIs

HELP of a family is what stands beside it, then the sentence above its table, then: "{_ending()}"
""",
        *kpis,
        "## Names, windows and thresholds",
        _table(head, [_family_row(*row) for row in sorted(about)]),
        """
## The exporter itself

These are told live at every scrape.
Beside them stand `process_…` and `python_…` of the Prometheus client library.
""",
        _table(head, [_family_row(*row) for row in sorted(_own())]),
    )


def _family_row(name: str, kind: str, labels: Iterable[str], help_: str) -> Row:
    return (_code(name), kind, _codes(labels) or "–", help_)


def _families(kpi: Kpi) -> Iterator[str]:
    yield f"### {kpi.id}\n\n{kpi.definition.en}"
    yield _table(
        ("family", "labels", "HELP begins"),
        [(_code(family.name), _codes(family.labels), _beginning(family)) for family in kpi.families],
    )


def _beginning(family: Family) -> str:
    """HELP up to the definition, which stands above the table."""
    return family.help().partition(family.kpi.definition.en)[0].strip()


def _ending() -> str:
    """What HELP of every KPI family ends with, as it is printed."""
    kpi = next(iter(KPIS.values()))
    return f"{kpi.families[0].help().partition(kpi.definition.en)[2].strip()} {WINDOW_REMARK}"


#: A snapshot without a single figure: its families still have names, labels and help.
_SILENT = Snapshot("portal.example", HandClock().at, ())


def _own() -> list[tuple[str, str, tuple[str, ...], str]]:
    """The exporter's word about itself, read back from what it prints when it has something to say about everything."""
    clock = HandClock()
    feed = FeedState("deals", clock.now(), 1, reconciled_at=clock.now())
    edition = Edition(
        clock.now(),
        _SILENT,
        Publication(b""),
        PortalFacts("portal.example", "UTC", "RUB"),
        1,
        {("family", "budget"): 1},
    )
    board = Board(clock.now(), edition, (feed,), portal_up=True, seconds={"sync": 1.0}, rounds={"good": 1})
    method = MethodStats("crm.deal.list", 1.0, 480.0, 0.0, 0.0, 0.1, 0)
    stats = GateStats(1, 0, 0, 0, 0.0, 0.0, 50.0, 0.0, (method,))
    text = (
        Health(board, clock, "0", gate=lambda: stats, working_now=lambda _: True, notices=lambda: {"taken": 1.0})
        .text()
        .decode()
    )
    found = []
    for family in text_string_to_metric_families(text):
        if family.name.startswith("b24_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found.append((name, family.type, tuple(family.samples[0].labels), family.documentation))
    return found


# ---------------------------------------------------------------- settings

_SETTINGS = """
# Settings

Everything has a default: no file is needed.
What is given in several places is taken from the first of these:

1. options of the command line;
2. environment variables;
3. the settings file;
4. defaults.

The file is TOML; name it with `--config FILE` or in `B24_CONFIG`.
Every key is shown in [b24metrics.example.toml](../exporter/b24metrics.example.toml).
Relative paths in it start at its own folder.
An unknown key is an error, and all errors are told at once:

```sh
b24metrics config --config b24metrics.toml
```

## Secrets

The webhook's address is a secret: whoever has it can read the portal.
Put it into the environment variable `B24_WEBHOOK`, or into a file of its own that only the daemon may read and name that file in `portal.webhook_file`.
Secrets never appear in logs or messages.

## Environment

A variable is called `B24_`, the section, two underscores, the key, in capitals: `B24_REPORTING__ZONE=Europe/Moscow`.
Lists and tables are written as JSON: `B24_SCOPE__DEPARTMENTS='[3, 4]'`.
`B24_WEBHOOK` is short for `B24_PORTAL__WEBHOOK`.
An unknown key of a known section is an error; other variables that begin with `B24_` are not looked at.

## Example

```toml
plans_file = "plans.csv"

[portal]
webhook_file = "/etc/b24metrics/webhook"

[reporting]
zone = "Europe/Moscow"

[scope]
departments = [3]
exclude_pipelines = [7]

[calendar]
tz = "Europe/Moscow"
week = { mon-fri = ["09:00-18:00"] }
holidays = "RU"
```
"""


def configuration_page() -> str:
    """Every key, with default, environment form and meaning."""
    parts = [_SETTINGS]
    head = ("key", "value", "default", "environment", "meaning")
    top: list[Row] = []
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if name == "custom":
            parts.append("## [[custom]]\n\nKPIs of your own: [their keys, and what they may name](custom-kpis.md).")
            continue
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            top.append(_key_row(name, field, f"B24_{name.upper()}"))
            continue
        rows = [
            _key_row(key, inner, f"B24_{name.upper()}__{key.upper()}") for key, inner in section.model_fields.items()
        ]
        parts += [f"## [{name}]", _sentence(section), _table(head, rows)]
    parts += ["## Without a section", _table(head, top), "What `[calendar]` may hold: [working time](working-time.md)."]
    parts.append("What the file of plans holds: [the mirror](mirror.md#plans).")
    return _page(*parts)


def _sentence(section: type[BaseModel]) -> str:
    """A section's docstring without the name in front."""
    said = (section.__doc__ or "").partition(":")[2].strip()
    return said[:1].upper() + said[1:]


def _key_row(key: str, field: FieldInfo, variable: str) -> Row:
    if not field.description:
        raise ValueError(f"{variable}: the setting has no description")
    variable = "B24_WEBHOOK" if variable == "B24_PORTAL__WEBHOOK" else variable
    return (
        _code(key),
        _kind(field.annotation, field.metadata),
        _default(field.default),
        _code(variable),
        field.description,
    )


def _kind(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """What may be written, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType}:
        return _kind(next(one for one in arguments if one is not NoneType), metadata)
    if origin is Annotated:
        return _kind(arguments[0], metadata)
    if origin is Literal:
        return _codes(arguments)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return _codes(annotation)
    if origin in {frozenset, tuple}:
        return f"list of {_PLURAL.get(arguments[0], 'tables')}"
    if origin is not None and issubclass(origin, Mapping):
        return "table"
    return _KINDS[annotation] + _bounds(metadata)


_PLURAL: Mapping[Any, str] = {int: "ids", str: "texts", Path: "paths", tuple[float, float]: "pairs of numbers"}
_KINDS: Mapping[Any, str] = {
    bool: "`true`, `false`", int: "whole number", float: "number", str: "text", Path: "path", date: "date",
    SecretStr: "text", SaidSettings: "text, or one for `ru` and one for `en`",
}  # fmt: skip
_BOUNDS: Sequence[tuple[str, str]] = (("ge", "from"), ("gt", "above"), ("le", "to"), ("lt", "below"))


def _bounds(metadata: Sequence[Any]) -> str:
    found = [
        f"{word} {getattr(one, name):,}".replace(",", " ")
        for name, word in _BOUNDS
        for one in metadata
        if getattr(one, name, None) is not None
    ]
    return f" {' '.join(found)}" if found else ""


def _default(value: object) -> str:
    """As TOML writes it."""
    match value:
        case None:
            return "–"
        case bool():
            return _code(str(value).lower())
        case Mapping():
            return _code("{}")
        case frozenset() | tuple() if len(value) > _LISTED:
            return f"{len(value)} texts"
        case frozenset():
            return _code(f"[{', '.join(_toml(one) for one in sorted(value))}]")
        case tuple():
            return _code(f"[{', '.join(map(_toml, value))}]")
        case _:
            return _code(_toml(value))


#: More values than these are only counted.
_LISTED = 5


def _toml(value: object) -> str:
    if isinstance(value, str | Path):
        quote = "'" if "\\" in str(value) else '"'
        return f"{quote}{value}{quote}"
    return str(value)


# ---------------------------------------------------------------- the door


def main(arguments: Sequence[str]) -> int:
    """Write, or with ``--check`` compare; returns the exit code."""
    checking = list(arguments) == ["--check"]
    work: Callable[[], list[str]] = stale if checking else write
    names = work()
    for name in names:
        print(f"docs/{name} {'is not fresh: run make generate and commit the result' if checking else 'is new'}")
    return 1 if checking and names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Stages, sources, currencies, user fields, goods: what a portal knows before the first client.

Laws: exactly one success stage per pipeline and one or more of failure; the order of a funnel is SORT; codes look as
portals make them (``C3:PREPAYMENT_INVOIC`` cut short, ``C3:UC_4TZQ1B`` generated).
"""

from __future__ import annotations

from dataclasses import dataclass

from b24metrics.sim import names
from b24metrics.sim.company.options import ROUBLES
from b24metrics.sim.company.workshop import Workshop


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a pipeline; the numbers describe an ordinary deal with an ordinary manager."""

    code: str
    name: str
    semantics: str | None = None  # S, F
    passes: float = 1.0  # share that goes on to the next stage
    skipped: float = 0.0  # share that jumps over it
    days: float = 0.0  # median working days until it is left
    apology: bool = False


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline of deals."""

    id: int
    name: str
    sort: int
    steps: tuple[Step, ...]

    @property
    def directory(self) -> str:
        return f"DEAL_STAGE_{self.id}" if self.id else "DEAL_STAGE"

    def code(self, step: Step) -> str:
        """STATUS_ID of a stage."""
        return f"C{self.id}:{step.code}" if self.id else step.code

    @property
    def open_steps(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.semantics is None)

    @property
    def won(self) -> str:
        return self.code(next(step for step in self.steps if step.semantics == "S"))

    @property
    def lost(self) -> tuple[str, ...]:
        return tuple(self.code(step) for step in self.steps if step.semantics == "F")


PIPELINES = (
    Pipeline(0, "Продажи", 100, (
        Step("NEW", "Новая", None, 0.88, 0.00, 0.35),
        Step("PREPARATION", "Квалификация", None, 0.82, 0.12, 1.1),
        Step("PREPAYMENT_INVOICE", "Предложение отправлено", None, 0.70, 0.06, 2.2),
        Step("EXECUTING", "Согласование договора", None, 0.83, 0.22, 1.8),
        Step("FINAL_INVOICE", "Ждём оплату", None, 0.94, 0.10, 2.2),
        Step("WON", "Успешная сделка", "S"),
        Step("LOSE", "Отказ клиента", "F"),
        Step("APOLOGY", "Анализ причины провала", "F", apology=True),
    )),
    # The break of this funnel: after the offer.
    Pipeline(3, "Опт и дилеры", 200, (
        Step("NEW", "Новый партнёр", None, 0.90, 0.00, 0.8),
        Step("UC_4TZQ1B", "Выявление потребности", None, 0.88, 0.08, 2.4),
        Step("PREPARATION", "Коммерческое предложение", None, 0.44, 0.04, 4.5),
        Step("PREPAYMENT_INVOIC", "Договор поставки", None, 0.88, 0.15, 4.0),
        Step("EXECUTING", "Предоплата и отгрузка", None, 0.95, 0.05, 5.0),
        Step("WON", "Отгружено", "S"),
        Step("LOSE", "Отказ", "F"),
        Step("UC_8R2KEW", "Ушли к конкуренту", "F"),
        Step("APOLOGY", "Не смогли поставить", "F", apology=True),
    )),
    Pipeline(5, "Повторные продажи", 300, (
        Step("NEW", "Потребность", None, 0.93, 0.00, 0.3),
        Step("PREPARATION", "Счёт и спецификация", None, 0.90, 0.05, 0.8),
        Step("FINAL_INVOICE", "Оплата", None, 0.95, 0.08, 1.6),
        Step("WON", "Продано", "S"),
        Step("LOSE", "Отложено", "F"),
    )),
    Pipeline(7, "Сервис", 400, (
        Step("NEW", "Обращение", None, 0.98, 0.00, 0.2),
        Step("EXECUTING", "Выезд и ремонт", None, 0.96, 0.00, 1.5),
        Step("WON", "Закрыто актом", "S"),
        Step("LOSE", "Отменено", "F"),
    )),
)  # fmt: skip

#: Stages after which a client holds an offer in the hand: quotes belong there; and those with an invoice.
OFFER_STAGES = ("PREPAYMENT_INVOICE", "C3:PREPARATION")
BILL_STAGES = ("FINAL_INVOICE", "C3:EXECUTING", "C5:PREPARATION", "C7:EXECUTING")
INVOICE_PIPELINE = 13
LOSS_FIELD = "UF_CRM_LOSS_REASON"
REGION_FIELD = "UF_CRM_1721244482"
#: First option of the loss reason; the others follow.
LOSS_OPTION = 41

_LEAD_STAGES = (
    ("NEW", "Не обработан", None), ("IN_PROCESS", "В работе", None), ("PROCESSED", "Обработан", None),
    ("CONVERTED", "Качественный лид", "S"), ("JUNK", "Некачественный лид", "F"), ("UC_DOUBLE", "Дубль", "F"),
)  # fmt: skip
_QUOTE_STAGES = (
    ("DRAFT", "Черновик", None), ("SENT", "Отправлено клиенту", None), ("APPROVED", "Принято", "S"), ("DECLAINED", "Отклонено", "F"),
)  # fmt: skip
_INVOICE_STAGES = (
    ("N", "Новый", None),
    ("S", "Отправлен клиенту", None),
    ("P", "Оплачен", "S"),
    ("D", "Не оплачен", "F"),
)
_SOURCES = (
    ("CALL", "Звонок"), ("EMAIL", "Электронная почта"), ("WEB", "Веб-сайт"), ("ADVERTISING", "Реклама"), ("PARTNER", "Партнёр"),
    ("RECOMMENDATION", "По рекомендации"), ("TRADE_SHOW", "Выставка"), ("WEBFORM", "CRM-форма"), ("CALLBACK", "Обратный звонок"),
    ("RC_GENERATOR", "Генератор продаж"), ("STORE", "Интернет-магазин"), ("OTHER", "Другое"), ("1|LIVECHAT", "Чат на сайте"),
    ("2|TELEGRAM", "Telegram"), ("3|WHATSAPP", "WhatsApp"),
)  # fmt: skip
_PLAIN = {
    "DEAL_TYPE": (("SALE", "Продажа"), ("COMPLEX", "Комплексная продажа"), ("GOODS", "Товар"), ("SERVICE", "Услуга")),
    "CONTACT_TYPE": (("CLIENT", "Клиент"), ("SUPPLIER", "Поставщик"), ("PARTNER", "Партнёр"), ("OTHER", "Другое")),
    "COMPANY_TYPE": (("CUSTOMER", "Клиент"), ("SUPPLIER", "Поставщик"), ("COMPETITOR", "Конкурент"), ("OTHER", "Другое")),
    "INDUSTRY": (
        ("TRADE", "Торговля"), ("LOGISTICS", "Логистика"), ("MANUFACTURING", "Производство"), ("CONSTRUCTION", "Строительство"),
        ("FOOD", "Продукты питания"), ("OTHER", "Другое"),
    ),
    "EMPLOYEES": (("EMPLOYEES_1", "менее 50"), ("EMPLOYEES_2", "50–250"), ("EMPLOYEES_3", "250–500"), ("EMPLOYEES_4", "более 500")),
    "HONORIFIC": (("HNR_RU_1", "г-н"), ("HNR_RU_2", "г-жа")),
}  # fmt: skip

_CURRENCY_TEXTS = {
    "RUB": ("Российский рубль", "# ₽"),
    "USD": ("Доллар США", "$#"),
    "EUR": ("Евро", "# €"),
    "KZT": ("Тенге", "# ₸"),
}


def build(shop: Workshop) -> None:
    """Fill ``status``, ``category``, ``currency``, ``userfield``, ``userfield_enum``, ``product``, ``openline``, ``settings``."""
    _statuses(shop)
    _currencies(shop)
    _user_fields(shop)
    _goods_and_lines(shop)
    company = shop.company
    shop.connection.execute(
        "UPDATE settings SET ZONE = $1, BASE_CURRENCY = $2, CRM_MODE = $3, SEED = $4",
        [company.zone, company.base_currency, 1 if company.classic else 2, company.seed],
    )


def _statuses(shop: Workshop) -> None:
    rows: list[tuple[str, str, str, int, bool, int | None, str | None, str | None]] = []

    def add(
        directory: str, stages: tuple[tuple[str, str, str | None], ...], pipeline: int | None, *, extra: bool
    ) -> None:
        for at, (code, name, semantics) in enumerate(stages, start=1):
            process = {"S": "success", "F": "failure", None: "process"}[semantics]
            rows.append(
                (
                    directory,
                    code,
                    name,
                    at * 10,
                    not code.startswith("UC_"),
                    pipeline,
                    semantics,
                    process if extra else None,
                )
            )

    add("STATUS", _LEAD_STAGES, None, extra=True)
    for pipeline in PIPELINES:
        for at, step in enumerate(pipeline.steps, start=1):
            process = "apology" if step.apology else {"S": "success", "F": "failure", None: "process"}[step.semantics]
            rows.append((
                pipeline.directory, pipeline.code(step), step.name, at * 10, not step.code.startswith("UC_"), pipeline.id or None,
                step.semantics, process,
            ))  # fmt: skip
    add("QUOTE_STATUS", _QUOTE_STAGES, None, extra=True)
    stages = tuple((f"DT31_{INVOICE_PIPELINE}:{code}", name, semantics) for code, name, semantics in _INVOICE_STAGES)
    add(f"SMART_INVOICE_STAGE_{INVOICE_PIPELINE}", stages, INVOICE_PIPELINE, extra=False)
    add("INVOICE_STATUS", _INVOICE_STAGES, None, extra=False)
    add("SOURCE", tuple((code, name, None) for code, name in _SOURCES), None, extra=False)
    for directory, items in _PLAIN.items():
        add(directory, tuple((code, name, None) for code, name in items), None, extra=False)
    colours = {None: "#39A8EF", "S": "#7BD500", "F": "#FF5752"}
    shop.publish(
        "status",
        "ID, ENTITY_ID, STATUS_ID, NAME, NAME_INIT, SORT, SYSTEM, CATEGORY_ID, COLOR, SEMANTICS, EXTRA_SEMANTICS",
        (
            (number, directory, code, name, name, sort, system, category, colours[semantics], semantics, process)
            for number, (directory, code, name, sort, system, category, semantics, process) in enumerate(
                rows, start=101
            )
        ),
    )
    categories = [(2, p.id, p.name, p.sort, p.id == 0) for p in PIPELINES]
    categories.append((31, INVOICE_PIPELINE, "Счета", 500, True))
    shop.publish("category", "ENTITY_TYPE_ID, ID, NAME, SORT, IS_DEFAULT", categories)


def _currencies(shop: Workshop) -> None:
    base = shop.company.base_currency
    rows = []
    for sort, (code, (name, shape)) in enumerate(_CURRENCY_TEXTS.items(), start=1):
        count = 1 if code == base else ROUBLES[code][1]
        amount = 1.0 if code == base else round(shop.company.rate(code) * count, 4)
        rows.append((code, count, amount, sort * 100, code == base, name, "ru", shape, shop.since))
    shop.publish(
        "currency", "CURRENCY, AMOUNT_CNT, AMOUNT, SORT, BASE, FULL_NAME, LID, FORMAT_STRING, DATE_UPDATE", rows
    )


def _user_fields(shop: Workshop) -> None:
    shop.publish(
        "userfield",
        "ID, ENTITY_ID, FIELD_NAME, USER_TYPE_ID, LABEL, SORT, SETTINGS",
        (
            (21, "CRM_DEAL", LOSS_FIELD, "enumeration", "Причина отказа", 100, "[]"),
            (22, "CRM_DEAL", REGION_FIELD, "string", "Город объекта", 200, "[]"),
            (23, "CRM_COMPANY", "UF_CRM_1721244501", "boolean", "Постоплата", 100, "[]"),
        ),
    )
    shop.publish(
        "userfield_enum",
        "ID, USER_FIELD_ID, SORT, VALUE",
        ((LOSS_OPTION + at, 21, 100 * (at + 1), reason) for at, reason in enumerate(names.LOSS_REASONS)),
    )


def _goods_and_lines(shop: Workshop) -> None:
    company = shop.company
    shop.publish(
        "product",
        "ID, NAME, PRICE, CURRENCY_ID, DATE_CREATE, TIMESTAMP_X",
        (
            (501 + at, name, round(price * company.rate("RUB"), 2), company.base_currency, shop.since, shop.since)
            for at, (name, price, *_) in enumerate(names.GOODS)
        ),
    )
    queue = "(SELECT list(user_id ORDER BY user_id) FROM backstage.person WHERE active AND trade = 'inbound')"
    shop.publish("openline", "ID, LINE_NAME, WORKTIME_TIMEZONE, KPI_FIRST_ANSWER_TIME", (
        (at, name, company.zone, 900) for at, name in ((1, "Чат на сайте"), (2, "Telegram"), (3, "WhatsApp"))
    ))  # fmt: skip
    shop.run(f"UPDATE openline SET QUEUE = {queue}")

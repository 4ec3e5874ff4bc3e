"""Words of the page, in both languages. ``{}`` is filled in."""

from __future__ import annotations

from b24metrics.kpi.model import Title, WindowId

SAID = {
    "today": Title("Сегодня", "Today"),
    "month": Title("С начала месяца", "Month to date"),
    "present": Title("Сейчас в работе", "In progress now"),
    "plan": Title("План месяца", "Plan of the month"),
    "goal": Title("План", "Plan"),
    "of plan": Title("из", "of"),
    "elapsed": Title("Прошло {} рабочего времени месяца", "{} of the month's working time has passed"),
    "pace": Title("темп {}", "pace {}"),
    "no plan": Title("План месяца не задан.", "No plan of the month has been set."),
    "ranking": Title("Выполнение плана по менеджерам", "Plan attainment by manager"),
    "ranking by revenue": Title("Объём продаж по менеджерам", "Revenue by manager"),
    "ranking note": Title("с начала месяца", "month to date"),
    "and more": Title("и ещё {}", "and {} more"),
    "manager": Title("Менеджер", "Manager"),
    "attained": Title("Выполнено", "Attained"),
    "fact": Title("Факт", "Fact"),
    "feeds": Title("Свежесть данных", "Freshness of the data"),
    "feed": Title("Данные", "Data"),
    "rows": Title("Записей", "Records"),
    "synced": Title("Сверено с порталом", "In step with the portal"),
    "state": Title("Состояние", "State"),
    "ago": Title("{} назад", "{} ago"),
    "never": Title("ещё нет", "not yet"),
    "in order": Title("в порядке", "in order"),
    "behind": Title("отстаёт", "behind"),
    "copying": Title("копируется, осталось примерно {}", "being copied, about {} left"),
    "no feeds": Title("Портал ещё не опрошен.", "The portal has not been asked yet."),
    "fresh": Title("Данные свежие", "Fresh"),
    "old": Title("Данные устарели", "Out of date"),
    "starting": Title("Запускается", "Starting"),
    "failed": Title("Последнее обновление не удалось", "The last refresh failed"),
    "standby": Title(
        "Копию портала ведёт другой процесс ({}); этот показывает её и примет дело, если тот остановится.",
        "Another process ({}) keeps the copy of the portal; this one shows it and takes over if that one stops.",
    ),
    "kept": Title("Показаны цифры последнего удачного обновления.", "The figures are those of the last good refresh."),
    "first round": Title("Первые цифры появятся здесь сами: ", "The first figures will appear here by themselves: "),
    "series": Title("рядов: {}", "{} series"),
    "metrics": Title("Метрики для Prometheus", "Metrics for Prometheus"),
    "json": Title("Показатели в JSON", "KPIs as JSON"),
    "status": Title("Состояние в JSON", "State as JSON"),
    "other language": Title("English", "Русский"),
}

#: Said behind a title, where the heading does not tell the window.
WINDOWS = {
    WindowId.D7: Title("7 дней", "7 days"),
    WindowId.D30: Title("30 дней", "30 days"),
}

#: What people call the entities of the mirror; others are shown by their name.
FEEDS = {
    "deals": Title("Сделки", "Deals"),
    "leads": Title("Лиды", "Leads"),
    "deal_moves": Title("История сделок", "Deal history"),
    "lead_moves": Title("История лидов", "Lead history"),
    "activities": Title("Дела", "Activities"),
    "phone_calls": Title("Звонки", "Phone calls"),
    "late_phone_calls": Title("Звонки: оценки и записи", "Phone calls: votes and records"),
    "users": Title("Сотрудники", "Users"),
    "departments": Title("Отделы", "Departments"),
    "statuses": Title("Справочники", "Directories"),
    "pipelines": Title("Воронки", "Pipelines"),
    "currencies": Title("Валюты", "Currencies"),
    "absences": Title("Отсутствия", "Absences"),
    "quotes": Title("Предложения", "Quotes"),
    "invoices": Title("Счета", "Invoices"),
    "invoice_moves": Title("История счетов", "Invoice history"),
    "invoice_pipelines": Title("Воронки счетов", "Invoice pipelines"),
    "payments": Title("Оплаты счетов", "Payments"),
    "product_rows": Title("Товары сделок", "Product rows"),
    "contacts": Title("Контакты", "Contacts"),
    "companies": Title("Компании", "Companies"),
    "tasks": Title("Задачи", "Tasks"),
    "schedules": Title("Графики работы", "Work schedules"),
}

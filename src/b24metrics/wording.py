"""Numbers and moments as people read them, in Russian and in English.

Laws: percent, grouping and currency signs exist only here; a value that is not there is a dash, never a zero.
"""

from __future__ import annotations

from datetime import datetime

from b24metrics.kpi.model import Language, Unit

#: Said where there is no value.
NOTHING = "–"

_NBSP = "\u00a0"  # between thousands in Russian, and between a number and its unit
_SIGNS = {"RUB": "₽", "USD": "$", "EUR": "€", "KZT": "₸", "UAH": "₴", "GBP": "£"}
_MAGNITUDES = {
    "ru": ((1e9, "млрд"), (1e6, "млн")),
    "en": ((1e9, "bn"), (1e6, "m")),
}
_SECONDS = {"ru": ("ч", "мин", "с"), "en": ("h", "min", "s")}
_DAYS = {"ru": "дн.", "en": "d"}


def shown(value: float | None, unit: Unit, language: Language, currency: str = "") -> str:
    """One KPI value with its unit: ``48,8 %``, ``244 000 ₽``, ``1 ч 05 мин``."""
    if value is None:
        return NOTHING
    if unit is Unit.RATIO:
        return percent(value, language)
    if unit is Unit.SECONDS:
        return duration(value, language)
    if unit in {Unit.MONEY, Unit.MONEY_PER_DAY}:
        return money(value, language, currency)
    return grouped(value, language, 0 if unit.is_countable else 1)


def grouped(value: float, language: Language, decimals: int = 0) -> str:
    """Digits in threes; the sign is a real minus."""
    text = f"{abs(value):,.{decimals}f}"
    if language == "ru":
        text = text.translate({ord(","): _NBSP, ord("."): ","})
    negative = value < 0 and any(digit in text for digit in "123456789")
    return f"−{text}" if negative else text


def percent(value: float, language: Language) -> str:
    """A ratio of 0…1 as percent with one decimal, without it from a thousand on."""
    text = grouped(value * 100, language, 1 if abs(value) < 10 else 0)
    return f"{text}{_NBSP}%" if language == "ru" else f"{text}%"


def money(value: float, language: Language, currency: str) -> str:
    """An amount, without small change; from ten million on in millions with one decimal."""
    word = ""
    decimals = 0
    if abs(value) >= 1e7:
        size, word = next(pair for pair in _MAGNITUDES[language] if abs(value) >= pair[0])
        value, decimals = value / size, 1
    text = grouped(value, language, decimals)
    sign = _SIGNS.get(currency, currency)
    if language == "ru":
        return _NBSP.join(part for part in (text, word, sign) if part)
    if len(sign) == 1:
        return f"{text[:1]}{sign}{text[1:]}{word}" if text.startswith("−") else f"{sign}{text}{word}"
    return _NBSP.join(part for part in (f"{text}{word}", sign) if part)


def duration(seconds: float, language: Language) -> str:
    """Hours and minutes; minutes and seconds below an hour. Hours are never folded into days: a working day has nine."""
    whole = round(abs(seconds))
    hour, minute, second = _SECONDS[language]
    parts: tuple[str, ...]
    if whole >= 3600:
        minutes = round(whole / 60)
        parts = (f"{grouped(minutes // 60, language)}{_NBSP}{hour}", f"{minutes % 60:02d}{_NBSP}{minute}")
    elif whole >= 60:
        parts = (f"{whole // 60}{_NBSP}{minute}", f"{whole % 60:02d}{_NBSP}{second}")
    else:
        parts = (f"{whole}{_NBSP}{second}",)
    return ("−" if seconds < 0 and whole else "") + _NBSP.join(parts)


def age(seconds: float, language: Language) -> str:
    """How long ago, coarse: the one largest unit."""
    hour, minute, second = _SECONDS[language]
    for size, word in ((86_400, _DAYS[language]), (3600, hour), (60, minute)):
        if seconds >= size:
            return f"{grouped(seconds // size, language)}{_NBSP}{word}"
    return f"{max(0, int(seconds))}{_NBSP}{second}"


_MONTHS = {
    "ru": ("января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября", "октября", "ноября", "декабря"),
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"),
}  # fmt: skip


def moment(at: datetime, language: Language) -> str:
    """Day and time of an instant that is already in the reader's zone: ``14 марта 2025, 12:05``."""
    return f"{at.day}{_NBSP}{_MONTHS[language][at.month - 1]} {at.year}, {at:%H:%M}"

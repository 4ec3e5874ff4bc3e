"""Numbers as people read them."""

from __future__ import annotations

import pytest

from b24metrics.kpi.model import Unit
from b24metrics.wording import age, duration, money, percent, shown


def plain(text: str) -> str:
    """With ordinary blanks, so that a test can be read."""
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("value", "currency", "ru", "en"),
    [
        (244000, "RUB", "244 000 ₽", "₽244,000"),
        (81333.33, "RUB", "81 333 ₽", "₽81,333"),
        (9_999_999, "RUB", "9 999 999 ₽", "₽9,999,999"),
        (12_345_678, "RUB", "12,3 млн ₽", "₽12.3m"),
        (2_500_000_000, "KZT", "2,5 млрд ₸", "₸2.5bn"),
        (-1500, "USD", "−1 500 $", "−$1,500"),
        (-0.4, "USD", "0 $", "$0"),
        (1500, "BYN", "1 500 BYN", "1,500 BYN"),
        (1500, "", "1 500", "1,500"),
    ],
)
def test_money_reads_as_in_the_language(value: float, currency: str, ru: str, en: str) -> None:
    """Russian: thousands apart, sign behind, millions in words; English: commas, sign in front."""
    assert (ru, en) == (plain(money(value, "ru", currency)), plain(money(value, "en", currency)))


@pytest.mark.parametrize(
    ("value", "ru", "en"),
    [(0.488, "48,8 %", "48.8%"), (0, "0,0 %", "0.0%"), (1.2346, "123,5 %", "123.5%"), (25, "2 500 %", "2,500%")],
)
def test_ratios_are_percent(value: float, ru: str, en: str) -> None:
    """0…1 inside, percent on the page."""
    assert (ru, en) == (plain(percent(value, "ru")), plain(percent(value, "en")))


@pytest.mark.parametrize(
    ("seconds", "ru", "en"),
    [
        (0, "0 с", "0 s"),
        (59.6, "1 мин 00 с", "1 min 00 s"),
        (754, "12 мин 34 с", "12 min 34 s"),
        (3600, "1 ч 00 мин", "1 h 00 min"),
        (7199, "2 ч 00 мин", "2 h 00 min"),
        (93_784, "26 ч 03 мин", "26 h 03 min"),
        (-61, "−1 мин 01 с", "−1 min 01 s"),
    ],
)
def test_durations_are_clock_like(seconds: float, ru: str, en: str) -> None:
    """Two units, rounded together, hours never folded into days."""
    assert (ru, en) == (plain(duration(seconds, "ru")), plain(duration(seconds, "en")))


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 с"), (12.9, "12 с"), (60, "1 мин"), (7300, "2 ч"), (200_000, "2 дн.")]
)
def test_ages_are_coarse(seconds: float, text: str) -> None:
    """One unit; a clock that was set back is no negative age."""
    assert text == plain(age(seconds, "ru"))


def test_nothing_is_a_dash() -> None:
    """No value is a dash, zero is a zero, things are counted whole."""
    assert ("–", "0", "1 234") == (
        shown(None, Unit.DEALS, "ru"),
        shown(0, Unit.DEALS, "ru"),
        plain(shown(1234.0, Unit.DEALS, "ru")),
    )

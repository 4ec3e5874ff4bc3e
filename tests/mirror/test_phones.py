"""Keys of telephone numbers and addresses."""

from __future__ import annotations

import pytest

from b24metrics.mirror.phones import digits_of, email_key, phone_key


@pytest.mark.parametrize("typed", ["8 912 345-67-89", "+7 (912) 345 67 89", "79123456789", " 8(912)3456789 "])
def test_a_line_has_one_key(typed: str) -> None:
    """However a number was dialled or typed, its key is the same."""
    assert phone_key("+79123456789") == phone_key(typed)


@pytest.mark.parametrize(
    ("number", "digits"),
    [("8 912 345-67-89", "79123456789"), ("8123456", "8123456"), ("+44 8912 34567", "44891234567"), ("sip:a", "")],
)
def test_only_eleven_digits_are_russian(number: str, digits: str) -> None:
    """A leading 8 is a 7 only in a number of eleven digits."""
    assert digits == digits_of(number)


def test_numbers_differ() -> None:
    """Different lines have different keys, and a key does not show its number."""
    assert phone_key("79123456789") != phone_key("79123456780")
    assert "912345" not in str(phone_key("79123456789"))


def test_a_line_without_digits_stands_for_itself() -> None:
    """Names of lines are compared without regard to case."""
    assert phone_key("sip:Desk") == phone_key("SIP:desk")
    assert phone_key("sip:desk") != phone_key("sip:bench")


def test_addresses_ignore_case_and_spaces() -> None:
    """As people type them."""
    assert email_key("ivan@example.org") == email_key(" Ivan@Example.ORG ")


def test_nothing_has_no_key() -> None:
    """Empty fields are not equal to each other."""
    assert [None, None, None, None] == [phone_key(None), phone_key("  "), email_key(None), email_key("")]

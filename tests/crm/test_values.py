"""One value of JSON at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24metrics.crm import moments, values, wiretypes
from b24metrics.crm.moments import DayOfYear
from b24metrics.crm.wiretypes import CrmLink, EntityType, Money, Multifield, Semantics

NOTHINGS: list[Any] = [None, "", False, [], {}]
OPTIONAL = [
    values.text, values.whole, values.reference, values.amount, moments.instant, moments.epoch, moments.day,
    moments.seconds, moments.hour_of_day, moments.weekday, wiretypes.entity_type, wiretypes.semantics, wiretypes.money,
    wiretypes.crm_link,
]  # fmt: skip
READERS = [
    *OPTIONAL, values.flag, values.items, values.mapping, values.ids, values.texts, wiretypes.multifields,
    wiretypes.crm_links, wiretypes.label, moments.weekdays, moments.days_of_year, values.identity, values.ordinal,
    values.name, moments.moment,
]  # fmt: skip

JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.from_regex(r"-?\d{1,25}"),
        st.sampled_from([
            "0000-00-00 00:00:00", "-0001-11-30T00:00:00+02:30", "9999-12-31T00:00:00+03:00", "0001-01-01T00:00:00+03:00",
            "Y", "N", "D_12", "T9c_7", "300|EUR", "|", "1.01,2.01", "99:99", "2024-02-30", "31.02.2024", "1e999", "NaN",
            "Infinity", "²", "٣", "5_0", "SA", "_", "T_1", "DYNAMIC_", "TYPE_0",
        ]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@pytest.mark.parametrize("read", OPTIONAL, ids=lambda read: read.__name__)
@pytest.mark.parametrize("nothing", NOTHINGS, ids=repr)
def test_all_ways_to_say_nothing_are_none(read: Callable[[object], object], nothing: object) -> None:
    """PHP says "nothing" as null, an empty text, false, an empty list or an empty map."""
    assert read(nothing) is None


def refusal(read: Callable[[object], object], value: object) -> ValueError | None:
    """What a reader says of a value that it does not take."""
    try:
        read(value)
    except ValueError as refused:
        return refused
    return None


@given(value=JSON)
def test_a_reader_reads_or_says_so(value: object) -> None:
    """Whatever came, a reader returns a value that it reads again as itself, or raises ValueError and nothing else."""
    for read in READERS:
        with contextlib.suppress(ValueError):
            found = read(value)
            again = read(found)
            assert found == again


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize(
    "value",
    ["Ivanov 4711", ["Ivanov", 4711], {"Ivanov": "4711"}, "Ivanov_4711", "Ivanov|4711", "4711:Ivanov", "T_4711x"],
)
def test_a_refusal_never_quotes_the_value(read: Callable[[object], object], value: object) -> None:
    """Values are personal data: a refusal names what was expected, not what came, and drags no other error along."""
    refused = refusal(read, value)

    assert "Ivanov" not in str(refused)
    assert "4711" not in str(refused)
    assert refused is None or refused.__context__ is None or refused.__suppress_context__


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Boiler", "Boiler"), (" two words ", " two words "), (12, "12"), (0, "0"), (9.5, "9.5"), (True, "1"), ("0", "0")],
)
def test_texts(value: object, expected: str) -> None:
    """Numbers where a text belongs are written out; blanks are somebody's and stay."""
    assert expected == values.text(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("37", 37), (37, 37), ("007", 7), (" 5 ", 5), ("-3", -3), ("12.00", 12), (4.0, 4), ("0", 0), (0, 0), (True, 1)],
)
def test_whole_numbers(value: object, expected: int) -> None:
    """Legacy methods write every number as text, the others as numbers."""
    assert expected == values.whole(value)


@pytest.mark.parametrize("value", ["1.5", 1.5, "abc", [1], {"a": 1}, float("nan"), "1" * 30, 1 << 64, "NaN"])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="whole number"):
        values.whole(value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_come_in_any_dress(number: int) -> None:
    assert number == values.whole(number) == values.whole(str(number)) == values.whole(Decimal(number))


def test_a_reference_to_zero_is_no_reference() -> None:
    """companyId is 0 and COMPANY_ID is "0" where there is no company; a pipeline may well be 0."""
    assert [None, None, 9] == [values.reference(0), values.reference("0"), values.reference("9")]
    assert 0 == values.ordinal("0")
    with pytest.raises(ValueError, match="missing"):
        values.identity("0")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("19999.99", "19999.99"), ("0.0000", "0"), (19000, "19000"), (999.9, "999.9"), (0.1, "0.1"), ("300|EUR", "300"),
        (1111.1, "1111.1"), ("1E+3", "1000"), (" 5.50 ", "5.5"), (-7, "-7"),
    ],
)  # fmt: skip
def test_amounts_are_exact(value: object, expected: str) -> None:
    """999.9 is 999.9, never 999.8999…: a float is taken by its shortest spelling."""
    assert Decimal(expected) == values.amount(value)


@pytest.mark.parametrize("value", ["much", "1,50", "NaN", "Infinity", float("inf"), True, [1], "a|EUR"])
def test_what_is_no_amount_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        values.amount(value)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**15), max_value=10**15))
def test_amounts_come_in_any_dress(number: Decimal) -> None:
    """The same amount as text, and as the number that JSON has for it while that can hold it."""
    assert number == values.amount(str(number)) == values.amount(f"{number}|RUB")
    if abs(number) < 10**12:
        assert number == values.amount(float(str(number)))


def test_money_of_user_fields_keeps_its_currency() -> None:
    assert Money(Decimal(300), "EUR") == wiretypes.money("300|EUR")
    assert Money(Decimal(300), None) == wiretypes.money("300")
    assert wiretypes.money("|EUR") is None


@pytest.mark.parametrize("value", ["Y", "y", "1", 1, True, "true"])
def test_yes(value: object) -> None:
    assert values.flag(value) is True


@pytest.mark.parametrize("value", ["N", "n", "0", 0, False, "false"])
def test_no(value: object) -> None:
    assert values.flag(value) is False


def test_neither_yes_nor_no() -> None:
    """Nothing is not No; a third word is refused."""
    assert [None, None, None] == [values.flag(value) for value in ("", None, [])]
    with pytest.raises(ValueError, match="neither"):
        values.flag("T")


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-09-02T18:37:18+02:00", datetime(2024, 9, 2, 16, 37, 18, tzinfo=UTC)),
        ("2024-09-02T18:37:18-0530", datetime(2024, 9, 3, 0, 7, 18, tzinfo=UTC)),
        ("2024-09-02T18:37:18Z", datetime(2024, 9, 2, 18, 37, 18, tzinfo=UTC)),
        ("2024-09-02T18:37:18.250+00:00", datetime(2024, 9, 2, 18, 37, 18, 250000, tzinfo=UTC)),
        ("2024-07-23 08:08:50", datetime(2024, 7, 23, 8, 8, 50, tzinfo=UTC)),
        ("02.12.2025 11:00:00", datetime(2025, 12, 2, 11, tzinfo=UTC)),
        ("02.12.2025", datetime(2025, 12, 2, tzinfo=UTC)),
        (" 2024-09-02 ", datetime(2024, 9, 2, tzinfo=UTC)),
        (1733130000, datetime(2024, 12, 2, 9, tzinfo=UTC)),
    ],
)
def test_instants_are_aware_and_utc(value: object, expected: datetime) -> None:
    found = moments.instant(value)

    assert expected == found
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    ["9999-12-31T00:00:00+03:00", "9999-12-31T23:59:59-05:00", "0000-00-00 00:00:00", "-0001-11-30T00:00:00+02:30",
     "0001-01-01T00:00:00+03:00", {}, []],
)  # fmt: skip
def test_dates_that_mean_never_are_none(value: object) -> None:
    """Year 9999 is "no deadline", zero dates are "not set", {} is a date that PHP forgot to write."""
    assert moments.instant(value) is None
    assert moments.day(value) is None


@pytest.mark.parametrize(
    "value", ["yesterday", "12/31/2024", "2024-13-01", "31.02.2024", True, "2024-02-30T00:00:00+03:00"]
)
def test_what_is_no_date_is_refused(value: object) -> None:
    """Month before day is never guessed."""
    with pytest.raises(ValueError, match="not a date"):
        moments.instant(value)
    with pytest.raises(ValueError, match="not a date"):
        moments.day(value)


ZONES = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1970, 1, 2), datetime(9998, 12, 30)), ZONES)
def test_an_instant_is_the_same_in_every_zone(at: datetime, zone: timezone) -> None:
    aware = at.replace(tzinfo=UTC)

    assert aware == moments.instant(aware.astimezone(zone).isoformat())


@given(st.dates(date(1970, 1, 2), date(9998, 12, 30)), ZONES)
def test_a_day_survives_the_servers_zone(day: date, zone: timezone) -> None:
    """A day of the CRM comes as midnight UTC rendered in the server's zone, east and west of Greenwich."""
    rendered = datetime(day.year, day.month, day.day, tzinfo=UTC).astimezone(zone).isoformat()

    assert day == moments.day(rendered) == moments.day(day.isoformat())


def test_the_vendors_own_days() -> None:
    assert date(2026, 3, 1) == moments.day("2026-03-01T03:00:00+03:00")
    assert date(2026, 3, 1) == moments.day("2026-02-28T19:00:00-05:00")


def test_epoch_seconds() -> None:
    at = datetime(2024, 12, 2, 9, tzinfo=UTC)

    assert [at, at, None] == [moments.epoch("1733130000"), moments.epoch(1733130000), moments.epoch("0")]


@pytest.mark.parametrize(
    ("value", "expected"), [("00:17:53", 1073), ("08:00", 28800), ("30:00:00", 108000), (3600, 3600), ("95", 95)]
)
def test_lengths_of_time(value: object, expected: int) -> None:
    assert expected == moments.seconds(value)


@pytest.mark.parametrize(
    ("value", "hours"),
    [
        ("9", 9),
        ("9.00", 9),
        ("19", 19),
        ("9.30", 9.5),
        (9.3, 9.5),
        ("09:30", 9.5),
        ("09:30:00", 9.5),
        (18, 18),
        ("24", 24),
    ],
)
def test_clock_times_of_settings(value: object, hours: float) -> None:
    """9.30 is half past nine, and a JSON number 9.3 is what is left of it."""
    assert hours * 3600 == moments.hour_of_day(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(["SA", "SU"], (6, 7)), ("SA,SU", (6, 7)), ("12345", (1, 2, 3, 4, 5)), (["0", 1], (1, 7)), ("", ()), (None, ())],
)
def test_weekdays(value: object, expected: tuple[int, ...]) -> None:
    assert expected == moments.weekdays(value)


def test_holidays_of_every_year() -> None:
    """Day before month, no year."""
    expected = (DayOfYear(1, 1), DayOfYear(1, 2), DayOfYear(3, 8))

    assert expected == moments.days_of_year("1.01,2.01, 08.03,")
    assert () == moments.days_of_year("")
    with pytest.raises(ValueError, match="day of the year"):
        moments.days_of_year("31.02")


# ---------------------------------------------------------------- kinds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, EntityType.DEAL), ("2", EntityType.DEAL), ("DEAL", EntityType.DEAL), ("deal", EntityType.DEAL),
        ("D", EntityType.DEAL), ("CRM_DEAL", EntityType.DEAL), ("SI", EntityType.SMART_INVOICE), (156, EntityType(156)),
        ("DYNAMIC_156", EntityType(156)), ("dynamic_156", EntityType(156)), ("T9c", EntityType(156)),
        ("Tb1", EntityType(177)), (6, EntityType(6)),
    ],
)  # fmt: skip
def test_kinds_of_objects_by_number_name_or_letter(value: object, expected: EntityType) -> None:
    assert expected is wiretypes.entity_type(value)


def test_smart_processes_are_members_on_sight() -> None:
    """Types from 128 on are made by the portal's people; they have a code and a short name like all others."""
    kind = EntityType(177)

    assert (177, "DYNAMIC_177", "Tb1") == (kind, kind.code, kind.short)
    assert kind is EntityType(177)
    assert EntityType.DEAL.short == "D"
    with pytest.raises(ValueError, match="no short code"):
        EntityType(6).short  # noqa: B018
    with pytest.raises(ValueError, match="-1"):
        EntityType(-1)


@given(st.integers(128, 5000))
def test_short_names_of_smart_processes_lead_back(number: int) -> None:
    kind = EntityType(number)

    assert kind is wiretypes.entity_type(kind.short) is wiretypes.entity_type(kind.code)
    assert CrmLink(kind, 7) == wiretypes.crm_link(str(CrmLink(kind, 7)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("P", Semantics.PROGRESS), ("S", Semantics.SUCCESS), ("F", Semantics.FAILURE), ("apology", Semantics.FAILURE),
     ("process", Semantics.PROGRESS)],
)  # fmt: skip
def test_meanings_of_stages(value: object, expected: Semantics) -> None:
    assert expected is wiretypes.semantics(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("D_12", CrmLink(EntityType.DEAL, 12)), ("CO_4", CrmLink(EntityType.COMPANY, 4)),
        ("T9c_7", CrmLink(EntityType(156), 7)), ({"OWNER_TYPE_ID": "2", "OWNER_ID": "12"}, CrmLink(EntityType.DEAL, 12)),
        ({"entityTypeId": 2, "entityId": 12}, CrmLink(EntityType.DEAL, 12)),
    ],
)  # fmt: skip
def test_bindings(value: object, expected: CrmLink) -> None:
    assert expected == wiretypes.crm_link(value)


def test_a_bare_binding_needs_its_kind() -> None:
    """Where a field allows only one kind, the portal writes the id alone."""
    assert CrmLink(EntityType.CONTACT, 5) == wiretypes.crm_link("5", EntityType.CONTACT)
    with pytest.raises(ValueError, match="kind"):
        wiretypes.crm_link("5")


# ---------------------------------------------------------------- many


@pytest.mark.parametrize(
    ("value", "expected"),
    [([1, "5"], (1, 5)), ({"0": "1", "2": 5}, (1, 5)), ("7", (7,)), (False, ()), ("", ()), ([], ()), (["0", ""], ())],
)
def test_lists_of_ids(value: object, expected: tuple[int, ...]) -> None:
    """A PHP list with gaps is a map; an empty one is a list, an empty text or false."""
    assert expected == values.ids(value)


def test_multifields_in_both_spellings() -> None:
    legacy = [{"ID": "156", "VALUE_TYPE": "WORK", "VALUE": "+1333", "TYPE_ID": "PHONE"}, {"ID": "157", "VALUE": ""}]
    item = [{"id": 156, "valueType": "WORK", "value": "+1333", "typeId": "PHONE"}]
    expected = (Multifield("+1333", "WORK", 156),)

    assert expected == wiretypes.multifields(legacy) == wiretypes.multifields(item)
    assert (Multifield("+1333"),) == wiretypes.multifields("+1333")


def test_captions_prefer_russian_then_english() -> None:
    assert "Цвет" == wiretypes.label({"en": "Colour", "ru": "Цвет"})
    assert "Colour" == wiretypes.label({"de": "Farbe", "en": "Colour", "ru": ""})
    assert "Farbe" == wiretypes.label({"de": "Farbe", "en": None})
    assert "Plain" == wiretypes.label("Plain")

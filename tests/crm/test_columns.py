"""A page's values read together are what they are read one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24metrics.crm import activities, sales
from b24metrics.crm.columns import column
from b24metrics.crm.entity import Entity
from b24metrics.crm.moments import day, instant, moment, seconds
from b24metrics.crm.values import amount, flag, identity, ordinal, reference, text, whole
from b24metrics.crm.wiretypes import EntityType, entity_type, semantics
from b24metrics.errors import UnreadableRow

READERS = (
    text,
    whole,
    reference,
    identity,
    ordinal,
    amount,
    flag,
    instant,
    moment,
    day,
    seconds,
    entity_type,
    semantics,
)

OFFSETS = st.sampled_from(["+03:00", "-04:30", "+00:00", "Z", "", "+03:00+03:00"])
DATES = st.sampled_from([
    "2026-03-02T12:00:00", "2026-03-02 12:00:00", "0001-01-01T00:00:00", "9999-12-31T00:00:00", "0000-00-00T00:00:00",
    "2026-03-02", "02.03.2026 12:00:00", "2026-02-30T12:00:00", "-0001-11-30T00:00:00", "2026-03-02T12:00+03:00",
])  # fmt: skip
INSTANTS = st.builds("{}{}".format, DATES, OFFSETS)
NUMBERS = st.one_of(
    st.integers(-(1 << 64), 1 << 64),
    st.integers(0, 3),
    st.integers(0, 1 << 64).map(str),
    st.sampled_from(["0", "00", "-1", "1.5", "1e3", ".", "1.2.3", "NaN", "Infinity", "1_000", "٣", "", "300|EUR"]),
)
WORDS = st.sampled_from(["Y", "N", "P", "S", "DEAL", "", " ", "да", "\0", "2", "D_12"])
ODD: st.SearchStrategy[object] = st.sampled_from([None, False, True, 1, 1.0, 0, [], {}, "1", "", 2.5, float("nan")])
VALUES = st.one_of(
    *(st.lists(kind | st.none(), min_size=1, max_size=12) for kind in (INSTANTS, NUMBERS, WORDS, ODD)),
    st.lists(st.builds("{}+03:00".format, DATES), min_size=1, max_size=12),
    st.lists(st.one_of(INSTANTS, NUMBERS, WORDS, ODD), min_size=1, max_size=12),
)


def told(read: Callable[[], list[object]]) -> object:
    """What is read, types included, or that it is refused."""
    try:
        return [(type(value), str(value)) for value in read()]
    except ValueError:
        return "refused"


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@given(values=VALUES)
def test_a_column_reads_as_its_values(read: Callable[[object], object], values: list[object]) -> None:
    """The same values of the same types, and refused where one is refused; repetitions change nothing."""
    assert told(lambda: [read(value) for value in values]) == told(lambda: column(read, values))
    assert told(lambda: [read(value) for value in values * 5]) == told(lambda: column(read, values * 5))


DEALS: list[dict[str, Any]] = [
    {
        "ID": str(number), "TITLE": f"Deal {number}", "OPPORTUNITY": "10.50", "CLOSED": "N", "COMPANY_ID": "0",
        "PROBABILITY": None, "DATE_CREATE": f"2026-03-0{number}T03:00:00+03:00", "UF_CRM_1": number, "STRANGE": [number],
    }
    for number in range(1, 8)
]  # fmt: skip
ACTIVITIES: list[dict[str, Any]] = [
    {
        "ID": str(number), "OWNER_TYPE_ID": "2", "COMPLETED": "Y", "CREATED": "2026-03-02T03:00:00+03:00",
        "BINDINGS": [{"OWNER_TYPE_ID": "2", "OWNER_ID": str(number)}] * (number % 3),
    }
    for number in range(1, 8)
]  # fmt: skip
MOVES: list[dict[str, Any]] = [
    {"ID": number, "TYPE_ID": 1, "OWNER_ID": 7, "CREATED_TIME": "2026-03-02T03:00:00+03:00", "STAGE_ID": "NEW"}
    for number in range(1, 8)
]


def records(found: list[Any]) -> list[object]:
    """Everything that an entity says of itself."""
    return [(one, one.model_fields_set, one.user_fields, one.extra) for one in found]


@pytest.mark.parametrize(
    ("entity", "rows", "given_fields"),
    [
        (sales.Deal, DEALS, {}),
        (activities.Activity, ACTIVITIES, {}),
        (sales.StageMove, MOVES, {"entity_type_id": EntityType.DEAL}),
    ],
    ids=["deals", "activities", "moves"],
)
def test_a_page_reads_as_its_rows(
    entity: type[Entity], rows: list[dict[str, Any]], given_fields: dict[str, Any]
) -> None:
    """Equal entities that were told the same, with what no field claims."""
    found = entity.together(rows, "crm.some.list", **given_fields)
    assert found is not None
    assert records([entity.read(row, "crm.some.list", **given_fields) for row in rows]) == records(found)


@pytest.mark.parametrize(
    "change",
    [{"ID": "none"}, {"OPPORTUNITY": "a lot"}, {"DATE_CREATE": "yesterday"}, {"MORE": 1}, {"TITLE": {"a": 1}}],
    ids=lambda change: next(iter(change)),
)
def test_what_differs_is_left_to_one_by_one(change: dict[str, Any]) -> None:
    """A row that cannot be read, or is not like the others, is no error here: whoever reads it alone says what is wrong."""
    rows = [*DEALS[:3], {**DEALS[3], **change}, *DEALS[4:]]
    assert sales.Deal.together(rows) is None
    assert sales.Deal.together([*DEALS, "no map"]) is None
    assert [] == sales.Deal.together([])


def test_a_nested_refusal_is_no_error_either() -> None:
    """A binding of a kind that there is none of."""
    rows = [*ACTIVITIES, {**ACTIVITIES[0], "ID": "8", "BINDINGS": [{"OWNER_TYPE_ID": "?", "OWNER_ID": "1"}]}]
    assert activities.Activity.together(rows) is None
    with pytest.raises(UnreadableRow):
        activities.Activity.read(rows[-1])


def test_entities_of_a_page_share_nothing_that_changes() -> None:
    """A copy with other values leaves its neighbours alone."""
    found = sales.Deal.together(DEALS)
    assert found is not None
    changed = found[0].model_copy(update={"title": "other", "probability": 5})
    assert ["other", "Deal 2"] == [changed.title, found[1].title]
    assert (None, {*found[1].model_fields_set}) == (found[1].probability, {*found[2].model_fields_set})

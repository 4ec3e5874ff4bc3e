"""Both names of a field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24metrics.crm.naming import is_user_field, item_name, legacy_name

PAIRS = [
    ("ID", "id"),
    ("CATEGORY_ID", "categoryId"),
    ("IS_MANUAL_OPPORTUNITY", "isManualOpportunity"),
    ("PARENT_ID_1220", "parentId1220"),
    ("PARENT_ID_2", "parentId2"),
    ("MYCOMPANY_ID", "mycompanyId"),
    ("UTM_SOURCE", "utmSource"),
    # the vendor's own examples of user fields
    ("UF_CRM_3_1747309727", "ufCrm3_1747309727"),
    ("UF_CRM_1747309879", "ufCrm_1747309879"),
    # a code that mixes letters and digits keeps its letters
    ("UF_CRM_566EB0AC9B7FC", "ufCrm_566EB0AC9B7FC"),
    ("UF_CRM_7_NEW_REST_LIST_2026", "ufCrm_7_NEW_REST_LIST_2026"),
    # a code of letters alone is camelised
    ("UF_CRM_HELLO_WORLD", "ufCrmHelloWorld"),
    ("UF_CRM_7_TYPE_PRODUCT", "ufCrm7TypeProduct"),
    ("UF_CRM_TASK", "ufCrmTask"),
]


@pytest.mark.parametrize(("legacy", "item"), PAIRS)
def test_both_names_of_a_field_are_known(legacy: str, item: str) -> None:
    """Either name of a field leads to the other."""
    assert item == item_name(legacy)
    assert legacy == legacy_name(item)


@pytest.mark.parametrize(("legacy", "_item"), PAIRS)
def test_a_legacy_name_is_left_alone(legacy: str, _item: str) -> None:
    """useOriginalUfNames and legacy rows send the UPPER_CASE name already."""
    assert legacy == legacy_name(legacy)


@pytest.mark.parametrize("name", ["deal_id", "based_id", "work_time_start"])
def test_lower_snake_names_are_read_too(name: str) -> None:
    """Some methods write small letters with underscores."""
    assert name.upper() == legacy_name(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("UF_CRM_1", True), ("ufCrm_1", True), ("ufAuto745", True), ("UF_DEPARTMENT", True), ("UFO", False),
        ("ufo", False), ("title", False), ("uf", False),
    ],
)  # fmt: skip
def test_user_fields_are_told_by_their_prefix(name: str, expected: bool) -> None:
    assert expected is is_user_field(name)


WORD = st.from_regex(r"[A-Z][A-Z]{0,8}", fullmatch=True)
NUMBER = st.from_regex(r"[1-9][0-9]{0,12}", fullmatch=True)
CODES = st.one_of(
    NUMBER,
    st.builds("_".join, st.lists(WORD, min_size=1, max_size=4)),
    st.builds("{}_{}".format, st.integers(1, 9999), NUMBER),
    st.builds("{}_{}".format, st.integers(1, 9999), WORD),
    st.from_regex(r"[0-9A-F]{13}", fullmatch=True),
)


@given(CODES)
def test_user_field_names_survive_the_way_there_and_back(code: str) -> None:
    """The mirror keeps user fields under their own names, whichever spelling brought them."""
    name = f"UF_CRM_{code}"

    assert name == legacy_name(item_name(name))
    assert is_user_field(item_name(name))


@given(st.lists(st.one_of(WORD, NUMBER), min_size=1, max_size=5).filter(lambda words: words[0].isalpha()))
def test_plain_names_survive_the_way_there_and_back(words: list[str]) -> None:
    name = "_".join(words)

    assert name == legacy_name(item_name(name))

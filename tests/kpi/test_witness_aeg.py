"""Chapters A, E and G against a second reading of the catalogue, on random small companies; sums where sums are due."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from enum import IntEnum
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from b24metrics.kpi import KPIS, Kpi, evaluate, frames
from b24metrics.kpi.frames import Row
from b24metrics.kpi.model import Chapter
from b24metrics.mirror.stores import DuckStore
from tests.kpi.aeg_companies import Case, made
from tests.kpi.small import PORTAL
from tests.kpi.witness_a import Answers, Ground, Labels, Told, Volume
from tests.kpi.witness_e import GIVEN, Efficiency
from tests.kpi.witness_g import Quality

VOLUME, EFFICIENCY, QUALITY = (
    [kpi for kpi in KPIS.values() if kpi.chapter is chapter]
    for chapter in (Chapter.VOLUME, Chapter.EFFICIENCY, Chapter.QUALITY)
)
#: A few for every run; a campaign says how many more.
EXAMPLES = int(os.environ.get("B24_WITNESS_EXAMPLES", "2"))
SEEDS = st.integers(0, 10**9)

# A smaller seed is no simpler company: nothing is gained by shrinking.
examples = settings(
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)


def told_by_the_evaluator(store: DuckStore, case: Case, kpis: Iterable[Kpi]) -> Answers:
    case.company.pour(store)
    samples = evaluate(store, PORTAL, list(kpis), now=case.now, options=case.options).samples
    return {
        (s.kpi.id, str(s.grain), tuple(sorted(s.labels.items())), s.window.value): Told(
            s.value, s.n, s.numerator, s.denominator
        )
        for s in samples
    }


def same(one: Fraction | float | None, other: Fraction | float | None) -> bool:
    if one is None or other is None:
        return one is other
    return float(other) == pytest.approx(float(one), rel=1e-9, abs=1e-9)


def differences(expected: Answers, actual: Answers) -> dict[object, object]:
    """Where the two disagree. What one leaves out has no value in the other; sizes count where both have a row."""
    nothing = Told(None)
    wrong: dict[object, object] = {}
    for key in expected.keys() | actual.keys():
        mine, theirs = expected.get(key, nothing), actual.get(key, nothing)
        shown = [part.value for part in KPIS[key[0]].parts] if key in expected and key in actual else []
        told = [(mine.value, theirs.value)]
        told += [  # sizes of nothing may go untold
            (getattr(mine, part), getattr(theirs, part))
            for part in shown
            if mine.value is not None or getattr(mine, part) is not None
        ]
        if not all(same(one, other) for one, other in told):
            wrong[key] = (mine, theirs)
    return wrong


class Shown(IntEnum):
    """When a key has a sample, if a dismissed manager's noughts are told like everybody's."""

    NEVER = Row.NEVER
    ALWAYS = Row.ALWAYS
    NOT_ZERO = Row.ALWAYS
    WITH_RECORDS = Row.WITH_RECORDS


@examples
@given(seed=SEEDS)
def test_volume_and_plan(store: DuckStore, seed: int) -> None:
    """Chapter A, every KPI at every grain and window."""
    case = made(seed)
    expected = Volume(case.company, case.now, case.options, case.hours).answers()
    actual = told_by_the_evaluator(store, case, VOLUME)

    assert {} == differences(expected, actual)
    assert {} == sums_that_fail(case, VOLUME, actual)


@examples
@example(seed=7004)  # a dismissed manager with calls of which none led to a deal
@given(seed=SEEDS)
def test_manager_efficiency(store: DuckStore, seed: int) -> None:
    """Chapter E; numbers of other chapters are taken as they are told."""
    case = made(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "Row", Shown)  # the score is made of a dismissed manager's noughts as well
        given_ = told_by_the_evaluator(store, case, [KPIS[name] for name in GIVEN])
    expected = Efficiency(case.company, case.now, case.options, case.hours, given_).answers()
    actual = told_by_the_evaluator(store, case, EFFICIENCY)

    assert {} == differences(expected, actual)
    assert {} == sums_that_fail(case, EFFICIENCY, actual)


@examples
@given(seed=SEEDS)
def test_data_quality(store: DuckStore, seed: int) -> None:
    """Chapter G, every KPI at every grain and window."""
    case = made(seed)
    expected = Quality(case.company, case.now, case.options, case.hours).answers()
    actual = told_by_the_evaluator(store, case, QUALITY)

    assert {} == differences(expected, actual)
    assert {} == sums_that_fail(case, QUALITY, actual)


# ---------------------------------------------------------------- sums


def sums_that_fail(case: Case, kpis: list[Kpi], told: Answers) -> dict[object, object]:
    """Of what adds up: the company is the sum of own members, a department that of its subtree, a manager of pipelines."""
    ground = Ground(case.company, case.now, case.options, case.hours)
    wrong: dict[object, object] = {}
    for kpi in kpis:
        if not kpi.adds_up:
            continue
        own = next(str(grain) for grain in kpi.evaluated_grains if str(grain) in {"O", "O×P"})
        sums: list[tuple[str, str, Callable[[dict[str, str], dict[str, str]], bool]]] = [
            ("T", own, lambda _whole, _part: True),
            ("D", own, lambda whole, part: int(whole["department_id"]) in ground.above(int(part["department_id"]))),
            ("M", "M×P", lambda whole, part: whole["manager_id"] == part["manager_id"]),
        ]
        cut = {str(grain) for grain in kpi.grains} | {own}
        for whole, part, belongs in sums:
            if {whole, part} <= cut:
                wrong |= {
                    key: (value, added)
                    for key, value, added in pairs(told, kpi, whole, part, belongs)
                    if not same(value, added)
                }
    return wrong


def pairs(
    told: Answers, kpi: Kpi, whole: str, part: str, belongs: Callable[[dict[str, str], dict[str, str]], bool]
) -> Iterable[tuple[object, float, float]]:
    """Values of a cut, each with the sum of the finer cut's values that belong to it."""
    of_whole, of_part = ([key for key in told if key[:2] == (kpi.id, grain)] for grain in (whole, part))
    for key in of_whole:
        names = dict(key[2])
        finer = [other for other in of_part if other[3] == key[3] and beyond(kpi, other[2]) == beyond(kpi, key[2])]
        values = [told[other].value for other in finer if belongs(names, dict(other[2]))]
        yield key, float(told[key].value or 0), float(sum(value for value in values if value is not None))


def beyond(kpi: Kpi, labels: Labels) -> Labels:
    """Labels that are no axis."""
    return tuple((name, text) for name, text in labels if name in kpi.labels)


def test_the_witnesses_tell_all_of_their_chapters() -> None:
    """Some seeds together have a number other than 0 for every KPI; a scorecard needs other chapters' answers."""
    seen = {"scorecard_score"}
    for seed in range(25):
        case = made(seed)
        common = (case.company, case.now, case.options, case.hours)
        for answers in (Volume(*common).answers(), Efficiency(*common, {}).answers(), Quality(*common).answers()):
            seen |= {key[0] for key, told in answers.items() if told.value}

    assert {kpi.id for kpi in (*VOLUME, *EFFICIENCY, *QUALITY)} == seen

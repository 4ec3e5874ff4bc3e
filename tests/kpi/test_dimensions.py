"""The department tree, primary departments, the sales scope."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from b24metrics.kpi.dimensions import Department, DepartmentTree, Person, Scope


def tree(**parents: int | None) -> DepartmentTree:
    """``tree(d1=None, d2=1)``."""
    return DepartmentTree(Department(int(name[1:]), parent) for name, parent in parents.items())


def test_ancestors_and_subtrees() -> None:
    """Up to the root, down to the leaves, oneself included."""
    company = tree(d1=None, d10=1, d11=10, d12=10, d20=1)

    assert (11, 10, 1) == company.ancestors(11)
    assert frozenset({10, 11, 12}) == company.subtree({10})
    assert frozenset({11, 20}) == company.subtree({11, 20})
    assert () == company.ancestors(99)
    assert frozenset() == company.subtree({99})


def test_a_parent_of_zero_is_none() -> None:
    """The portal spells "no parent" in several ways."""
    assert (1,) == tree(d1=0).ancestors(1)


def test_orphans_hang_on_the_root() -> None:
    """The parent was deleted, or is hidden from the webhook."""
    company = tree(d1=None, d5=77, d6=5)

    assert (6, 5, 1) == company.ancestors(6)


def test_orphans_without_any_root_are_tops() -> None:
    """The webhook sees two branches and nothing above."""
    company = tree(d5=77, d6=5)

    assert (6, 5) == company.ancestors(6)


def test_a_cycle_is_cut_at_its_smallest_id() -> None:
    """3 → 4 → 5 → 3: department 3 hangs on the root, the others stay below it."""
    company = tree(d1=None, d3=5, d4=3, d5=4)

    assert (5, 4, 3, 1) == company.ancestors(5)
    assert (3, 1) == company.ancestors(3)


def test_a_department_that_is_its_own_parent() -> None:
    """The shortest cycle."""
    assert (7, 1) == tree(d1=None, d7=7).ancestors(7)


def test_nothing_but_a_cycle() -> None:
    """No top at all: the department at which the cycle is cut becomes it."""
    company = tree(d3=4, d4=3, d9=77)

    assert (4, 3) == company.ancestors(4)
    assert (3,) == company.ancestors(3)


@given(st.dictionaries(st.integers(1, 12), st.one_of(st.none(), st.integers(0, 14)), max_size=12))
def test_every_path_ends_whatever_the_portal_says(parents: dict[int, int | None]) -> None:
    """Any parents: paths are finite, visit nobody twice and start with the department; real parents are kept."""
    company = DepartmentTree(Department(number, parent) for number, parent in parents.items())
    for department in parents:
        path = company.ancestors(department)
        assert department == path[0]
        assert len(path) == len(set(path))
        assert department in company.subtree({path[-1]})
    kept = [d for d, parent in parents.items() if company.parents[d] == (parent or None)]
    mended = [d for d in parents if d not in kept]
    assert all(parents[d] not in parents or parents[d] in company.subtree({d}) or d == parents[d] for d in mended)


def people() -> list[Person]:
    return [
        Person(101, departments=(11, 12)),
        Person(102, departments=(12,)),
        Person(103, departments=(99, 10)),
        Person(104, active=False, departments=(11,)),
        Person(201, departments=(20,)),
        Person(301),
    ]


COMPANY = {"d1": None, "d10": 1, "d11": 10, "d12": 10, "d20": 1}


def test_the_first_department_that_exists_is_the_primary_one() -> None:
    """A configured one goes before; deleted ones are passed over."""
    scope = Scope.of(tree(**COMPANY), people(), sales_departments=frozenset({10}), primary_departments={102: 11})

    assert {101: 11, 102: 11, 103: 10, 104: 11, 201: 20, 301: None} == {
        member.person.id: member.department_id for member in scope.members
    }
    assert {101, 102, 103, 104} == {member.person.id for member in scope.members if member.in_scope}
    assert (10, 11, 12) == scope.departments


def test_no_configured_scope_is_everybody_with_a_department() -> None:
    """The whole tree is sales."""
    scope = Scope.of(tree(**COMPANY), people())

    assert {301} == {member.person.id for member in scope.members if not member.in_scope}


def test_the_closure_stays_inside_the_scope() -> None:
    """Departments of the sales subtree, with their ancestors up to its top and no further."""
    scope = Scope.of(tree(**COMPANY), people(), sales_departments=frozenset({10}))

    assert {(10, 10), (11, 11), (11, 10), (12, 12), (12, 10)} == set(scope.closure)


def test_nested_tops_count_once() -> None:
    """A department named together with its parent has one path."""
    scope = Scope.of(tree(**COMPANY), people(), sales_departments=frozenset({10, 11}))

    assert len(scope.closure) == len(set(scope.closure))
    assert (10, 11, 12) == scope.departments


def test_any_predicate_on_people() -> None:
    """A random set of employees."""
    scope = Scope.of(tree(**COMPANY), people(), people_filter=lambda who: who.id % 2 == 1)

    assert frozenset({101, 103, 201, 301}) == scope.chosen
    assert {101, 103, 201} == {member.person.id for member in scope.members if member.in_scope}

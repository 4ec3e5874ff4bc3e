"""Who belongs where: the department tree, primary departments, the sales scope.

Laws: every department hangs under exactly one root path, whatever the portal says (orphans and cycles are mended here);
a person has at most one primary department, so that a record counts once per department. Source: catalogue §2.5, §19.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Department:
    """As the portal says. ``parent_id``: None or 0 for the top."""

    id: int
    parent_id: int | None = None
    name: str = ""
    head_id: int | None = None
    sort: int = 0


@dataclass(frozen=True, slots=True)
class Person:
    """A user. ``departments``: in the portal's order, the first is the primary one unless configured otherwise."""

    id: int
    active: bool = True
    name: str = ""
    departments: tuple[int, ...] = ()
    position: str = ""


#: Chooses an ad-hoc set of people.
PeopleFilter: TypeAlias = Callable[[Person], bool]


class DepartmentTree:
    """Ancestors and subtrees. A parent that does not exist is replaced by the root; a cycle is cut at its smallest id."""

    def __init__(self, departments: Iterable[Department]) -> None:
        self.departments: Mapping[int, Department] = {
            d.id: d for d in sorted(departments, key=lambda d: (d.sort, d.id))
        }
        self.parents: Mapping[int, int | None] = self._mended()

    def _mended(self) -> dict[int, int | None]:
        known = self.departments
        said = {d.id: d.parent_id or None for d in known.values()}
        roots = [d for d, parent in said.items() if parent is None]
        parents: dict[int, int | None] = {}
        for department, parent in said.items():
            if parent is None or parent in known:
                parents[department] = parent
            else:
                parents[department] = roots[0] if roots else None
        safe: set[int] = set()  # departments whose path is known to end
        for department in sorted(parents):
            path: list[int] = []
            at: int | None = department
            while at is not None and at not in safe and at not in path:
                path.append(at)
                at = parents[at]
            if at is not None and at in path:
                cut = min(path[path.index(at) :])
                # Where the portal shows no top at all, the department at which the cycle is cut becomes it.
                parents[cut] = next((root for root in roots if root != cut), None)
                if parents[cut] is None:
                    roots.append(cut)
            safe.update(path)
        return parents

    def ancestors(self, department: int) -> tuple[int, ...]:
        """The department itself, then its parents up to the root; nothing for an unknown one."""
        path: list[int] = []
        at = department if department in self.parents else None
        while at is not None:
            path.append(at)
            at = self.parents[at]
        return tuple(path)

    def subtree(self, departments: Iterable[int]) -> frozenset[int]:
        """These departments and everything below them."""
        tops = frozenset(departments)
        return frozenset(d for d in self.parents if not tops.isdisjoint(self.ancestors(d)))

    def __contains__(self, department: object) -> bool:
        return department in self.parents


@dataclass(frozen=True, slots=True)
class Member:
    """A person with a place. ``department_id``: the primary one, None without any; ``in_scope``: in the sales scope."""

    person: Person
    department_id: int | None
    in_scope: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """People and departments that manager and department grains speak of.

    Attributes:
        members: every known user. departments: the sales subtree, in the portal's order. chosen: users to whom records
            are restricted, None for no restriction.
    """

    tree: DepartmentTree
    members: tuple[Member, ...]
    departments: tuple[int, ...]
    chosen: frozenset[int] | None = None

    @classmethod
    def of(
        cls,
        tree: DepartmentTree,
        people: Sequence[Person],
        *,
        sales_departments: frozenset[int] = frozenset(),
        primary_departments: Mapping[int, int] | None = None,
        people_filter: PeopleFilter | None = None,
    ) -> Scope:
        """Place everybody.

        Args:
            tree: all departments of the portal.
            people: all users of the portal.
            sales_departments: their subtrees are the scope; empty: the whole tree.
            primary_departments: user → department that counts instead of the first one.
            people_filter: restricts records, and manager rows, to the people it accepts.
        """
        inside = tree.subtree(sales_departments) if sales_departments else frozenset(tree.parents)
        wished = primary_departments or {}
        members = []
        for person in people:
            # Departments that were deleted in the portal are passed over: the next one of the list is the primary.
            places = [d for d in (wished.get(person.id), *person.departments) if d is not None and d in tree]
            primary = places[0] if places else None
            members.append(Member(person, primary, primary in inside))
        chosen = None if people_filter is None else frozenset(p.id for p in people if people_filter(p))
        if chosen is not None:
            members = [
                m if m.person.id in chosen else Member(m.person, m.department_id, in_scope=False) for m in members
            ]
        return cls(tree, tuple(members), tuple(d for d in tree.departments if d in inside), chosen)

    @property
    def closure(self) -> tuple[tuple[int, int], ...]:
        """(department, ancestor inside the scope), every department of the scope being its own ancestor."""
        inside = frozenset(self.departments)
        return tuple((d, a) for d in self.departments for a in self.tree.ancestors(d) if a in inside)

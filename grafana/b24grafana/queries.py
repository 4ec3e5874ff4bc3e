"""PromQL made from declarations.

Laws: a metric's name and labels come from a Kpi's families; every selector of a windowed family pins its window; what
adds up is summed from own members, what does not is read ready-made, never averaged; ids are matched and joined, names
come last, from the info families, wrapped so that a second exporter cannot break the join.
"""

from __future__ import annotations

from b24metrics.kpi.model import COMPANY, DEPARTMENT, MANAGER, Family, Grain, Kpi, Part, WindowId

#: Names joined on, last and onto as few series as possible.
MANAGER_NAME = "* on (manager_id) group_left (manager) max by (manager_id, manager) (b24_manager_info)"
DEPARTMENT_NAME = (
    "* on (department_id) group_left (department) max by (department_id, department) (b24_department_info)"
)

#: 1 while the company works, absent otherwise: `expr and on () WORKING` mutes a rule outside working time.
WORKING = "(max(b24_company_working_now) == 1)"

#: Seconds since the served figures were complete.
AGE = "time() - max(b24_exporter_last_refresh_success_timestamp_seconds)"


def elapsed(window: WindowId) -> str:
    """Share of the period's working time that has passed, one series without labels."""
    return f'max(b24_window_worktime_elapsed_ratio{{window="{window}"}})'


def selector(family: Family, window: WindowId) -> str:
    """All series of a family in one window."""
    return f'{family.name}{{window="{window}"}}'


def company(kpi: Kpi, window: WindowId, part: Part = Part.VALUE) -> str:
    """The company's value: one series without labels."""
    family = kpi.family(COMPANY, part)
    return f"{'max' if family.grain == COMPANY else 'sum'}({selector(family, window)})"


def by_department(kpi: Kpi, window: WindowId, part: Part = Part.VALUE) -> str:
    """One series per department, sub-departments included, labelled with ``department_id``."""
    return _by(kpi, DEPARTMENT, window, part)


def by_manager(kpi: Kpi, window: WindowId, part: Part = Part.VALUE) -> str:
    """One series per manager, labelled with ``manager_id`` and the primary ``department_id``."""
    return _by(kpi, MANAGER, window, part)


def _by(kpi: Kpi, grain: Grain, window: WindowId, part: Part) -> str:
    family = kpi.family(grain, part)
    # Where the family is cut finer (manager and pipeline), its parts are added; a ready value is only passed on.
    operator = "sum" if family.adds_up and family.grain != grain else "max"
    return f"{operator} by ({', '.join(grain.labels)}) ({selector(family, window)})"

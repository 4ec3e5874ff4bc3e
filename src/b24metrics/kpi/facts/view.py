"""Facts: dated, attributed rows over the mirror's tables; views: what several facts share.

Laws: all filters of the base population live here, a measure adds only a condition on the fact's own columns; the SQL is
DuckDB's dialect without what PostgreSQL has no word for; ``$name`` is a value of ``ASKED``, always bound, never pasted;
the tables ``kpi_…`` are made by the evaluator from options and directories.

Columns of a fact: ``id`` of the entity named by ``kind``, ``happened_at`` (unless a state), ``manager_id``, the axes it can
be cut along (``pipeline_id``, ``stage_id``, ``source_id``, ``currency``), then what is measured. Money is DECIMAL: its
native amount and ``amount`` in the reporting currency, NULL where the currency has no rate.

Tables of the evaluator: ``kpi_lists(list, number, text)`` configured lists; ``kpi_rates(currency_id, factor)`` today's
rates; ``kpi_factors(rate, rate_count, since, until, factor)`` every frozen rate, by when it was frozen;
``kpi_past_rates(currency_id, since, until, factor)`` what a currency was worth; ``kpi_days(on_date, starts_at)`` first instant
of local dates; ``kpi_kinds(provider_id, kind)`` configured kinds of activities; ``kpi_chances(stage_id,
chance)`` configured chances of winning; ``kpi_sellers(manager_id)`` active people of the sales scope;
``kpi_people(manager_id, department_id)`` everybody with the primary department, 0 outside the scope;
``kpi_closure(department_id, ancestor_id)`` departments of the scope with those above them; ``kpi_work_days`` the company's working time, calendar
0, for ``worktime.sqltable`` (``working_seconds`` says how).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from b24metrics.kpi.refine import Refinement
from b24metrics.worktime.sqltable import join_sql, worked_sql

#: Pseudo-feed of ``View.feeds``: changes of the person responsible, which are observed, not copied.
ASSIGNMENTS: Final = "assignments"

#: Parts of contacts that a mirror may leave out (``Kpi.needs``).
NAMES: Final = "contacts.names"
COMMENTS: Final = "contacts.comments"
KEYS: Final = "contacts.keys"


def working_seconds(start: str, end: str) -> tuple[str, str]:
    """Working time of the company between two columns: the joins that it needs, and the expression, BIGINT.

    NULL where an instant lies before the first record of the portal's history or after tomorrow.
    """
    joins = f"{join_sql('0', start, 'w1', 'kpi_work_days')}\n{join_sql('0', end, 'w2', 'kpi_work_days')}"
    return joins, f"({worked_sql(end, 'w2')} - {worked_sql(start, 'w1')})"


#: Values that views may ask for by ``$name``.
ASKED: Final = frozenset(
    {
        "portal",  # name of the portal in the mirror
        "now",  # evaluation instant
        "since",  # earliest start of all windows evaluated
        "base_currency",  # the portal's, that of a deal without one
        "foreign_currency",  # reporting currency where it is not the portal's, else ''
        "test_pattern",  # RE2, or NULL
        "go_live",  # first instant after the migration, or NULL
        "all_pipelines",  # TRUE: no list of pipelines is configured
        "burst_records", "burst_seconds",
        "by_close_date",  # TRUE: the editable date says when a deal was closed
        "aged_before",  # created at or before: older than the grace period, in company working time
        "classic",  # TRUE: new requests are leads
        "count_by_hand", "edits_react",
        "effective_seconds",  # talk from which a connected call is effective
        "success_seconds",  # time after a call within which a won deal makes it successful
        "stale_before",  # a deal without contact since then is stale
        "d30_at", "t180_at",  # where the windows 30d and t180 begin
        "answer_field",  # result field of a call's activity that holds the client's answer, or NULL
        "zone",  # reporting zone
        "today",  # the local date of ``now``
        "day_begins", "day_ends",  # first instants of that date and of the next one
        "seen_until",  # the later of ``now`` and the last look at the portal: what is dated after it lies in the future
        "by_stage",  # TRUE: the stage of a deal tells that a proposal was sent
        "lower_case",  # every lower-case letter
        "names_kept",  # FALSE: the mirror leaves out the names of contacts
        "particles",  # words that may begin a family name, in lower case, with a space before and after each
        "headline_unit",  # code of the unit of measure whose quantities are counted
        "segment_by",  # industry, client_type or deal_type
        "by_invoices",  # TRUE: a purchase is a paid invoice
        "active_seconds",  # a client is active for that long after a purchase, on the local clock
        "margin",  # share of revenue that is left after the cost of goods
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class View:
    """A named SELECT over mirror tables and other views.

    Attributes:
        name: of the temporary table that it becomes. needs: views that it reads. feeds: those without which its rows mean
            nothing, by their names in ``feed_state``; "requests" stands for leads or deals, whichever new requests are,
            "proposals" for quotes or for deals with their moves, whichever tells, "purchases" for deals or invoices, whichever they
            are.
        waits_for: feeds that it can do without, but not with half of: while their past is being copied there are no rows.
    """

    name: str
    sql: str
    feeds: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    needs: tuple[View, ...] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Fact(View):
    """A view whose rows are counted.

    Attributes:
        kind: the entity that ``id`` names. kinds: an expression of the fact's columns for it, where rows differ. state: rows of the present; their only window is ``now``.
        solo: column that tells rows whose distinct key occurs in no other row, so that they may be counted plainly.
        refine: adds columns that SQL cannot say (working time), over whole arrays.
        windowed: for cohorts and sets that depend on the bounds of the window: the SQL may read
            ``kpi_windows(window_no, starts_at, ends_at, period_ends_on, starts_back, ends_back, is_state)``, every window that
            is asked of this fact (half-open; previous and fixed ones included; a state's is empty, both bounds being ``$now``;
            ``period_ends_on``: first local date after the whole period; ``…_back``: the same wall time as many days before
            a bound as a client stays active), and yields the column ``window_no`` instead of ``happened_at``: a row counts in
            that window alone. ``$since`` is the earliest ``starts_at``.
        placed: rows say in ``placed_in`` to which department their manager belonged at the time; where that is NULL, or a
            department that is gone, today's counts (catalogue §2.5 "Membership").
    """

    kind: str = ""
    kinds: str = ""
    state: bool = False
    solo: str | None = None
    refine: Refinement | None = None
    windowed: bool = False
    placed: bool = False

    @property
    def dated(self) -> bool:
        """Whether rows have a moment of their own."""
        return not (self.state or self.windowed)

"""Tables that facts look things up in: options, directories, rates, dates, the company's working time, as Arrow.

Laws: made from what the portal and its people decided, never from records counted; small, except the working time, which
has a row a day. Nothing here writes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from b24metrics.errors import ConfigError
from b24metrics.kpi.ground import Ground
from b24metrics.worktime.sqltable import work_days
from b24metrics.worktime.workclock import FIRST_YEAR

if TYPE_CHECKING:
    import pyarrow as pa

#: Name and content.
Lookup: TypeAlias = "tuple[str, pa.Table]"

#: Every frozen rate, and the quote of the reporting currency at that time: since when it held.
_FROZEN = """
WITH frozen AS (
    SELECT z.rate, z.rate_count, z.observed_at AS seen_at FROM deal_closings AS z WHERE z.portal = ?
    UNION ALL
    SELECT p.rate, p.rate_count, p.paid_at FROM payments AS p WHERE p.portal = ?
), quotes AS (
    SELECT r.seen_at, lead(r.seen_at) OVER (ORDER BY r.seen_at) AS until FROM rates AS r
    WHERE r.portal = ? AND r.currency_id = ?
)
SELECT DISTINCT f.rate, f.rate_count, q.seen_at
FROM frozen AS f
LEFT JOIN quotes AS q ON q.seen_at <= f.seen_at AND (q.until IS NULL OR f.seen_at < q.until)
"""

#: Digits behind the point of a rate: exact for every rate quoted per 1, 10, … 1,000,000 units.
_FACTOR = Decimal("0.000000000001")
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def lookups(ground: Ground) -> Iterator[Lookup]:
    """All tables of the evaluator that every fact may read (``facts.view`` says what stands in them)."""
    options, scope = ground.options, ground.scope
    drafts_are_named = options.invoice_draft_stages is not None
    lists: list[tuple[str, int | None, str | None]] = [
        *(("pipelines", number, None) for number in sorted(options.pipelines or ())),
        *(("no_pipelines", number, None) for number in sorted(options.excluded_pipelines)),
        *(("no_users", number, None) for number in sorted(options.excluded_users)),
        *(("no_sources", None, text) for text in sorted(options.excluded_sources)),
        *(("origins", None, text) for text in sorted(options.migration_origins)),
        *(("unrecorded_lines", None, text) for text in sorted(options.unrecorded_lines)),
        *(("bots", number, None) for number in sorted(options.chat_bots)),
        # The empty one says that there is a choice at all, be it none.
        *(("drafts", None, text) for text in ("", *sorted(options.invoice_draft_stages or ())) if drafts_are_named),
        *(("sent_quotes", None, text) for text in sorted(options.quote_sent_stages)),
        *(("web_sources", None, text) for text in sorted(options.web_sources)),
        *((f"required_{kind}", None, text) for kind, names in options.required_fields.items() for text in names),
        *(("proposal_stages", None, text) for text in sorted(options.proposal_stages)),
        *(("qualified_stages", None, text) for text in sorted(options.qualified_stages)),
        *(("agreement_stages", None, text) for text in sorted(options.agreement_stages)),
        *(("junk_statuses", None, text) for text in sorted(options.junk_statuses)),
        *(("stage_limits", seconds, text) for text, seconds in sorted(options.stage_limits.items())),
        *(("loss_reason_field", None, text) for text in (options.loss_reason_field,) if text),
        *((f"{answer.value}_values", None, text) for text, answer in sorted(options.answer_values.items())),
        *((f"{answer.value}_tags", None, text) for text, answer in sorted(options.answer_tags.items())),
    ]
    yield "kpi_lists", arrow_rows({"list": "string", "number": "int64", "text": "string"}, lists)
    kinds = [(provider, kind.value) for provider, kind in sorted(options.activity_kinds.items())]
    yield "kpi_kinds", arrow_rows({"provider_id": "string", "kind": "string"}, kinds)
    chances = sorted(options.stage_probabilities.items())
    yield "kpi_chances", arrow_rows({"stage_id": "string", "chance": "double"}, chances)
    people = [
        (
            m.person.id,
            m.department_id if m.in_scope else 0,
            scope.chosen is None or m.person.id in scope.chosen,
            m.person.id in options.primary_departments,
        )
        for m in scope.members
    ]
    columns = {"manager_id": "int64", "department_id": "int64", "chosen": "bool", "fixed": "bool"}
    yield "kpi_people", arrow_rows(columns, people)
    inside = frozenset(scope.departments)
    places = [(place, place if place in inside else 0) for place in scope.tree.departments]
    yield "kpi_places", arrow_rows({"department_id": "int64", "counts_for": "int64"}, places)
    yield "kpi_closure", arrow_rows({"department_id": "int64", "ancestor_id": "int64"}, scope.closure)
    sellers = [(m.person.id,) for m in scope.members if m.in_scope and m.person.active]
    yield "kpi_sellers", arrow_rows({"manager_id": "int64"}, sellers)
    yield from _rates(ground)
    yield from _days(ground)
    yield from _work_days(ground)


def _rates(ground: Ground) -> Iterator[Lookup]:
    """Factors to the reporting currency. Divided here: the database divides decimals in binary."""
    today = {
        currency: Decimal(rate) / count
        for currency, rate, count in ground.ask(
            "SELECT id, rate, rate_count FROM currencies WHERE portal = ? AND (deleted_at IS NULL OR deleted_at > ?)",
            ground.now,
        )
        if rate and count
    }
    seen: dict[str, list[tuple[datetime, Decimal]]] = {}
    for currency, at, rate, count in ground.ask(
        "SELECT currency_id, seen_at, rate, rate_count FROM rates WHERE portal = ? ORDER BY currency_id, seen_at"
    ):
        if rate and count:
            seen.setdefault(currency, []).append((at, Decimal(rate) / count))
    for currency, quotes in seen.items():
        if quotes[-1][0] > ground.now:  # what a currency was worth before it was first looked at, nobody knows
            today[currency] = next((rate for at, rate in reversed(quotes) if at <= ground.now), quotes[0][1])
    today[ground.base_currency] = Decimal(1)
    reporting = today.get(ground.currency)
    if reporting is None:
        raise ConfigError(
            f"the portal has no rate for the reporting currency {ground.currency}: add it there, "
            f"or set reporting.currency to one of {', '.join(sorted(today))}"
        )
    rates = [(currency, (rate / reporting).quantize(_FACTOR)) for currency, rate in sorted(today.items())]
    yield "kpi_rates", arrow_rows({"currency_id": "string", "factor": "decimal(24, 12)"}, rates)
    # What was frozen, or quoted, then is divided by what the reporting currency was worth then.
    even: list[tuple[datetime, Decimal]] = [(_EARLIEST, Decimal(1))]
    past = {currency: [(_EARLIEST, quotes[0][1]), *quotes[1:]] for currency, quotes in seen.items()}
    past[ground.base_currency] = even
    ours = past.get(ground.currency) or [(_EARLIEST, reporting)]
    frozen = {
        (rate, count, *_span(ours, since or _EARLIEST)): (Decimal(rate) / count / _worth(ours, since or _EARLIEST))
        for rate, count, since in ground.ask(_FROZEN, ground.portal, ground.portal, ground.currency)
        if rate and count
    }
    columns = {"rate": "decimal(18, 6)", "rate_count": "int64", "since": "instant", "until": "instant"}
    columns["factor"] = "decimal(24, 12)"
    yield "kpi_factors", arrow_rows(columns, [(*key, factor.quantize(_FACTOR)) for key, factor in frozen.items()])
    past[ground.currency] = ours  # of itself it is worth one at any time
    spans = [
        (currency, since, until, (_worth(quotes, since) / _worth(ours, since)).quantize(_FACTOR))
        for currency, quotes in past.items()
        for since, until in pairwise([*sorted({at for at, _ in (*quotes, *ours)}), _LATEST])
    ]
    columns = {"currency_id": "string", "since": "instant", "until": "instant", "factor": "decimal(24, 12)"}
    yield "kpi_past_rates", arrow_rows(columns, spans)


def _span(quotes: Sequence[tuple[datetime, Decimal]], at: datetime) -> tuple[datetime, datetime]:
    """From when until when the quote of an instant holds."""
    after = bisect_right(quotes, at, key=itemgetter(0))
    return quotes[after - 1][0], quotes[after][0] if after < len(quotes) else _LATEST


def _worth(quotes: Sequence[tuple[datetime, Decimal]], at: datetime) -> Decimal:
    """The quote of an instant."""
    return quotes[bisect_right(quotes, at, key=itemgetter(0)) - 1][1]


def _days(ground: Ground) -> Iterator[Lookup]:
    """First instants of the local dates that records name."""
    dates = ground.ask(
        "SELECT on_date FROM (SELECT closes_on AS on_date FROM deals WHERE portal = ? "
        "UNION SELECT from_closes_on FROM deal_changes WHERE portal = ? "
        "UNION SELECT begins_on FROM invoices WHERE portal = ? "
        "UNION SELECT starts_on FROM inputs WHERE portal = ?) AS named "
        "WHERE on_date BETWEEN DATE '1971-01-01' AND DATE '2099-12-31'",
        ground.portal,
        ground.portal,
        ground.portal,
    )
    on = [day for (day,) in dates]
    columns = {"on_date": "date32", "starts_at": "instant"}
    yield "kpi_days", arrow_rows(columns, list(zip(on, ground.rules.midnights(on), strict=True)))


def _work_days(ground: Ground) -> Iterator[Lookup]:
    """The company's working time for SQL, calendar 0, from the first record of any history to tomorrow."""
    found = ground.ask(
        "SELECT min(x.first_at) FROM (SELECT min(created_at) AS first_at FROM stage_moves WHERE portal = ? "
        "UNION ALL SELECT min(created_at) FROM deals WHERE portal = ?) AS x",
        ground.portal,
    )
    first = max(found[0][0] or ground.now, datetime(FIRST_YEAR, 1, 1, tzinfo=UTC))
    last = max(ground.now, first) + timedelta(days=1)
    days = work_days({0: ground.clocks.company}, first.astimezone(UTC).date(), last.astimezone(UTC).date())
    yield "kpi_work_days", arrow_columns(days)


# ---------------------------------------------------------------- Arrow

# Imported where it is used: declarations must be readable where no database is installed.


def arrow_rows(columns: Mapping[str, str], rows: Sequence[Sequence[object]]) -> pa.Table:
    """Rows as a table; ``columns``: name → Arrow type, ``instant`` or ``decimal(p, s)``."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    def kind(name: str) -> pa.DataType:
        if name.startswith("decimal"):
            precision, scale = re.findall(r"\d+", name)
            return pa.decimal128(int(precision), int(scale))
        return pa.timestamp("us", "UTC") if name == "instant" else pa.type_for_alias(name)

    arrays = [pa.array([row[i] for row in rows], kind(name)) for i, name in enumerate(columns.values())]
    return pa.table(dict(zip(columns, arrays, strict=True)))


def arrow_columns(columns: Mapping[str, np.ndarray[Any, Any]]) -> pa.Table:
    """Arrays as a table; NaN becomes NULL."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    return pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})

"""Sales plans per manager and month: what a head of sales would have written down, knowing the people.

Laws: a plan leans half on what is usual for the person and the trade in a month of so many working days, half on what
the pipeline of that month held (past months: on what it brought); it is rounded and ambitious. The portal itself has no
plans over REST, so they leave as CSV.
"""

from __future__ import annotations

import csv
import io

import duckdb

from b24metrics.sim.company.demand import SEASON
from b24metrics.sim.company.options import ROUBLES
from b24metrics.sim.company.workshop import Workshop


def build(shop: Workshop) -> None:
    """Make ``backstage.plan`` (user, first day of the month, amount in the base currency)."""
    company = shop.company
    rates = (
        "CASE currency " + " ".join(f"WHEN '{code}' THEN {company.rate(code)!r}::DOUBLE" for code in ROUBLES) + " END"
    )
    unit = max(1, round(10_000 * company.rate("RUB")))
    season = f"([{', '.join(map(str, SEASON))}])"
    shop.run(
        f"""
        CREATE OR REPLACE TABLE backstage.plan AS
        WITH months AS (
            SELECT date_trunc('month', on_date)::DATE AS month, min(starts_at) AS starts_at, max(ends_at) AS ends_at,
                sqrt({season}[any_value(w.month)]) AS season
            FROM w_day w GROUP BY 1 HAVING min(starts_at) <= {shop.now}
        ), presence AS (
            -- working days of each person in each month, vacations left out
            SELECT d.user_id, date_trunc('month', d.on_date)::DATE AS month, count(*) AS days FROM backstage.work_day d GROUP BY ALL
        ), brought AS (
            -- integers of the base currency: sums of doubles are not the same twice
            SELECT s.owner_id AS user_id, m.month, sum((amount::DOUBLE * {rates})::BIGINT) AS amount
            FROM w_sale s JOIN months m ON s.moved_t >= m.starts_at AND s.moved_t < m.ends_at
            WHERE sem = 'S' AND NOT (origin = 'import' AND born_closed) AND m.ends_at <= {shop.now} GROUP BY ALL
        ), worked AS (
            SELECT user_id, sum((1000 * days * season)::BIGINT) / 1000.0 AS weight FROM presence JOIN months m USING (month)
                WHERE m.ends_at <= {shop.now} GROUP BY 1
        ), usual AS (
            SELECT p.user_id, p.trade, w.weight, coalesce(b.amount, 0) / nullif(w.weight, 0) AS daily
            FROM backstage.person p LEFT JOIN worked w USING (user_id) LEFT JOIN (SELECT user_id,
                sum(amount) AS amount FROM brought GROUP BY 1) b USING (user_id)
            WHERE p.kind = 'seller'
        ), typical AS (SELECT trade, median(daily) AS daily FROM usual WHERE weight > 40 GROUP BY trade), expected AS (
            SELECT u.user_id, m.month, m.ends_at <= {shop.now} AS past,
                -- newcomers get what their trade usually brings
                CASE WHEN u.weight > 40 THEN 0.7 * u.daily + 0.3 * coalesce(t.daily, u.daily) ELSE 0.7 * coalesce(t.daily, u.daily,
                    {60_000 * company.rate("RUB") / 20}::DOUBLE) END
                    * m.season * greatest(p.days, 4) AS amount
            FROM usual u LEFT JOIN typical t USING (trade) JOIN presence p USING (user_id) JOIN months m USING (month)
        )
        SELECT e.user_id, e.month, greatest(1, round(CASE WHEN past THEN greatest(0.5 * e.amount + 0.5 * coalesce(b.amount, 0),
            0.6 * e.amount) ELSE e.amount END
            * (1.06 + 0.16 * dice2('plan.ambition', e.user_id, datediff('month', DATE '2000-01-01', e.month))) / {unit})) * {unit} AS amount
        FROM expected e LEFT JOIN brought b USING (user_id, month)
        ORDER BY e.user_id, e.month
        """
    )


def plans_csv(connection: duckdb.DuckDBPyConnection) -> str:
    """Plans of a built company as CSV.

    Columns: ``kpi_id`` (revenue_won), ``level`` (M), ``subject_id`` (user), ``month`` (its first day, ISO), ``amount``
    in the base currency. One row per manager and month of employment, the current month included.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("kpi_id", "level", "subject_id", "month", "amount"))
    rows = connection.execute(
        "SELECT user_id, month, amount::BIGINT FROM backstage.plan ORDER BY month, user_id"
    ).fetchall()
    writer.writerows(("revenue_won", "M", user, month.isoformat(), amount) for user, month, amount in rows)
    return out.getvalue()

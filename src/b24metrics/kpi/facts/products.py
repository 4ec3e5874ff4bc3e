"""What was sold: rows of won deals by unit and by product, won deals by segment (catalogue §5; §19 "Volume and plan")."""

from __future__ import annotations

from b24metrics.kpi.facts.deals import WON
from b24metrics.kpi.facts.view import Fact

#: How many products or segments have a series of their own in a window; the rest is ``other``.
SHOWN = 20

#: Product rows of won deals. ``headline``: measured in the unit that is counted; a row without a unit is.
SOLD_UNITS = Fact(
    "kpi_sold_units",
    """
SELECT c.id, c.happened_at, c.manager_id, c.pipeline_id, c.placed_in, r.quantity,
    coalesce(r.measure_code, $headline_unit) = $headline_unit AS headline
FROM kpi_won AS c
JOIN product_rows AS r ON r.portal = $portal AND r.owner_type_id = 2 AND r.owner_id = c.id
WHERE c.happened_at >= $since
""",
    feeds=("deals", "product_rows"),
    waits_for=("deal_moves",),
    needs=(WON,),
    kind="deal",
    placed=True,
)

#: Amounts of won deals by product; what the rows do not explain is ``unallocated`` and may be negative. The products with
#: the largest revenue of the company in a window stand under their names, so that departments are compared in the same.
SOLD_PRODUCTS = Fact(
    "kpi_sold_products",
    f"""
WITH won AS (
    SELECT w.window_no, c.id, c.manager_id, c.pipeline_id, c.placed_in, c.amount, c.factor
    FROM kpi_won AS c
    JOIN kpi_windows AS w ON c.happened_at >= w.starts_at AND c.happened_at < w.ends_at
    WHERE c.happened_at >= $since AND c.amount IS NOT NULL
), lines AS (
    SELECT r.owner_id AS id, coalesce(nullif(r.product_name, ''), '(none)') AS product,
        sum(CAST(r.quantity * r.price AS DECIMAL(24, 8))) AS native_amount
    FROM product_rows AS r
    WHERE r.portal = $portal AND r.owner_type_id = 2 AND r.owner_id IN (SELECT v.id FROM won AS v)
    GROUP BY r.owner_id, coalesce(nullif(r.product_name, ''), '(none)')
), named AS (
    SELECT v.window_no, v.id, v.manager_id, v.pipeline_id, v.placed_in, l.product,
        CAST(l.native_amount AS DECIMAL(24, 8)) * v.factor AS amount
    FROM won AS v
    JOIN lines AS l ON l.id = v.id
), explained AS (
    SELECT n.window_no, n.id, sum(n.amount) AS amount FROM named AS n GROUP BY n.window_no, n.id
), best AS (
    SELECT n.window_no, n.product,
        row_number() OVER (PARTITION BY n.window_no ORDER BY sum(n.amount) DESC, n.product) AS place
    FROM named AS n
    GROUP BY n.window_no, n.product
)
SELECT n.window_no, n.id, n.manager_id, n.pipeline_id, n.placed_in,
    CASE WHEN b.place <= {SHOWN} THEN n.product ELSE 'other' END AS product, n.amount
FROM named AS n
JOIN best AS b ON b.window_no = n.window_no AND b.product = n.product
UNION ALL
SELECT v.window_no, v.id, v.manager_id, v.pipeline_id, v.placed_in, 'unallocated' AS product,
    v.amount - coalesce(e.amount, 0) AS amount
FROM won AS v
LEFT JOIN explained AS e ON e.window_no = v.window_no AND e.id = v.id
WHERE v.amount <> coalesce(e.amount, 0)
""",
    feeds=("deals", "product_rows"),
    waits_for=("deal_moves",),
    needs=(WON,),
    kind="deal",
    windowed=True,
    placed=True,
)

#: Amounts of won deals by segment of the client or of the deal; the largest of the window stand under their names.
SOLD_SEGMENTS = Fact(
    "kpi_sold_segments",
    f"""
WITH won AS (
    SELECT w.window_no, c.id, c.manager_id, c.pipeline_id, c.placed_in, c.amount,
        coalesce(nullif(
            CASE WHEN $segment_by = 'deal_type' THEN d.type_id
                WHEN $segment_by = 'industry' THEN f.industry
                WHEN c.company_id > 0 THEN f.type_id
                ELSE p.type_id END, ''), '(none)') AS segment
    FROM kpi_won AS c
    JOIN kpi_windows AS w ON c.happened_at >= w.starts_at AND c.happened_at < w.ends_at
    JOIN deals AS d ON d.portal = $portal AND d.id = c.id
    LEFT JOIN companies AS f ON f.portal = $portal AND f.id = c.company_id
    LEFT JOIN contacts AS p ON p.portal = $portal AND p.id = c.contact_id
    WHERE c.happened_at >= $since AND c.amount IS NOT NULL
), best AS (
    SELECT v.window_no, v.segment,
        row_number() OVER (PARTITION BY v.window_no ORDER BY sum(v.amount) DESC, v.segment) AS place
    FROM won AS v
    WHERE v.segment <> '(none)'
    GROUP BY v.window_no, v.segment
)
SELECT v.window_no, v.id, v.manager_id, v.pipeline_id, v.placed_in,
    CASE WHEN v.segment = '(none)' OR b.place <= {SHOWN} THEN v.segment ELSE 'other' END AS segment, v.amount
FROM won AS v
LEFT JOIN best AS b ON b.window_no = v.window_no AND b.segment = v.segment
""",
    feeds=("deals", "companies"),
    waits_for=("deal_moves",),
    needs=(WON,),
    kind="deal",
    windowed=True,
    placed=True,
)

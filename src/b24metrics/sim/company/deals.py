"""What becomes of a deal: its pipeline, the stages it sees, where it is lost, when it comes back, who ends up with it.

Laws: a stage is left after a log-normal time in the responsible's working days; the furthest stage is decided by the
manager's skill; a history begins with a creation (type 1), goes through stages (2) or to another pipeline (5) and ends
in a final stage (3), which a reopened deal leaves again (2). Customers buy again at their own rates until they drop
out, which is the world of the BG/NBD model: heavy-tailed rates, exponential lifetimes.
"""

from __future__ import annotations

from b24metrics.sim.company.demand import drawn, handed
from b24metrics.sim.company.dice import choice, listed
from b24metrics.sim.company.directories import BILL_STAGES, OFFER_STAGES, PIPELINES
from b24metrics.sim.company.workshop import Workshop, placed

#: Open stages of the longest pipeline.
STEPS = 5
#: Weight of nobody among the buyers of a seat: with few buyers most deals are for new customers.
NOBODY = 40_000
#: The pipeline into which retail deals sometimes move.
HOP_TO = 3


def build(shop: Workshop) -> None:
    """Make ``w_flow`` (plans of all deals), ``w_move`` (their history up to now), ``w_state`` (where they stand)."""
    _routes(shop)
    _openings(shop)
    shop.run("CREATE OR REPLACE TEMP TABLE w_repeat (dk BIGINT, ck BIGINT)")
    _flow(shop, "w_flow", "NOT wants_repeat")
    _moves(shop, "w_flow", "w_move")
    if shop.number("SELECT count(*) FROM w_opening WHERE wants_repeat"):
        _returning_customers(shop)
        _flow(shop, "w_flow2", "wants_repeat")
        _moves(shop, "w_flow2", "w_move2")
        for table in ("w_flow", "w_move"):
            shop.run(f"INSERT INTO {table} SELECT * FROM {table}2")
            shop.drop(f"{table}2")
    _states(shop)


def _routes(shop: Workshop) -> None:
    """Pipelines as rows: stage, share that passes, share that skips and median days of each of five steps."""
    columns = ["pipeline INTEGER", "steps INTEGER", "won VARCHAR", "lost VARCHAR[]"]
    columns += [f"s{i} VARCHAR, c{i} DOUBLE, k{i} DOUBLE, d{i} DOUBLE" for i in range(1, STEPS + 1)]
    rows = []
    for pipeline in PIPELINES:
        row: list[object] = [pipeline.id, len(pipeline.open_steps), pipeline.won, list(pipeline.lost)]
        for step in (*pipeline.open_steps, *(None,) * (STEPS - len(pipeline.open_steps))):
            row += [pipeline.code(step), step.passes, step.skipped, step.days] if step else [None, 1.0, 1.0, 0.0]
        rows.append(row)
    shop.rows("w_route", ", ".join(columns), rows)


def _openings(shop: Workshop) -> None:
    """Every deal with its owner and beginning, exactly as many as asked for: born of leads, opened by hand, imported."""
    company = shop.company
    if company.classic:
        born = """
            SELECT l.lk * 4 AS dk, 'lead' AS origin, m.actor AS user_id, m.ax AS x, m.t + 1 + whole('deal.after', l.lk, 4) AS t, l.lk, l.channel,
                l.returns AS wants_repeat
            FROM w_lead l JOIN w_lead_move m ON m.lk = l.lk AND m.stage = 'CONVERTED' WHERE dice('lead.deal', l.lk) < 0.94
        """
    else:
        born = "SELECT key * 4, 'request', user_id, x, t, NULL, channel, dice('lead.return', key) < 0.05 FROM w_request"
    imports = company.import_count if company.deal_count > 2 else 0
    # At least a quarter is opened by hand, also in a company of a few records.
    room = company.deal_count - imports
    shop.table(
        "w_born",
        f"SELECT * FROM ({born}) b(dk, origin, user_id, x, t, lk, channel, wants_repeat) WHERE t <= {shop.now} ORDER BY t, dk LIMIT {room - room // 4}",
    )
    own = room - shop.number("SELECT count(*) FROM w_born")
    source = choice(
        "dice('own.source', key)", (0.30, "'CALL'"), (0.16, "'RECOMMENDATION'"), (0.13, "'PARTNER'"), (0.12, "'EMAIL'"), (0.09, "'WEB'"),
        (0.07, "'TRADE_SHOW'"), (0.06, "'OTHER'"), (0.07, "NULL"),
    )  # fmt: skip
    shop.table(
        "w_starter",
        "SELECT row_number() OVER (ORDER BY user_id) - 1 AS place, user_id FROM backstage.person WHERE kind = 'seller' AND hired_at < "
        + str(shop.since),
    )
    starters = max(1, shop.number("SELECT count(*) FROM w_starter"))
    shop.table(
        "w_opening",
        f"""
        WITH beginnings AS (
            SELECT dk, origin, user_id, x, t, lk, channel, wants_repeat, 1 AS start, FALSE AS born_closed FROM w_born
            UNION ALL
            SELECT o.key * 4 + 1, CASE WHEN dice('own.template', o.key) < 0.006 THEN 'template' ELSE 'own' END, o.user_id, o.own_x,
                d.opens_at + ((o.own_x - o.n) * d.length)::BIGINT, NULL, {source}, dice('own.repeat', o.key) < p.repeats,
                CASE WHEN dice('own.late', o.key) < 0.09 THEN 2 ELSE 1 END, dice('own.closed', o.key) < 0.025 AND dice('own.template', o.key) >= 0.006
            FROM ({drawn(f"SELECT key, 'own' AS kind FROM generate_series(1, {own}) g(key)")}) o
            JOIN backstage.work_day d ON d.user_id = o.user_id AND d.n = o.n JOIN backstage.person p ON p.user_id = o.user_id
            UNION ALL
            -- the former system is read in on the first night, three rows a second
            SELECT k * 4 + 2, 'import', s.user_id, 0.05 + (SELECT min(n) FROM backstage.work_day d WHERE d.user_id = s.user_id
                AND d.opens_at >= {shop.since}),
                {shop.since} + 7800 + k // 3, NULL, 'OTHER', FALSE, 2 + whole('import.stage', k, 3), k % 5 < 2
            FROM generate_series(1, {imports}) g(k) JOIN w_starter s ON s.place = whole('import.user', k, {starters})
        )
        SELECT b.*, b.wants_repeat AND origin <> 'template' AS wanted,
            CASE WHEN p.kind = 'service' THEN 7 WHEN dice('deal.pipeline', dk) < p.pipeline_share THEN p.pipeline
                WHEN p.pipeline = 0 THEN {HOP_TO} ELSE 0 END AS usual_pipeline,
            {handed("dk")} AS handed, p.seat
        FROM beginnings b JOIN backstage.person p USING (user_id), (SELECT {shop.now} AS now)
        WHERE t <= {shop.now}
        """,
    )
    shop.drop("w_born", "w_starter")


def _flow(shop: Workshop, table: str, where: str) -> None:
    """Decide the fate of some openings; every wait is in working days of the person who opened the deal."""
    steps = range(1, STEPS + 1)
    # One department has lost its touch lately: offers of the last ten weeks convert worse.
    worse = f"CASE WHEN p.trade = 'outbound' AND o.t > {shop.now} - 70 * 86400 THEN 0.62 ELSE 1 END"
    passes = ", ".join(
        f"{i} < o.start OR {i} > r.steps OR dice2('deal.pass', dk, {i}) < pow(r.c{i}, 1 / (p.skill * CASE WHEN repeat THEN 1.7 ELSE 1 END)) * {worse if i == 3 else 1} AS pass{i}"
        for i in steps
    )
    skips = ", ".join(
        f"{i} > 1 AND dice2('deal.skip', dk, {i}) < r.k{i} AND {i} <> o.start AND {i} <> hop_after + 1 AS skip{i}"
        for i in steps
    )
    stays = ", ".join(
        f"""CASE WHEN {i} < start OR {i} > steps THEN 0 ELSE greatest(0.004, around2('deal.stay', dk, {i}, d{i} * pace * CASE WHEN skip{i} THEN 0.1 ELSE 1 END, 0.8))
            * CASE WHEN lost_at = {i} THEN 1.7 ELSE 1 END + CASE WHEN rot_at = {i} THEN 22 + waiting('deal.rest', dk, 30) ELSE 0 END END AS stay{i}"""
        for i in steps
    )
    leaves = ", ".join(f"x + {' + '.join(f'stay{j}' for j in range(1, i + 1))} AS e{i}" for i in steps)
    seen = ", ".join(
        f"{i} >= start AND {i} <= steps AND NOT skip{i} AND (lost_at = 0 OR lost_at >= {i}) AND (NOT born_closed) AS see{i}"
        for i in steps
    )
    last_seen = "CASE " + " ".join(f"WHEN see{i} THEN {i}" for i in reversed(steps)) + " ELSE 0 END"
    shop.table(
        table,
        f"""
        WITH chosen AS (
            SELECT o.*, y.ck IS NOT NULL AS repeat, y.ck AS known_ck,
                -- customers who buy again skip the long way
                CASE WHEN y.ck IS NOT NULL AND usual_pipeline = 0 AND dice('deal.short', o.dk) < 0.4 THEN 5 ELSE usual_pipeline END AS pipeline,
                CASE WHEN dice('deal.hop', o.dk) < 0.035 AND origin <> 'template' THEN 1 + whole('deal.hop.at', o.dk, 2) END AS hop
            FROM w_opening o LEFT JOIN w_repeat y USING (dk) WHERE {where}
        ), drawn AS (
            SELECT o.*, p.forget, CASE WHEN o.pipeline = 0 AND NOT born_closed AND start <= hop THEN hop ELSE 99 END AS hop_after,
                r.steps, r.d1, r.d2, r.d3, r.d4, r.d5, {passes}, {skips},
                around('deal.pace', dk, 1, 0.4) AS pace,
                CASE WHEN dice('deal.rots', dk) < 0.022 * p.forget THEN 1 + whole('deal.rot.at', dk, r.steps) ELSE 0 END AS rot_at
            FROM chosen o JOIN backstage.person p USING (user_id) JOIN w_route r ON r.pipeline = o.pipeline
        ), fated AS (
            SELECT *, CASE {" ".join(f"WHEN NOT pass{i} THEN {i}" for i in steps)} ELSE 0 END AS lost_at FROM drawn
        ), timed AS (SELECT *, {stays} FROM fated), laid AS (
            SELECT dk, origin, user_id, handed, seat, x, t, lk, channel, repeat, known_ck, start, born_closed, pipeline, steps, lost_at, rot_at,
                CASE WHEN lost_at = 0 OR lost_at > hop_after THEN hop_after ELSE 99 END AS hop_after, {leaves}, {seen}
            FROM timed
        ), closed AS (
            SELECT *, {last_seen} AS last_seen,
                CASE WHEN born_closed THEN x WHEN origin = 'template' THEN 1e8 ELSE CASE lost_at {" ".join(f"WHEN {i} THEN e{i}" for i in steps)}
                    ELSE e{STEPS} END END AS x_closed,
                CASE WHEN born_closed THEN dice('deal.born', dk) < 0.8 ELSE lost_at = 0 END AS wins,
                NOT born_closed AND dice('deal.reopened', dk) < CASE WHEN lost_at = 0 THEN 0.012 ELSE 0.035 END AS reopens
            FROM laid
        )
        SELECT *, CASE WHEN reopens THEN x_closed + around('deal.back', dk, 7, 0.8) END AS x_back,
            CASE WHEN reopens AND dice('deal.again', dk) < 0.85 THEN x_back + around('deal.close', dk, 4, 0.9) END AS x_again,
            dice('deal.rewon', dk) < CASE WHEN wins THEN 0.55 ELSE 0.6 END AS rewins,
            -- nobody speaks any more about a deal that was forgotten
            CASE WHEN rot_at > 0 AND (lost_at = 0 OR rot_at <= lost_at) AND NOT born_closed
                THEN x + 1.5 + CASE rot_at {" ".join(f"WHEN {i} THEN {f'e{i - 1} - x' if i > 1 else '0'}" for i in steps)} ELSE 0 END
                    ELSE x_closed END AS x_talk
        FROM closed
        """,
    )


def _moves(shop: Workshop, flow: str, table: str) -> None:
    """Unfold plans into history rows with instants; what lies after now, or after a dismissal without an heir, is not."""
    hop = f"(SELECT * FROM w_route WHERE pipeline = {HOP_TO})"
    lost = "CASE WHEN hop_after < 99 THEN h.lost ELSE r.lost END"
    # The first failure stage takes most.
    ending = (
        f"CASE WHEN %s THEN CASE WHEN hop_after < 99 THEN h.won ELSE r.won END "
        f"ELSE CASE WHEN dice2('deal.lost', dk, %s) < 0.68 THEN ({lost})[1] ELSE pick2({lost}, 'deal.lost.other', dk, %s) END END"
    )
    joined = f"{flow} f JOIN w_route r USING (pipeline) CROSS JOIN {hop} h"
    columns = "dk, f.user_id, f.handed, f.t AS t0"
    parts = [
        f"SELECT {columns}, {i} AS seq, CASE WHEN hop_after = {i - 1} THEN 5 ELSE 2 END AS type, "
        f"CASE WHEN hop_after < {i} THEN h.s{i} ELSE r.s{i} END AS stage, 'P' AS sem, CASE WHEN hop_after < {i} THEN {HOP_TO} ELSE pipeline END AS category, e{i - 1} AS x "
        f"FROM {joined} WHERE see{i} AND {i} > start AND origin <> 'template'"
        for i in range(2, STEPS + 1)
    ]
    category = f"CASE WHEN hop_after < 99 THEN {HOP_TO} ELSE pipeline END"
    parts.append(
        f"SELECT {columns}, 10, 3, {ending % ('wins', 1, 1)}, CASE WHEN wins THEN 'S' ELSE 'F' END, {category}, x_closed FROM {joined} WHERE NOT born_closed AND origin <> 'template'"
    )
    back = " ".join(f"WHEN {i} THEN CASE WHEN hop_after < {i} THEN h.s{i} ELSE r.s{i} END" for i in range(1, STEPS + 1))
    parts.append(
        f"SELECT {columns}, 11, 2, CASE greatest(last_seen, 1) {back} END, 'P', {category}, x_back FROM {joined} WHERE reopens"
    )
    parts.append(
        f"SELECT {columns}, 12, 3, {ending % ('rewins', 2, 2)}, CASE WHEN rewins THEN 'S' ELSE 'F' END, {category}, x_again FROM {joined} WHERE x_again IS NOT NULL"
    )
    first = " ".join(f"WHEN {i} THEN r.s{i}" for i in range(1, STEPS + 1))
    shop.table(
        table,
        f"""
        SELECT dk, 1 AS seq, 1 AS type, CASE WHEN born_closed THEN {ending % ("wins", 1, 1)} ELSE CASE least(start, r.steps) {first} END END AS stage,
            CASE WHEN NOT born_closed THEN 'P' WHEN wins THEN 'S' ELSE 'F' END AS sem, pipeline AS category, t, f.user_id AS actor
        FROM {joined}
        UNION ALL
        SELECT dk, seq, type, stage, sem, category, t, actor FROM (
            SELECT dk, seq, type, stage, sem, category, greatest(t, t0 + seq) AS t, actor
            FROM ({placed(" UNION ALL ".join(parts), "e.dk, e.seq, e.type, e.stage, e.sem, e.category, e.t0")})
        ) WHERE t <= {shop.now}
        """,
    )


def _returning_customers(shop: Workshop) -> None:
    """Find for each deal of a returning customer somebody who bought before on the same seat.

    A customer is drawn by an own weight (heavy-tailed) among those who have bought by then, and accepts while alive:
    thinning gives every customer a Poisson stream of own rate until an exponential end.
    """
    shop.table(
        "w_buyer",
        f"""
        SELECT *, (sum(weight) OVER (PARTITION BY seat ORDER BY since, dk ROWS UNBOUNDED PRECEDING))::BIGINT - weight AS above
        FROM (
            SELECT f.seat, f.dk, CASE WHEN f.origin = 'import' THEN {shop.since} - 86400 * (5 + whole('import.won', f.dk, 420)) ELSE m.t END AS since,
                1 + (2000 * pow(-ln(1 - dice('buyer.rate', f.dk)), 1.45))::BIGINT AS weight, waiting('buyer.life', f.dk, 420 * 86400) AS life
            FROM w_flow f JOIN (SELECT dk, min(t) AS t FROM w_move WHERE sem = 'S' GROUP BY dk) m USING (dk)
            WHERE f.origin <> 'template' AND dice('deal.clientless', f.dk) >= 0.015
        )
        """,
    )
    shop.run(
        f"""
        INSERT INTO w_repeat
        WITH tries AS (
            SELECT o.dk, o.seat, o.t, k AS attempt, floor(dice2('repeat.who', o.dk, k) * (b.above + b.weight + {NOBODY}))::BIGINT AS v,
                b.above + b.weight AS reach
            FROM w_opening o ASOF JOIN w_buyer b ON b.seat = o.seat AND o.t >= b.since + 86400, generate_series(1, 4) g(k)
            WHERE o.wanted
        )
        SELECT dk, arg_min(ck, attempt) FROM (
            SELECT y.dk, y.attempt, b.dk AS ck FROM tries y ASOF JOIN w_buyer b ON b.seat = y.seat AND y.v >= b.above
            WHERE y.v < y.reach AND y.t < b.since + b.life
        ) GROUP BY dk
        """
    )
    shop.drop("w_buyer")


def _states(shop: Workshop) -> None:
    """Number the deals in the order of their creation and note where each stands."""
    stages = {
        "offer": OFFER_STAGES,
        "bill": BILL_STAGES,
    }
    marks = ", ".join(
        f"min(CASE WHEN list_contains({listed(codes)}, stage) THEN t END) AS {name}_t" for name, codes in stages.items()
    )
    shop.table(
        "w_state",
        f"""
        WITH last AS (
            SELECT dk, max(seq) AS seq, arg_max(stage, seq) AS stage, arg_max(sem, seq) AS sem, arg_max(category, seq) AS category, arg_max(t,
                seq) AS moved_t,
                arg_max(actor, seq) AS actor, {marks}
            FROM w_move GROUP BY dk
        )
        SELECT row_number() OVER (ORDER BY f.t, f.dk) AS deal_id, f.dk, f.origin, f.user_id, f.t AS t0, f.x AS x0, f.lk, f.channel, f.repeat,
            coalesce(f.known_ck, CASE WHEN dice('deal.clientless', f.dk) >= 0.015 OR f.origin = 'lead' THEN f.dk END) AS ck, f.handed, f.born_closed,
                f.start, f.x_closed, f.x_talk,
            f.x_back, f.x_again, l.* EXCLUDE (dk),
            -- what was still open at a dismissal went to the heir
            CASE WHEN f.handed AND k.handed_at <= {shop.now} AND coalesce(f.x_again, f.x_back,
                f.x_closed) >= k.days THEN k.heir_id ELSE f.user_id END AS owner_id,
            CASE WHEN owner_id <> f.user_id THEN k.handed_at END AS given_t
        FROM w_flow f JOIN last l USING (dk) JOIN w_tenure k USING (user_id)
        ORDER BY f.t, f.dk
        """,
    )
    shop.drop("w_flow", "w_opening", "w_route")

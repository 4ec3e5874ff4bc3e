"""Who knocks and when: the slots of requests and own deals over people and days, and the path of a lead.

Laws: a request comes when clients live (evenings and Sundays too), everything else when the responsible works. A lead
waits for its manager: the wait is log-normal in working time, some are forgotten, some are answered by a colleague.
"""

from __future__ import annotations

from b24metrics.sim.company.dice import RING, WEB, WORK, choice, quoted
from b24metrics.sim.company.workshop import Workshop, placed

#: Where requests come from: share, source code, when (web, ring: the client's time; own: typed in by the manager),
#: share that becomes a deal.
CHANNELS = (
    (0.30, "WEBFORM", "web", 0.42), (0.24, "CALL", "ring", 0.52), (0.08, "1|LIVECHAT", "web", 0.36),
    (0.05, "2|TELEGRAM", "web", 0.38), (0.04, "3|WHATSAPP", "web", 0.40), (0.05, "CALLBACK", "web", 0.50),
    (0.08, "EMAIL", "web", 0.48), (0.07, "ADVERTISING", "web", 0.26), (0.03, "PARTNER", "own", 0.62),
    (0.03, "RECOMMENDATION", "own", 0.70), (0.02, "TRADE_SHOW", "own", 0.34), (0.01, "", "own", 0.40),
)  # fmt: skip
SEASON = (0.72, 0.96, 1.06, 1.02, 0.88, 0.97, 0.90, 0.92, 1.06, 1.10, 1.08, 1.13)
WEEKDAY = (1.12, 1.06, 1.03, 1.0, 0.87, 0.9, 0.9)
#: Leads typed in from a trade show by marketing, all within a minute.
FAIR_LEADS = 70


def build(shop: Workshop) -> None:
    """Make ``w_supply`` (slots), ``w_request`` (who knocked), ``w_lead`` and ``w_lead_move`` (what became of it)."""
    _supply(shop)
    _requests(shop)
    if shop.company.classic:
        _leads(shop)


def handed(key: str) -> str:
    """Whether what a dismissed person left was given to somebody: old leavings mostly, fresh ones often not yet."""
    return f"(p.dismissed_at IS NOT NULL AND dice('handed', {key}) < CASE WHEN p.dismissed_at < now - 60 * 86400 THEN 0.97 ELSE 0.62 END)"


def _supply(shop: Workshop) -> None:
    """Weights of (person, date) as integers, so that their running sum is the same on any number of threads."""
    season = f"([{', '.join(map(str, SEASON))}])[month] * ([{', '.join(map(str, WEEKDAY))}])[weekday] * (1 + 0.16 * (starts_at - {shop.since}) / 31557600.0)"
    passed = shop.now - int(shop.company.today.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
    ramp = f"CASE WHEN p.hired_at >= {shop.since} AND %s < p.hired_at + 45 * 86400 THEN 0.55 ELSE 1 END"
    shop.table(
        "w_supply",
        f"""
        WITH slots AS (
            SELECT 'own' AS kind, d.user_id, d.n, NULL::BIGINT AS starts_at, d.opens_at AS moment,
                least(1, ({shop.now} - d.opens_at) / d.length::DOUBLE) AS upto,
                (1e6 * p.own * {season} * least(1, ({shop.now} - d.opens_at) / d.length::DOUBLE) * {ramp % "d.opens_at"})::BIGINT AS weight
            FROM backstage.work_day d JOIN backstage.person p USING (user_id) JOIN w_day w USING (on_date)
            WHERE p.own > 0 AND d.opens_at BETWEEN {shop.since} AND {shop.now} - 60
            UNION ALL
            SELECT c.kind, s.user_id, NULL, s.starts_at, s.starts_at, c.upto, (c.lively * 1e8 * s.share / s.total)::BIGINT
            FROM (
                SELECT p.user_id, w.on_date, w.starts_at,
                    (1000 * p.requests * {ramp % "w.starts_at"} * CASE WHEN d.n IS NULL AND w.worked THEN 0.05 ELSE 1 END)::BIGINT AS share,
                    sum(share) OVER (PARTITION BY w.on_date) AS total
                FROM w_day w JOIN backstage.person p ON p.hired_at < w.starts_at AND (p.dismissed_at IS NULL OR p.dismissed_at > w.ends_at)
                LEFT JOIN backstage.work_day d ON d.user_id = p.user_id AND d.on_date = w.on_date
                WHERE p.requests > 0 AND w.starts_at < {shop.now}
            ) s JOIN (
                SELECT on_date, 'web' AS kind, {season} * CASE WHEN worked THEN 1 ELSE 0.38 END
                    * CASE WHEN ends_at > {shop.now} THEN {WEB.reached(passed)} ELSE 1 END AS lively,
                    CASE WHEN ends_at > {shop.now} THEN {WEB.reached(passed)} ELSE 1 END AS upto FROM w_day
                UNION ALL
                SELECT on_date, 'ring', {season} * CASE WHEN worked THEN 1 ELSE 0.07 END
                    * CASE WHEN ends_at > {shop.now} THEN {RING.reached(passed)} ELSE 1 END,
                    CASE WHEN ends_at > {shop.now} THEN {RING.reached(passed)} ELSE 1 END FROM w_day
            ) c USING (on_date)
        )
        SELECT *, (sum(weight) OVER (PARTITION BY kind ORDER BY moment, user_id ROWS UNBOUNDED PRECEDING))::BIGINT - weight AS above
        FROM slots WHERE weight > 0
        """,
    )
    shop.table("w_total", "SELECT kind, max(above + weight)::BIGINT AS total FROM w_supply GROUP BY kind")


def drawn(keys: str) -> str:
    """SELECT that gives each row of ``keys`` (``key``, ``kind``) a person and an instant.

    Adds ``user_id``, ``t`` and, for own slots, the coordinate ``x``.
    """
    return f"""
        SELECT k.*, s.user_id, s.n, s.starts_at,
            CASE s.kind WHEN 'web' THEN s.starts_at + along({WEB.knots}, dice('slot.time', k.key) * s.upto)::BIGINT
                WHEN 'ring' THEN s.starts_at + along({RING.knots}, dice('slot.time', k.key) * s.upto)::BIGINT END AS asked_at,
            s.n + least(s.upto, along({WORK.knots}, dice('slot.time', k.key)) * CASE WHEN s.upto < 1 THEN s.upto ELSE 1 END) AS own_x
        FROM (SELECT k.*, floor(dice('slot.day', k.key) * t.total)::BIGINT AS v FROM ({keys}) k JOIN w_total t USING (kind)) k
        ASOF JOIN w_supply s ON s.kind = k.kind AND k.v >= s.above
    """


def _requests(shop: Workshop) -> None:
    count = shop.company.request_count
    channel = choice("dice('request.channel', key)", *((share, quoted(code)) for share, code, _, _ in CHANNELS))
    kind = (
        "CASE "
        + " ".join(f"WHEN channel = {quoted(code)} THEN {quoted(when)}" for _, code, when, _ in CHANNELS)
        + " END"
    )
    # A trade show in the middle of the history brings a burst, if the company is large enough to go to one.
    fair = count - FAIR_LEADS if count > 20 * FAIR_LEADS and shop.company.classic else count
    fair_at = shop.since + (shop.now - shop.since) // 172_800 * 86_400 + 18 * 3600 + 1200
    shop.table(
        "w_request",
        f"""
        WITH placed AS (
            SELECT r.key, r.channel, r.kind, r.user_id, r.fair,
                CASE WHEN r.fair THEN {fair_at} + (r.key - {fair}) * 50 // {FAIR_LEADS}
                    WHEN r.kind = 'own' THEN d.opens_at + ((r.own_x - floor(r.own_x)) * d.length)::BIGINT
                    ELSE r.asked_at END AS t
            FROM (
                {drawn(f"SELECT *, {kind} AS kind FROM (SELECT key, CASE WHEN key > {fair} THEN 'TRADE_SHOW' ELSE {channel} END AS channel, key > {fair} AS fair FROM generate_series(1, {count}) g(key))")}
            ) r LEFT JOIN backstage.work_day d ON d.user_id = r.user_id AND d.n = r.n
        )
        SELECT r.*, coalesce(d.n + least(1, (r.t - d.opens_at) / d.length::DOUBLE), 0) AS x,
            d.opens_at IS NOT NULL AND r.t < d.opens_at + d.length AS on_duty
        FROM placed r ASOF LEFT JOIN backstage.work_day d ON d.user_id = r.user_id AND r.t >= d.opens_at
        WHERE r.t <= {shop.now}
        """,
    )


def reaction(key: str) -> str:
    """Working days until the first reaction, NULL for a forgotten request; needs ``p`` (person) and ``r`` (request)."""
    return f"""CASE WHEN r.channel = 'CALL' AND r.on_duty AND dice('request.answered', {key}) < 0.8 THEN 0.0
        WHEN dice('request.forgotten', {key}) < 0.022 * p.forget THEN NULL
        ELSE around('request.reaction', {key}, 0.034 * p.delay, 1.25) END"""


def _leads(shop: Workshop) -> None:
    shares = (
        "CASE r.channel " + " ".join(f"WHEN {quoted(code)} THEN {share}" for _, code, _, share in CHANNELS) + " END"
    )
    shop.table(
        "w_lead",
        f"""
        WITH plans AS (
            SELECT r.key AS lk, r.channel, r.kind, r.fair, r.user_id, r.t AS t0, r.x AS x0, r.on_duty, {handed("r.key")} AS handed,
                r.channel = 'CALL' AND r.on_duty AND dice('request.answered', r.key) < 0.8 AS answered,
                {reaction("r.key")} AS waits,
                dice('lead.fate', r.key) < 1 - pow(1 - {shares}, p.skill) AS converts,
                dice('lead.rots', r.key) < 0.03 AS rots,
                dice('lead.return', r.key) < 0.05 AS returns
            FROM w_request r JOIN backstage.person p USING (user_id), (SELECT {shop.now} AS now)
        )
        SELECT row_number() OVER (ORDER BY t0, lk) AS lead_id, *, x0 + waits AS x1,
            CASE WHEN waits IS NOT NULL THEN x0 + waits + around('lead.work', lk, 0.012, 0.9) END AS x2,
            CASE WHEN dice('lead.processed', lk) < 0.5 THEN x2 + around('lead.process', lk, 0.5, 1.0) END AS x3,
            -- forgotten ones are swept out by the robot one day, or stay
            CASE WHEN waits IS NULL THEN CASE WHEN dice('lead.swept', lk) < 0.55 THEN x0 + 7 + waiting('lead.sweep', lk, 6) END
                WHEN NOT rots THEN coalesce(x3, x2) + around('lead.finish', lk, CASE WHEN converts THEN 0.55 ELSE 0.9 END, 1.15) END AS x4,
            CASE WHEN waits IS NULL OR NOT converts THEN CASE WHEN dice('lead.double',
                lk) < 0.12 THEN 'UC_DOUBLE' ELSE 'JUNK' END ELSE 'CONVERTED' END AS ending,
            -- everything that talks about this lead ends here
            coalesce(x4, x2 + 1.5, x0) AS x_talk
        FROM plans ORDER BY t0, lk
        """,
    )
    steps = """
        SELECT lk, user_id, handed, t0, 2 AS seq, 2 AS type, 'IN_PROCESS' AS stage, 'P' AS sem, x2 AS x FROM w_lead WHERE x2 IS NOT NULL
            AND (converts OR x3 IS NOT NULL OR dice('lead.straight', lk) < 0.7)
        UNION ALL SELECT lk, user_id, handed, t0, 3, 2, 'PROCESSED', 'P', x3 FROM w_lead WHERE x3 IS NOT NULL
        UNION ALL SELECT lk, user_id, handed, t0, 4, 3, ending, CASE ending WHEN 'CONVERTED' THEN 'S' ELSE 'F' END,
            x4 FROM w_lead WHERE x4 IS NOT NULL
    """
    shop.table(
        "w_lead_move",
        f"""
        SELECT lk, 1 AS seq, 1 AS type, 'NEW' AS stage, 'P' AS sem, t0 AS t, user_id AS actor, x0 AS ax FROM w_lead
        UNION ALL
        SELECT * FROM (
            SELECT lk, seq, type, stage, sem, greatest(t, t0 + seq) AS t, actor, ax
            FROM ({placed(steps, "e.lk, e.seq, e.type, e.stage, e.sem, e.t0")})
        ) WHERE t <= {shop.now}
        """,
    )

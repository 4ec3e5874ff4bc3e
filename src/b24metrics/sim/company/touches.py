"""How people talk: telephone calls, letters, chats, meetings, to-dos and tasks around every lead and deal, and beside them.

Laws: each record is talked about from its first reaction to its end, thinning out with time; after each contact an
orderly manager plans the next one. A contact lies in the working time of whoever has the record then. What begins after
now does not exist; what is planned for later stays open. Activities are numbered as they are created, telephone calls as
they end, because the portal writes a call when the receiver is down.
"""

from __future__ import annotations

from b24metrics.sim.company.demand import drawn, reaction
from b24metrics.sim.company.dice import WORK, choice
from b24metrics.sim.company.people import TRADES
from b24metrics.sim.company.workshop import Workshop, placed

#: Keys of the streams below never meet: a segment's key times this leaves room for its contacts.
ROOM = 256
#: At most so many contacts per record.
MOST = 60


def build(shop: Workshop) -> None:
    """Make ``w_event``: everything that becomes an activity, a telephone call or both."""
    _segments(shop)
    _contacts(shop)
    _plans(shop)
    _first_knocks(shop)
    _colleagues(shop)
    _strangers(shop)
    _returns(shop)
    _remarks(shop)
    shop.drop("w_segment", "w_touch")


def _segments(shop: Workshop) -> None:
    """Spans of working time over which a record is talked about.

    ``reacts``: the first contact is the reaction to a request and decides its response time.
    """
    leads = ""
    if shop.company.classic:
        leads = """
            UNION ALL
            SELECT 1, l.lead_id, l.lk * 4, l.user_id, l.handed, l.x1 + CASE WHEN l.answered THEN 0.01 ELSE 0 END, greatest(l.x_talk, l.x1 + 0.02),
                l.t0, NOT l.answered,
                r.contact_id, r.company_id, l.lk * 4, l.channel, l.x4 IS NULL, coalesce(l.x4, 1e8)
            FROM w_lead l JOIN w_lead_client r USING (lead_id) WHERE l.x1 IS NOT NULL
        """
    shop.table(
        "w_segment",
        f"""
        WITH spans AS (
            SELECT 2 AS owner_type, s.deal_id AS owner_id, s.dk AS key, s.user_id, s.handed,
                CASE WHEN s.origin = 'request' THEN s.x0 + {reaction("s.dk")}
                    ELSE s.x0 + CASE WHEN s.origin = 'lead' THEN 0.03 ELSE 0.004 END + waiting('deal.first', s.dk, 0.12) END AS x_from,
                greatest(s.x_talk, x_from + 0.02) AS x_to, s.t0, s.origin = 'request' AS reacts, c.contact_id, c.company_id,
                coalesce(c.phone_key, s.dk) AS phone_key, s.channel, s.x_talk < s.x_closed AS forgotten, coalesce(s.x_again, s.x_closed) AS x_end
            FROM w_state s JOIN backstage.person p USING (user_id) LEFT JOIN w_client c USING (ck)
            LEFT JOIN (SELECT key, channel, on_duty FROM w_request) r ON r.key * 4 = s.dk
            WHERE NOT s.born_closed AND s.origin <> 'template'
            {leads}
        )
        SELECT s.*, greatest(s.x_to - s.x_from, 0.02) AS span, p.orderly, p.connect, p.talk, p.trade, p.temper,
            least({MOST}, floor((0.6 + 0.4 * p.dials) * {shop.company.talk} * (1.5 + 1.15 * sqrt(least(s.x_to - s.x_from, 60)))
                * (0.55 + 0.9 * dice('talk.much', owner_type + s.key * 4)) + CASE WHEN {shop.company.talk} > 0 THEN 0.8 ELSE 0 END))::BIGINT AS n,
            s.key * 4 + owner_type AS seed
        FROM spans s JOIN backstage.person p USING (user_id)
        WHERE s.x_from IS NOT NULL
        """,
    )


def _place(j: str) -> str:
    """Coordinate of contact ``j`` of a segment: denser at the start, by the clock of a working day later on."""
    raw = (
        f"(x_from + span * pow(({j} + CASE WHEN {j} = 0 THEN 0 ELSE 0.8 * dice2('talk.when', seed, {j}) END) / n, 1.2))"
    )
    return f"CASE WHEN {j} >= n THEN x_to WHEN floor({raw}) IN (floor(x_from), floor(x_to)) THEN {raw} ELSE floor({raw}) + along({WORK.knots}, dice2('talk.hour', seed, {j})) END"


def _contacts(shop: Workshop) -> None:
    """Calls, letters, chats and messages; at ``x``, with ``next_x`` where the next one is meant to be."""
    ordinary = choice(
        "die", (0.50, "'dial'"), (0.14, "'ring'"), (0.14, "'letter'"), (0.09, "'answer'"), (0.03, "'chat'"), (0.055, "'meeting'"), (0.02, "'sms'"), (0.025, "'remark'"),
    )  # fmt: skip
    lead = choice(
        "die",
        (0.66, "'dial'"),
        (0.10, "'ring'"),
        (0.12, "'letter'"),
        (0.05, "'answer'"),
        (0.04, "'chat'"),
        (0.01, "'meeting'"),
        (0.02, "'sms'"),
    )
    first = choice("die", (0.72, "'dial'"), (0.13, "'letter'"), (0.15, "'none'"))
    first_chat = choice("die", (0.40, "'chat'"), (0.38, "'dial'"), (0.10, "'letter'"), (0.12, "'none'"))
    shop.table(
        "w_touch",
        f"""
        SELECT *, CASE WHEN reacts AND j = 0 THEN CASE WHEN channel LIKE '%|%' THEN {first_chat} WHEN channel = 'EMAIL' THEN CASE
            WHEN die < 0.6 THEN 'letter' ELSE 'dial' END ELSE {first} END
            WHEN owner_type = 1 THEN {lead} ELSE {ordinary} END AS kind
        FROM (
            SELECT owner_type, owner_id, seed * {ROOM} + j AS key, seed, j, n, user_id, handed, reacts, contact_id, company_id, phone_key, channel,
                forgotten, orderly, connect, talk, x_to, x_end,
                {_place("j")} AS x, {_place("(j + 1)")} AS next_x, dice2('talk.kind', seed, j) AS die
            FROM w_segment, generate_series(0, n - 1) g(j)
            UNION ALL
            -- after a sale some call to hear how it went
            SELECT 2, deal_id, (dk * 4 + 2) * {ROOM} + 200 + j, dk * 4 + 2, 200 + j, 0, s.user_id, s.handed, FALSE, c.contact_id, c.company_id,
                c.phone_key, s.channel, FALSE, 0, p.connect, p.talk,
                s.x_closed, s.x_closed, s.x_closed + 1 + 17 * dice2('sale.after', dk, j), NULL, 0.45 * dice2('sale.kind', dk, j)
            FROM w_state s JOIN backstage.person p USING (user_id) JOIN w_client c USING (ck), generate_series(0, 1) g(j)
            WHERE s.sem = 'S' AND s.origin <> 'template' AND dice2('sale.cares', dk, j) < {0.42 * min(1.0, shop.company.talk)}
        )
        """,
    )
    source = "SELECT * FROM w_touch WHERE kind NOT IN ('none', 'remark', 'meeting')"
    columns = "e.owner_type, e.owner_id, e.key, e.contact_id, e.company_id, e.phone_key, e.kind, e.connect, e.talk, e.orderly, e.channel"
    connected = "CASE kind WHEN 'dial' THEN dice('call.connects', key) < connect WHEN 'ring' THEN dice('call.connects', key) < 0.87 ELSE FALSE END"
    shop.table(
        "w_event",
        f"""
        SELECT key, CASE WHEN kind IN ('dial', 'ring') THEN 'call' WHEN kind IN ('letter', 'answer') THEN 'mail' ELSE kind END AS kind, owner_type,
            owner_id,
            contact_id, company_id, phone_key, actor AS user_id, CASE WHEN kind IN ('ring',
                'answer') OR kind = 'chat' AND key % {ROOM} > 0 AND dice('chat.side', key) < 0.6 THEN 1 ELSE 2 END AS direction,
            {connected} AS connected, {_seconds("key", "talk", connected)} AS seconds,
            CASE WHEN kind = 'dial' THEN CASE WHEN dice('call.callback', key) < 0.03 THEN 4 ELSE 1 END WHEN kind = 'ring' THEN CASE
                WHEN dice('call.queue', key) < 0.1 THEN 3 ELSE 2 END END AS call_type,
            t AS starts_at, t + CASE WHEN kind IN ('dial', 'ring') THEN seconds + whole('call.rings', key,
                25) WHEN kind = 'chat' THEN 300 + whole('chat.long', key, 2400) ELSE 0 END AS ends_at,
            CASE WHEN kind = 'chat' THEN t ELSE ends_at END AS created_at, NULL::BIGINT AS due_at,
            -- an incoming letter waits for its answer, sometimes for ever
            CASE WHEN kind = 'answer' THEN CASE WHEN dice('mail.answered', key) < 0.9 + 0.08 * orderly THEN CASE WHEN ends_at + waiting('mail.answer',
                key, 7200) <= {shop.now} THEN ends_at + waiting('mail.answer', key, 7200)::BIGINT END END ELSE ends_at END AS done_at,
            FALSE AS automatic, channel, actor AS author_id
        FROM ({placed(source, columns)}) WHERE ends_at <= {shop.now}
        """,
    )


def _seconds(key: str, talk: str, connected: str) -> str:
    """Length of a conversation: log-normal, now and then a very long one; 0 when nobody answered."""
    return f"CASE WHEN {connected} THEN least(5400, 2 + around('call.seconds', {key}, 92 * {talk}, 0.95))::BIGINT ELSE 0 END"


def _plans(shop: Workshop) -> None:
    """To-dos, tasks, planned calls and meetings: made at one contact, due at the next, done then or later or never."""
    kind = choice("die3", (0.83, "'todo'"), (0.09, "'task'"), (0.08, "'call_plan'"))
    # Lateness is what makes deals with overdue activities: the untidy are late more often and longer.
    done = """CASE WHEN kind = 'meeting' THEN CASE WHEN dice('meeting.held', key) < 0.87 THEN next_x + 0.11 END
        WHEN forgotten AND j = n - 1 THEN NULL
        WHEN dice('plan.late', key) < 0.62 + 0.25 * orderly THEN next_x - 0.02 + 0.07 * dice('plan.early', key)
        ELSE next_x + around('plan.lateness', key, 1.1 - 0.7 * orderly, 0.9) END"""
    source = f"""
        SELECT *, least({done}, x_end + CASE WHEN kind = 'meeting' THEN 1e8 ELSE 0.004 END) AS done_x, done_x > x_end AND kind <> 'meeting' AS swept
        FROM (
            SELECT owner_type, owner_id, key + 64 AS key, j, n, user_id, handed, contact_id, company_id, phone_key, channel, forgotten, orderly,
                x_end, x + 0.006 AS x,
                CASE WHEN forgotten AND j = n - 1 THEN x + 0.5 + waiting('plan.far', key, 2)
                    WHEN kind = 'meeting' THEN floor(x) + 1 + whole('meeting.when', key, 4) + (floor(2 + 12 * dice('meeting.hour', key)) / 18)
                    ELSE next_x END AS next_x,
                CASE WHEN kind = 'meeting' THEN 'meeting' ELSE {kind} END AS kind
            FROM (SELECT *, dice2('plan.kind', seed, j) AS die3 FROM w_touch
                WHERE j < 200 AND (kind = 'meeting' OR dice2('plan.made', seed, j) < orderly - CASE WHEN forgotten AND j = n - 1 THEN 0.5 ELSE 0 END))
        )
    """
    kept = "e.owner_type, e.owner_id, e.key, e.contact_id, e.company_id, e.phone_key, e.channel, e.kind, e.swept"
    first = placed(source, f"{kept}, e.user_id, e.handed, e.next_x, e.done_x")
    second = placed(
        f"SELECT * EXCLUDE (t, actor, ax, next_x), next_x AS x, t AS created_at, actor AS planner FROM ({first}) WHERE t <= {shop.now}",
        f"{kept}, e.user_id, e.handed, e.done_x, e.created_at, e.planner",
        "LEFT JOIN",
    )
    third = placed(
        f"SELECT * EXCLUDE (t, actor, ax, done_x), done_x AS x, t AS plan_t, actor AS plan_actor FROM ({second})",
        f"{kept}, e.created_at, e.planner, e.plan_t, e.plan_actor",
        "LEFT JOIN",
    )
    shop.run(
        f"""
        INSERT INTO w_event BY NAME
        SELECT key, kind, owner_type, owner_id, contact_id, company_id, phone_key,
            -- people plan by the half hour
            CASE WHEN dice('plan.endless', key) >= 0.03 OR kind = 'meeting' THEN greatest(created_at + 300, plan_t // 1800 * 1800) END AS due_at,
            coalesce(due_at, created_at) AS starts_at, starts_at + CASE WHEN kind = 'meeting' THEN 3600 ELSE 0 END AS ends_at, created_at,
            CASE WHEN t <= {shop.now} AND (kind <> 'meeting' OR ends_at <= {shop.now})
                THEN greatest(t, created_at + 60, CASE WHEN kind = 'meeting' THEN ends_at ELSE 0 END) END AS done_at,
            coalesce(CASE WHEN done_at IS NULL THEN plan_actor ELSE actor END, planner) AS user_id, planner AS author_id,
            CASE WHEN kind = 'call_plan' THEN 2 ELSE 0 END AS direction, FALSE AS connected, 0 AS seconds,
            done_at IS NOT NULL AND swept AND dice('plan.robot', key) < 0.5 AS automatic, channel
        FROM ({third})
        WHERE NOT (kind = 'meeting' AND plan_t IS NULL) AND created_at + 60 <= {shop.now}
        """
    )


def _first_knocks(shop: Workshop) -> None:
    """What a request leaves behind by itself: the call, the form, the letter, the chat."""
    if shop.company.classic:
        people = "SELECT 1 AS owner_type, lead_id AS owner_id, lk * 4 AS seed, user_id, t0 AS t, channel, answered, on_duty, handed, x1 AS x, fair FROM w_lead"
    else:
        people = f"""SELECT 2 AS owner_type, s.deal_id AS owner_id, s.dk AS seed, s.user_id, s.t0 AS t, s.channel, r.channel = 'CALL' AND r.on_duty AND dice('request.answered', s.dk) < 0.8 AS answered,
            r.on_duty, s.handed, s.x0 + {reaction("s.dk")} AS x, FALSE AS fair
            FROM w_state s JOIN w_request r ON r.key * 4 = s.dk JOIN backstage.person p ON p.user_id = s.user_id WHERE s.origin = 'request'"""
    client = (
        "(SELECT ck, contact_id, company_id FROM w_client)"
        if not shop.company.classic
        else "(SELECT NULL::BIGINT AS ck, NULL::BIGINT AS contact_id, NULL::BIGINT AS company_id)"
    )
    kind = "CASE WHEN channel = 'CALL' THEN 'call' WHEN channel = 'EMAIL' THEN 'mail' WHEN channel LIKE '%|%' THEN 'chat' ELSE 'form' END"
    placed_first = placed(
        f"SELECT q.*, q.t AS t0 FROM ({people}) q WHERE channel IN ('CALL', 'EMAIL', 'WEBFORM', 'CALLBACK', 'ADVERTISING') OR channel LIKE '%|%'",
        "e.owner_type, e.owner_id, e.seed, e.user_id, e.t0, e.channel, e.answered, e.fair",
        "LEFT JOIN",
    )
    shop.run(
        f"""
        INSERT INTO w_event BY NAME
        SELECT (seed * 4 + 3) * {ROOM} AS key, {kind} AS kind, owner_type, owner_id, c.contact_id, c.company_id, seed AS phone_key, q.user_id,
            1 AS direction, answered AS connected,
            {_seconds("seed", "p.talk", "answered")} AS seconds, CASE WHEN channel = 'CALL' THEN 2 END AS call_type,
            -- the lead is made while the call lasts
            t0 - CASE WHEN channel = 'CALL' THEN 12 + whole('call.rings', seed, 20) ELSE 0 END AS starts_at,
            CASE WHEN channel = 'CALL' THEN t0 + seconds WHEN channel LIKE '%|%' AND t <= {shop.now} THEN least({shop.now},
                t + 600) ELSE t0 END AS ends_at,
            CASE WHEN channel = 'CALL' THEN t0 + seconds ELSE t0 END AS created_at, NULL::BIGINT AS due_at,
            CASE WHEN answered THEN t0 + seconds WHEN t <= {shop.now} THEN greatest(t, t0) END AS done_at, FALSE AS automatic, channel
        FROM ({placed_first}) q JOIN backstage.person p ON p.user_id = q.user_id LEFT JOIN {client} c ON c.ck = seed
        WHERE NOT fair AND created_at <= {shop.now}
        """
    )


def _colleagues(shop: Workshop) -> None:
    """Now and then somebody of the same department rings a new lead before its own manager does."""
    shop.table(
        "w_member",
        """
        SELECT department_id, user_id, row_number() OVER (PARTITION BY department_id ORDER BY user_id) - 1 AS place
        FROM backstage.person WHERE kind = 'seller'
        """,
    )
    # Sizes apart: a place that is drawn before the join is looked up, one drawn within it is compared with everybody.
    shop.table("w_size", "SELECT department_id, count(*) AS size FROM w_member GROUP BY ALL")
    if not shop.company.classic or not shop.company.talk:
        return
    shop.run(
        f"""
        INSERT INTO w_event BY NAME
        SELECT (l.lk * 16 + 3) * {ROOM} + 1 AS key, 'call' AS kind, 1 AS owner_type, l.lead_id AS owner_id, r.contact_id,
            r.company_id, l.lk * 4 AS phone_key, m.user_id, 2 AS direction, dice('colleague.reaches', l.lk) < 0.5 AS connected,
            {_seconds("l.lk", "0.6", "connected")} AS seconds, 1 AS call_type,
            l.t0 + 120 + whole('colleague.after', l.lk, 1200) AS starts_at, starts_at + seconds + 12 AS ends_at,
            ends_at AS created_at, ends_at AS done_at, FALSE AS automatic
        FROM w_lead l JOIN w_lead_client r USING (lead_id) JOIN backstage.person p ON p.user_id = l.user_id
        JOIN w_size z ON z.department_id = p.department_id JOIN w_member m ON m.department_id = p.department_id
            AND m.place = floor(dice('colleague.who', l.lk) * z.size)::BIGINT
        JOIN backstage.work_day d ON d.user_id = m.user_id AND l.t0 >= d.opens_at AND l.t0 + 1400 < d.opens_at + d.length
        WHERE dice('colleague.rings', l.lk) < 0.05 AND NOT l.answered AND m.user_id <> l.user_id AND ends_at <= {shop.now}
        """
    )


def _strangers(shop: Workshop) -> None:
    """Calls beside the records: cold dials, unknown callers, colleagues, the robot's notices."""
    talk, clients = shop.company.talk, shop.number("SELECT count(*) FROM w_client")
    trades = (
        "CASE p.trade " + " ".join(f"WHEN '{name}' THEN {trade.cold}" for name, trade in TRADES.items()) + " ELSE 0 END"
    )
    days = shop.number("SELECT count(*) FROM w_supply WHERE kind = 'own'")
    incoming = round(days * 0.9 * talk)
    shop.table(
        "w_stranger",
        f"""
        WITH cold AS (
            SELECT d.user_id * 4096 + d.n AS seed, d.user_id, d.n, d.opens_at, d.length, p.connect, p.talk,
                floor({trades} * p.dials * {talk} * (0.4 + 1.2 * dice2('cold.much', p.pid, d.n)))::BIGINT AS dials
            FROM backstage.work_day d JOIN backstage.person p USING (user_id) WHERE d.opens_at BETWEEN {shop.since} AND {shop.now}
        )
        SELECT -(seed * 64 + j) * 4 AS key, user_id, opens_at + (length * along({WORK.knots}, dice2('cold.hour', seed, j)))::BIGINT AS t,
            'dial' AS kind, TRUE AS on_duty, connect * 0.8 AS connect, talk * 0.75 AS talk
        FROM cold, generate_series(1, least(dials, 63)) g(j)
        UNION ALL
        SELECT -r.key * 4 - 1, r.user_id, r.asked_at, CASE WHEN dice('stranger.kind', r.key) < 0.9 THEN 'ring' WHEN dice('stranger.kind',
            r.key) < 0.97 THEN CASE WHEN r.asked_at < d.opens_at + d.length THEN 'inside' ELSE 'ring' END ELSE 'notice' END,
            coalesce(r.asked_at < d.opens_at + d.length, FALSE), 0.84, p.talk * 0.8
        FROM ({drawn(f"SELECT {1 << 30} + k AS key, 'ring' AS kind FROM generate_series(1, {incoming}) g(k)")}) r
        JOIN backstage.person p ON p.user_id = r.user_id ASOF LEFT JOIN backstage.work_day d ON d.user_id = r.user_id AND r.asked_at >= d.opens_at
        """,
    )
    # About half of the numbers belong to clients who are already in the address book.
    shop.run(
        f"""
        INSERT INTO w_event BY NAME
        WITH known AS (
            SELECT s.*, CASE WHEN kind <> 'inside' AND dice('stranger.known', s.key) < 0.5 THEN 1 + floor(dice('stranger.who',
                s.key) * b.place)::BIGINT END AS place
            FROM w_stranger s LEFT JOIN w_known b ON b.day = s.t // 86400
        )
        SELECT k.key, 'call' AS kind, CASE WHEN c.contact_id IS NOT NULL THEN 3 WHEN c.company_id IS NOT NULL THEN 4 END AS owner_type,
            coalesce(c.contact_id, c.company_id) AS owner_id,
            c.contact_id, c.company_id, coalesce(c.phone_key, 60000000 + abs(k.key) % 20000000) AS phone_key, k.user_id,
                CASE WHEN k.kind = 'ring' THEN 1 ELSE 2 END AS direction,
            CASE k.kind WHEN 'notice' THEN dice('call.connects', k.key) < 0.7 WHEN 'inside' THEN dice('call.connects',
                k.key) < 0.9 ELSE (k.on_duty OR k.kind = 'dial') AND dice('call.connects', k.key) < k.connect END AS connected,
            CASE WHEN k.kind = 'notice' AND connected THEN 12 ELSE {_seconds("k.key", "k.talk", "connected")} END AS seconds,
            CASE k.kind WHEN 'ring' THEN CASE WHEN dice('call.queue', k.key) < 0.12 THEN 3 ELSE 2 END WHEN 'notice' THEN 5 ELSE 1 END AS call_type,
            k.t AS starts_at, k.t + seconds + whole('call.rings', k.key, 25) AS ends_at, ends_at AS created_at, NULL::BIGINT AS due_at,
                CASE WHEN direction = 2 OR connected THEN ends_at END AS done_at, FALSE AS automatic,
            CASE WHEN k.kind = 'inside' THEN 'inside' END AS channel
        FROM known k LEFT JOIN w_client c USING (place)
        WHERE ends_at <= {shop.now} AND ({clients} > 0 OR k.place IS NULL)
        """
    )
    shop.drop("w_stranger")


def _returns(shop: Workshop) -> None:
    """Missed callers are rung back, quickly by the diligent, later by others, some never; a return may need two dials."""
    missed = """
        SELECT m.*, p.delay, p.connect, d.n + least(1.0, (m.ends_at - d.opens_at) / d.length::DOUBLE) AS seen_x, FALSE AS handed
        FROM w_event m JOIN backstage.person p USING (user_id) ASOF JOIN backstage.work_day d ON d.user_id = m.user_id AND m.ends_at >= d.opens_at
        WHERE m.kind = 'call' AND m.direction = 1 AND NOT m.connected
    """
    source = f"""
        SELECT *, seen_x + around2('return.wait', key, g.again, 0.045 * delay, 1.1) + 0.06 * g.again AS x, g.again
        FROM ({missed}), generate_series(0, 1) g(again)
        WHERE dice('return.cares', key) < 0.86 - 0.08 * delay AND (g.again = 0 OR dice('return.first',
            key) >= connect + 0.15 AND dice('return.second', key) < 0.7)
    """
    columns = "e.key, e.owner_type, e.owner_id, e.contact_id, e.company_id, e.phone_key, e.connect, e.again, e.channel"
    shop.table(
        "w_return",
        f"""
        SELECT q.*, p.talk, CASE WHEN again = 0 THEN dice('return.first', key) < q.connect + 0.15 ELSE dice('return.reached',
            key) < q.connect END AS connected,
            {_seconds("key + again", "p.talk", "connected")} AS seconds
        FROM ({placed(source, columns)}) q JOIN backstage.person p ON p.user_id = q.actor
        """,
    )
    shop.run(
        f"""
        INSERT INTO w_event BY NAME
        SELECT key * 2 + again + {1 << 55} AS key, 'call' AS kind, owner_type, owner_id, contact_id, company_id, phone_key, actor AS user_id,
            2 AS direction, connected, seconds,
            CASE WHEN dice('return.robot', key) < 0.06 THEN 4 ELSE 1 END AS call_type, t AS starts_at, t + seconds + whole('call.rings', key + again,
                25) AS ends_at,
            ends_at AS created_at, ends_at AS done_at, FALSE AS automatic
        FROM w_return WHERE ends_at <= {shop.now}
        """
    )
    # The missed call stays on the list until it is returned or somebody ticks it off.
    shop.run(
        f"""
        UPDATE w_event SET done_at = r.t FROM (SELECT key, min(t) AS t FROM w_return WHERE t <= {shop.now} GROUP BY key) r
        WHERE r.key = w_event.key AND kind = 'call' AND direction = 1 AND NOT connected
        """
    )
    shop.drop("w_return")


def _remarks(shop: Workshop) -> None:
    """Comments in the timeline of deals."""
    source = placed("SELECT * FROM w_touch WHERE kind = 'remark'", "e.key, e.owner_id")
    shop.table("w_remark", f"SELECT key, owner_id, actor AS user_id, t FROM ({source}) WHERE t <= {shop.now}")

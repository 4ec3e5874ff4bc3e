"""What people of a living company do in a minute: rates learnt from the history, coins thrown by the seed.

Laws: a minute is decided by the seed, its number and what stands in the portal, by one query; each person or record and
habit has its own coin. Rates are those of the last weeks per working day, spread over the hours of the day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import duckdb

from b24metrics.sim.company import dice
from b24metrics.sim.company.deeds import PLACES
from b24metrics.sim.company.demand import CHANNELS, SEASON, WEEKDAY
from b24metrics.sim.company.directories import INVOICE_PIPELINE
from b24metrics.sim.company.ledger import whole
from b24metrics.sim.company.options import Company
from b24metrics.sim.company.workdays import ProductionCalendar

MINUTE = 60
#: Working minutes of an ordinary day.
DAY_MINUTES = 540
#: How far back the history is asked for the usual rates.
USUAL_DAYS = 60
#: Sources that requests out of the net have, with their shares.
WEB_CHANNELS = [(share, code) for share, code, kind, _ in CHANNELS if kind == "web"]
_WEB_SHARE = sum(share for share, _ in WEB_CHANNELS)
_RING_SHARE = sum(share for share, _, kind, _ in CHANNELS if kind == "ring")


@dataclass(frozen=True, slots=True)
class Decision:
    """Something that happens in this minute. ``subject`` is a user or a record, as ``kind`` says."""

    at: int
    kind: str
    subject: int


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody's habits, as built."""

    user_id: int
    connect: float
    talk: float
    orderly: float
    skill: float
    check: float
    business: float
    pipeline: int
    pipeline_share: float
    repeats: float


class Habits:
    """Who does what, minute by minute. Keeps small temporary tables in the connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, company: Company) -> None:
        self._sql = connection
        self.company = company
        self._zone = ZoneInfo(company.zone)
        self._calendar = ProductionCalendar(range(company.opened.year, company.today.year + 2))
        self._day: date | None = None
        self.people = self._learn()

    def works(self, user: int, at: int) -> bool:
        """Whether somebody is at work at an instant of the minute decided last."""
        return (
            self._sql.execute(
                f"SELECT 1 FROM live_day d WHERE d.user_id = {user} AND d.opens_at <= {at} AND {at} < d.opens_at + d.length"
            ).fetchone()
            is not None
        )

    def _learn(self) -> dict[int, Person]:
        """Rates per working day of each person, from the last weeks of the history; who is who."""
        dice.install(self._sql, self.company.seed)
        since, until = max(self.company.since, self.company.until - USUAL_DAYS * 86_400), self.company.until
        stages = ", ".join(
            # The wait in a stage has this median; the chance per working minute follows.
            f"({dice.quoted(code)}, {max(0.1, pipeline.open_steps[at].days) * DAY_MINUTES / 0.6931})"
            for code, (pipeline, at) in PLACES.items()
        )
        self._sql.execute("CREATE OR REPLACE TEMP TABLE live_stage (stage VARCHAR, minutes DOUBLE)")
        self._sql.execute(f"INSERT INTO live_stage VALUES {stages}")
        self._sql.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE live_person AS
            WITH days AS (
                SELECT p.trade, count(*)::DOUBLE AS days FROM backstage.work_day d JOIN backstage.person p USING (user_id)
                WHERE d.opens_at BETWEEN {since} AND {until} GROUP BY ALL
            ), calls AS (
                SELECT p.trade, count(*) FILTER ("CALL_TYPE" IN (1, 4)) AS dials, count(*) FILTER ("CALL_TYPE" IN (2, 3)) AS rings
                FROM phone_call JOIN backstage.person p ON p.user_id = "PORTAL_USER_ID" WHERE "CALL_START_DATE" >= {since} GROUP BY ALL
            ), mails AS (
                SELECT p.trade, count(*) FILTER ("DIRECTION" = 2) AS mails, count(*) FILTER ("DIRECTION" = 1) AS answers
                FROM activity JOIN backstage.person p ON p.user_id = "RESPONSIBLE_ID"
                WHERE "PROVIDER_ID" = 'CRM_EMAIL' AND "CREATED" >= {since} GROUP BY ALL
            )
            SELECT p.user_id, p.trade, p.connect, p.talk, p.delay, p.forget, p.orderly, p.skill, p.usual_check * p.median_check AS check_size,
                p.business, p.pipeline, p.pipeline_share, p.repeats, p.requests, p.own,
                -- a quarter of the dials are reactions and returns, which have coins of their own
                0.72 * p.dials / ((sum((1000 * p.dials)::BIGINT) OVER (PARTITION BY p.trade))::BIGINT / (1000.0 * count(*) OVER (PARTITION BY p.trade))) * coalesce(c.dials / d.days, 8) AS dials, coalesce(c.rings / d.days, 2) AS rings,
                coalesce(m.mails / d.days, 1.5) AS mails, coalesce(m.answers / d.days, 1) AS answers
            FROM backstage.person p LEFT JOIN days d USING (trade) LEFT JOIN calls c USING (trade) LEFT JOIN mails m USING (trade)
            WHERE p.kind = 'seller' AND p.active
            """
        )
        # Requests and own deals per day and unit of a person's weight.
        totals = self._sql.execute(
            f"""
            SELECT (SELECT count(DISTINCT on_date) FROM backstage.work_day WHERE opens_at BETWEEN {self.company.since} AND {until}),
                (SELECT sum((1000 * requests)::BIGINT)::BIGINT FROM live_person), (SELECT sum((1000 * own)::BIGINT)::BIGINT FROM live_person),
                (SELECT count(*) FROM deal WHERE "LEAD_ID" IS NULL AND "ORIGINATOR_ID" IS NULL AND "CREATED_BY_ID" <> 1)
            """
        ).fetchone()
        assert totals is not None
        days, requests, own, by_hand = (max(1, whole(total or 0)) for total in totals)
        self._request_rate = self.company.request_count * 1000 / days / requests
        self._own_rate = by_hand * 1000 / days / own
        # Once a day and person, by whose clock: an own working day, that of the net, that of the telephone.
        self._sql.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE live_habit AS
            SELECT user_id, habit.kind, habit.clock, habit.rate FROM (
                SELECT user_id, unnest([
                    {{'kind': 'own', 'clock': 'work', 'rate': own * {self._own_rate!r}::DOUBLE}},
                    {{'kind': 'dial', 'clock': 'work', 'rate': dials::DOUBLE}},
                    {{'kind': 'write', 'clock': 'work', 'rate': mails::DOUBLE}},
                    {{'kind': 'answer', 'clock': 'work', 'rate': answers::DOUBLE}},
                    {{'kind': 'edit', 'clock': 'work', 'rate': 0.8::DOUBLE}},
                    {{'kind': 'vote', 'clock': 'work', 'rate': 0.25::DOUBLE}},
                    {{'kind': 'erase', 'clock': 'work', 'rate': 0.03::DOUBLE}},
                    {{'kind': 'web', 'clock': 'web', 'rate': requests * {self._request_rate * _WEB_SHARE!r}::DOUBLE}},
                    {{'kind': 'caller', 'clock': 'ring', 'rate': requests * {self._request_rate * _RING_SHARE!r}::DOUBLE}},
                    {{'kind': 'ring', 'clock': 'ring', 'rate': rings::DOUBLE}}
                ]) AS habit FROM live_person
            )
            """
        )
        rows = self._sql.execute(
            "SELECT user_id, connect, talk, orderly, skill, check_size, business, pipeline, pipeline_share, repeats FROM live_person"
        ).fetchall()
        return {row[0]: Person(*row) for row in rows}

    def decide(self, at: int) -> list[Decision]:
        """What happens in the minute that begins at an instant, in order of time."""
        number = at // MINUTE
        wall = datetime.fromtimestamp(at, UTC).astimezone(self._zone)
        if wall.date() != self._day:
            self._day = wall.date()
            self._sql.execute(
                f"""CREATE OR REPLACE TEMP TABLE live_day AS SELECT user_id, opens_at, length FROM backstage.work_day
                WHERE opens_at BETWEEN {at - 86_400} AND {at + 100_000} ORDER BY user_id, opens_at"""
            )
        second = wall.hour * 3600 + wall.minute * 60
        worked = self._calendar.is_worked(wall.date())
        mood = SEASON[wall.month - 1] * WEEKDAY[wall.weekday()]
        web = (dice.WEB.reached(second + MINUTE) - dice.WEB.reached(second)) * mood * (1 if worked else 0.38)
        ring = (dice.RING.reached(second + MINUTE) - dice.RING.reached(second)) * mood * (1 if worked else 0.07)

        def coin(kind: str, subject: str) -> str:
            return f"dice2('live.{kind}', {subject}, {number})"

        if self.company.classic:
            fresh = f"""SELECT r."ID", r."ASSIGNED_BY_ID" FROM lead r WHERE r."STATUS_ID" = 'NEW' AND r."DATE_CREATE" > {at - 2 * 86_400}"""
        else:
            fresh = f"""SELECT r."ID", r."ASSIGNED_BY_ID" FROM deal r WHERE r."IS_NEW" AND NOT r."CLOSED" AND r."CREATED_BY_ID" = 1 AND r."MODIFY_BY_ID" = 1 AND r."DATE_CREATE" > {at - 2 * 86_400}"""
        rows = self._sql.execute(
            f"""
            WITH duty AS MATERIALIZED (
                -- how much of a person's day this minute is
                SELECT user_id, ({dice.WORK.densities})[1 + floor(9 * ({at} - opens_at) / length::DOUBLE)::INTEGER] * {mood / DAY_MINUTES!r} AS part
                FROM live_day WHERE opens_at <= {at} AND {at} < opens_at + length
            ), happens AS (
                SELECT h.kind, h.user_id AS subject FROM live_habit h LEFT JOIN duty d USING (user_id)
                WHERE dice2('live.' || h.kind, h.user_id, {number}) < h.rate * CASE h.clock WHEN 'web' THEN {web!r} WHEN 'ring' THEN {ring!r}
                    ELSE coalesce(d.part, 0) END
                UNION ALL
                SELECT 'react', r."ID" FROM ({fresh}) r JOIN duty d ON d.user_id = r."ASSIGNED_BY_ID"
                    JOIN live_person p ON p.user_id = r."ASSIGNED_BY_ID"
                WHERE dice('live.forgotten', r."ID") >= 0.022 * p.forget AND {coin("react", 'r."ID"')} < 1 / (26 * p.delay)
                UNION ALL
                SELECT 'lead', r."ID" FROM lead r JOIN duty d ON d.user_id = r."ASSIGNED_BY_ID" WHERE r."STATUS_ID" IN ('IN_PROCESS', 'PROCESSED')
                    AND {coin("lead", 'r."ID"')} < CASE WHEN r."MOVED_TIME" > {at - 6 * 86_400} THEN 1 / 330.0 ELSE 1 / 9000.0 END
                UNION ALL
                SELECT 'deal', r."ID" FROM deal r JOIN duty d ON d.user_id = r."ASSIGNED_BY_ID" JOIN live_stage s ON s.stage = r."STAGE_ID"
                    WHERE NOT r."CLOSED" AND NOT r."IS_RECURRING"
                    AND {coin("deal", 'r."ID"')} < CASE WHEN r."MOVED_TIME" > {at - 21 * 86_400} THEN 1 ELSE 0.1 END / s.minutes
                UNION ALL
                SELECT kind, id FROM (
                    SELECT a."ID" AS id,
                        CASE WHEN "PROVIDER_ID" IN ('CRM_TODO', 'TASKS', 'CRM_CALL',
                            'CRM_MEETING') THEN 'finish' WHEN "PROVIDER_ID" = 'VOXIMPLANT_CALL' THEN 'return' ELSE 'settle' END AS kind,
                        CASE kind
                            WHEN 'finish' THEN CASE WHEN a."DEADLINE" BETWEEN {at - 10 * 86_400} AND {at} AND a."END_TIME" <= {at} THEN CASE
                                WHEN a."DEADLINE" > {at - 3600} THEN 0.09 ELSE 0.01 END * p.orderly ELSE 0 END
                            WHEN 'return' THEN CASE WHEN a."CREATED" > {at - 86_400} AND dice('live.careless',
                                a."ID") < 0.9 - 0.08 * p.delay THEN 1 / (24 * p.delay) ELSE 0 END
                            ELSE CASE WHEN a."CREATED" > {at - 2 * 86_400} AND dice('live.ignored',
                                a."ID") < 0.96 THEN 1 / 45.0 ELSE 0 END END AS rate
                    FROM activity a JOIN duty d ON d.user_id = a."RESPONSIBLE_ID" JOIN live_person p ON p.user_id = a."RESPONSIBLE_ID"
                        WHERE NOT a."COMPLETED"
                ) WHERE {coin("activity", "id")} < rate
                UNION ALL
                SELECT 'pay', i."ID" FROM invoice i JOIN duty d ON d.user_id = i."ASSIGNED_BY_ID" JOIN deal r ON r."ID" = i."PARENT_ID_2"
                WHERE i."STAGE_ID" = 'DT31_{INVOICE_PIPELINE}:S' AND r."STAGE_SEMANTIC_ID" = 'S' AND i."DATE_CREATE" > {at - 40 * 86_400}
                    AND {coin("pay", 'i."ID"')} < 1 / 2400.0
                UNION ALL
                SELECT CASE WHEN opens_at >= {at} THEN 'arrive' ELSE 'depart' END, user_id FROM live_day
                WHERE opens_at BETWEEN {at} AND {at + MINUTE - 1} AND {coin("arrive", "user_id")} < 0.96 OR opens_at + length BETWEEN {at}
                    AND {at + MINUTE - 1}
            )
            SELECT {at} + floor(dice2('live.second.' || kind, subject, {number}) * {MINUTE})::BIGINT AS moment, kind,
                subject FROM happens ORDER BY ALL
            """
        ).fetchall()  # fmt: skip
        return [Decision(*row) for row in rows]

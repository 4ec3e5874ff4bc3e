"""The practice company goes on: minute by minute, at any speed, with the habits of the people who were built.

Laws: time is cut into whole minutes, and a minute is decided by the seed, its number and what stands in the portal
alone, so that one long step and sixty short ones end in the same portal; each decision becomes a few small statements,
a minute is one transaction; a later event never gets a smaller number; nothing lies after the minute that is done.
Rates are those of the history: what people did per working day in its last weeks, spread over the hours of the day.
People have working days for some months after the build; later the company rests.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import duckdb

from b24metrics.clock import Clock
from b24metrics.sim.company import dice
from b24metrics.sim.company.deeds import DEAL, LEAD, PLACES, Change, Client, Deeds, Numbers, Record, whole
from b24metrics.sim.company.demand import CHANNELS, SEASON, WEEKDAY
from b24metrics.sim.company.directories import INVOICE_PIPELINE, PIPELINES, Pipeline
from b24metrics.sim.company.options import Company
from b24metrics.sim.company.workdays import ProductionCalendar

__all__ = ["Change", "FastClock", "Live", "Numbers"]

MINUTE = 60
#: Working minutes of an ordinary day.
DAY_MINUTES = 540
#: How far back the history is asked for the usual rates.
USUAL_DAYS = 60
#: Shares of requests by what brings them.
_WEB = [(share, code) for share, code, kind, _ in CHANNELS if kind == "web"]
_WEB_SHARE = sum(share for share, _ in _WEB)
_RING_SHARE = sum(share for share, _, kind, _ in CHANNELS if kind == "ring")
_LEAD = '"ID", "STATUS_ID", "SOURCE_ID", "ASSIGNED_BY_ID", "CONTACT_ID", "COMPANY_ID"'
_DEAL = '"ID", "CATEGORY_ID", "STAGE_ID", "CLOSED", "OPPORTUNITY", "CURRENCY_ID", "ASSIGNED_BY_ID", "CONTACT_ID", "COMPANY_ID", "UF"'
_BECOMES_DEAL = {code: share for _, code, _, share in CHANNELS}


class FastClock:
    """A clock that runs ``speed`` times as fast as another one, from an instant of choice on.

    The portal and everything that talks to it must share it; waiting is shortened alike.
    """

    def __init__(self, base: Clock, speed: float, at: float | None = None) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be positive, not {speed}")
        self._base = base
        self._speed = speed
        self._began = base.monotonic()
        self._at = base.now() if at is None else at

    def now(self) -> float:
        return self._at + self.monotonic()

    def monotonic(self) -> float:
        return (self._base.monotonic() - self._began) * self._speed

    def sleep(self, seconds: float) -> None:
        self._base.sleep(seconds / self._speed)

    async def asleep(self, seconds: float) -> None:
        await self._base.asleep(seconds / self._speed)


class _OwnNumbers:
    """Numbers for a portal that nobody else writes to."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._highest: dict[tuple[str, str], int] = {}

    def next_id(self, table: str, where: str = "TRUE") -> int:
        if (table, where) not in self._highest:
            found = self._connection.execute(f'SELECT coalesce(max("ID"), 0) FROM "{table}" WHERE {where}').fetchone()
            assert found is not None
            self._highest[table, where] = whole(found[0])
        self._highest[table, where] += 1
        return self._highest[table, where]


@dataclass(frozen=True, slots=True)
class _Decision:
    """Something that happens in this minute. ``subject`` is a user or a record, as ``kind`` says."""

    at: int
    kind: str
    subject: int


@dataclass(frozen=True, slots=True)
class _Person:
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


class Live:
    """The days after the build.

    Args:
        connection: a portal made by `company.build`; the same database as the server's.
        lock: held during each minute; hand in the server's.
        numbers: who numbers records; hand in the server's storage.
        heard: told what happened, after each minute and under the lock.
    Raises:
        ValueError: the database holds no built company.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        lock: AbstractContextManager[object] | None = None,
        numbers: Numbers | None = None,
        heard: Callable[[Sequence[Change]], None] | None = None,
    ) -> None:
        if connection.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'backstage' AND table_name = 'company'"
        ).fetchone() == (0,):
            raise ValueError("the portal holds no built company; build one before it goes on")
        row = connection.execute("SELECT options FROM backstage.company").fetchone()
        assert row is not None
        self.company = Company(**json.loads(row[0]))
        self._sql = connection
        self._lock = lock or contextlib.nullcontext()
        self._heard = heard
        self._zone = ZoneInfo(self.company.zone)
        self._chance = random.Random()
        self._deeds = Deeds(connection, self.company, numbers or _OwnNumbers(connection), self._chance)
        self._calendar = ProductionCalendar(range(self.company.opened.year, self.company.today.year + 2))
        self._day: date | None = None
        with self._lock:
            self._at = self._resumed()
            self._people = self._learn()

    @property
    def at(self) -> int:
        """Everything before this instant has happened; epoch seconds, a whole minute."""
        return self._at

    def advance(self, until: float) -> int:
        """Live through all whole minutes that end by an instant; returns how many changes that made."""
        made = 0
        while self._at + MINUTE <= until:
            with self._lock:
                self._deeds.changes.clear()
                self._minute()
                made += len(self._deeds.changes)
                if self._heard is not None and self._deeds.changes:
                    self._heard(tuple(self._deeds.changes))
        return made

    def follow(self, clock: Clock, stop: threading.Event, pause: float = 1.0) -> None:
        """Keep up with a clock until told to stop; ``pause`` seconds of the machine's time between looks."""
        while not stop.wait(pause):
            self.advance(clock.now())

    # ------------------------------------------------------------ habits

    def _resumed(self) -> int:
        """Where the company stands: the end of the build, rounded up to a minute, or of an earlier life."""
        self._sql.execute("CREATE TABLE IF NOT EXISTS backstage.lived (at_instant BIGINT)")
        row = self._sql.execute("SELECT max(at_instant) FROM backstage.lived").fetchone()
        if row is not None and row[0] is not None:
            return whole(row[0])
        return -(-self.company.until // MINUTE) * MINUTE

    def _learn(self) -> dict[int, _Person]:
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
        return {row[0]: _Person(*row) for row in rows}

    # ------------------------------------------------------------ a minute

    def _minute(self) -> None:
        wall = datetime.fromtimestamp(self._at, UTC).astimezone(self._zone)
        if wall.date() != self._day:
            self._day = wall.date()
            self._sql.execute(
                f"""CREATE OR REPLACE TEMP TABLE live_day AS SELECT user_id, opens_at, length FROM backstage.work_day
                WHERE opens_at BETWEEN {self._at} - 86400 AND {self._at} + 100000 ORDER BY user_id, opens_at"""
            )
        decisions = self._decide(wall)
        self._sql.execute("BEGIN")
        try:
            for decision in decisions:
                # What is drawn for a decision depends on it alone, not on what else happens in this minute.
                self._chance.seed(f"{self.company.seed}/{decision.kind}/{decision.subject}/{decision.at}")
                getattr(self, f"_{decision.kind}")(decision.subject, decision.at)
            self._at += MINUTE
            self._sql.execute("DELETE FROM backstage.lived")
            self._sql.execute(f"INSERT INTO backstage.lived VALUES ({self._at})")
            self._sql.execute("COMMIT")
        except BaseException:
            self._sql.execute("ROLLBACK")
            raise

    def _decide(self, wall: datetime) -> list[_Decision]:
        """One coin per person or record and habit; those that fall are what happens, in order of time."""
        at, number = self._at, self._at // MINUTE
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
                WHERE dice2('live.' || h.kind, h.user_id, {number}) < h.rate * CASE h.clock WHEN 'web' THEN {web!r} WHEN 'ring' THEN {ring!r} ELSE coalesce(d.part, 0) END
                UNION ALL
                SELECT 'react', r."ID" FROM ({fresh}) r JOIN duty d ON d.user_id = r."ASSIGNED_BY_ID" JOIN live_person p ON p.user_id = r."ASSIGNED_BY_ID"
                WHERE dice('live.forgotten', r."ID") >= 0.022 * p.forget AND {coin("react", 'r."ID"')} < 1 / (26 * p.delay)
                UNION ALL
                SELECT 'lead', r."ID" FROM lead r JOIN duty d ON d.user_id = r."ASSIGNED_BY_ID" WHERE r."STATUS_ID" IN ('IN_PROCESS', 'PROCESSED')
                    AND {coin("lead", 'r."ID"')} < CASE WHEN r."MOVED_TIME" > {at - 6 * 86_400} THEN 1 / 330.0 ELSE 1 / 9000.0 END
                UNION ALL
                SELECT 'deal', r."ID" FROM deal r JOIN duty d ON d.user_id = r."ASSIGNED_BY_ID" JOIN live_stage s ON s.stage = r."STAGE_ID" WHERE NOT r."CLOSED" AND NOT r."IS_RECURRING"
                    AND {coin("deal", 'r."ID"')} < CASE WHEN r."MOVED_TIME" > {at - 21 * 86_400} THEN 1 ELSE 0.1 END / s.minutes
                UNION ALL
                SELECT kind, id FROM (
                    SELECT a."ID" AS id,
                        CASE WHEN "PROVIDER_ID" IN ('CRM_TODO', 'TASKS', 'CRM_CALL', 'CRM_MEETING') THEN 'finish' WHEN "PROVIDER_ID" = 'VOXIMPLANT_CALL' THEN 'return' ELSE 'settle' END AS kind,
                        CASE kind
                            WHEN 'finish' THEN CASE WHEN a."DEADLINE" BETWEEN {at - 10 * 86_400} AND {at} AND a."END_TIME" <= {at} THEN CASE WHEN a."DEADLINE" > {at - 3600} THEN 0.09 ELSE 0.01 END * p.orderly ELSE 0 END
                            WHEN 'return' THEN CASE WHEN a."CREATED" > {at - 86_400} AND dice('live.careless', a."ID") < 0.9 - 0.08 * p.delay THEN 1 / (24 * p.delay) ELSE 0 END
                            ELSE CASE WHEN a."CREATED" > {at - 2 * 86_400} AND dice('live.ignored', a."ID") < 0.96 THEN 1 / 45.0 ELSE 0 END END AS rate
                    FROM activity a JOIN duty d ON d.user_id = a."RESPONSIBLE_ID" JOIN live_person p ON p.user_id = a."RESPONSIBLE_ID" WHERE NOT a."COMPLETED"
                ) WHERE {coin("activity", "id")} < rate
                UNION ALL
                SELECT 'pay', i."ID" FROM invoice i JOIN duty d ON d.user_id = i."ASSIGNED_BY_ID" JOIN deal r ON r."ID" = i."PARENT_ID_2"
                WHERE i."STAGE_ID" = 'DT31_{INVOICE_PIPELINE}:S' AND r."STAGE_SEMANTIC_ID" = 'S' AND i."DATE_CREATE" > {at - 40 * 86_400} AND {coin("pay", 'i."ID"')} < 1 / 2400.0
                UNION ALL
                SELECT CASE WHEN opens_at >= {at} THEN 'arrive' ELSE 'depart' END, user_id FROM live_day
                WHERE opens_at BETWEEN {at} AND {at + MINUTE - 1} AND {coin("arrive", "user_id")} < 0.96 OR opens_at + length BETWEEN {at} AND {at + MINUTE - 1}
            )
            SELECT {at} + floor(dice2('live.second.' || kind, subject, {number}) * {MINUTE})::BIGINT AS moment, kind, subject FROM happens ORDER BY ALL
            """
        ).fetchall()  # fmt: skip
        return [_Decision(*row) for row in rows]

    # ------------------------------------------------------------ requests

    def _web(self, user: int, at: int) -> None:
        """A form, letter or chat out of the net."""
        channel = self._chance.choices([code for _, code in _WEB], [share for share, _ in _WEB])[0]
        phone = self._deeds.phone() if channel in {"WEBFORM", "CALLBACK"} or self._chance.random() < 0.7 else ""
        client = self._request(user, channel, phone, at)
        if "|" in channel:
            self._deeds.chat(client, user, at, channel, incoming=True)
        elif channel == "EMAIL":
            self._deeds.mail(client, user, at, incoming=True)
        else:
            self._deeds.form(client, user, at)

    def _caller(self, user: int, at: int) -> None:
        """A new client rings; who is at work mostly answers."""
        client = self._request(user, "CALL", self._deeds.phone(), at)
        answered = self._works(user, at) and self._chance.random() < 0.8
        self._deeds.call(client, user, at, incoming=True, seconds=self._seconds(user) if answered else 0, done=answered)
        if answered and client.owner_type == LEAD:
            assert client.owner_id is not None
            self._deeds.move_lead(client.owner_id, "IN_PROCESS", user, at)

    def _request(self, user: int, channel: str, phone: str, at: int) -> Client:
        """What the robot makes of somebody who knocks: a lead, or in the simple mode a deal."""
        if self.company.classic:
            return Client(LEAD, self._deeds.add_lead(user, channel, at, phone), phone=phone)
        person = self._people[user]
        known = self._deeds.add_client(user, self._chance.random() < person.business, channel, phone, at)
        deal = self._deeds.add_deal(user, 1, self._pipeline(person), known, channel, at)
        return Client(DEAL, deal, known.contact_id, known.company_id, phone)

    def _react(self, number: int, at: int) -> None:
        """The first answer to a request: a dial, a letter, or just the next stage."""
        table = "lead" if self.company.classic else "deal"
        record = self._deeds.record(
            f'SELECT {_LEAD if self.company.classic else _DEAL} FROM {table} WHERE "ID" = ?', number
        )
        if record is None:
            return
        user, client = whole(record["ASSIGNED_BY_ID"]), self._client(LEAD if self.company.classic else DEAL, record)
        way = self._chance.random()
        if way < 0.74:
            self._dialled(client, user, at)
        elif way < 0.88:
            self._deeds.mail(client, user, at, incoming=False)
        if self.company.classic:
            self._deeds.move_lead(number, "IN_PROCESS", user, at)
        else:
            self._deeds.move_deal(record, self._next(record), user, at)

    def _lead(self, number: int, at: int) -> None:
        """A lead in work goes on: processed, a deal, or nothing."""
        lead = self._deeds.record(f'SELECT {_LEAD} FROM lead WHERE "ID" = ?', number)
        if lead is None:
            return
        user = whole(lead["ASSIGNED_BY_ID"])
        person = self._people.get(user)
        if person is None:
            return
        if lead["STATUS_ID"] == "IN_PROCESS" and self._chance.random() < 0.5:
            self._deeds.move_lead(number, "PROCESSED", user, at)
            return
        share = _BECOMES_DEAL.get(str(lead["SOURCE_ID"] or ""), 0.4)
        if self._chance.random() >= 1 - (1 - share) ** person.skill:
            self._deeds.move_lead(number, "UC_DOUBLE" if self._chance.random() < 0.12 else "JUNK", user, at)
            return
        self._deeds.move_lead(number, "CONVERTED", user, at)
        source = str(lead["SOURCE_ID"]) if lead["SOURCE_ID"] else None
        phone = self._client(LEAD, lead).phone
        client = self._deeds.add_client(user, self._chance.random() < person.business, source, phone, at, lead=number)
        deal = self._deeds.add_deal(user, user, self._pipeline(person), client, source, at, lead=number)
        self._next_step(Client(DEAL, deal, client.contact_id, client.company_id, phone), person, at)

    # ------------------------------------------------------------ deals

    def _own(self, user: int, at: int) -> None:
        """A deal opened by hand: for somebody who bought before, or for a new acquaintance."""
        person = self._people[user]
        buyer = self._deeds.record(
            """SELECT "CONTACT_ID", "COMPANY_ID", "ID" FROM deal WHERE "ASSIGNED_BY_ID" = ? AND "STAGE_SEMANTIC_ID" = 'S' AND ("CONTACT_ID" > 0 OR "COMPANY_ID" > 0)
            ORDER BY hash("ID" * 1000003 + ?) LIMIT 1""",
            user,
            at,
        )
        again = buyer is not None and self._chance.random() < person.repeats * 0.7
        if again and buyer is not None:
            client = self._client(DEAL, buyer)
        else:
            client = self._deeds.add_client(
                user, self._chance.random() < person.business, "CALL", self._deeds.phone(), at
            )
        amount = self._amount(person) if self._chance.random() < 0.5 else 0.0
        deal = self._deeds.add_deal(user, user, self._pipeline(person), client, "CALL", at, amount=amount, again=again)
        self._next_step(Client(DEAL, deal, client.contact_id, client.company_id, client.phone), person, at)

    def _deal(self, number: int, at: int) -> None:
        """A deal leaves its stage: forward, or lost."""
        deal = self._deeds.record(f'SELECT {_DEAL} FROM deal WHERE "ID" = ?', number)
        if deal is None or deal["CLOSED"] or str(deal["STAGE_ID"]) not in PLACES:
            return
        user = whole(deal["ASSIGNED_BY_ID"])
        person = self._people.get(user)
        if person is None:
            return
        pipeline, place = PLACES[str(deal["STAGE_ID"])]
        passes = pipeline.open_steps[place].passes ** (1 / person.skill)
        if self._chance.random() >= passes:
            self._deeds.move_deal(
                deal, self._chance.choices(pipeline.lost, [3.0] + [1.0] * (len(pipeline.lost) - 1))[0], user, at
            )
            return
        if not deal["OPPORTUNITY"]:
            amount = round(self._amount(person), 2)
            self._deeds.update("deal", number, {"OPPORTUNITY": amount}, at)
            deal["OPPORTUNITY"] = amount
        stage = self._next(deal)
        self._deeds.move_deal(deal, stage, user, at)
        if stage != pipeline.won:
            self._next_step(self._client(DEAL, deal), person, at)

    def _next(self, deal: Record) -> str:
        """The stage after the present one, skipping one now and then."""
        pipeline, place = PLACES[str(deal["STAGE_ID"])]
        steps = pipeline.open_steps
        place += 1
        if place < len(steps) and self._chance.random() < steps[place].skipped:
            place += 1
        return pipeline.code(steps[place]) if place < len(steps) else pipeline.won

    def _edit(self, user: int, at: int) -> None:
        """Somebody changes a field of an open deal: the sum, or the expected day."""
        deal = self._of(user, at)
        if deal is None or deal["CLOSED"]:
            return
        values: Record = {"DATE_MODIFY": at, "MODIFY_BY_ID": user}
        if self._chance.random() < 0.5:
            values["CLOSEDATE"] = self._deeds.day(at + 86_400 * self._chance.randint(2, 20))
        elif deal["OPPORTUNITY"]:
            # A sum typed in by hand no longer follows the goods.
            values |= {
                "OPPORTUNITY": round(float(str(deal["OPPORTUNITY"])) * self._chance.uniform(0.9, 1.12), 2),
                "IS_MANUAL_OPPORTUNITY": True,
            }
        self._deeds.update("deal", whole(deal["ID"]), values, at)

    def _pay(self, number: int, at: int) -> None:
        self._deeds.pay(number, at)

    def _erase(self, _user: int, at: int) -> None:
        """Somebody cleans up: a lost deal or a junk lead of the last weeks disappears for good."""
        if self.company.classic and self._chance.random() < 0.6:
            where, entity = """lead WHERE "STATUS_SEMANTIC_ID" = 'F'""", LEAD
        else:
            where, entity = """deal WHERE "STAGE_SEMANTIC_ID" = 'F'""", DEAL
        found = self._deeds.record(
            f"""SELECT "ID" FROM {where} AND "DATE_CREATE" BETWEEN {at - 40 * 86_400} AND {at - 86_400} ORDER BY hash("ID" + ?) LIMIT 1""",
            at,
        )
        if found is not None and not (
            entity == LEAD and self._deeds.record('SELECT 1 FROM deal WHERE "LEAD_ID" = ?', found["ID"])
        ):
            self._deeds.remove(entity, whole(found["ID"]), at)

    # ------------------------------------------------------------ contacts

    def _dial(self, user: int, at: int) -> None:
        """An outgoing call: about one of the own deals, or to somebody new."""
        deal = self._of(user, at) if self._chance.random() < 0.6 else None
        client = self._client(DEAL, deal) if deal else Client(None, None, phone=self._deeds.phone())
        self._dialled(client, user, at)
        if deal and not deal["CLOSED"] and self._chance.random() < 0.35:
            self._next_step(client, self._people[user], at)

    def _dialled(self, client: Client, user: int, at: int) -> None:
        connected = self._chance.random() < self._people[user].connect
        self._deeds.call(
            client,
            user,
            at,
            incoming=False,
            seconds=self._seconds(user) if connected else 0,
            kind=4 if self._chance.random() < 0.02 else 1,
        )

    def _ring(self, user: int, at: int) -> None:
        """A client or a stranger rings; nobody answers at night, and not always by day."""
        deal = self._of(user, at) if self._chance.random() < 0.5 else None
        client = self._client(DEAL, deal) if deal else Client(None, None, phone=self._deeds.phone())
        answered = self._works(user, at) and self._chance.random() < 0.85
        self._deeds.call(client, user, at, incoming=True, seconds=self._seconds(user) if answered else 0, done=answered)

    def _return(self, number: int, at: int) -> None:
        """A missed call is returned and ticked off."""
        missed = self._deeds.record(
            """SELECT a."OWNER_TYPE_ID", a."OWNER_ID", a."RESPONSIBLE_ID", c."PHONE_NUMBER" FROM activity a JOIN phone_call c ON c."CRM_ACTIVITY_ID" = a."ID" WHERE a."ID" = ? AND NOT a."COMPLETED" """,
            number,
        )
        if missed is None:
            return
        user, (kind, owner) = (
            whole(missed["RESPONSIBLE_ID"]),
            (whole(missed["OWNER_TYPE_ID"]), whole(missed["OWNER_ID"])),
        )
        table = {LEAD: "lead", DEAL: "deal"}.get(kind)
        record = (
            self._deeds.record(f'SELECT "ID", "CONTACT_ID", "COMPANY_ID" FROM {table} WHERE "ID" = ?', owner)
            if table
            else None
        )
        known = self._client(kind, record) if record else Client(kind, owner)
        self._dialled(Client(kind, owner, known.contact_id, known.company_id, str(missed["PHONE_NUMBER"])), user, at)
        self._deeds.finish(number, at)

    def _write(self, user: int, at: int) -> None:
        deal = self._of(user, at)
        if deal is not None:
            self._deeds.mail(self._client(DEAL, deal), user, at, incoming=False)

    def _answer(self, user: int, at: int) -> None:
        deal = self._of(user, at)
        if deal is not None:
            self._deeds.mail(self._client(DEAL, deal), user, at, incoming=True)

    def _settle(self, number: int, at: int) -> None:
        """A letter, form or chat is dealt with."""
        self._deeds.finish(number, at)

    def _finish(self, number: int, at: int) -> None:
        """What was planned is done, and the orderly plan the next step."""
        plan = self._deeds.record(
            'SELECT "OWNER_TYPE_ID", "OWNER_ID", "RESPONSIBLE_ID" FROM activity WHERE "ID" = ? AND NOT "COMPLETED"',
            number,
        )
        if plan is None:
            return
        self._deeds.finish(number, at)
        person = self._people.get(whole(plan["RESPONSIBLE_ID"]))
        if person is not None and plan["OWNER_TYPE_ID"] == DEAL:
            deal = self._deeds.record(f'SELECT {_DEAL} FROM deal WHERE "ID" = ? AND NOT "CLOSED"', plan["OWNER_ID"])
            if deal is not None:
                self._next_step(self._client(DEAL, deal), person, at)

    def _vote(self, user: int, at: int) -> None:
        """A client rates a call of the last day; the row of statistics changes afterwards."""
        call = self._deeds.record(
            f"""SELECT "ID" FROM phone_call WHERE "PORTAL_USER_ID" = ? AND "CALL_TYPE" IN (2, 3) AND "CALL_DURATION" > 0 AND "CALL_VOTE" IS NULL
            AND "CALL_START_DATE" > {at - 86_400} ORDER BY "ID" DESC LIMIT 1""",
            user,
        )
        if call is not None:
            self._deeds.update(
                "phone_call",
                whole(call["ID"]),
                {"CALL_VOTE": self._chance.choices((5, 4, 3, 2, 1), (58, 22, 9, 4, 7))[0]},
                at,
            )

    def _arrive(self, user: int, at: int) -> None:
        self._deeds.insert(
            "workday", {"ID": self._deeds.numbers.next_id("workday"), "USER_ID": user, "STARTED_AT": at}, at
        )

    def _depart(self, user: int, at: int) -> None:
        day = self._deeds.record(
            'SELECT "ID" FROM workday WHERE "USER_ID" = ? AND "FINISHED_AT" IS NULL ORDER BY "ID" DESC LIMIT 1', user
        )
        if day is not None:
            self._deeds.update("workday", whole(day["ID"]), {"FINISHED_AT": at}, at)

    # ------------------------------------------------------------ helpers

    def _works(self, user: int, at: int) -> bool:
        return (
            self._deeds.record(
                f"SELECT 1 FROM live_day d WHERE d.user_id = ? AND d.opens_at <= {at} AND {at} < d.opens_at + d.length",
                user,
            )
            is not None
        )

    def _seconds(self, user: int) -> int:
        return min(5400, 2 + int(self._chance.lognormvariate(4.52, 0.95) * self._people[user].talk))

    def _amount(self, person: _Person) -> float:
        size = self._chance.lognormvariate(0, 0.55) * person.check * self.company.rate("RUB")
        return max(1.0, round(size / 100) * 100) if size > 1000 else max(1.0, round(size, 2))

    def _pipeline(self, person: _Person) -> Pipeline:
        usual = person.pipeline if self._chance.random() < person.pipeline_share else 0
        return next(pipeline for pipeline in PIPELINES if pipeline.id == usual)

    def _next_step(self, client: Client, person: _Person, at: int) -> None:
        if self._chance.random() < person.orderly:
            self._deeds.plan(client, person.user_id, at)

    def _of(self, user: int, at: int) -> Record | None:
        """One of a person's open deals, by chance."""
        return self._deeds.record(
            f"""SELECT {_DEAL} FROM deal WHERE "ASSIGNED_BY_ID" = ? AND NOT "CLOSED" AND NOT "IS_RECURRING" ORDER BY hash("ID" * 1000003 + ?) LIMIT 1""",
            user,
            at,
        )

    def _client(self, kind: int, record: Record) -> Client:
        """Whom a lead or deal is with, and the number to ring."""
        contact, company = (whole(record[name]) if record.get(name) else None for name in ("CONTACT_ID", "COMPANY_ID"))
        number = whole(record["ID"])
        entity, element = (LEAD, number) if kind == LEAD else (3, contact) if contact else (4, company)
        found = self._deeds.record(
            """SELECT "VALUE" FROM multifield WHERE "ENTITY_TYPE_ID" = ? AND "ELEMENT_ID" = ? AND "TYPE_ID" = 'PHONE' ORDER BY "ID" LIMIT 1""",
            entity,
            element,
        )
        digits = "".join(filter(str.isdigit, str(found["VALUE"]))) if found else ""
        phone = f"+7{digits[1:]}" if len(digits) == 11 else self._deeds.phone()
        return Client(kind, number, contact, company, phone)

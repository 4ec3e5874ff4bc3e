"""Who works here: departments, employees with their tempers, shifts, absences, and each one's own working days.

Laws: a working day of a person is a day of the schedule between hiring and dismissal without an absence; everything
that a person does lies in one of them. Ids run in the order of registration.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from b24metrics.sim import names
from b24metrics.sim.company.dice import choice, listed, quoted
from b24metrics.sim.company.workdays import LATE, OFFICE, SCHEDULES, ProductionCalendar, work_days
from b24metrics.sim.company.workshop import AHEAD_DAYS, Workshop

ROBOT_ID = 1
ROOT_ID, SALES_ID = 1, 3


@dataclass(frozen=True, slots=True)
class Trade:
    """How a kind of department earns: per working day and person, relative to an average seller."""

    seats: float  # share of the staff
    requests: float  # requests from outside
    own: float  # deals opened by hand
    cold: float  # dials outside any deal
    repeat: float  # share of own deals that are for customers who bought before
    check: int  # median deal, roubles
    business: float  # share of clients that are companies
    pipeline: int
    pipeline_share: float


TRADES = {
    "inbound": Trade(1.3, 2.6, 0.5, 2.0, 0.10, 44_000, 0.55, 0, 0.97),
    "outbound": Trade(1.2, 0.5, 1.7, 13.0, 0.12, 56_000, 0.80, 0, 0.93),
    "wholesale": Trade(0.9, 0.6, 0.9, 4.0, 0.60, 150_000, 0.97, 3, 0.85),
    "key": Trade(0.6, 0.3, 0.6, 2.0, 0.70, 310_000, 1.00, 3, 0.90),
    "regions": Trade(1.1, 1.2, 1.0, 6.0, 0.25, 62_000, 0.75, 0, 0.95),
    "repeat": Trade(0.9, 0.5, 1.7, 5.0, 0.85, 52_000, 0.65, 5, 0.75),
    "service": Trade(0.0, 0.0, 0.6, 0.5, 0.20, 18_000, 0.70, 7, 1.00),
}


@dataclass(frozen=True, slots=True)
class Temper:
    """What kind of a colleague somebody is: factors to the usual."""

    name: str
    share: float
    dials: float
    connect: float
    talk: float
    delay: float  # reaction
    forget: float
    order: float  # how surely a next step is planned
    skill: float
    check: float
    neat: float


TEMPERS = (
    Temper("star", 0.12, 1.15, 1.08, 1.05, 0.55, 0.35, 0.975, 1.30, 1.18, 1.3),
    Temper("solid", 0.47, 1.00, 1.00, 1.00, 1.00, 1.00, 0.940, 1.00, 1.00, 1.0),
    Temper("lazy", 0.12, 0.45, 0.95, 0.95, 2.40, 2.60, 0.720, 0.84, 0.95, 0.4),
    Temper("dialler", 0.10, 2.00, 0.40, 0.80, 1.00, 1.20, 0.900, 0.86, 0.92, 0.8),
    Temper("brief", 0.08, 1.10, 1.05, 0.28, 0.90, 1.20, 0.880, 0.82, 0.90, 0.7),
    Temper("talker", 0.11, 0.75, 1.00, 2.00, 1.20, 0.90, 0.925, 0.98, 1.05, 1.0),
)


def build(shop: Workshop) -> None:
    """Fill ``department``, ``user``, ``schedule``, ``accessibility``, ``workday`` and the backstage of people."""
    _departments(shop)
    _persons(shop)
    _work_days(shop)
    _tenures(shop)
    _publish(shop)


def _departments(shop: Workshop) -> None:
    """The tree: root, sales with its sub-departments (grouped by trade once there are many), others out of scope."""
    count, managers = shop.company.departments, shop.company.managers
    kinds = [names.DEPARTMENTS[at % len(names.DEPARTMENTS)] for at in range(count)]
    weights = [TRADES[trade].seats for _, trade in kinds]
    # Largest remainders, every department at least its head.
    exact = [1 + (managers - count) * weight / sum(weights) for weight in weights]
    seats = [int(share) for share in exact]
    for at in sorted(range(count), key=lambda at: (seats[at] - exact[at], at))[: managers - sum(seats)]:
        seats[at] += 1
    tree: list[tuple[int, str, int | None, str]] = [
        (ROOT_ID, "ООО «Складпрофиль»", None, "root"),
        (2, "Бухгалтерия", ROOT_ID, "office"),
        (SALES_ID, "Коммерческий департамент", ROOT_ID, "chief"),
        (4, "Сервисная служба", ROOT_ID, "service"),
        (6, "Маркетинг", ROOT_ID, "office"),
    ]
    next_id, groups = 11, {}
    if count > len(names.DEPARTMENTS):
        for name, trade in names.DEPARTMENTS:
            groups[trade] = next_id
            tree.append((next_id, f"Дирекция: {name.lower()}", SALES_ID, "group"))
            next_id += 1
    plan, first = [], 1
    for at, (name, trade) in enumerate(kinds):
        number = at // len(names.DEPARTMENTS) + 1
        title = name if count <= len(names.DEPARTMENTS) else f"{name} {number}"
        tree.append((next_id + at, title, groups.get(trade, SALES_ID), trade))
        # The last sub-department works the late shift.
        schedule = LATE if at == count - 1 and count > 1 else OFFICE
        plan.append((next_id + at, trade, first, first + seats[at] - 1, schedule.id))
        first += seats[at]
    shop.rows("w_department", "id BIGINT, name VARCHAR, parent BIGINT, trade VARCHAR", tree)
    shop.rows("w_plan", "department_id BIGINT, trade VARCHAR, first BIGINT, last BIGINT, schedule INTEGER", plan)


def _persons(shop: Workshop) -> None:
    """Every employee of the history: who sat on which seat, when, and what kind of a person that was.

    A seat changes hands with about 24 % a year; some of the new ones leave within three months.
    """
    now, since = shop.now, shop.since
    span = now - since
    turnover = min(0.6, 0.24 * shop.company.months / 12)
    services = 1 + shop.company.managers // 12
    # left1 < hired2 < left2 < hired3 < now, whatever the length of the history.
    shop.table(
        "w_seat",
        f"""
        SELECT s.seat, p.department_id, p.trade, p.schedule, s.seat = p.first AS is_head,
            s.seat <> p.first AND dice('seat.changed', s.seat) < {turnover} AS changed,
            s.seat <> p.first AND dice('seat.new', s.seat) < {0.06 * min(1, shop.company.months / 12)} AS founded,
            {since} + ({span} * (0.06 + 0.88 * dice('seat.left', s.seat)))::BIGINT AS left1,
            left1 + ((now - left1) * 0.8 * least(1, (2 + 20 * dice('seat.gap', s.seat)) * 86400 / ((now - left1) * 0.8)))::BIGINT AS hired2,
            changed AND dice('seat.again', s.seat) < 0.15 AND hired2 + 95 * 86400 < now AS again,
            hired2 + ((20 + 60 * dice('seat.early', s.seat)) * 86400)::BIGINT AS left2,
            left2 + ((3 + 8 * dice('seat.gap2', s.seat)) * 86400)::BIGINT AS hired3
        FROM generate_series(1, {shop.company.managers}) s(seat) JOIN w_plan p ON s.seat BETWEEN p.first AND p.last,
            (SELECT {now}::BIGINT AS now)
        """,
    )
    starter = f"{since} - 86400 * (3 + whole('person.before', seat, 900))"
    far = choice(
        "dice('person.far', pid)",
        (0.5, "'Asia/Novosibirsk'"),
        (0.35, "'Asia/Yekaterinburg'"),
        (0.15, "'Europe/Samara'"),
    )
    temper = "dice('person.temper', pid)"

    def factor(name: str) -> str:
        return choice(temper, *((t.share, f"{getattr(t, name)!r}::DOUBLE") for t in TEMPERS))

    def trade(name: str) -> str:
        return (
            "CASE trade "
            + " ".join(f"WHEN {quoted(t)} THEN {getattr(v, name)!r}::DOUBLE" for t, v in TRADES.items())
            + " ELSE 0 END"
        )

    ordinary = "kind IN ('seller', 'service')"
    shop.table(
        "w_person",
        f"""
        WITH posts AS (
            SELECT seat, seat * 4 + 1 AS pid, 'seller' AS kind, department_id, trade, schedule, is_head,
                CASE WHEN founded THEN {since} + ({span} * (0.04 + 0.8 * dice('seat.founded', seat)))::BIGINT ELSE {starter} END AS hired_at,
                CASE WHEN changed AND NOT founded THEN left1 END AS dismissed_at,
                CASE WHEN changed AND NOT founded THEN seat * 4 + 2 END AS next_pid
            FROM w_seat
            UNION ALL SELECT seat, seat * 4 + 2, 'seller', department_id, trade, schedule, FALSE, hired2,
                CASE WHEN again THEN left2 END, CASE WHEN again THEN seat * 4 + 3 END FROM w_seat WHERE changed AND NOT founded
            UNION ALL SELECT seat, seat * 4 + 3, 'seller', department_id, trade, schedule, FALSE, hired3, NULL, NULL
                FROM w_seat WHERE again AND NOT founded
            UNION ALL SELECT NULL, -1, 'robot', {ROOT_ID}, 'none', {OFFICE.id}, FALSE, {since} - 86400 * 1200, NULL, NULL
            UNION ALL SELECT NULL, -2, 'director', {ROOT_ID}, 'none', {OFFICE.id}, TRUE, {since} - 86400 * 1199, NULL, NULL
            UNION ALL SELECT NULL, -3, 'chief', {SALES_ID}, 'none', {OFFICE.id}, TRUE, {since} - 86400 * 1100, NULL, NULL
            UNION ALL SELECT NULL, -4, 'office', 2, 'none', {OFFICE.id}, TRUE, {since} - 86400 * 1050, NULL, NULL
            UNION ALL SELECT NULL, -5, 'office', 6, 'none', {OFFICE.id}, FALSE, {since} - 86400 * 980, NULL, NULL
            UNION ALL SELECT -s, -10 - s, 'service', 4, 'service', 3, s = 1, {since} - 86400 * (5 + whole('person.service', s, 800)), NULL, NULL
                FROM generate_series(1, {services}) g(s)
        )
        SELECT row_number() OVER (ORDER BY hired_at, pid) AS user_id, *,
            dismissed_at IS NULL AS active, dice('person.sex', pid) < 0.46 AS woman,
            CASE WHEN trade = 'regions' THEN {far} ELSE {quoted(shop.company.zone)} END AS zone,
            CASE WHEN kind = 'service' THEN (-pid) % 2 ELSE 0 END AS brigade,
            CASE WHEN {ordinary} AND NOT is_head THEN {choice(temper, *((t.share, quoted(t.name)) for t in TEMPERS))} ELSE 'solid' END AS temper,
            CASE WHEN NOT is_head THEN {factor("dials")} ELSE 0.6 END * around('person.dials', pid, 1, 0.18) AS dials,
            least(0.88, CASE WHEN NOT is_head THEN {factor("connect")} ELSE 1.05 END * 0.6 * around('person.connect', pid, 1, 0.07)) AS connect,
            CASE WHEN NOT is_head THEN {factor("talk")} ELSE 1.1 END * around('person.talk', pid, 1, 0.12) AS talk,
            CASE WHEN NOT is_head THEN {factor("delay")} ELSE 0.8 END * around('person.delay', pid, 1, 0.25) AS delay,
            CASE WHEN NOT is_head THEN {factor("forget")} ELSE 0.6 END AS forget,
            CASE WHEN NOT is_head THEN {factor("order")} ELSE 0.94 END - 0.05 * dice('person.order', pid) AS orderly,
            CASE WHEN NOT is_head THEN {factor("skill")} ELSE 1.15 END * around('person.skill', pid, 1, 0.10) AS skill,
            CASE WHEN NOT is_head THEN {factor("check")} ELSE 1.1 END * around('person.check', pid, 1, 0.12) AS usual_check,
            CASE WHEN NOT is_head THEN {factor("neat")} ELSE 1.2 END AS neat,
            -- a head sells less: somebody has to lead
            (CASE WHEN is_head THEN 0.45 ELSE around('person.load', pid, 1, 0.12) END) * {trade("requests")} AS requests,
            (CASE WHEN is_head THEN 0.45 ELSE around('person.load', pid, 1, 0.12) END) * {trade("own")} AS own,
            (CASE WHEN is_head THEN 0.2 ELSE 1 END) * {trade("cold")} AS cold,
            {trade("repeat")} AS repeats, {trade("check")} AS median_check, {trade("business")} AS business,
            {trade("pipeline")}::INTEGER AS pipeline, {trade("pipeline_share")} AS pipeline_share
        FROM posts ORDER BY user_id
        """,
    )
    shop.run("CREATE OR REPLACE TABLE backstage.person AS SELECT * FROM w_person ORDER BY user_id")
    shop.drop("w_person", "w_seat")


def _work_days(shop: Workshop) -> None:
    """Absences, then the working days that remain; ``n`` counts a person's days from 0."""
    start = (shop.company.opened - timedelta(days=2)).date()
    end = (shop.company.today + timedelta(days=AHEAD_DAYS)).date()
    used = shop.connection.execute("SELECT DISTINCT schedule, zone FROM backstage.person ORDER BY ALL").fetchall()
    shifts = [(schedule, zone) for number, zone in used for schedule in SCHEDULES if schedule.id == number]
    calendar = ProductionCalendar(range(start.year, end.year + 1))
    shop.rows(
        "w_schedule_day",
        "schedule INTEGER, zone VARCHAR, brigade INTEGER, on_date DATE, opens_at BIGINT, closes_at BIGINT",
        (
            (d.schedule, d.zone, d.brigade, d.on, d.opens_at, d.closes_at)
            for d in work_days(calendar, shifts, start, end)
        ),
    )
    # The portal's own dates: midnights on its wall, and how lively a date is for requests and for telephones.
    shop.rows(
        "w_day",
        "on_date DATE, starts_at BIGINT, ends_at BIGINT, weekday INTEGER, month INTEGER, worked BOOLEAN",
        (
            (
                at.date(), int(at.timestamp()), int((at + timedelta(days=1)).timestamp()), at.isoweekday(), at.month,
                calendar.is_worked(at.date()),
            )
            for at in (shop.company.opened + timedelta(days=n) for n in range((end - shop.company.opened.date()).days))
        ),
    )  # fmt: skip
    half_years = 1 + (end - start).days // 182
    shop.table(
        "w_absence",
        f"""
        WITH leaves AS (
            -- two weeks of vacation in every half year, by preference in summer and around the New Year
            SELECT user_id, 'Отпуск' AS name, pid * 64 + k AS key, DATE '{start}' + (k * 182 + 10 + whole('leave.at', pid * 64 + k,
                150))::INTEGER AS first,
                13 AS more
            FROM backstage.person, generate_series(0, {half_years}) g(k) WHERE kind <> 'robot'
            UNION ALL
            SELECT user_id, 'Больничный', pid * 64 + 32 + k, DATE '{start}' + (k * 182 + whole('sick.at', pid * 64 + k, 182))::INTEGER,
                2 + whole('sick.long', pid * 64 + k, 8)
            FROM backstage.person, generate_series(0, {half_years}) g(k) WHERE kind <> 'robot' AND dice('sick', pid * 64 + k) < 0.62
            UNION ALL
            SELECT user_id, 'Отгул', pid * 64 + 48 + k, DATE '{start}' + (k * 182 + whole('off.at', pid * 64 + k, 182))::INTEGER, 0
            FROM backstage.person, generate_series(0, {half_years}) g(k) WHERE kind <> 'robot' AND dice('off', pid * 64 + k) < 0.25
        )
        SELECT l.*, first + more::INTEGER AS last FROM leaves l JOIN backstage.person p USING (user_id)
        -- nobody foresees an illness; nobody is ill before being hired
        WHERE (name = 'Отпуск' OR first <= DATE '{shop.company.today.date()}')
            AND first > {shop.local_date("p.hired_at + 45 * 86400 * (p.hired_at >= " + str(shop.since) + ")::INTEGER")}
            AND (p.dismissed_at IS NULL OR last < {shop.local_date("p.dismissed_at")})
            AND last < DATE '{end}'
        """,
    )
    shop.run(
        """
        CREATE OR REPLACE TABLE backstage.work_day AS
        SELECT p.user_id, (row_number() OVER (PARTITION BY p.user_id ORDER BY s.on_date) - 1)::INTEGER AS n, s.on_date, s.opens_at,
            (s.closes_at - s.opens_at)::INTEGER AS length
        FROM backstage.person p JOIN w_schedule_day s ON s.schedule = p.schedule AND s.zone = p.zone AND s.brigade = p.brigade
        WHERE p.kind <> 'robot' AND s.opens_at >= p.hired_at AND (p.dismissed_at IS NULL OR s.closes_at <= p.dismissed_at)
            AND NOT EXISTS (SELECT 1 FROM w_absence a WHERE a.user_id = p.user_id AND s.on_date BETWEEN a.first AND a.last)
        ORDER BY p.user_id, s.on_date
        """
    )


def _tenures(shop: Workshop) -> None:
    """How many working days each person has, and who goes on after a dismissal: the next one on the seat, else the head."""
    shop.table(
        "w_tenure",
        """
        WITH heirs AS (
            SELECT p.user_id, p.dismissed_at,
                CASE WHEN n.hired_at < p.dismissed_at + 21 * 86400 THEN n.user_id ELSE h.user_id END AS heir_id,
                greatest(p.dismissed_at, CASE WHEN n.hired_at < p.dismissed_at + 21 * 86400 THEN n.hired_at ELSE 0 END) + 30 * 3600 AS handed_at
            FROM backstage.person p
            LEFT JOIN backstage.person n ON n.pid = p.next_pid
            LEFT JOIN backstage.person h ON h.department_id = p.department_id AND h.is_head AND h.kind = 'seller'
            WHERE p.dismissed_at IS NOT NULL
        ), first_days AS (
            SELECT h.user_id, min(d.n) AS heir_x FROM heirs h JOIN backstage.work_day d ON d.user_id = h.heir_id AND d.opens_at >= h.handed_at
            GROUP BY ALL
        )
        SELECT p.user_id, CASE WHEN p.dismissed_at IS NULL THEN 1e9 ELSE coalesce(c.days, 0) END AS days, h.heir_id, h.handed_at,
            -- the first hour of the heir's first morning goes into reading the papers
            f.heir_x + 0.1 AS heir_x
        FROM backstage.person p
        LEFT JOIN (SELECT user_id, max(n) + 1 AS days FROM backstage.work_day GROUP BY ALL) c USING (user_id)
        LEFT JOIN heirs h USING (user_id)
        LEFT JOIN first_days f USING (user_id)
        """,
    )


def _publish(shop: Workshop) -> None:
    """The rows that the portal shows."""
    now, zone = shop.now, quoted(shop.company.zone)
    shop.run(
        f"""
        INSERT INTO department BY NAME
        SELECT d.id AS "ID", d.name AS "NAME", 500 AS "SORT", d.parent AS "PARENT",
            (SELECT max(p.user_id) FROM backstage.person p WHERE p.is_head AND p.active
                AND (p.department_id = d.id OR d.id = {ROOT_ID} AND p.kind = 'director')) AS "UF_HEAD"
        FROM w_department d ORDER BY d.id
        """
    )
    men, women = names.MEN, names.WOMEN
    firsts = f"(CASE WHEN woman THEN {listed(n for n, _ in women)} ELSE {listed(n for n, _ in men)} END)"
    latins = f"(CASE WHEN woman THEN {listed(n for _, n in women)} ELSE {listed(n for _, n in men)} END)"
    families = f"(CASE WHEN woman THEN {listed(f for _, f, _ in names.FAMILIES)} ELSE {listed(m for m, _, _ in names.FAMILIES)} END)"
    fathers = (
        f"(CASE WHEN woman THEN {listed(f for _, f in names.FATHERS)} ELSE {listed(m for m, _ in names.FATHERS)} END)"
    )
    position = (
        "CASE trade "
        + " ".join(f"WHEN {quoted(t)} THEN {quoted(p)}" for t, p in names.POSITIONS.items())
        + " ELSE 'Специалист' END"
    )
    shop.run(
        f"""
        INSERT INTO "user" BY NAME
        SELECT user_id AS "ID", active AS "ACTIVE",
            CASE WHEN kind = 'robot' THEN 'Робот' ELSE pick({firsts}, 'user.name', pid) END AS "NAME",
            CASE WHEN kind = 'robot' THEN 'Портала' ELSE pick({families}, 'user.family', pid) END AS "LAST_NAME",
            CASE WHEN kind = 'robot' THEN '' ELSE pick({fathers}, 'user.father', pid) END AS "SECOND_NAME",
            CASE WHEN kind = 'robot' THEN 'robot@skladprofil.example'
                ELSE pick({latins}, 'user.name', pid) || '.' || pick({listed(x for _, _, x in names.FAMILIES)}, 'user.family', pid)
                    || user_id || '@skladprofil.example' END AS "EMAIL",
            CASE WHEN active THEN {now} - whole('user.login', pid, 40000) ELSE dismissed_at - 3600 END AS "LAST_LOGIN",
            hired_at AS "DATE_REGISTER",
            CASE WHEN zone <> {zone} THEN zone WHEN dice('user.zone', pid) < 0.5 THEN {zone} ELSE '' END AS "TIME_ZONE",
            active AND dice('user.online', pid) < 0.6 AS "IS_ONLINE",
            coalesce(dismissed_at, greatest(hired_at, {now} - whole('user.edited', pid, 20000000))) AS "TIMESTAMP_X",
            CASE WHEN active THEN {now} - whole('user.login', pid, 40000) ELSE dismissed_at END AS "LAST_ACTIVITY_DATE",
            CASE WHEN kind = 'robot' THEN '' WHEN woman THEN 'F' ELSE 'M' END AS "PERSONAL_GENDER",
            CASE WHEN kind <> 'robot' THEN DATE '1968-01-01' + whole('user.born', pid, 12700)::INTEGER END AS "PERSONAL_BIRTHDAY",
            CASE WHEN kind = 'robot' THEN '' ELSE '+7907' || lpad((user_id % 10000000)::VARCHAR, 7, '0') END AS "PERSONAL_MOBILE",
            CASE kind WHEN 'robot' THEN 'Служебная запись' WHEN 'director' THEN 'Генеральный директор' WHEN 'chief' THEN 'Коммерческий директор'
                WHEN 'office' THEN 'Специалист'
                ELSE CASE WHEN is_head AND kind = 'seller' THEN 'Руководитель отдела' ELSE {position} END END AS "WORK_POSITION",
            CASE WHEN kind <> 'robot' THEN {shop.local_date("hired_at")} END AS "UF_EMPLOYMENT_DATE",
            -- some sit in two departments: the second is another one of sales
            CASE WHEN kind = 'seller' AND NOT is_head AND dice('user.two', pid) < 0.05
                    THEN list_distinct([department_id, (SELECT min(department_id) FROM w_plan) + whole('user.second', pid,
                        {shop.company.departments})]).list_sort()
                ELSE [department_id] END AS "UF_DEPARTMENT",
            CASE WHEN kind = 'robot' THEN '' ELSE (100 + user_id)::VARCHAR END AS "UF_PHONE_INNER",
            kind IN ('robot', 'director') AS "IS_ADMIN"
        FROM backstage.person ORDER BY user_id
        """
    )
    # The vendor counts the first department as the primary one; a sorted pair may begin with the second.
    shop.run(
        """UPDATE "user" SET "UF_DEPARTMENT" = ["UF_DEPARTMENT"[2], "UF_DEPARTMENT"[1]] FROM backstage.person p
        WHERE p.user_id = "user"."ID" AND len("UF_DEPARTMENT") = 2 AND "UF_DEPARTMENT"[1] <> p.department_id"""
    )
    shop.publish(
        "schedule",
        "ID, NAME, SCHEDULE_TYPE, IS_FOR_ALL_USERS, WORK_TIME_START, WORK_TIME_END, BREAK_DURATION, WORK_DAYS, CREATED_AT",
        (
            (s.id, s.name, s.kind, s is OFFICE, s.opens, s.closes, s.pause, s.weekdays, shop.since - 86_400 * 30)
            for s in SCHEDULES
        ),
    )
    shop.run(
        """
        INSERT INTO accessibility BY NAME
        SELECT row_number() OVER (ORDER BY first, key) AS "ID", user_id AS "USER_ID", a.name AS "NAME", f.starts_at AS "FROM_AT",
            l.ends_at AS "TO_AT",
            TRUE AS "SKIP_TIME", 'absent' AS "ACCESSIBILITY", 'absence' AS "EVENT_TYPE"
        FROM w_absence a JOIN w_day f ON f.on_date = a.first JOIN w_day l ON l.on_date = a.last ORDER BY "ID"
        """
    )
    shop.run(
        f"""
        INSERT INTO workday BY NAME
        SELECT row_number() OVER (ORDER BY started, user_id) AS "ID", user_id AS "USER_ID", started AS "STARTED_AT",
            CASE WHEN finished <= {now} THEN finished END AS "FINISHED_AT", leaks AS "LEAKS"
        FROM (
            SELECT d.user_id, d.opens_at + (600 * gauss2('day.start', p.pid, d.n) * least(1.6, p.delay))::BIGINT AS started,
                d.opens_at + d.length + (900 * gauss2('day.end', p.pid, d.n))::BIGINT AS finished,
                1200 + floor(2400 * dice2('day.leak', p.pid, d.n))::BIGINT AS leaks
            FROM backstage.work_day d JOIN backstage.person p USING (user_id)
            WHERE d.opens_at BETWEEN {shop.since} AND {now} AND dice2('day.pressed', p.pid, d.n) < 0.96
        ) WHERE started <= {now} ORDER BY "ID"
        """
    )

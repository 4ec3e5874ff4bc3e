"""Writes down what was said and planned: activities with their bindings, telephone statistics, chats, tasks, comments.

Laws: one activity per contact, one row of statistics per leg of a call; the legs share CALL_ID and the activity carries
it as ``VI_…``; a row of statistics is numbered when its leg ends.
"""

from __future__ import annotations

from b24metrics.sim import names
from b24metrics.sim.company.clients import phone
from b24metrics.sim.company.dice import choice, listed, quoted
from b24metrics.sim.company.workshop import Workshop, numbered

#: Lines of the company: own PBX, rented numbers.
LINES = ("reg1337", "sip2", "sip5", "+74950000100")
#: First guest of the open lines; guests are users whom no list shows.
FIRST_GUEST = 1_000_000

_TYPES = {"call": 2, "call_plan": 2, "mail": 4, "meeting": 1, "task": 3}
_PROVIDERS = {
    "call": "VOXIMPLANT_CALL", "call_plan": "CRM_CALL", "mail": "CRM_EMAIL", "meeting": "CRM_MEETING", "sms": "CRM_SMS",
    "chat": "IMOPENLINES_SESSION", "form": "CRM_WEBFORM", "todo": "CRM_TODO", "task": "TASKS",
}  # fmt: skip
_PROVIDER_TYPES = {
    "call_plan": "CALL",
    "mail": "EMAIL",
    "meeting": "MEETING",
    "sms": "SMS",
    "todo": "TODO",
    "task": "TASK",
}
_REASONS = {
    "200": "Success call",
    "304": "Missed call",
    "603": "Decline",
    "603-S": "Call cancelled",
    "486": "Busy",
    "480": "Temporarily unavailable",
    "404": "Invalid number",
}


def _by_kind(values: dict[str, int] | dict[str, str], otherwise: str) -> str:
    cases = " ".join(
        f"WHEN {quoted(kind)} THEN {value if isinstance(value, int) else quoted(value)}"
        for kind, value in values.items()
    )
    return f"CASE kind {cases} ELSE {otherwise} END"


def build(shop: Workshop) -> None:
    """Fill ``activity``, ``activity_binding``, ``phone_call``, ``openline_session``, ``openline_message``, ``task``, ``timeline_comment``, busy times."""
    shop.table(
        "w_chat",
        "SELECT key, row_number() OVER (ORDER BY created_at, key) AS session_id FROM w_event WHERE kind = 'chat'",
    )
    _tasks(shop)
    shop.table(
        "w_activity",
        """
        SELECT e.*, to_hex(hash(e.key)) || '.' || e.starts_at AS call_id, coalesce(c.session_id, t.task_id, 0) AS linked_id
        FROM w_event e LEFT JOIN w_chat c USING (key) LEFT JOIN (SELECT key, task_id FROM w_task) t USING (key)
        WHERE owner_type IS NOT NULL AND coalesce(call_type, 0) <> 5 ORDER BY created_at, key
        """,
    )
    _activities(shop)
    _busy(shop)
    _bindings(shop)
    _phone_calls(shop)
    _chats(shop)
    shop.run(
        f"""
        INSERT INTO timeline_comment BY NAME
        SELECT row_number() OVER (ORDER BY t, key) AS "ID", owner_id AS "ENTITY_ID", 'deal' AS "ENTITY_TYPE", t AS "CREATED",
            pick({listed(names.REMARKS)}, 'remark.text', key) AS "COMMENT", user_id AS "AUTHOR_ID"
        FROM w_remark ORDER BY "ID"
        """
    )
    shop.table(
        "w_latest",
        """
        SELECT owner_type, owner_id, max(t) AS t, arg_max(user_id, (t, key)) AS user_id FROM (
            SELECT owner_type, owner_id, greatest(created_at, coalesce(done_at, 0)) AS t, user_id, key FROM w_activity WHERE owner_type IN (1, 2)
        ) GROUP BY ALL
        """,
    )
    shop.drop("w_remark", "w_activity", "w_event", "w_chat", "w_task")


def _tasks(shop: Workshop) -> None:
    """Tasks of the CRM and a few that have nothing to do with clients."""
    shop.table(
        "w_task",
        f"""
        SELECT row_number() OVER (ORDER BY created_at, key) AS task_id, * FROM (
            SELECT key, user_id, author_id, created_at, due_at, done_at, CASE owner_type WHEN 1 THEN 'L_' ELSE 'D_' END || owner_id AS bound,
                contact_id FROM w_event WHERE kind = 'task'
            UNION ALL
            SELECT -(user_id * 4096 + n) * 4 - 2, user_id, user_id, t, t + 86400 * (1 + whole('office.due', user_id * 4096 + n, 9)),
                CASE WHEN t + waiting('office.done', user_id * 4096 + n, 4 * 86400) < {shop.now} THEN t + waiting('office.done', user_id * 4096 + n,
                    4 * 86400)::BIGINT END, NULL, NULL
            FROM (SELECT user_id, n, opens_at + 1800 + floor(length * 0.8 * dice('office.at',
                user_id * 4096 + n))::BIGINT AS t FROM backstage.work_day
                WHERE opens_at BETWEEN {shop.since} AND {shop.now} AND dice('office.task', user_id * 4096 + n) < 0.03)
            WHERE t + 60 <= {shop.now}
        )
        """,
    )
    shop.run(
        f"""
        INSERT INTO task BY NAME
        SELECT task_id AS "ID", pick({listed(names.TASK_SUBJECTS)}, 'task.title', key) AS "TITLE",
            CASE WHEN done_at IS NULL THEN CASE WHEN dice('task.begun', key) < 0.5 THEN 3 WHEN dice('task.begun',
                key) < 0.93 THEN 2 ELSE 6 END ELSE 5 END AS "STATUS",
            CASE WHEN done_at IS NOT NULL AND dice('task.mark', key) < 0.1 THEN CASE WHEN dice('task.bad',
                key) < 0.2 THEN 'N' ELSE 'P' END END AS "MARK",
            author_id AS "CREATED_BY", created_at AS "CREATED_DATE", user_id AS "RESPONSIBLE_ID", user_id AS "CHANGED_BY",
            coalesce(done_at, created_at) AS "CHANGED_DATE", user_id AS "STATUS_CHANGED_BY", coalesce(done_at, created_at) AS "STATUS_CHANGED_DATE",
            CASE WHEN done_at IS NOT NULL THEN user_id END AS "CLOSED_BY", done_at AS "CLOSED_DATE", coalesce(done_at, created_at) AS "ACTIVITY_DATE",
                due_at AS "DEADLINE",
            CASE WHEN dice('task.logged', key) < 0.2 THEN 600 * (1 + whole('task.spent', key, 12)) END AS "TIME_SPENT_IN_LOGS",
            CASE WHEN contact_id IS NOT NULL THEN [bound, 'C_' || contact_id] WHEN bound IS NOT NULL THEN [bound] END AS "UF_CRM_TASK"
        FROM w_task ORDER BY task_id
        """
    )


def _activities(shop: Workshop) -> None:
    subject = f"""CASE kind WHEN 'call' THEN CASE WHEN direction = 1 THEN 'Входящий от ' ELSE 'Исходящий на ' END || {phone("phone_key")}
        WHEN 'mail' THEN pick({listed(names.LETTER_SUBJECTS)}, 'mail.subject', key) WHEN 'meeting' THEN pick({listed(names.MEETING_SUBJECTS)},
            'meeting.subject', key)
        WHEN 'todo' THEN pick({listed(names.TODO_SUBJECTS)}, 'todo.subject', key) WHEN 'task' THEN pick({listed(names.TASK_SUBJECTS)}, 'task.title',
            key)
        WHEN 'call_plan' THEN 'Позвонить клиенту' WHEN 'chat' THEN 'Диалог открытой линии' WHEN 'form' THEN 'Заполнена CRM-форма' ELSE 'SMS' END"""
    shop.run(
        f"""
        INSERT INTO activity BY NAME
        SELECT {numbered("w_activity")} AS "ID", owner_id AS "OWNER_ID", owner_type AS "OWNER_TYPE_ID", {_by_kind(_TYPES, "6")} AS "TYPE_ID",
            {_by_kind(_PROVIDERS, "''")} AS "PROVIDER_ID",
            CASE kind WHEN 'call' THEN CASE WHEN call_type = 4 THEN 'CALLBACK' ELSE 'CALL' END WHEN 'chat' THEN {_line("channel")}::VARCHAR
                WHEN 'form' THEN (1 + abs(key // 7) % 3)::VARCHAR
                ELSE {_by_kind(_PROVIDER_TYPES, "''")} END AS "PROVIDER_TYPE_ID",
            linked_id AS "ASSOCIATED_ENTITY_ID", {subject} AS "SUBJECT", w_activity.created_at AS "CREATED", greatest(w_activity.created_at,
                coalesce(w_activity.done_at, 0)) AS "LAST_UPDATED",
            starts_at AS "START_TIME", ends_at AS "END_TIME",
            -- what came in by itself has no deadline
            CASE WHEN kind IN ('todo', 'task', 'call_plan', 'meeting') THEN w_activity.due_at WHEN direction = 2 AND kind IN ('call',
                'mail') THEN starts_at END AS "DEADLINE",
            w_activity.done_at IS NOT NULL AS "COMPLETED", CASE WHEN w_activity.done_at IS NULL THEN 1 WHEN automatic THEN 3 ELSE 2 END AS "STATUS",
                w_activity.user_id AS "RESPONSIBLE_ID",
            direction AS "DIRECTION", CASE WHEN kind = 'call' AND direction = 1 AND NOT connected THEN '{{"MISSED_CALL":true}}' END AS "SETTINGS",
            CASE WHEN kind = 'call' THEN 'VI_' || call_id END AS "ORIGIN_ID", CASE WHEN kind = 'form' THEN 1 ELSE coalesce(w_activity.author_id,
                w_activity.user_id) END AS "AUTHOR_ID", CASE WHEN automatic THEN 1 ELSE w_activity.user_id END AS "EDITOR_ID",
            CASE WHEN kind = 'chat' THEN '{{"USER_CODE":"' || {_connector("channel")} || '|' || {_line("channel")} || '|' || (5000 + linked_id) || '|' || ({FIRST_GUEST} + abs(phone_key)) || '"}}' END AS "PROVIDER_PARAMS",
            CASE WHEN kind = 'chat' AND w_activity.done_at IS NOT NULL AND dice('chat.voted', key) < 0.3 THEN CASE WHEN dice('chat.mark',
                key) < 0.84 THEN 2 ELSE 1 END ELSE 0 END AS "RESULT_MARK",
            CASE WHEN kind IN ('call', 'chat') THEN CASE WHEN connected OR kind = 'chat' AND w_activity.done_at IS NOT NULL THEN 2 ELSE 1 END
                ELSE 0 END AS "RESULT_STATUS",
            CASE WHEN kind IN ('call', 'chat') THEN CASE WHEN call_type = 4 THEN 3 WHEN direction = 2 THEN 2 WHEN connected OR kind = 'chat' THEN 1
                ELSE 4 END ELSE 0 END AS "RESULT_STREAM",
            direction = 1 AND kind IN ('call', 'mail', 'chat', 'form') AS "IS_INCOMING_CHANNEL",
            CASE WHEN {_transcribed("key")} THEN pick({listed(names.REMARKS)}, 'call.words', key) END AS "TRANSCRIPTION"
        FROM w_activity
        """
    )


def _busy(shop: Workshop) -> None:
    """Meetings of these weeks stand in the calendar too: busy, which is not an absence."""
    shop.run(
        f"""
        INSERT INTO accessibility BY NAME
        SELECT (SELECT coalesce(max("ID"), 0) FROM accessibility) + row_number() OVER (ORDER BY created_at, key) AS "ID", user_id AS "USER_ID",
            'Встреча с клиентом' AS "NAME", starts_at AS "FROM_AT", ends_at AS "TO_AT", 'busy' AS "ACCESSIBILITY"
        FROM w_event WHERE kind = 'meeting' AND starts_at > {shop.now} - 14 * 86400 ORDER BY "ID"
        """
    )


def _line(channel: str) -> str:
    return f"CASE WHEN {channel} LIKE '2|%' THEN 2 WHEN {channel} LIKE '3|%' THEN 3 ELSE 1 END"


def _connector(channel: str) -> str:
    return f"CASE WHEN {channel} LIKE '2|%' THEN 'telegrambot' WHEN {channel} LIKE '3|%' THEN 'whatsappbyedna' ELSE 'livechat' END"


def _recorded(key: str) -> str:
    return f"(kind = 'call' AND connected AND dice('call.recorded', {key}) < 0.93)"


def _transcribed(key: str) -> str:
    return f"({_recorded(key)} AND seconds > 60 AND dice('call.transcribed', {key}) < 0.22)"


def _bindings(shop: Workshop) -> None:
    """The owner, and beside a lead or deal its client."""
    shop.run(
        f"""
        INSERT INTO activity_binding BY NAME
        SELECT id AS "ACTIVITY_ID", b.type AS "OWNER_TYPE_ID", b.element AS "OWNER_ID" FROM (
            SELECT {numbered("w_activity")} AS id, unnest([{{'type': owner_type, 'element': owner_id}},
                {{'type': 3, 'element': CASE WHEN owner_type <> 3 THEN contact_id END}},
                {{'type': 4, 'element': CASE WHEN owner_type <> 4 THEN company_id END}}]) AS b
            FROM w_activity
        ) WHERE b.element IS NOT NULL
        """
    )


def _phone_calls(shop: Workshop) -> None:
    """Statistics: the main leg of every call, a colleague's leg before a transfer, a colleague who did not pick up."""
    calls = f"""
        SELECT key, {numbered("w_activity")} AS id, owner_type, owner_id, contact_id, company_id, phone_key, user_id, direction, connected, seconds,
            call_type, starts_at, ends_at, call_id, channel FROM w_activity WHERE kind = 'call'
        UNION ALL
        SELECT key, NULL, owner_type, owner_id, contact_id, company_id, phone_key, user_id, direction, connected, seconds, call_type, starts_at,
            ends_at, to_hex(hash(key)) || '.' || starts_at, channel
        FROM w_event WHERE kind = 'call' AND (owner_type IS NULL OR call_type = 5)
    """
    # A colleague of the same department who works on that day; nobody there, no leg.
    legs = """
        SELECT c.*, m.user_id AS other_id, c.direction = 1 AND c.connected AND c.seconds > 40 AND dice('call.transfer', c.key) < 0.25 AS transferred
        FROM w_call c JOIN backstage.person p USING (user_id) JOIN w_size z USING (department_id)
        JOIN w_member m ON m.department_id = p.department_id AND m.place = floor(dice('call.colleague', c.key) * z.size)::BIGINT
        JOIN backstage.work_day d ON d.user_id = m.user_id AND c.starts_at >= d.opens_at AND c.starts_at < d.opens_at + d.length
        WHERE m.user_id <> c.user_id AND c.direction = 1 AND coalesce(c.channel, '') <> 'inside' AND dice('call.legs', c.key) < 0.13
    """
    shop.table("w_call", calls)
    shop.table("w_leg", f"SELECT key, other_id, transferred, 12 + whole('call.leg', key, 25) AS held FROM ({legs})")
    missed = choice(
        "dice('call.code', key)",
        (0.44, "'304'"),
        (0.20, "'486'"),
        (0.14, "'603'"),
        (0.12, "'480'"),
        (0.06, "'603-S'"),
        (0.04, "'404'"),
    )
    reasons = (
        "CASE code "
        + " ".join(f"WHEN {quoted(code)} THEN {quoted(text)}" for code, text in _REASONS.items())
        + " ELSE '' END"
    )
    shop.table(
        "w_row",
        f"""
        WITH rows AS (
            -- a transferred call: the colleague's short leg is inside the span, the rest belongs to the main one
            SELECT c.* EXCLUDE (starts_at, seconds), 0 AS leg, c.starts_at + CASE WHEN l.transferred THEN l.held ELSE 0 END AS starts_at,
                c.seconds - CASE WHEN l.transferred THEN l.held ELSE 0 END AS seconds, ends_at AS over_at
            FROM w_call c LEFT JOIN w_leg l USING (key)
            UNION ALL
            SELECT c.* EXCLUDE (starts_at, seconds) REPLACE (l.other_id AS user_id, l.transferred AS connected), 1, c.starts_at,
                CASE WHEN l.transferred THEN l.held ELSE 0 END,
                c.starts_at + CASE WHEN l.transferred THEN l.held ELSE least(12, c.ends_at - c.starts_at) END
            FROM w_call c JOIN w_leg l USING (key)
        )
        SELECT *, CASE WHEN connected THEN '200' WHEN direction = 1 OR leg = 1 THEN CASE WHEN dice('call.given_up',
            key) < 0.1 THEN '603-S' ELSE '304' END ELSE {missed} END AS code,
                'call' AS kind, abs(hash(key) % 90000000)::BIGINT AS noise
        FROM rows ORDER BY over_at, key, leg
        """,
    )
    shop.run(
        f"""
        INSERT INTO phone_call BY NAME
        SELECT {numbered("w_row")} AS "ID", CASE WHEN call_type = 5 THEN 1 ELSE user_id END AS "PORTAL_USER_ID",
            ({listed(LINES)})[1 + user_id % {len(LINES)}] AS "PORTAL_NUMBER",
            CASE WHEN channel = 'inside' THEN (100 + whole('call.inner', key, 100))::VARCHAR WHEN direction = 1 AND dice('call.hidden',
                key) < 0.004 THEN '' ELSE {phone("phone_key")} END AS "PHONE_NUMBER",
            call_id AS "CALL_ID", CASE WHEN channel = 'inside' THEN 'internal' WHEN call_type = 4 AND dice('call.category',
                key) < 0.5 THEN 'callback' ELSE 'external' END AS "CALL_CATEGORY",
            seconds AS "CALL_DURATION", starts_at AS "CALL_START_DATE",
            CASE WHEN {_recorded("key")} THEN 'https://records.skladprofil.example/' || call_id || '.mp3' ELSE '' END AS "CALL_RECORD_URL",
            CASE WHEN connected AND leg = 0 AND direction = 1 AND dice('call.voted',
                key) < 0.07 THEN {choice("dice('call.vote', key)", (0.58, "5"), (0.22, "4"), (0.09, "3"), (0.04, "2"), (0.07, "1"))} END
                AS "CALL_VOTE",
            CASE WHEN direction = 2 AND connected AND coalesce(channel, '') <> 'inside' THEN ((1 + seconds // 60) * 1.7)::DECIMAL(18,4)
                ELSE 0 END AS "COST",
            CASE WHEN direction = 2 AND connected AND coalesce(channel, '') <> 'inside' THEN CASE WHEN user_id % 4 = 1 THEN 'RUR' ELSE 'RUB' END
                ELSE '' END AS "COST_CURRENCY",
            code AS "CALL_FAILED_CODE", {reasons} AS "CALL_FAILED_REASON",
            CASE WHEN owner_type = 1 THEN 'LEAD' WHEN company_id IS NOT NULL AND (contact_id IS NULL OR dice('call.company',
                key) < 0.3) THEN 'COMPANY' WHEN contact_id IS NOT NULL THEN 'CONTACT' END AS "CRM_ENTITY_TYPE",
            CASE WHEN owner_type = 1 THEN owner_id WHEN company_id IS NOT NULL AND (contact_id IS NULL OR dice('call.company',
                key) < 0.3) THEN company_id ELSE contact_id END AS "CRM_ENTITY_ID",
            id AS "CRM_ACTIVITY_ID", CASE WHEN {_transcribed("key")} THEN 70000000 + noise END AS "TRANSCRIPT_ID", noise::VARCHAR AS "SESSION_ID",
            CASE WHEN {_recorded("key")} THEN seconds END AS "RECORD_DURATION", CASE
                WHEN {_recorded("key")} THEN 10000000 + noise END AS "RECORD_FILE_ID", call_type AS "CALL_TYPE"
        FROM w_row
        """
    )
    shop.drop("w_member", "w_size", "w_call", "w_leg", "w_row")


def _chats(shop: Workshop) -> None:
    """Sessions of the open lines and the first words of each."""
    shop.table(
        "w_session",
        """
        SELECT c.session_id, e.*, {FIRST_GUEST} + abs(e.phone_key) AS guest,
            CASE WHEN e.direction = 2 THEN e.starts_at WHEN e.done_at IS NOT NULL THEN least(e.done_at,
                e.starts_at + CASE WHEN e.key % 1024 = 768 THEN 1099511627776 ELSE 20 + whole('chat.answer', e.key, 500) END) END AS answered_at
        FROM w_event e JOIN w_chat c USING (key)
        """.replace("{FIRST_GUEST}", str(FIRST_GUEST)),
    )
    shop.run(
        f"""
        INSERT INTO openline_session BY NAME
        SELECT session_id AS "ID", {_line("channel")} AS "CONFIG_ID", 5000 + session_id AS "CHAT_ID", {_connector("channel")} AS "CONNECTOR_ID",
            guest AS "CLIENT_ID", 'Гость' AS "CLIENT_NAME",
            CASE WHEN answered_at IS NOT NULL THEN user_id END AS "OPERATOR_ID",
            CASE WHEN owner_type = 1 THEN 'LEAD' WHEN contact_id IS NOT NULL THEN 'CONTACT'
                WHEN company_id IS NOT NULL THEN 'COMPANY' END AS "CRM_ENTITY_TYPE",
            CASE WHEN owner_type = 1 THEN owner_id ELSE coalesce(contact_id, company_id) END AS "CRM_ENTITY_ID",
                CASE WHEN owner_type = 2 THEN owner_id END AS "DEAL_ID",
            starts_at AS "STARTED_AT", CASE WHEN done_at IS NOT NULL THEN ends_at END AS "CLOSED_AT",
                CASE WHEN done_at IS NOT NULL AND dice('chat.judged', key) < 0.1 THEN 3 + whole('chat.head', key, 3) ELSE 0 END AS "VOTE_HEAD"
        FROM w_session ORDER BY session_id
        """
    )
    shop.table(
        "w_message",
        f"""
        SELECT session_id, 1 AS place, guest AS sender, starts_at AS t, 'Здравствуйте! Подскажите по срокам и цене.' AS text FROM w_session
            WHERE direction = 1
        UNION ALL SELECT session_id, 2, 0, starts_at + 1, 'Обращение направлено сотруднику' FROM w_session WHERE direction = 1
            AND starts_at + 1 <= {shop.now}
        UNION ALL SELECT session_id, 3, user_id, answered_at, 'Добрый день! Сейчас посчитаю и отправлю предложение.' FROM w_session
            WHERE answered_at IS NOT NULL
        UNION ALL SELECT session_id, 4, guest, answered_at + 60, 'Спасибо, жду.' FROM w_session WHERE answered_at + 60 <= least(ends_at,
            {shop.now}) AND dice('chat.thanks', key) < 0.7
        ORDER BY t, session_id, place
        """,
    )
    shop.run(
        f"""
        INSERT INTO openline_message BY NAME
        SELECT {numbered("w_message")} AS "ID", session_id AS "SESSION_ID", sender AS "SENDER_ID", t AS "DATE", text AS "TEXT" FROM w_message
        """
    )
    shop.drop("w_session", "w_message")

"""Contacts and companies, and how carelessly they were typed in.

Laws: a client appears a moment before its first deal; what is missing, lower-case or doubled follows the neatness of
the person who typed. Telephone numbers are a one-to-one function of the client's key, so that doubles are made on
purpose only.
"""

from __future__ import annotations

from b24metrics.sim import names
from b24metrics.sim.company.dice import listed, quoted
from b24metrics.sim.company.workshop import Workshop, numbered

#: The company's own legal entity.
MY_COMPANY_ID = 1


def phone(key: str) -> str:
    """Eleven digits with a plus, as SQL; different keys below 80 million never share a number."""
    place = f"(({key}) * 48271 % 80000000)"
    return (
        f"'+7' || ({listed(names.FREE_CODES)})[1 + {place} // 10000000] || lpad(({place} % 10000000)::VARCHAR, 7, '0')"
    )


def typed_phone(key: str) -> str:
    """The same number as different people type it."""
    number = phone(key)
    return f"""CASE WHEN dice('phone.typed', {key}) < 0.72 THEN {number}
        WHEN dice('phone.typed', {key}) < 0.88 THEN regexp_replace({number}, '^\\+7(\\d{{3}})(\\d{{3}})(\\d\\d)(\\d\\d)$', '8 (\\1) \\2-\\3-\\4')
        ELSE '8' || substr({number}, 3) END"""


def mail(key: str) -> str:
    """A mail address of the client."""
    local = listed(x for _, _, x in names.FAMILIES)
    return f"pick({local}, 'client.family', {key}) || ({key}) || '@' || pick({listed(names.MAIL_HOSTS)}, 'client.mail', {key})"


def build(shop: Workshop) -> None:
    """Make ``w_client`` (key → contact and company) and fill ``contact``, ``company``, ``multifield``."""
    imports = shop.number("SELECT count(*) FROM w_state WHERE origin = 'import'")
    dealless = "SELECT NULL::BIGINT, NULL::BIGINT, NULL::BIGINT, NULL::BIGINT, NULL::VARCHAR WHERE FALSE"
    if shop.company.classic:
        dealless = """
            SELECT l.lk * 4, m.t + 1, m.actor, l.lead_id, l.channel FROM w_lead l JOIN w_lead_move m ON m.lk = l.lk AND m.stage = 'CONVERTED'
            WHERE NOT EXISTS (SELECT 1 FROM w_state s WHERE s.dk = l.lk * 4)
        """
    lead_of = (
        "(SELECT lk, lead_id FROM w_lead)"
        if shop.company.classic
        else "(SELECT NULL::BIGINT AS lk, NULL::BIGINT AS lead_id)"
    )
    shop.table(
        "w_card",
        f"""
        WITH found AS (
            SELECT s.ck, CASE WHEN s.origin = 'import' THEN {shop.since} + 7200 + s.dk % 590 ELSE s.t0 END AS t, s.user_id, l.lead_id, s.channel
            FROM w_state s LEFT JOIN {lead_of} l ON l.lk = s.lk WHERE s.ck = s.dk
            UNION ALL {dealless}
            -- the address book of the former system
            UNION ALL SELECT k * 4 + 3, {shop.since} + 6600 + k * 590 // {imports + 1},
                (SELECT min(user_id) FROM backstage.person WHERE kind = 'chief'), NULL, 'OTHER'
            FROM generate_series(1, {imports}) g(k)
        )
        SELECT f.*, p.neat, p.trade,
            dice('client.business', ck) < CASE WHEN p.business = 0 THEN 0.6 ELSE p.business END AS business,
            NOT business OR dice('client.person', ck) < 0.94 AS person, business AND dice('client.second', ck) < 0.09 AS second,
            dice('client.sex', ck) < 0.48 AS woman
        FROM found f JOIN backstage.person p USING (user_id) WHERE t <= {shop.now}
        """,
    )
    shop.table(
        "w_client",
        f"""
        SELECT c.*, a.contact_id, b.company_id, b2.contact_id AS second_id,
            CASE WHEN dice('client.double', c.ck) < 0.028 THEN lag(c.ck, 11, c.ck) OVER (ORDER BY c.t, c.ck) ELSE c.ck END AS phone_key,
            row_number() OVER (ORDER BY c.t, c.ck) AS place
        FROM w_card c
        LEFT JOIN (SELECT ck, row_number() OVER (ORDER BY t, ck, extra) AS contact_id, extra
            FROM (SELECT ck, t, FALSE AS extra FROM w_card WHERE person UNION ALL SELECT ck, t + 86400,
                TRUE FROM w_card WHERE second AND t + 86400 <= {shop.now})) a
            ON a.ck = c.ck AND NOT a.extra
        LEFT JOIN (SELECT ck, row_number() OVER (ORDER BY t, ck, extra) AS contact_id, extra
            FROM (SELECT ck, t, FALSE AS extra FROM w_card WHERE person UNION ALL SELECT ck, t + 86400,
                TRUE FROM w_card WHERE second AND t + 86400 <= {shop.now})) b2
            ON b2.ck = c.ck AND b2.extra
        LEFT JOIN (SELECT ck, {MY_COMPANY_ID} + row_number() OVER (ORDER BY t, ck) AS company_id FROM w_card WHERE business) b ON b.ck = c.ck
        ORDER BY place
        """,
    )
    # How many clients the address book held when a day (UTC) began: who of them rings is then one draw.
    shop.table(
        "w_known",
        f"""
        SELECT d.day, (sum(coalesce(c.fresh, 0)) OVER (ORDER BY d.day ROWS UNBOUNDED PRECEDING))::BIGINT - coalesce(c.fresh, 0) AS place
        FROM (SELECT unnest(range({shop.since} // 86400 - 1, {shop.now} // 86400 + 1)) AS day) d
        LEFT JOIN (SELECT t // 86400 AS day, count(*) AS fresh FROM w_client GROUP BY ALL) c USING (day)
        """,
    )
    shop.run("DELETE FROM w_known WHERE place = 0")
    shop.drop("w_card")
    _companies(shop)
    _contacts(shop)
    _channels(shop)


def _companies(shop: Workshop) -> None:
    heads = listed(head for head, _ in names.COMPANY_HEADS)
    tails = listed(tail.capitalize() for tail, _ in names.COMPANY_TAILS)
    shop.run(
        f"""
        INSERT INTO company BY NAME
        SELECT {MY_COMPANY_ID} AS "ID", 'ООО «Складпрофиль»' AS "TITLE", 'CUSTOMER' AS "COMPANY_TYPE", TRUE AS "IS_MY_COMPANY", 1 AS "ASSIGNED_BY_ID",
            {quoted(shop.company.base_currency)} AS "CURRENCY_ID", {shop.since} AS "DATE_CREATE", {shop.since} AS "DATE_MODIFY"
        """
    )
    shop.run(
        f"""
        INSERT INTO company BY NAME
        SELECT company_id AS "ID", pick({listed(names.LEGAL_FORMS)}, 'company.form', ck) || ' «' || pick({heads}, 'company.head', ck)
                || CASE WHEN dice('company.long', ck) < 0.7 THEN pick({tails}, 'company.tail', ck) ELSE '' END || '»' AS "TITLE",
            CASE WHEN dice('company.type', ck) < 0.93 THEN 'CUSTOMER' ELSE 'OTHER' END AS "COMPANY_TYPE", lead_id AS "LEAD_ID",
            dice('company.phone', ck) < 0.8 AS "HAS_PHONE", dice('company.mail', ck) < 0.6 AS "HAS_EMAIL", user_id AS "ASSIGNED_BY_ID",
                user_id AS "CREATED_BY_ID",
            user_id AS "MODIFY_BY_ID", CASE WHEN dice('company.industry', ck) < 0.85 THEN pick({listed(names.INDUSTRIES)}, 'company.branch',
                ck) END AS "INDUSTRY",
            CASE WHEN dice('company.size', ck) < 0.5 THEN 'EMPLOYEES_' || (1 + whole('company.people', ck, 4)) END AS "EMPLOYEES",
            {quoted(shop.company.base_currency)} AS "CURRENCY_ID", t AS "DATE_CREATE",
            least({shop.now}, t + CASE WHEN dice('company.edit', ck) < 0.4 THEN waiting('company.edited', ck,
                20 * 86400)::BIGINT ELSE 0 END) AS "DATE_MODIFY",
            CASE WHEN ck % 4 IN (2, 3) THEN '1C' END AS "ORIGINATOR_ID", CASE WHEN ck % 4 IN (2, 3) THEN lpad(ck::VARCHAR, 9, '0') END AS "ORIGIN_ID",
            CASE WHEN dice('company.later', ck) < 0.3 THEN '{{"UF_CRM_1721244501":' || (dice('company.pays', ck) < 0.5)::INTEGER || '}}' END AS "UF"
        FROM w_client WHERE company_id IS NOT NULL ORDER BY company_id
        """
    )


def _contacts(shop: Workshop) -> None:
    men, women, families = names.MEN, names.WOMEN, names.FAMILIES
    first = f"pick(CASE WHEN woman THEN {listed(n for n, _ in women)} ELSE {listed(n for n, _ in men)} END, 'client.name', key)"
    family = f"pick(CASE WHEN woman THEN {listed(f for _, f, _ in families)} ELSE {listed(m for m, _, _ in families)} END, 'client.family', key)"
    father = f"pick(CASE WHEN woman THEN {listed(f for _, f in names.FATHERS)} ELSE {listed(m for m, _ in names.FATHERS)} END, 'client.father', key)"
    careless = "dice('client.lower', key) < 0.03 / (neat * neat)"
    shop.table(
        "w_person",
        """
        SELECT contact_id, ck AS key, ck, phone_key, t, user_id, lead_id, channel, company_id, neat, woman FROM w_client WHERE contact_id IS NOT NULL
        UNION ALL
        SELECT second_id, -ck, ck, ck + 40000000, t + 86400, user_id, NULL, channel, company_id, neat,
            NOT woman FROM w_client WHERE second_id IS NOT NULL
        """,
    )
    shop.table(
        "w_contact",
        """
        SELECT *, dice('client.phone', key) >= 0.06 / neat AS has_phone, dice('client.mailed', key) < 0.6 AS has_mail,
            key > 0 AND channel LIKE '%|%' AS has_chat,
            NOT has_phone AND dice('client.note', key) < 0.45 AS noted
        FROM w_person ORDER BY contact_id
        """,
    )
    shop.run(
        f"""
        INSERT INTO contact BY NAME
        SELECT contact_id AS "ID", CASE WHEN {careless} THEN lower({first}) ELSE {first} END AS "NAME",
            CASE WHEN dice('client.patronymic', key) < 0.3 THEN {father} END AS "SECOND_NAME",
            CASE WHEN dice('client.surname', key) < 0.86 THEN CASE WHEN {careless} AND dice('client.lower2',
                key) < 0.7 THEN lower({family}) ELSE {family} END END AS "LAST_NAME",
            CASE WHEN dice('client.post', key) < 0.25 THEN CASE WHEN dice('client.boss',
                key) < 0.3 THEN 'Директор' ELSE 'Менеджер по закупкам' END END AS "POST",
            CASE WHEN noted THEN 'тел ' || regexp_replace({phone("phone_key")}, '^\\+7(\\d{{3}})(\\d{{3}})(\\d\\d)(\\d\\d)$',
                '8 \\1 \\2-\\3-\\4') END AS "COMMENTS",
            lead_id AS "LEAD_ID", CASE WHEN dice('client.type', key) < 0.95 THEN 'CLIENT' ELSE 'PARTNER' END AS "TYPE_ID", nullif(channel,
                '') AS "SOURCE_ID",
            company_id AS "COMPANY_ID", has_phone AS "HAS_PHONE", has_mail AS "HAS_EMAIL", has_chat AS "HAS_IMOL", t AS "DATE_CREATE",
            least({shop.now}, t + CASE WHEN dice('client.edit', key) < 0.5 THEN waiting('client.edited', key,
                15 * 86400)::BIGINT ELSE 0 END) AS "DATE_MODIFY",
            user_id AS "ASSIGNED_BY_ID", user_id AS "CREATED_BY_ID", user_id AS "MODIFY_BY_ID",
            CASE WHEN ck % 4 IN (2, 3) THEN '1C' END AS "ORIGINATOR_ID", CASE WHEN ck % 4 IN (2, 3) THEN lpad(ck::VARCHAR, 9, '0') END AS "ORIGIN_ID"
        FROM w_contact ORDER BY contact_id
        """
    )
    shop.drop("w_person")


def _channels(shop: Workshop) -> None:
    """Telephones and mails in the order in which their owners appeared."""
    leads = ""
    if shop.company.classic:
        leads = f"""
            UNION ALL SELECT t0, 1, lead_id, 'PHONE', 'WORK', {typed_phone("lk * 4")} FROM w_lead WHERE has_phone
            UNION ALL SELECT t0, 1, lead_id, 'EMAIL', 'WORK', {mail("lk * 4")} FROM w_lead WHERE has_mail
        """
        shop.run("ALTER TABLE w_lead ADD COLUMN has_phone BOOLEAN")
        shop.run("ALTER TABLE w_lead ADD COLUMN has_mail BOOLEAN")
        shop.run(
            """UPDATE w_lead SET has_phone = channel IN ('CALL', 'CALLBACK', 'WEBFORM') AND dice('lead.phone', lk) < 0.985 OR dice('lead.phone', lk) < 0.7,
            has_mail = channel = 'EMAIL' OR dice('lead.mail', lk) < 0.35"""
        )
    shop.table(
        "w_row",
        f"""
        SELECT * FROM (
            SELECT t, 3, contact_id, 'PHONE', CASE WHEN dice('phone.mobile', key) < 0.5 THEN 'MOBILE' ELSE 'WORK' END,
                {typed_phone("phone_key")} FROM w_contact WHERE has_phone
            UNION ALL SELECT t, 3, contact_id, 'EMAIL', 'WORK', {mail("abs(key)")} FROM w_contact WHERE has_mail
            UNION ALL SELECT t, 3, contact_id, 'IM', 'OPENLINE', 'imol|' || replace(channel, '|', '|chat') || '|' || ck FROM w_contact WHERE has_chat
            UNION ALL SELECT t, 4, company_id, 'PHONE', 'WORK', {typed_phone("ck + 20000000")} FROM w_client WHERE company_id IS NOT NULL
                AND dice('company.phone', ck) < 0.8
            UNION ALL SELECT t, 4, company_id, 'EMAIL', 'WORK',
                'info' || ck || '@' || ({listed(x for _, x in names.COMPANY_HEADS)})[1 + ck % {len(names.COMPANY_HEADS)}] || '.example'
                FROM w_client WHERE company_id IS NOT NULL AND dice('company.mail', ck) < 0.6
            {leads}
        ) v(t, entity, element, type, sort, value) ORDER BY t, entity, element, type
        """,
    )
    shop.run(
        f"""
        INSERT INTO multifield BY NAME
        SELECT {numbered("w_row")} AS "ID", entity AS "ENTITY_TYPE_ID", element AS "ELEMENT_ID", type AS "TYPE_ID", sort AS "VALUE_TYPE",
            value AS "VALUE" FROM w_row
        """
    )
    shop.drop("w_contact", "w_row")

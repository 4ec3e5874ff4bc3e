"""Writes down leads and deals with their history, and the papers around a deal: goods, quotes, invoices, payments.

Laws: a record's stage is the last row of its history; DATE_MODIFY is never before the last move; CLOSEDATE is a plan
while the deal is open and is mostly overwritten with the closing day. Amounts are in the deal's own currency; rows of
goods add up to the amount unless it was typed in by hand.
"""

from __future__ import annotations

from b24metrics.sim import names
from b24metrics.sim.company.clients import MY_COMPANY_ID
from b24metrics.sim.company.dice import choice, listed, quoted
from b24metrics.sim.company.directories import INVOICE_PIPELINE, LOSS_FIELD, LOSS_OPTION, REGION_FIELD
from b24metrics.sim.company.options import ROUBLES
from b24metrics.sim.company.workshop import Workshop, numbered, placed

TEST_SHARE = 0.004
#: Files of the former system.
ORIGIN = "1C"
CITIES = ("Москва", "Тверь", "Казань", "Самара", "Пермь", "Новосибирск", "Екатеринбург", "Ростов-на-Дону")
_FORMS = ("WEBFORM", "CALLBACK", "ADVERTISING")


def clients_of_leads(shop: Workshop) -> None:
    """Make ``w_lead_client``: what a returning lead is attached to, and where every lead stands (``w_lead_state``)."""
    shop.table(
        "w_lead_client",
        """
        WITH known AS (
            SELECT l.lead_id, coalesce(own.place, CASE WHEN l.returns AND d.dk IS NULL THEN 1 + floor(dice('lead.who',
                l.lk) * b.place)::BIGINT END) AS place
            FROM w_lead l LEFT JOIN w_state d ON d.lk = l.lk
            LEFT JOIN (SELECT s.lk, c.place FROM w_state s JOIN w_client c USING (ck) WHERE s.repeat AND s.origin = 'lead') own ON own.lk = l.lk
            LEFT JOIN w_known b ON b.day = l.t0 // 86400
        )
        SELECT k.lead_id, c.contact_id, c.company_id, c.place IS NOT NULL AS returns FROM known k LEFT JOIN w_client c USING (place)
        """,
    )
    shop.table(
        "w_lead_state",
        f"""
        SELECT m.*, CASE WHEN l.handed AND k.handed_at <= {shop.now} AND coalesce(l.x4, 1e8) >= k.days THEN k.heir_id ELSE l.user_id END AS owner_id,
            CASE WHEN owner_id <> l.user_id THEN k.handed_at END AS given_t
        FROM w_lead l JOIN w_tenure k USING (user_id) JOIN (
            SELECT lk, max(seq) AS seq, arg_max(stage, seq) AS stage, arg_max(sem, seq) AS sem, arg_max(t, seq) AS moved_t, arg_max(actor,
                seq) AS actor FROM w_lead_move GROUP BY lk
        ) m USING (lk)
        """,
    )


def build(shop: Workshop) -> None:
    """Fill ``lead``, ``deal``, ``stage_history``, ``quote``, ``invoice``, ``payment``, ``product_row``."""
    if shop.company.classic:
        _leads(shop)
    _deals(shop)
    _goods(shop)
    _quotes(shop)
    _invoices(shop)


def _title(key: str) -> str:
    return f"""CASE WHEN dice('test', {key}) < {TEST_SHARE} THEN pick(['ТЕСТ', 'Тест формы, не трогать', '[TEST] проверка интеграции', 'тест менеджера'], 'test.title', {key})
        ELSE pick(%s, 'title', {key}) || ' № ' || %s END"""


def _marketing(key: str) -> str:
    advert = f"dice('utm', {key}) < CASE WHEN channel = 'ADVERTISING' THEN 0.95 WHEN channel = 'WEBFORM' THEN 0.55 ELSE 0 END"
    return f"""CASE WHEN {advert} THEN pick(['yandex', 'yandex', 'vk', 'mail'], 'utm.source', {key}) END AS "UTM_SOURCE", CASE WHEN {advert} THEN 'cpc' END AS "UTM_MEDIUM",
        CASE WHEN {advert} THEN pick(['stellazhi', 'sklad', 'brand', 'retarget'], 'utm.campaign', {key}) END AS "UTM_CAMPAIGN" """


def _history(shop: Workshop, entity: int, rows: str) -> None:
    """``rows``: owner, t, seq, type, category, sem, stage."""
    shop.table("w_row", f"SELECT * FROM ({rows}) ORDER BY t, owner, seq")
    shop.run(
        f"""
        INSERT INTO stage_history BY NAME
        SELECT {entity} AS "ENTITY_TYPE_ID", {numbered("w_row")} AS "ID", type AS "TYPE_ID", owner AS "OWNER_ID", t AS "CREATED_TIME",
            category AS "CATEGORY_ID",
            sem AS "STAGE_SEMANTIC_ID", stage AS "STAGE_ID"
        FROM w_row
        """
    )
    shop.drop("w_row")


def _leads(shop: Workshop) -> None:
    men, women = listed(n for n, _ in names.MEN), listed(n for n, _ in names.WOMEN)
    by_hand = "l.kind = 'own'"
    shop.run(
        f"""
        INSERT INTO lead BY NAME
        SELECT l.lead_id AS "ID", {_title("lk") % (listed(names.LEAD_SUBJECTS), "l.lead_id")} AS "TITLE",
            -- the key of the later contact, so that a lead and its contact are one person
            pick(CASE WHEN dice('client.sex', lk * 4) < 0.48 THEN {women} ELSE {men} END, 'client.name', lk * 4) AS "NAME",
            c.company_id AS "COMPANY_ID", c.contact_id AS "CONTACT_ID", c.returns AS "IS_RETURN_CUSTOMER", nullif(l.channel, '') AS "SOURCE_ID",
            s.stage AS "STATUS_ID", CASE WHEN s.sem = 'F' AND s.stage = 'JUNK' THEN pick(['Не наш профиль', 'Спам', 'Не дозвонились',
                'Ошиблись номером', NULL], 'lead.why', lk) END AS "STATUS_DESCRIPTION",
            {quoted(shop.company.base_currency)} AS "CURRENCY_ID", CASE WHEN dice('lead.sum', lk) < 0.2 THEN (1000 * (5 + whole('lead.worth', lk,
                120)))::DECIMAL(18,2) ELSE 0 END AS "OPPORTUNITY",
            l.has_phone AS "HAS_PHONE", l.has_mail AS "HAS_EMAIL", l.channel LIKE '%|%' AS "HAS_IMOL", s.owner_id AS "ASSIGNED_BY_ID",
            CASE WHEN l.fair THEN (SELECT max(user_id) FROM backstage.person WHERE kind = 'office') WHEN {by_hand} THEN l.user_id
                ELSE 1 END AS "CREATED_BY_ID",
            CASE WHEN s.seq = 1 AND s.given_t IS NULL THEN CASE WHEN {by_hand} THEN l.user_id ELSE 1 END WHEN l.waits IS NULL THEN 1
                ELSE s.actor END AS "MODIFY_BY_ID",
            l.t0 AS "DATE_CREATE", greatest(s.moved_t, coalesce(s.given_t, 0)) AS "DATE_MODIFY",
                CASE WHEN s.sem <> 'P' THEN s.moved_t END AS "DATE_CLOSED", s.sem AS "STATUS_SEMANTIC_ID",
            CASE WHEN l.channel IN {_FORMS} THEN 1 + whole('lead.form', lk, 3) END AS "WEBFORM_ID",
                CASE WHEN l.fair THEN 'EXPO' END AS "ORIGINATOR_ID", CASE WHEN l.fair THEN 'EXPO-' || lk END AS "ORIGIN_ID",
            CASE WHEN l.waits IS NULL AND s.seq > 1 THEN 1 ELSE s.actor END AS "MOVED_BY_ID", s.moved_t AS "MOVED_TIME", a.t AS "LAST_ACTIVITY_TIME",
                a.user_id AS "LAST_ACTIVITY_BY", {_marketing("lk")}
        FROM w_lead l JOIN w_lead_state s USING (lk) JOIN w_lead_client c USING (lead_id) LEFT JOIN (SELECT * FROM w_latest
            WHERE owner_type = 1) a ON a.owner_id = l.lead_id
        ORDER BY l.lead_id
        """
    )
    _history(
        shop,
        1,
        "SELECT l.lead_id AS owner, m.t, m.seq, m.type, 0 AS category, m.sem, m.stage FROM w_lead_move m JOIN w_lead l USING (lk)",
    )


def _deals(shop: Workshop) -> None:
    company = shop.company
    rates = (
        "CASE currency " + " ".join(f"WHEN '{code}' THEN {company.rate(code)!r}::DOUBLE" for code in ROUBLES) + " END"
    )
    foreign = choice(
        "dice('deal.currency', dk)",
        (0.955, quoted(company.base_currency)),
        *((0.015, quoted(code)) for code in ROUBLES if code != company.base_currency),
    )
    edits = "SELECT dk, user_id, handed, x0 + (least(x_talk, x0 + 60) - x0) * dice('deal.edited', dk) AS x FROM w_state WHERE dice('deal.edits', dk) < 0.7 AND NOT born_closed AND origin <> 'template'"
    # One night the robot touched a few open deals, all within one second.
    midnight = int(company.today.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
    shop.table(
        "w_sale",
        f"""
        WITH edits AS (SELECT dk, t AS edit_t, actor AS editor FROM ({placed(edits, "e.dk")}) WHERE t <= {shop.now}), priced AS (
            SELECT s.*, c.contact_id, c.company_id, c.second_id, e.edit_t, e.editor, p.neat,
                s.sem = 'P' AND s.t0 < {midnight} - 75600 AND dice('deal.swept', s.dk) < 0.03 AS swept,
                {foreign} AS currency,
                CASE WHEN s.sem = 'P' AND s.seq = 1 AND s.start = 1 THEN dice('deal.unpriced', s.dk) < 0.5 WHEN s.sem = 'P' THEN dice('deal.unpriced',
                    s.dk) < 0.035 ELSE dice('deal.unpriced', s.dk) < 0.008 END AS unpriced,
                around('deal.check', s.dk, p.median_check * p.usual_check * CASE WHEN s.repeat THEN 1.12 ELSE 1 END,
                    0.55) * {company.rate("RUB")!r}::DOUBLE AS base_amount
            FROM w_state s JOIN backstage.person p USING (user_id) LEFT JOIN w_client c USING (ck) LEFT JOIN edits e USING (dk)
        ), rated AS (SELECT *, {rates} AS rate FROM priced)
        SELECT * EXCLUDE (base_amount),
            -- people round; a fifth of the amounts comes from a calculator
            CASE WHEN unpriced THEN 0 WHEN dice('deal.exact', dk) < 0.2 THEN greatest(1, base_amount / rate) ELSE greatest(1,
                round(base_amount / rate / unit)) * unit END::DECIMAL(18,2) AS amount,
            greatest(t0, moved_t, coalesce(edit_t, 0), coalesce(given_t, 0), CASE WHEN swept THEN {midnight} - 75600 ELSE 0 END) AS modified_t
        FROM (SELECT *, CASE WHEN rate < 1 THEN 1000 WHEN rate * {company.rate(company.base_currency)!r} > 20 THEN 5 ELSE 100 END AS unit FROM rated)
        ORDER BY deal_id
        """,
    )
    won_on = f"{shop.since} - 86400 * (5 + whole('import.won', dk, 420))"
    planned = "t0 + greatest(1, around('deal.planned', dk, 13, 0.6))::BIGINT * 86400"
    shop.run(
        f"""
        INSERT INTO deal BY NAME
        SELECT deal_id AS "ID", {_title("dk") % (listed(names.DEAL_SUBJECTS), "deal_id")} AS "TITLE",
            CASE WHEN category = 7 THEN 'SERVICE' ELSE {choice("dice('deal.type', dk)", (0.7, "'SALE'"), (0.2, "'GOODS'"), (0.1, "'COMPLEX'"))} END
                AS "TYPE_ID",
            stage AS "STAGE_ID", CASE WHEN dice('deal.guess', dk) < 0.35 THEN CASE sem WHEN 'S' THEN 100 WHEN 'F' THEN 0 ELSE least(90,
                15 + 15 * seq) END END AS "PROBABILITY",
            currency AS "CURRENCY_ID", amount AS "OPPORTUNITY", dice('deal.manual', dk) < 0.15 AS "IS_MANUAL_OPPORTUNITY",
                (amount / 6)::DECIMAL(18,2) AS "TAX_VALUE",
            l.lead_id AS "LEAD_ID", company_id AS "COMPANY_ID", contact_id AS "CONTACT_ID",
                CASE WHEN second_id IS NOT NULL AND contact_id IS NOT NULL THEN [contact_id, second_id] END AS "CONTACT_IDS",
            {shop.local_date("t0")} AS "BEGINDATE",
            CASE WHEN origin = 'import' AND born_closed THEN {shop.local_date(won_on)}
                WHEN sem <> 'P' AND dice('deal.dated', dk) < 0.88 THEN {shop.local_date("moved_t")}
                WHEN dice('deal.dateless', dk) < 0.08 THEN NULL ELSE {shop.local_date(planned)} END AS "CLOSEDATE",
            s.owner_id AS "ASSIGNED_BY_ID", CASE WHEN origin IN ('import', 'request') OR origin = 'lead' AND dice('deal.auto',
                dk) < 0.2 THEN 1 ELSE s.user_id END AS "CREATED_BY_ID",
            CASE WHEN swept AND modified_t = {midnight} - 75600 OR seq = 1 AND edit_t IS NULL AND origin IN ('import',
                'request') THEN 1 WHEN edit_t > moved_t THEN editor ELSE actor END AS "MODIFY_BY_ID",
            t0 AS "DATE_CREATE", modified_t AS "DATE_MODIFY", sem <> 'P' AS "CLOSED", category AS "CATEGORY_ID", sem AS "STAGE_SEMANTIC_ID",
                sem = 'P' AND seq = 1 AND start = 1 AS "IS_NEW",
            origin = 'template' AS "IS_RECURRING",
            -- the flag is set by the portal from what it knows; a few are wrong
            CASE WHEN dice('deal.flag', dk) < 0.03 THEN NOT repeat ELSE repeat END AS "IS_RETURN_CUSTOMER", dice('deal.knocks',
                dk) < 0.02 AS "IS_REPEATED_APPROACH",
            nullif(s.channel, '') AS "SOURCE_ID", CASE WHEN s.channel IN {_FORMS} AND origin IN ('lead', 'request') THEN 1 + whole('lead.form',
                coalesce(s.lk, dk), 3) END AS "WEBFORM_ID",
            CASE WHEN origin = 'import' THEN '{ORIGIN}' END AS "ORIGINATOR_ID", CASE WHEN origin = 'import' THEN lpad(dk::VARCHAR, 9,
                '0') END AS "ORIGIN_ID",
            CASE WHEN dice('deal.robot', dk) < 0.05 AND seq > 1 OR origin = 'import' AND seq = 1 THEN 1 ELSE actor END AS "MOVED_BY_ID",
                moved_t AS "MOVED_TIME", a.t AS "LAST_ACTIVITY_TIME", a.user_id AS "LAST_ACTIVITY_BY",
            {_marketing("dk")},
            CASE WHEN sem = 'F' AND dice('deal.reasoned', dk) < 0.7 + 0.18 * neat
                THEN '{{"{LOSS_FIELD}":' || ({LOSS_OPTION} + {choice("dice('deal.reason', dk)", (0.30, "0"), (0.20, "1"), (0.14, "2"), (0.08, "3"), (0.16, "4"), (0.08, "5"), (0.04, "6"))})
                    || CASE WHEN dice('deal.region', dk) < 0.3 THEN ',"{REGION_FIELD}":"' || pick({listed(CITIES)}, 'deal.city',
                        dk) || '"' ELSE '' END || '}}'
                WHEN dice('deal.region', dk) < 0.3 THEN '{{"{REGION_FIELD}":"' || pick({listed(CITIES)}, 'deal.city', dk) || '"}}' END AS "UF"
        FROM w_sale s LEFT JOIN {"(SELECT lk, lead_id FROM w_lead)" if company.classic else "(SELECT NULL::BIGINT AS lk, NULL::BIGINT AS lead_id)"} l ON l.lk = s.lk
        LEFT JOIN (SELECT * FROM w_latest WHERE owner_type = 2) a ON a.owner_id = s.deal_id
        ORDER BY deal_id
        """
    )
    _history(
        shop,
        2,
        "SELECT s.deal_id AS owner, m.t, m.seq, m.type, m.category, m.sem, m.stage FROM w_move m JOIN w_state s USING (dk)",
    )


def _goods(shop: Workshop) -> None:
    """One to three goods per deal; the last one takes what is missing to the amount."""
    titles, prices = listed(g[0] for g in names.GOODS), listed(float(g[1]) for g in names.GOODS)
    codes, units = listed(g[2] for g in names.GOODS), listed(g[3] for g in names.GOODS)
    shop.run(
        f"""
        INSERT INTO product_row BY NAME
        WITH baskets AS (
            -- an amount typed in by hand has lost touch with its goods
            SELECT dk, deal_id, currency, rate, (amount * CASE WHEN dice('deal.manual', dk) < 0.15 THEN 0.92 ELSE 1 END)::DECIMAL(18,2) AS total,
                1 + whole('goods.kinds', dk, 3) AS kinds
            FROM w_sale WHERE amount > 0 AND dice('goods', dk) < 0.82
        ), lines AS (
            SELECT b.*, k, CASE WHEN k = kinds THEN pick({listed(names.BY_AGREEMENT)}, 'goods.last', dk) ELSE 1 + whole('goods.what', dk * 4 + k,
                {len(names.GOODS)}) END AS good,
                round((({prices})::DOUBLE[])[good] * {shop.company.rate("RUB")!r}::DOUBLE / rate * (0.85 + 0.25 * dice('goods.price', dk * 4 + k)),
                    1) AS unit_price,
                floor(total / kinds / greatest(unit_price, 0.1))::BIGINT AS pieces,
                CASE WHEN k = kinds THEN 1 ELSE greatest(pieces, 1) END AS quantity,
                CASE WHEN k < kinds THEN (CASE WHEN pieces > 0 THEN unit_price ELSE floor(total / kinds * 10) / 10 END)::DECIMAL(18,2) END AS price
            FROM baskets b, generate_series(1, 3) g(k) WHERE k <= kinds
        )
        SELECT row_number() OVER (ORDER BY deal_id, k) AS "ID", deal_id AS "OWNER_ID", 500 + good AS "PRODUCT_ID", ({titles})[good] AS "PRODUCT_NAME",
            coalesce(price, total - coalesce(sum(price * quantity) OVER (PARTITION BY deal_id), 0))::DECIMAL(18,2)::DOUBLE AS "PRICE",
            (coalesce(price, total - coalesce(sum(price * quantity) OVER (PARTITION BY deal_id),
                0))::DOUBLE * rate)::DECIMAL(18,2) AS "PRICE_ACCOUNT",
            quantity::DOUBLE AS "QUANTITY", 20.0 AS "TAX_RATE", ({codes})[good] AS "MEASURE_CODE", ({units})[good] AS "MEASURE_NAME", k * 10 AS "SORT"
        FROM lines ORDER BY deal_id, k
        """
    )


def _quotes(shop: Workshop) -> None:
    """Estimates of deals that have seen an offer stage; the portal forgets when they changed."""
    shop.run(
        f"""
        INSERT INTO quote BY NAME
        SELECT row_number() OVER (ORDER BY t, deal_id) AS "ID", 'Предложение № ' || row_number() OVER (ORDER BY t, deal_id) AS "TITLE",
            status AS "STATUS_ID", currency AS "CURRENCY_ID", amount AS "OPPORTUNITY",
            company_id AS "COMPANY_ID", contact_id AS "CONTACT_ID", {MY_COMPANY_ID} AS "MYCOMPANY_ID", {shop.local_date("t")} AS "BEGINDATE",
                {shop.local_date("t + 14 * 86400")} AS "CLOSEDATE",
            {shop.local_date("t + 14 * 86400")} AS "ACTUAL_DATE", owner_id AS "ASSIGNED_BY_ID", user_id AS "CREATED_BY_ID",
                owner_id AS "MODIFY_BY_ID", t AS "DATE_CREATE",
            CASE status WHEN 'DRAFT' THEN t WHEN 'SENT' THEN least({shop.now}, t + 600 + whole('quote.sent', dk, 7200)) ELSE greatest(t,
                moved_t) END AS "DATE_MODIFY",
            status IN ('APPROVED', 'DECLAINED') AS "CLOSED", deal_id AS "DEAL_ID", row_number() OVER (ORDER BY t, deal_id)::VARCHAR AS "QUOTE_NUMBER"
        FROM (
            SELECT *, offer_t + whole('quote.after', dk, 900) AS t,
                CASE sem WHEN 'S' THEN CASE WHEN dice('quote.kept', dk) < 0.85 THEN 'APPROVED' ELSE 'SENT' END WHEN 'F' THEN CASE
                    WHEN dice('quote.kept', dk) < 0.6 THEN 'DECLAINED' ELSE 'SENT' END
                    ELSE CASE WHEN dice('quote.kept', dk) < 0.12 OR offer_t > {shop.now} - 5400 THEN 'DRAFT' ELSE 'SENT' END END AS status
            FROM w_sale WHERE offer_t IS NOT NULL AND dice('quote', dk) < 0.72
        ) WHERE t <= {shop.now} ORDER BY "ID"
        """
    )


def _invoices(shop: Workshop) -> None:
    """Invoices of deals that came to money: paid at once, in parts, late, never."""
    codes = {code: quoted(f"DT31_{INVOICE_PIPELINE}:{code}") for code in "NSPD"}
    shop.table(
        "w_invoice",
        f"""
        WITH made AS (
            SELECT s.*, dk * 4 + part AS key, part, coalesce(bill_t, moved_t) + 300 + whole('invoice.after', dk * 4 + part,
                3000) + part * 86400 AS t0,
                greatest(100, CASE WHEN part = 1 THEN amount * 0.4 ELSE amount END)::DECIMAL(18,2) AS total
            FROM w_sale s, generate_series(0, 1) g(part)
            WHERE origin <> 'import' AND (bill_t IS NOT NULL OR sem = 'S' AND dice('invoice.late', dk) < 0.55) AND (part = 0 OR dice('invoice.second',
                dk) < 0.1)
        ), sent AS (
            SELECT *, t0 + 240 + whole('invoice.sent', key, 5400) AS t_sent, dice('invoice.pays', key) AS pays FROM made WHERE t0 <= {shop.now}
        ), ended AS (
            SELECT *, CASE
                WHEN sem = 'S' AND pays < 0.66 THEN greatest(t_sent + 1800, moved_t - whole('invoice.before', key, 5400))
                WHEN sem = 'S' AND pays < 0.92 THEN greatest(t_sent, moved_t) + waiting('invoice.wait', key, 9 * 86400)::BIGINT
                WHEN sem = 'F' AND pays < 0.7 THEN greatest(t_sent, moved_t) + 3600 + whole('invoice.cancel', key, 86400) END AS t_end
            FROM sent
        )
        SELECT row_number() OVER (ORDER BY t0, key) AS invoice_id, *, CASE WHEN t_end > {shop.now} THEN NULL ELSE t_end END AS t_last,
            CASE WHEN t_end <= {shop.now} THEN CASE sem WHEN 'S' THEN {codes["P"]} ELSE {codes["D"]} END WHEN t_sent <= {shop.now}
                AND dice('invoice.draft', key) >= 0.05 THEN {codes["S"]} ELSE {codes["N"]} END AS now_stage,
            coalesce(t_last, CASE WHEN now_stage = {codes["S"]} THEN t_sent ELSE t0 END) AS last_t
        FROM ended ORDER BY t0, key
        """,
    )
    shop.run(
        f"""
        INSERT INTO invoice BY NAME
        SELECT invoice_id AS "ID", 'Счёт № ' || invoice_id AS "TITLE", user_id AS "CREATED_BY_ID", owner_id AS "MODIFY_BY_ID",
            owner_id AS "MOVED_BY_ID", t0 AS "DATE_CREATE", last_t AS "DATE_MODIFY", last_t AS "MOVED_TIME",
            {INVOICE_PIPELINE} AS "CATEGORY_ID", now_stage AS "STAGE_ID",
            CASE WHEN now_stage = {codes["S"]} THEN {codes["N"]} WHEN now_stage <> {codes["N"]} THEN {codes["S"]} END AS "PREVIOUS_STAGE_ID",
            {shop.local_date("t0")} AS "BEGINDATE", {shop.local_date("t0")} + (pick([3, 5, 5, 7, 10, 14], 'invoice.due',
                key))::INTEGER AS "CLOSEDATE", company_id AS "COMPANY_ID", contact_id AS "CONTACT_ID",
            total AS "OPPORTUNITY", currency AS "CURRENCY_ID", {MY_COMPANY_ID} AS "MYCOMPANY_ID", owner_id AS "ASSIGNED_BY_ID",
                invoice_id::VARCHAR AS "ACCOUNT_NUMBER", deal_id AS "PARENT_ID_2"
        FROM w_invoice ORDER BY invoice_id
        """
    )
    _history(
        shop,
        31,
        f"""
        SELECT invoice_id AS owner, t0 AS t, 1 AS seq, 1 AS type, {INVOICE_PIPELINE} AS category, 'P' AS sem, {codes["N"]} AS stage FROM w_invoice
        UNION ALL SELECT invoice_id, t_sent, 2, 2, {INVOICE_PIPELINE}, 'P', {codes["S"]} FROM w_invoice WHERE now_stage <> {codes["N"]}
        UNION ALL SELECT invoice_id, t_last, 3, 3, {INVOICE_PIPELINE}, CASE WHEN now_stage = {codes["P"]} THEN 'S' ELSE 'F' END,
            now_stage FROM w_invoice WHERE t_last IS NOT NULL
        """,
    )
    shop.run(
        f"""
        INSERT INTO payment BY NAME
        SELECT row_number() OVER (ORDER BY t, invoice_id, part) AS "ID", 31 AS "OWNER_TYPE_ID", invoice_id AS "OWNER_ID",
            invoice_id || '/' || part AS "ACCOUNT_NUMBER", paid AS "PAID",
            CASE WHEN paid THEN t END AS "DATE_PAID", CASE WHEN paid THEN owner_id END AS "EMP_PAID_ID", amount AS "SUM", currency AS "CURRENCY",
                'Безналичный расчёт' AS "PAY_SYSTEM_NAME"
        FROM (
            -- a quarter comes in two parts: the first half soon, the rest with the last move
            SELECT invoice_id, 1 AS part, t_sent + (t_last - t_sent) // 3 AS t, TRUE AS paid, (total / 2)::DECIMAL(18,2) AS amount, owner_id,
                currency FROM w_invoice
            WHERE now_stage = {codes["P"]} AND dice('invoice.parts', key) < 0.25
            UNION ALL
            SELECT invoice_id, 2, t_last, TRUE, CASE WHEN dice('invoice.parts', key) < 0.25 THEN total - (total / 2)::DECIMAL(18,2) ELSE total END,
                owner_id, currency FROM w_invoice WHERE now_stage = {codes["P"]}
            UNION ALL
            SELECT invoice_id, 1, t_sent + 3600, dice('invoice.parts', key) < 0.12 AND t_sent + 3600 <= {shop.now}, (total / 2)::DECIMAL(18,2),
                owner_id, currency FROM w_invoice
            WHERE now_stage = {codes["S"]} AND dice('invoice.parts', key) < 0.2
        ) ORDER BY "ID"
        """
    )
    shop.drop("w_invoice")

"""The exporter's door: bytes, readiness, pages, locks; on a real socket, with a client nobody here wrote."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import threading
from html.parser import HTMLParser

import bcrypt
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from b24exporter import server
from b24exporter.web import _takes_gzip
from b24exporter.webconfig import WebConfig
from b24metrics.errors import ConfigError
from b24metrics.kpi.model import COMPANY, Title, WindowId
from b24metrics.kpi.results import Sample
from tests.exporter.toy import HOSTILE, KPIS, a_board, a_snapshot, an_edition

PATHS = ["/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/kpi", "/api/v1/status", "/nowhere"]


def families(text: str) -> set[str]:
    return {family.name for family in text_string_to_metric_families(text)}


# ---------------------------------------------------------------- scrapes


def test_a_scrape_gives_the_editions_bytes_and_live_health_behind_them(web, clock) -> None:
    """The body begins with the ready bytes; the exporter's own series follow and are live."""
    board = a_board(an_edition(b"b24_deals_won 3\n"))
    client = web(board)

    first = client.get("/metrics", headers={"Accept-Encoding": "identity"})
    clock.move(30)
    second = client.get("/metrics", headers={"Accept-Encoding": "identity"})

    assert 200 == first.status_code
    assert "text/plain; version=0.0.4; charset=utf-8" == first.headers["content-type"]
    assert first.content.startswith(b"b24_deals_won 3\n")
    assert str(len(first.content)) == first.headers["content-length"]
    assert 'b24_sync_lag_seconds{source="deals"} 12\n' in first.text
    assert 'b24_sync_lag_seconds{source="deals"} 42\n' in second.text
    assert {"b24_source_up", "b24_exporter_rounds", "process_resident_memory_bytes"} <= families(first.text)


def test_gzip_and_plain_say_the_same(web) -> None:
    """The packed answer unpacks to the plain one, with the right length and the header for caches."""
    client = web(a_board(an_edition(b"b24_deals_won 3\n" * 5000)))

    plain = client.get("/metrics", headers={"Accept-Encoding": "identity"})
    packed = client.get("/metrics", headers={"Accept-Encoding": "gzip"})

    assert ("gzip", "Accept-Encoding") == (packed.headers["content-encoding"], packed.headers["vary"])
    assert "content-encoding" not in plain.headers
    body = 5000 * len(b"b24_deals_won 3\n")
    assert plain.content[:body] == packed.content[:body]
    assert families(plain.text) == families(packed.text)
    assert int(packed.headers["content-length"]) < len(plain.content) / 5


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_head_tells_the_length_and_sends_nothing(web, coding: str) -> None:
    """HEAD is GET without the body."""
    client = web(a_board(an_edition(b"b24_deals_won 3\n" * 100)))

    got = client.head("/metrics", headers={"Accept-Encoding": coding})

    assert (200, b"") == (got.status_code, got.content)
    assert int(got.headers["content-length"]) > 100
    assert 200 == client.get("/metrics").status_code  # the connection is still in step


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("", False), ("gzip", True), ("deflate, gzip;q=1.0, *;q=0.5", True), ("gzip;q=0", False), ("*", True),
        ("*;q=0", False), ("identity", False), ("x-gzip", True), ("gzip; q=0.001", True), ("gzip;q=oops", False),
    ],
)  # fmt: skip
def test_gzip_is_sent_to_those_who_take_it(header: str, taken: bool) -> None:
    """Accept-Encoding with weights, as HTTP defines it."""
    assert taken is _takes_gzip(header)


def test_before_the_first_edition_a_scrape_tells_of_health_alone(web) -> None:
    """Prometheus sees that the exporter lives and has nothing yet; it sees no zeros."""
    got = web(a_board()).get("/metrics")

    assert 200 == got.status_code
    assert "b24_exporter_build_info" in families(got.text)
    assert "b24_exporter_last_refresh_success_timestamp_seconds" not in families(got.text)


# ---------------------------------------------------------------- readiness


def test_readiness_follows_the_board(web) -> None:
    """503 with the reason until there are figures; ready from then on, also when later rounds fail."""
    board = a_board()
    client = web(board)

    board.doing = Title("", "copying deals: 10 of 300")
    waiting = client.get("/-/ready")
    board.failure = "The portal refused the webhook: make a new one."
    failing = client.get("/-/ready")
    board.edition = an_edition()
    ready = client.get("/-/ready")

    assert (503, "Not ready: copying deals: 10 of 300.\n") == (waiting.status_code, waiting.text)
    assert (503, "Not ready: The portal refused the webhook: make a new one.\n") == (failing.status_code, failing.text)
    assert 200 == ready.status_code
    assert 200 == client.get("/-/healthy").status_code


def test_reload_reads_again_or_says_why_not(web) -> None:
    """POST alone; a faulty file changes nothing and is named; another site's page may not."""
    calls = []

    async def reload() -> None:
        calls.append(1)
        if len(calls) > 1:
            raise ConfigError("b24metrics.toml: exporter.interval must be a number.")

    client = web(reload=reload)

    assert 405 == client.get("/-/reload").status_code
    assert 403 == client.post("/-/reload", headers={"Origin": "http://evil.example"}).status_code
    assert 403 == client.post("/-/reload", headers={"Sec-Fetch-Site": "cross-site"}).status_code
    assert [] == calls
    assert 200 == client.post("/-/reload").status_code
    faulty = client.post("/-/reload")
    assert 400 == faulty.status_code
    assert "exporter.interval must be a number" in faulty.text


# ---------------------------------------------------------------- locks


def test_every_answer_carries_the_locks(web) -> None:
    """No scripts, no frames, no sniffing, no referrer, no cache: errors included."""
    client = web(a_board(an_edition()))

    for path in PATHS:
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert ("nosniff", "no-referrer", "no-store") == (
            headers["x-content-type-options"],
            headers["referrer-policy"],
            headers["cache-control"],
        )
        assert "server" not in headers


def test_on_loopback_only_our_names_are_answered(web) -> None:
    """A page elsewhere may point its own name at 127.0.0.1: it gets nothing, not even an error page with figures."""
    client = web(a_board(an_edition()), allowed=["wall.example"])

    def answered(host: str) -> tuple[int, bool]:
        got = client.get("/", headers={"Host": host})
        return got.status_code, "example.bitrix24.ru" in got.text

    for ours in ("localhost:9724", "127.0.0.1", "[::1]:9724", "LocalHost.", "wall.example"):
        assert (200, True) == answered(ours)
    for other in ("evil.example", "evil.example:9724", "127.0.0.1.evil.example", "wall.example.evil", ""):
        assert (421, False) == answered(other)


def test_elsewhere_any_name_is_answered_unless_some_are_named(web) -> None:
    """Whoever opens the exporter to the network is asked for by names that we cannot know."""
    assert 200 == web(listen="0.0.0.0").get("/-/healthy", headers={"Host": "exporter.lan:9724"}).status_code
    named = web(listen="0.0.0.0", allowed=["exporter.lan"])
    assert 200 == named.get("/-/healthy", headers={"Host": "exporter.lan:9724"}).status_code
    assert 421 == named.get("/-/healthy", headers={"Host": "other.lan"}).status_code


def test_users_of_the_web_file_guard_everything(web, tmp_path) -> None:
    """With users in the web configuration every path asks for a password, health included, as in the toolkit."""
    path = tmp_path / "web.yml"
    path.write_text(
        f"basic_auth_users:\n  anna: {bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n"
        "http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n    X-Content-Type-Options: ''\n"
    )
    client = web(a_board(an_edition()), web_config=WebConfig(path))
    right = {"Authorization": "Basic " + base64.b64encode(b"anna:secret").decode()}

    for page in PATHS:
        refused = client.get(page)
        assert 401 == refused.status_code
        assert "example.bitrix24.ru" not in refused.text
    assert 'Basic realm="b24metrics", charset="UTF-8"' == refused.headers["www-authenticate"]
    allowed = client.get("/", headers=right)
    assert (200, "sameorigin") == (allowed.status_code, allowed.headers["x-frame-options"])


def test_figures_can_be_switched_off(web) -> None:
    """Without pages: no names and no figures anywhere but on /metrics."""
    client = web(a_board(an_edition()), pages=False)

    assert (404, 404) == (client.get("/api/v1/kpi").status_code, client.get("/api/v1/status").status_code)
    page = client.get("/")
    assert 200 == page.status_code
    assert "Петрова" not in page.text
    assert "244" not in page.text


def test_a_request_that_never_ends_is_hung_up(web, monkeypatch) -> None:
    """Half a request head does not hold a connection for ever, and others are answered meanwhile."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    client = web(a_board(an_edition()))

    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert 200 == client.get("/metrics").status_code
        with contextlib.suppress(ConnectionResetError):
            assert b"" == slow.recv(1)


def test_an_answer_that_nobody_takes_is_given_up(web, monkeypatch) -> None:
    """A reader who stops reading in the middle of megabytes is let go, and its buffers with it."""
    monkeypatch.setattr(server, "ANSWER_SECONDS", 0.3)
    gone = threading.Event()
    lost = server.GuardedProtocol.connection_lost
    monkeypatch.setattr(server.GuardedProtocol, "connection_lost", lambda self, exc: (lost(self, exc), gone.set()))
    client = web(a_board(an_edition(b"b24_deals_won 3\n" * 2_000_000)))

    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as lazy:
        lazy.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert gone.wait(timeout=20)


def test_a_huge_request_head_is_refused(web) -> None:
    """Headers are counted before anything is kept."""
    client = web()

    with contextlib.suppress(httpx.TransportError):  # the refusal may be lost when the rest is still being sent
        assert 400 == client.get("/metrics", headers={"X-Long": "x" * 2_000_000}).status_code
    assert 200 == client.get("/metrics").status_code


# ---------------------------------------------------------------- pages


class _Outline(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data) -> None:
        self.words.append(data.strip(" "))


def test_hostile_names_stay_text(web) -> None:
    """Quotes, markup, entities, control and direction marks in names neither become markup nor turn the page around."""
    page = web(a_board(an_edition())).get("/").text
    outline = _Outline(page)

    assert {"script", "b24"}.isdisjoint(outline.tags)
    assert "i" not in outline.tags
    assert 'Зоя "Max" \\ O\'Neil <script>alert(1)</script>&amp;' in outline.words
    assert "<i>telephony</i> may not be read: add the scope telephony." in outline.words
    assert not set(page) & {"\u202e", "\u0000"}
    assert HOSTILE not in page


def test_the_page_stands_alone(web) -> None:
    """Nothing is fetched from anywhere: no script, no image, no foreign address; the style's digest is in the policy."""
    got = web(a_board(an_edition())).get("/")
    outline = _Outline(got.text)

    assert {"script", "img", "iframe", "object", "form"}.isdisjoint(outline.tags)
    assert [] == [
        value for name, value in outline.attributes if name in {"href", "src"} and re.match(r"\w+://|//", value or "")
    ]
    assert [] == [name for name, _ in outline.attributes if name == "style" or name.startswith("on")]
    assert "style-src 'sha256-" in got.headers["content-security-policy"]


def test_the_page_speaks_the_readers_language(web) -> None:
    """?lang= first, then the browser's wish, then the configured language."""
    client = web(a_board(an_edition()))
    ru, en = "План месяца", "Plan of the month"

    for query, accept, word in (
        ("", "", ru), ("", "en-GB,en;q=0.9,ru;q=0.1", en), ("", "de, ru;q=0.5", ru), ("", "enm", ru),
        ("?lang=en", "ru", en), ("?lang=fr", "en", en), ("", "en;q=oops", ru),
    ):  # fmt: skip
        assert word in _Outline(client.get(f"/{query}", headers={"Accept-Language": accept}).text).words


def test_the_page_tells_plan_pace_and_ranking(web) -> None:
    """Attainment with fact and plan, the elapsed share of working time, managers in order of attainment."""
    words = [word.replace("\u00a0", " ") for word in _Outline(web(a_board(an_edition())).get("/").text).words]

    assert {"48,8 %", "244 000 ₽", "из 500 000 ₽", "Прошло 44,4 % рабочего времени месяца, темп 1,10"} <= set(words)
    names = [word for word in words if word.startswith(("Анна", "Борис", "Вера", "Зоя"))]
    assert ["Вера", "Анна", "Зоя", "Борис"] == [name.split()[0] for name in names]
    assert "12 мин 34 с" in words


def test_without_plans_managers_are_ranked_by_revenue(web) -> None:
    """Nobody has a plan: no attainment is invented, the table shows who has won how much."""
    samples = [one for one in a_snapshot().samples if one.kpi.id != "plan_attainment_ratio"]
    words = _Outline(web(a_board(an_edition(snapshot=a_snapshot(samples)))).get("/").text).words

    assert {"План месяца не задан.", "Объём продаж по менеджерам"} <= set(words)
    assert "Выполнение плана по менеджерам" not in words
    names = [word for word in words if word.startswith(("Анна", "Борис", "Вера", "Зоя"))]
    assert ["Зоя", "Анна", "Вера"] == [name.split()[0] for name in names]


def test_the_page_says_what_is_wrong(web, clock) -> None:
    """A failure stands on top in its own words; old figures are called old; an unready exporter says what it waits for."""
    board = a_board()
    client = web(board)
    board.doing = Title("копируем сделки", "")
    assert any("копируем сделки" in word for word in _Outline(client.get("/").text).words)

    board.edition = an_edition()
    board.failure = "The portal cannot be reached: <b>check</b> the network."
    clock.move(3600)
    outline = _Outline(client.get("/").text)
    assert "The portal cannot be reached: <b>check</b> the network." in outline.words
    assert "Данные устарели · 1\u00a0ч назад" in outline.words


# ---------------------------------------------------------------- JSON


def test_samples_come_as_json_and_can_be_narrowed(web) -> None:
    """Everything without a question; kpi, window, grain and labels narrow it; a repeated word means either."""
    client = web(a_board(an_edition()))
    snapshot = a_snapshot()

    def asked(query: str) -> list[dict]:
        return client.get(f"/api/v1/kpi{query}").json()["samples"]

    assert len(snapshot.samples) == len(asked(""))
    assert [
        {
            "kpi": "revenue_won", "unit": "money", "grain": "M", "labels": {"manager_id": "101", "department_id": "11"},
            "window": "mtd", "value": 190000.0, "n": None, "numerator": None, "denominator": None,
        }
    ] == asked("?kpi=revenue_won&grain=M&manager_id=101")  # fmt: skip
    assert ["101", "102"] == [
        one["labels"]["manager_id"] for one in asked("?kpi=revenue_won&manager_id=101&manager_id=102")
    ]
    assert [None] == [one["value"] for one in asked("?kpi=first_response_seconds_median&window=today&grain=T")]
    assert [] == asked("?manager_id=999")
    assert {"O×P"} == {one["grain"] for one in asked("?grain=OxP")}
    assert {kpi.id for kpi in KPIS} == {one["kpi"] for one in asked("")}


def test_a_long_answer_is_whole(web) -> None:
    """More samples than fit into one piece still make one valid document."""
    many = [Sample(KPIS[0], COMPANY, {}, WindowId.MTD, float(n)) for n in range(2001)]
    client = web(a_board(an_edition(snapshot=a_snapshot(many))))

    assert [float(n) for n in range(2001)] == [one["value"] for one in client.get("/api/v1/kpi").json()["samples"]]


def test_a_wrong_question_is_told_what_there_is(web) -> None:
    """400, and the words that would have been understood."""
    client = web(a_board(an_edition()))

    for query, says in (("kpi=revenue", "revenue_won"), ("window=week", "mtd"), ("grain=Q", "one letter per axis")):
        got = client.get(f"/api/v1/kpi?{query}")
        assert 400 == got.status_code
        assert says in got.json()["error"]


def test_no_figures_yet_is_no_empty_list(web) -> None:
    """503 and the reason, so that nobody takes it for "no sales"."""
    got = web(a_board()).get("/api/v1/kpi")

    assert 503 == got.status_code
    assert "no figures yet" in got.json()["error"]


def test_status_tells_each_feed(web) -> None:
    """Freshness, failure and progress per feed, for programs."""
    board = a_board(an_edition())
    board.failure = "x"
    told = json.loads(web(board).get("/api/v1/status").text)

    assert (True, "x", "example.bitrix24.ru") == (told["ready"], told["failure"], told["edition"]["portal"])
    assert {"deals": 12.0, "phone_calls": None} == {
        feed["name"]: feed["lag_seconds"] for feed in told["feeds"] if feed["name"] in {"deals", "phone_calls"}
    }

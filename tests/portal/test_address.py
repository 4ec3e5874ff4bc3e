"""Addresses are read as people copy them, never printed, and never led astray."""

from __future__ import annotations

import copy
import pickle

import pytest

from b24metrics.errors import ConfigError
from b24metrics.portal import Secret, Webhook
from b24metrics.portal.address import is_loopback, moved_base

KEY = "abc123secret456"


@pytest.mark.parametrize(
    "text",
    [
        f"https://portal.example/rest/7/{KEY}/",
        f"https://portal.example/rest/7/{KEY}",
        f"https://portal.example/rest/7/{KEY}/profile.json",
        f"https://portal.example/rest/7/{KEY}/crm.deal.list",
        f"https://portal.example/rest/7/{KEY}/crm.deal.list.json?filter[ID]=1",
        f"https://portal.example/rest/api/7/{KEY}/",
        f"https://PORTAL.example:443/rest/7/{KEY}/",
        f"  'https://portal.example/rest/7/{KEY}/'\n",
    ],
)
def test_an_address_is_read_as_it_is_copied(text: str) -> None:
    """With or without the last slash, with a method, with quotes around it."""
    webhook = Webhook.parse(text)
    assert ("https://portal.example", 7, Secret(KEY)) == (webhook.base, webhook.user_id, webhook.secret)
    assert f"https://portal.example/rest/7/{KEY}/crm.deal.list" == webhook.url("crm.deal.list").reveal()
    assert f"https://portal.example/rest/api/7/{KEY}/x.list" == webhook.url("x.list", rest3=True).reveal()


def test_a_self_hosted_portal_may_live_in_a_folder_on_a_port() -> None:
    """What stands before /rest is kept."""
    webhook = Webhook.parse(f"https://intranet.example:8443/b24/rest/1/{KEY}/")
    assert f"https://intranet.example:8443/b24/rest/1/{KEY}/profile" == webhook.url("profile").reveal()
    assert "intranet.example:8443" == webhook.host


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:9", "127.8.8.8", "[::1]:8080", "b24.localhost"])
def test_plain_http_is_for_this_machine(host: str) -> None:
    """Loopback addresses need no certificate."""
    assert host == Webhook.parse(f"http://{host}/rest/1/{KEY}/").host


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "portal.example",
        KEY,
        f"portal.example/rest/7/{KEY}/",
        f"ftp://portal.example/rest/7/{KEY}/",
        f"http://portal.example/rest/7/{KEY}/",
        f"http://10.0.0.5/rest/7/{KEY}/",
        f"http://localhost.evil.example/rest/7/{KEY}/",
        f"https://portal.example/{KEY}/",
        f"https://portal.example/rest/{KEY}/",
        f"https://portal.example/rest/admin/{KEY}/",
        f"https://user:{KEY}@portal.example/rest/7/x/",
        f"https://portal.example:{KEY}/rest/7/x/",
        f"https://[::1/rest/7/{KEY}/",
        f"https:///rest/7/{KEY}/",
        f"https://portal.example/rest/7/{KEY}/a/b/c",
        f"https://{'x' * 70}.example/rest/7/{KEY}/",
    ],
)
def test_what_is_no_webhook_address_is_refused_without_quoting_it(text: str) -> None:
    """One sentence with the next step; the text may hold the secret, so it is not shown."""
    with pytest.raises(ConfigError) as refused:
        Webhook.parse(text)
    assert KEY not in str(refused.value)
    assert refused.value.__cause__ is None
    assert "https" in str(refused.value)


def test_nothing_shows_a_secret() -> None:
    """repr, str, format, comparison failures, copies; pickling is refused."""
    webhook = Webhook.parse(f"https://portal.example/rest/7/{KEY}/")
    shown = [
        repr(webhook), str(webhook), f"{webhook!s}", f"{webhook.secret}", f"{webhook.secret!r}", repr([webhook]),
        repr(webhook.url("profile")), repr(copy.deepcopy(webhook)), str([webhook, webhook.secret]),
    ]  # fmt: skip
    assert not [text for text in shown if KEY in text]
    assert "portal.example (user 7)" == str(webhook)
    with pytest.raises(TypeError):
        pickle.dumps(webhook)


@pytest.mark.parametrize("method", ["../../auth", "crm.deal.list?x=1", "crm deal", "", "крм.лист", "a/b", "a%2fb"])
def test_a_method_name_cannot_leave_its_place_in_the_path(method: str) -> None:
    """Letters, digits, dots and underscores only."""
    with pytest.raises(ValueError, match="method name"):
        Webhook.parse(f"https://portal.example/rest/7/{KEY}/").url(method)


TAIL = f"/rest/7/{KEY}/crm.deal.list"


@pytest.mark.parametrize(
    ("base", "location", "expected"),
    [
        ("https://old.bitrix24.ru", f"https://new.bitrix24.ru{TAIL}", "https://new.bitrix24.ru"),
        ("https://old.bitrix24.ru", f"https://new.bitrix24.ru{TAIL}/", "https://new.bitrix24.ru"),
        ("https://old.bitrix24.com.br", f"https://new.bitrix24.com.br{TAIL}.json", "https://new.bitrix24.com.br"),
        ("https://portal.example", f"https://www.portal.example{TAIL}", "https://www.portal.example"),
        ("https://portal.example", f"https://portal.example:8443/b24{TAIL}", "https://portal.example:8443/b24"),
        ("https://portal.example", f"/b24{TAIL}", "https://portal.example/b24"),
        ("https://portal.example", f"https://trusted.example{TAIL}", "https://trusted.example"),
        ("http://127.0.0.1:5000", f"http://localhost:6000{TAIL}", "http://localhost:6000"),
    ],
)
def test_a_renamed_portal_is_followed(base: str, location: str, expected: str) -> None:
    """Same zone of the vendor's cloud, the same host, a host below it, loopback, or a trusted host."""
    assert expected == moved_base(base, Secret(TAIL), Secret(location), {"Trusted.example"})


@pytest.mark.parametrize(
    "location",
    [
        f"http://new.bitrix24.ru{TAIL}",
        f"https://evil.example{TAIL}",
        f"https://new.bitrix24.com{TAIL}",
        f"https://old.bitrix24.ru.evil.example{TAIL}",
        f"https://evil.example/?x=https://new.bitrix24.ru{TAIL}",
        f"https://a.b.bitrix24.ru{TAIL}",
        f"https://notbitrix24.ru{TAIL}",
        f"https://user@new.bitrix24.ru{TAIL}",
        f"//evil.example{TAIL}",
        "https://new.bitrix24.ru/auth/?login=yes",
        f"https://new.bitrix24.ru/rest/8/{KEY}/crm.deal.list",
        f"http://127.0.0.1{TAIL}",
        "javascript:alert(1)",
        "",
    ],
)
def test_a_redirect_that_nothing_vouches_for_is_refused(location: str) -> None:
    """http, another zone, another domain, another path: the secret is not sent there, nor shown."""
    with pytest.raises(ConfigError) as refused:
        moved_base("https://old.bitrix24.ru", Secret(TAIL), Secret(location))
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("[::1]", True), ("10.0.0.1", False),
     ("0.0.0.0", False), ("localhost.example", False), ("example", False)],
)  # fmt: skip
def test_loopback(host: str, expected: bool) -> None:
    """Only what can mean nothing but this machine."""
    assert expected is is_loopback(host)

"""The webhook's secret and the tokens are in no log, warning, error, traceback or repr, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import http.server
import io
import ipaddress
import json
import logging
import socket
import ssl
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from b24metrics.clock import HandClock
from b24metrics.errors import B24Error, Unreachable
from b24metrics.portal import AsyncPortal, Listing, OAuth, Portal, Request, Webhook

SECRET = "t0psecr3twebhookk3y"
TOKENS = ("accesst0ken1", "refresht0ken1", "clientsecr3t", "accesst0ken2", "refresht0ken2")
READ = Request("profile")
PEER = "the other side"  # a portal in this process, whose own logs are no concern of the client


class Ears:
    """Everything that is logged or warned of, at any level, by anybody."""

    def __init__(self) -> None:
        self.text = io.StringIO()

    def everything(self) -> str:
        return self.text.getvalue()


@pytest.fixture
def ears() -> Iterator[Ears]:
    made = Ears()
    handler = logging.StreamHandler(made.text)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s %(args)s"))
    handler.addFilter(lambda record: record.threadName != PEER)
    root = logging.getLogger()
    names = [
        "",
        "httpx",
        "httpcore",
        "httpcore.http11",
        "httpcore.http2",
        "httpcore.connection",
        "hpack",
        "h2",
        "asyncio",
    ]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.addHandler(handler)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield made
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
    made.text.write(" ".join(str(each.message) for each in caught))


def assert_silent(text: str) -> None:
    for secret in (SECRET, *TOKENS):
        assert secret not in text, (
            f"{secret} shows: …{text[max(0, text.index(secret) - 200) : text.index(secret) + 50]}…"
        )


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as ``behave`` says."""

    protocol_version = "HTTP/1.1"
    behave: Callable[[Handler, bytes], None]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        type(self).behave(self, body)

    def do_GET(self) -> None:
        type(self).behave(self, b"")

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, body: Any, status: int = 200, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)


@contextlib.contextmanager
def serving(behave: Callable[[Handler, bytes], None], context: ssl.SSLContext | None = None) -> Iterator[int]:
    handler = type("Made", (Handler,), {"behave": staticmethod(behave)})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # a client that goes away is no news
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for loopback that nobody has signed."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    begin = dt.datetime(2020, 1, 1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "loopback.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def server_context(certificate: Path, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def both(address: Any, use: Callable[[Any], Any], **options: Any) -> str:
    """Through both clients; all that an error, a traceback with its variables, or a repr would show."""
    shown: list[str] = []

    def keep(error: BaseException) -> None:
        shown.extend((str(error), repr(error), traceback.format_exc(), repr(vars(error))))
        seen: BaseException | None = error
        while seen is not None:
            shown.append(f"{seen!r} {seen}")
            trace = seen.__traceback__
            while trace is not None:
                # Of our own frames also the variables: some tools print them.
                if "b24metrics" in trace.tb_frame.f_code.co_filename:
                    shown.append(repr(trace.tb_frame.f_locals))
                trace = trace.tb_next
            seen = seen.__cause__ or seen.__context__

    portal = Portal(address() if callable(address) else address, clock=HandClock(), **options)
    shown.append(repr(portal) + repr(portal.credential) + repr(portal.gate.stats()))
    try:
        with portal:
            use(portal)
    except B24Error as error:
        keep(error)

    async def run() -> None:
        client = AsyncPortal(address() if callable(address) else address, clock=HandClock(), **options)
        shown.append(repr(client))
        try:
            async with client:
                await client.fetch(READ)
                _ = [page async for page in client.pages(Listing("crm.deal.list"))]
        except B24Error as error:
            keep(error)

    asyncio.run(run(), debug=True)
    return "\n".join(shown)


def use(portal: Portal) -> None:
    portal.fetch(READ)
    list(portal.each(Listing("crm.deal.list")))


def quoting(handler: Handler, _: bytes) -> None:
    """As proxies do: a page that quotes the address."""
    handler.answer(f"<html>cannot reach {handler.path} in {SECRET}</html>".encode(), 502)


def refusing(handler: Handler, _: bytes) -> None:
    handler.answer({"error": "NO_AUTH_FOUND", "error_description": f"bad key {SECRET}"}, 401)


def answering(handler: Handler, _: bytes) -> None:
    handler.answer({"result": [], "total": 0})


def redirecting(handler: Handler, _: bytes) -> None:
    handler.answer(b"", 302, location=f"https://evil.example{handler.path}")


def resetting(handler: Handler, _: bytes) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def cutting(handler: Handler, _: bytes) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"result": [')
    handler.close_connection = True


@pytest.mark.parametrize("behave", [answering, refusing, quoting, redirecting, resetting, cutting])
def test_a_webhook_stays_secret_whatever_happens(behave: Callable[[Handler, bytes], None], ears: Ears) -> None:
    """Success, refusal, a page that quotes the address, a redirect to a stranger, a reset, a cut reply."""
    with serving(behave) as port:
        shown = both(f"http://127.0.0.1:{port}/rest/7/{SECRET}/", use)
    assert_silent(shown + ears.everything())
    if behave is not answering:
        assert f"127.0.0.1:{port}" in shown


def test_a_portal_that_is_not_there(ears: Ears) -> None:
    """Nobody listens on the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shown = both(f"http://127.0.0.1:{port}/rest/7/{SECRET}/", use, attempts=2)
    assert_silent(shown + ears.everything())
    assert "Unreachable" in shown


def test_a_certificate_that_is_not_trusted(certificate: Path, ears: Ears) -> None:
    """No repeats, no way around, and the next step in the text."""
    with serving(answering, server_context(certificate)) as port:
        shown = both(f"https://127.0.0.1:{port}/rest/7/{SECRET}/", use)
        with (
            pytest.raises(Unreachable, match="certificate is not trusted"),
            Portal(f"https://127.0.0.1:{port}/rest/7/{SECRET}/", clock=HandClock()) as portal,
        ):
            portal.fetch(READ)
    assert_silent(shown + ears.everything())


def test_a_certificate_of_ones_own_authority(certificate: Path, ears: Ears) -> None:
    """verify names the bundle, as a path or as a context."""
    with serving(answering, server_context(certificate)) as port:
        address = f"https://127.0.0.1:{port}/rest/7/{SECRET}/"
        shown = both(address, use, verify=certificate)
        shown += both(address, use, verify=ssl.create_default_context(cafile=str(certificate)))
    assert "Unreachable" not in shown
    assert_silent(shown + ears.everything())


def test_http_where_https_answers(certificate: Path, ears: Ears) -> None:
    """And the other way round: neither shows anything."""
    with serving(answering) as port:
        shown = both(f"https://127.0.0.1:{port}/rest/7/{SECRET}/", use, attempts=2)
    assert "no secure connection" in shown
    assert_silent(shown + ears.everything())


def test_http2_does_not_log_its_headers(certificate: Path, ears: Ears) -> None:
    """The path is a header there, and its packer logs headers."""
    h2_config, h2_connection, h2_events = (
        pytest.importorskip(f"h2.{name}") for name in ("config", "connection", "events")
    )
    listener = socket.create_server(("127.0.0.1", 0))
    context = server_context(certificate, "h2")
    served: list[str] = []

    def serve() -> None:
        for _ in range(2):
            raw, _address = listener.accept()
            with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as peer:
                session = h2_connection.H2Connection(h2_config.H2Configuration(client_side=False))
                session.initiate_connection()
                peer.sendall(session.data_to_send())
                while data := peer.recv(65_536):
                    for event in session.receive_data(data):
                        if isinstance(event, h2_events.StreamEnded):
                            served.append("h2")
                            session.send_headers(event.stream_id, [(":status", "200")])
                            session.send_data(event.stream_id, b'{"result": [], "total": 0}', end_stream=True)
                    peer.sendall(session.data_to_send())

    thread = threading.Thread(target=serve, daemon=True, name=PEER)
    thread.start()
    port = listener.getsockname()[1]
    shown = both(f"https://127.0.0.1:{port}/rest/7/{SECRET}/", use, verify=certificate, http2=True)
    listener.close()
    thread.join(10)
    assert len(served) >= 4
    assert_silent(shown + ears.everything())


def test_tokens_stay_secret_too(ears: Ears) -> None:
    """In bodies, in the address of the token endpoint, in refusals that quote them."""

    def behave(handler: Handler, body: bytes) -> None:
        if handler.path.startswith("/oauth/token/"):
            handler.answer(
                {
                    "access_token": TOKENS[3],
                    "refresh_token": TOKENS[4],
                    "client_endpoint": f"http://{handler.headers['host']}/rest/",
                }
            )
        elif TOKENS[0].encode() in body:
            handler.answer({"error": "expired_token", "error_description": f"{TOKENS[0]} has expired"}, 401)
        else:
            handler.answer({"error": "NO_AUTH_FOUND", "error_description": f"bad {TOKENS[3]} {TOKENS[4]}"}, 401)

    with serving(behave) as port:

        def credential() -> OAuth:
            return OAuth(
                client_id="local.1", client_secret=TOKENS[2], access_token=TOKENS[0], refresh_token=TOKENS[1],
                client_endpoint=f"http://127.0.0.1:{port}/rest/", token_url=f"http://127.0.0.1:{port}/oauth/token/",
            )  # fmt: skip

        shown = both(credential, use)
    assert "NO_AUTH_FOUND" in shown
    assert_silent(shown + ears.everything())


def test_a_token_endpoint_that_quotes_what_it_was_sent(ears: Ears) -> None:
    """Refusals and pages of the token endpoint are scrubbed as well."""

    def behave(handler: Handler, body: bytes) -> None:
        if handler.path.startswith("/oauth/token/"):
            handler.answer({"error": "invalid_grant", "error_description": f"bad {handler.path}"}, 400)
        else:
            handler.answer({"error": "expired_token"}, 401)

    with serving(behave) as port:
        shown = both(
            lambda: OAuth(
                client_id="local.1", client_secret=TOKENS[2], access_token=TOKENS[0], refresh_token=TOKENS[1],
                client_endpoint=f"http://127.0.0.1:{port}/rest/", token_url=f"http://127.0.0.1:{port}/oauth/token/",
            ),
            use,
        )  # fmt: skip
    assert "invalid_grant" in shown
    assert_silent(shown + ears.everything())


def test_other_peoples_requests_are_logged_as_ever(ears: Ears) -> None:
    """A program that uses the same HTTP library keeps its logs."""
    with serving(answering) as port:
        both(f"http://127.0.0.1:{port}/rest/7/{SECRET}/", use)
        with httpx.Client(trust_env=False) as other:
            other.get(f"http://127.0.0.1:{port}/mine")
    assert "/mine" in ears.everything()
    assert_silent(ears.everything())


def test_a_proxy_of_the_environment_never_sees_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain http would show it the secret."""
    asked: list[str] = []

    def proxying(handler: Handler, _: bytes) -> None:
        asked.append(handler.path)
        handler.answer({"result": "from the proxy"})

    with serving(proxying) as proxy, serving(answering) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy}")
        with Portal(Webhook.parse(f"http://127.0.0.1:{port}/rest/7/{SECRET}/"), clock=HandClock()) as portal:
            assert [] == portal.fetch(READ)
    assert [] == asked

"""Where the exporter listens, and which names it goes by there."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from b24exporter.assembly import shown_address
from b24exporter.server import bind, listen_on
from b24exporter.web import LOOPBACK, hosts_for
from b24metrics.config import Settings
from b24metrics.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("127.0.0.1:9724", "127.0.0.1", 9724),
        ("[::1]:0", "::1", 0),
        (":9724", "0.0.0.0", 9724),
        ("exporter.lan:80", "exporter.lan", 80),
    ],
)
def test_addresses_are_read_as_the_settings_take_them(written: str, host: str, port: int) -> None:
    """host:port, with brackets around IPv6; without a host every network."""
    settings = Settings.load(None, {"exporter": {"listen": written}})

    assert (host, port) == listen_on(settings.exporter.listen)


def test_loopback_goes_by_its_own_names_only() -> None:
    """Any loopback address, IPv6 included; elsewhere every name, unless some are named."""
    assert LOOPBACK == hosts_for("127.0.0.1", ())
    assert LOOPBACK | {"127.0.0.9"} == hosts_for("127.0.0.9", ())
    assert LOOPBACK | {"wall.example"} == hosts_for("::1", ("Wall.example",))
    assert LOOPBACK == hosts_for("localhost", ())
    assert None is hosts_for("0.0.0.0", ())
    assert {"wall.example"} == hosts_for("0.0.0.0", ("wall.example",))


def test_a_listening_address_is_shown_as_a_person_opens_it() -> None:
    """With its scheme, with brackets, and with a name that works for "every network"."""
    with closing(bind("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert f"http://127.0.0.1:{port}/" == shown_address(listener, tls=False)
        assert f"https://127.0.0.1:{port}/" == shown_address(listener, tls=True)
    if socket.has_ipv6:
        try:
            listener = bind("::1", 0)
        except ConfigError:
            pytest.skip("this machine has no IPv6 loopback")
        with closing(listener):
            assert f"http://[::1]:{listener.getsockname()[1]}/" == shown_address(listener, tls=False)


def test_an_address_that_cannot_be_had_is_told_with_the_next_step() -> None:
    """Taken, or nobody's: one sentence, and the option to change."""
    with closing(bind("127.0.0.1", 0)) as listener, pytest.raises(ConfigError, match="--listen HOST:PORT"):
        bind("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(ConfigError, match=r"no-such-host\.invalid"):
        bind("no-such-host.invalid", 0)

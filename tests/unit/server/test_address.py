# SPDX-License-Identifier: Apache-2.0
"""Addresses to listen on, and what may be in the way."""

import socket
from contextlib import closing

import pytest

from inferometer.model import Reason, Trouble
from inferometer.server.address import listen_on, parse_address


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("0.0.0.0:9466", ("0.0.0.0", 9466)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        (":9466", ("", 9466)),
        ("[::]:9466", ("::", 9466)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
        ("localhost:9466", ("localhost", 9466)),
    ],
)
def test_addresses_are_split(listen: str, address: tuple[str, int]) -> None:
    """Every usual way to write an address and a port is understood."""
    assert parse_address(listen) == address


@pytest.mark.parametrize(
    "listen", ["", "9466", "0.0.0.0", "0.0.0.0:", "0.0.0.0:http", "::1:9466", "[::1]", "a:70000", "a:-1", "a:٣"]
)
def test_what_is_no_address_is_named(listen: str) -> None:
    """A malformed address is a trouble that shows it, the key and how to write it."""
    with pytest.raises(Trouble) as trouble:
        parse_address(listen)
    assert trouble.value.reason is Reason.MALFORMED
    assert repr(listen) in trouble.value.message
    assert "server.listen" in trouble.value.message
    assert "0.0.0.0:9466" in trouble.value.remedy


def test_a_port_in_use_is_named_with_a_remedy() -> None:
    """Where another program listens, the trouble names the address and says how to choose another."""
    with closing(listen_on("127.0.0.1:0")) as first:
        port = first.getsockname()[1]
        with pytest.raises(Trouble) as trouble:
            listen_on(f"127.0.0.1:{port}")
    assert trouble.value.reason is Reason.REFUSED
    assert f"127.0.0.1:{port}" in trouble.value.message
    assert "--listen" in trouble.value.remedy


def test_an_address_of_another_machine_is_named() -> None:
    """Listening on an address that this machine does not have is a trouble of its own."""
    with pytest.raises(Trouble) as trouble:
        listen_on("192.0.2.1:0")  # TEST-NET-1, RFC 5737
    assert trouble.value.reason is Reason.MISSING


def test_an_unknown_host_is_named() -> None:
    """A host name that cannot be resolved is a trouble, not a crash."""
    with pytest.raises(Trouble) as trouble:
        listen_on("no such host:0")
    assert trouble.value.reason is Reason.MALFORMED


@pytest.mark.parametrize("listen", [":0", "[::]:0", "0.0.0.0:0"])
def test_every_address_includes_ipv4(listen: str) -> None:
    """All three ways to say `every address` take IPv4 connections."""
    if listen == "[::]:0" and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with closing(listen_on(listen)) as listener, socket.create_connection(("127.0.0.1", listener.getsockname()[1]), 5):
        accepted, _ = listener.accept()
        accepted.close()

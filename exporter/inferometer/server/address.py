# SPDX-License-Identifier: Apache-2.0
"""Where to listen: `ADDRESS:PORT` becomes a listening socket, or a trouble that says what is in the way."""

import errno
import socket

from inferometer.model import Reason, Trouble

_BACKLOG = 128  # with the 5 of the standard library's server, 8 simultaneous connects already wait a second
_REMEDY = "Write server.listen as ADDRESS:PORT, for example 0.0.0.0:9466, [::]:9466 or :9466."


def parse_address(listen: str) -> tuple[str, int]:
    """Split `0.0.0.0:9466`, `[::1]:9466`, `host:9466` or `:9466` (every address, IPv4 and IPv6) into host and port.

    Raises Trouble(MALFORMED) for anything else.
    """
    host, colon, digits = listen.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if (
        not colon
        or (":" in host and not bracketed)
        or not (digits.isascii() and digits.isdigit())
        or int(digits) > 65535
    ):
        raise Trouble(Reason.MALFORMED, f"server.listen: {listen!r} is not an address and a port.", _REMEDY)
    return host[1:-1] if bracketed else host, int(digits)


def listen_on(listen: str) -> socket.socket:
    """Open a listening TCP socket. `[::]` and an empty host take IPv4 as well; port 0 lets the system choose.

    Raises Trouble that names the address: REFUSED where the port is in use, PERMISSION, MISSING where the address is
    not this machine's, MALFORMED where it is no address.
    """
    host, port = parse_address(listen)
    try:
        return _bind(host or "::", port)
    except OSError as error:
        if not host and error.errno in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:  # a machine without IPv6
            return listen_on(f"0.0.0.0:{port}")
        raise _trouble(listen, error) from error


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # not to wait for the connections of the run before
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _trouble(listen: str, error: OSError) -> Trouble:
    if error.errno == errno.EADDRINUSE:
        remedy = "Stop the program that listens there, or choose another port with --listen or server.listen."
        return Trouble(Reason.REFUSED, f"Cannot listen on {listen}: the port is in use.", remedy)
    if error.errno in {errno.EACCES, errno.EPERM}:
        remedy = "Choose a port above 1023, or grant CAP_NET_BIND_SERVICE."
        return Trouble(Reason.PERMISSION, f"Cannot listen on {listen}: not permitted.", remedy)
    if error.errno == errno.EADDRNOTAVAIL:
        return Trouble(Reason.MISSING, f"Cannot listen on {listen}: this machine has no such address.", _REMEDY)
    return Trouble(Reason.MALFORMED, f"Cannot listen on {listen}: {error.strerror or error}.", _REMEDY)

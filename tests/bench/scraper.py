# SPDX-License-Identifier: Apache-2.0
"""One client that scrapes as Prometheus does, on one kept connection, and tells how long each answer took.

`python -m bench.scraper HOST PORT BEGIN GAP ROUNDS` asks at BEGIN, BEGIN + GAP, ... (monotonic seconds) and writes the
seconds of each answer as a JSON list.
"""

import json
import socket
import sys
import time

_REQUEST = (
    b"GET /metrics HTTP/1.1\r\nHost: %s\r\nAccept-Encoding: gzip\r\n"
    b"Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1\r\n\r\n"
)


def ask(connection: socket.socket, host: str) -> bytes:
    """Ask once; give the body as it came."""
    connection.sendall(_REQUEST % host.encode())
    received = b""
    while b"\r\n\r\n" not in received:
        received += _receive(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(head.decode())
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    pieces, size = [body], len(body)
    while size < length:
        pieces.append(_receive(connection))
        size += len(pieces[-1])
    return b"".join(pieces)


def _receive(connection: socket.socket) -> bytes:
    piece = connection.recv(1 << 18)
    if not piece:
        raise ConnectionError("the agent hung up")
    return piece


def main(host: str, port: int, begin: float, gap: float, rounds: int) -> None:
    """Ask at the appointed times."""
    took = []
    with socket.create_connection((host, port), timeout=30) as connection:
        for i in range(rounds):
            time.sleep(max(0.0, begin + gap * i - time.monotonic()))
            asked = time.perf_counter()
            ask(connection, host)
            took.append(time.perf_counter() - asked)
    sys.stdout.write(json.dumps(took))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))

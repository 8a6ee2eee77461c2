# SPDX-License-Identifier: Apache-2.0
"""Stands between an agent and the API server, and counts the bytes of their connections in either direction.

    python relay.py PORT FILE

relays a port of the loopback that the kernel chooses to PORT; FILE says which, and after each change how many bytes went to
PORT and came from it. It reads nothing of what passes: that is encrypted.
"""

import socket
import sys
import threading
from pathlib import Path


class Counts:
    """The bytes so far, in a file that is replaced as a whole."""

    def __init__(self, file: Path, port: int) -> None:
        self._file, self._port = file, port
        self._sent = self._received = 0
        self._lock = threading.Lock()
        self.add(0, 0)

    def add(self, sent: int, received: int) -> None:
        """Count."""
        with self._lock:
            self._sent += sent
            self._received += received
            fresh = self._file.with_suffix(".new")
            fresh.write_text(f"{self._port} {self._sent} {self._received}")
            fresh.replace(self._file)


def relay(source: socket.socket, target: socket.socket, counts: Counts, *, is_sent: bool) -> None:
    """Move bytes until one side ends, and tell the other side."""
    try:
        while data := source.recv(65536):
            counts.add(len(data) * is_sent, len(data) * (not is_sent))
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        target.close()


def main(port: str, file: str) -> None:
    """Serve until the end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        counts = Counts(Path(file), server.getsockname()[1])
        while True:
            client, _ = server.accept()
            upstream = socket.create_connection(("127.0.0.1", int(port)))
            for pair, is_sent in (((client, upstream), True), ((upstream, client), False)):
                threading.Thread(target=relay, args=(*pair, counts), kwargs={"is_sent": is_sent}, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""An answer that is read line by line, as it comes."""

import http.client
import time
from collections.abc import Callable, Iterator

from inferometer.model import Reason, Trouble
from inferometer.wire.body import CHUNK, fields, refuse_cut
from inferometer.wire.connection import Wire
from inferometer.wire.troubles import Troubles


class Lines(Iterator[bytes]):
    """A stream read line by line, without line ends; blank lines are skipped. Look at `status` first.

    For one thread, which also closes it; whoever has `wire` interrupts it from another.

    Args:
        url: what was asked for, for messages.
        wire: the connection.
        response: its answer, of which the head is read.
        limit: the most bytes of a line.
        idle: the longest wait for a whole line, in seconds.
        count: is told of URL, requests and connection after each line.
        hang_up: closes the connection.
    """

    def __init__(
        self,
        url: str,
        wire: Wire,
        response: http.client.HTTPResponse,
        limit: int,
        idle: float,
        count: Callable[[str, int, Wire], None],
        hang_up: Callable[[Wire], None],
    ) -> None:
        self.status = response.status
        self.headers = fields(response)
        self._url, self._wire, self._idle = url, wire, idle
        self._count, self._hang_up = count, hang_up
        self._lines = _split(response, limit)

    def __next__(self) -> bytes:
        try:
            with Troubles(self._url, self._idle):
                self._wire.until = time.monotonic() + self._idle
                return next(self._lines)
        except StopIteration:
            self.close()
            raise
        except Trouble:
            interrupted = self._wire.ended
            self.close()
            if interrupted:  # our own hanging up is an end, not a trouble
                raise StopIteration from None
            raise
        finally:
            self._count(self._url, 0, self._wire)

    def close(self) -> None:
        """Hang up."""
        self._hang_up(self._wire)


def _split(response: http.client.HTTPResponse, limit: int) -> Iterator[bytes]:
    pending = bytearray()
    while piece := response.read1(CHUNK):
        searched = len(pending)
        pending += piece
        while (end := pending.find(b"\n", searched)) >= 0:
            line = bytes(pending[:end]).rstrip(b"\r")
            del pending[: end + 1]
            searched = 0
            if line:
                yield line
        if len(pending) > limit:
            raise Trouble(Reason.TOO_LARGE, f"a line of the stream is longer than {limit} bytes")
    refuse_cut(response)
    if pending:
        yield bytes(pending)

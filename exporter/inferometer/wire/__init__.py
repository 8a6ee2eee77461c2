# SPDX-License-Identifier: Apache-2.0
"""One HTTP/1.1 connection under a total deadline, and its answers read within bounds; what the client is built on."""

from inferometer.wire.body import CHUNK, fields, is_compressed, read_body
from inferometer.wire.connection import Wire
from inferometer.wire.lines import Lines
from inferometer.wire.requests import Request, request, shown
from inferometer.wire.troubles import Troubles

__all__ = [
    "CHUNK",
    "Lines",
    "Request",
    "Troubles",
    "Wire",
    "fields",
    "is_compressed",
    "read_body",
    "request",
    "shown",
]

# SPDX-License-Identifier: Apache-2.0
"""The HTTP endpoint: /metrics, /healthz, /readyz and the status page, from what was published last."""

from inferometer.server.address import parse_address
from inferometer.server.endpoint import Server
from inferometer.server.published import Published
from inferometer.server.reviews import Reviews
from inferometer.server.tally import Tally

__all__ = ["Published", "Reviews", "Server", "Tally", "parse_address"]

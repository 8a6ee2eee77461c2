# SPDX-License-Identifier: Apache-2.0
"""The HTTP endpoint: /metrics, /healthz, /readyz and the status page, from what was published last."""

from inferometer.server.address import parse_address
from inferometer.server.endpoint import Server
from inferometer.server.published import Published

__all__ = ["Published", "Server", "parse_address"]

# SPDX-License-Identifier: Apache-2.0
"""URLs of metrics pages: what in them names a place, and what in them a pod may choose. No I/O."""

import re
from urllib.parse import urlsplit

SCHEMES = {"http": 80, "https": 443}
# Origin-form only: no host, no white space, no fragment. RFC 9112 section 3.2.1.
PATH = re.compile(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/-]{0,255}(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,255})?")


def address_of(url: str) -> tuple[str, int]:
    """Give the host and the port of a URL that can be scraped."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or SCHEMES[parts.scheme]


def host_of(url: str) -> str:
    """Give `host:port` of a URL without what is secret in it; empty if it is none that can be scraped."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not parts.hostname:
            return ""
        port = parts.port or SCHEMES[parts.scheme]
    except ValueError:
        return ""
    return f"[{parts.hostname}]:{port}" if ":" in parts.hostname else f"{parts.hostname}:{port}"

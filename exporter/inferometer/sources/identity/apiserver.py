# SPDX-License-Identifier: Apache-2.0
"""The way to the API server: where it is, whom to trust, and as whom."""

import os
from collections.abc import Mapping
from pathlib import Path

from inferometer import config
from inferometer.client import Client
from inferometer.credentials import trust_file
from inferometer.model import Reason, Trouble
from inferometer.sources.identity.traffic import Traffic

BUSY = (429, 503)  # with which a Retry-After may come: API priority and fairness sends the first
_MOST_DIGITS = 6


def pause_asked(status: int, headers: Mapping[str, str]) -> float:
    """Give the seconds for which a server asks to be left alone (RFC 9110 section 10.2.3), 0 if it does not."""
    after = headers.get("retry-after", "")
    return float(after[:_MOST_DIGITS]) if status in BUSY and after.isascii() and after.isdigit() else 0.0


def available(config: config.Pods, environ: Mapping[str, str]) -> bool:
    """Whether the API server can be asked here: it is named, or this is a pod with a service account's token."""
    if config.source in {"api", "off"}:
        return config.source == "api"
    return bool(config.server) or (bool(_of_cluster(environ)) and Path(config.token_file).exists())


def server_url(config: config.Pods, environ: Mapping[str, str] = os.environ) -> str:
    """Give the API server's base URL: as configured, else from the variables that the kubelet sets in every pod."""
    return config.server.rstrip("/") or _of_cluster(environ)


def connect(config: config.Pods, server: str, traffic: Traffic | None = None) -> Client:
    """Make a client; its requests are counted in `traffic`. Raises Trouble (MISSING) without a known server or the CA file."""
    if not server:
        remedy = "set identity.pods.server, or run in a pod"
        raise Trouble(Reason.MISSING, "the API server's address is not known", remedy)
    secure = server.startswith("https:")
    return Client(
        deadline=float(config.deadline),
        max_body=int(config.max_body),
        trust=trust_file(config.ca_file) if secure and config.ca_file else None,
        token_file=config.token_file if secure else "",  # never in the clear
        tell=traffic.count if traffic else None,
    )


def _of_cluster(environ: Mapping[str, str]) -> str:
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    return f"https://{f'[{host}]' if ':' in host else host}:{port}" if host else ""

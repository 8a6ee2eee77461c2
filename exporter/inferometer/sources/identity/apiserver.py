# SPDX-License-Identifier: Apache-2.0
"""The way to the API server: where it is, whom to trust, and as whom."""

import os
from collections.abc import Mapping
from pathlib import Path

from inferometer import config
from inferometer.client import Client, trust_file
from inferometer.model import Reason, Trouble
from inferometer.sources.identity.traffic import Traffic


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

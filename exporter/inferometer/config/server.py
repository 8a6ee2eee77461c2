# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF009  # key and section are dataclass field specifiers, not shared default values
"""The keys of the configuration for the HTTP endpoint: where it listens, by TLS or in the clear, and whom it lets in."""

from dataclasses import dataclass

from inferometer.config import declare
from inferometer.config.declare import LISTEN, Seconds, section


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS 1.2 and newer. The files are read again when they change; while new ones cannot be used the old ones stay."""

    certificate: str = declare.key(
        "", "PEM file of the certificate to show, with its chain. Empty: no TLS, everything in the clear."
    )
    key: str = declare.key("", "PEM file of its key, without a passphrase.")
    client_ca: str = declare.key(
        "",
        "PEM file of the authorities that sign clients' certificates. Without such a certificate a client gets /healthz and "
        "/readyz only. Empty: none is asked for.",
    )
    client_names: tuple[str, ...] = declare.key(
        (),
        "Names that such a certificate may be for, by its subject's common name or an alternative name. Empty: any.",
    )


@dataclass(frozen=True, slots=True)
class ServerAuth:
    """Who may read /metrics and the status page: whoever shows what one of these asks for. Without any, everybody."""

    token_review: bool = declare.key(
        False,
        "Take bearer tokens that the API server of `identity.pods` says belong to somebody who may `get` the non-resource URL "
        "/metrics. It needs the right to create tokenreviews and subjectaccessreviews (`system:auth-delegator`).",
    )
    audiences: tuple[str, ...] = declare.key(
        (), "Audiences, of which such a token must be for one. Empty: the API server's own."
    )
    cache: Seconds = declare.key(
        Seconds(60),
        "For how long the API server's answer counts. While it cannot be asked, one that let somebody in counts five times as "
        "long.",
        minimum=1,
    )
    tokens_file: str = declare.key("", "File of bearer tokens, one a line. It is read again when it changes.")
    users_file: str = declare.key(
        "",
        "File of users of basic authentication, one `NAME:HASH` a line as `inferometer password NAME` prints it. It is read "
        "again when it changes.",
    )


@dataclass(frozen=True, slots=True)
class Server:
    """The HTTP endpoint."""

    listen: str = declare.key(
        "0.0.0.0:9466",
        "Address and port of /metrics, /healthz, /readyz and the status page.",
        pattern=LISTEN,
        form="ADDRESS:PORT, such as 127.0.0.1:9466 or [::]:9466",
    )
    max_connections: int = declare.key(64, "Connections served at once; more are refused.", minimum=1)
    timeout: Seconds = declare.key(
        Seconds(10),
        "A client that takes longer for its TLS handshake, to send a request or to take its answer is cut off.",
        minimum=0.1,
    )
    created_timestamps: bool = declare.key(
        False,
        "Add to OpenMetrics a `_created` line for each counter and histogram whose start is known. Prometheus makes a series "
        "of each, unless it is told to take them for start times.",
    )
    dcgm: bool = declare.key(
        False, "Serve /metrics/dcgm too: the GPUs under the names and labels of dcgm-exporter, see docs/dcgm.md."
    )
    tls: ServerTls = section(ServerTls)
    auth: ServerAuth = section(ServerAuth)

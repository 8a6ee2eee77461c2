# SPDX-License-Identifier: Apache-2.0
"""TLS of the endpoint: what it shows and whom it asks for a certificate, from files that somebody else renews."""

import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

from inferometer import config
from inferometer.credentials import show_certificate
from inferometer.model import Reason, Trouble
from inferometer.server.watched import Watched

_LONGEST = 1 << 20  # bytes of a file of authorities


class Identity(NamedTuple):
    """What connections are made with, and the authorities that clients' certificates are of; empty where none is asked for."""

    context: ssl.SSLContext
    authorities: str


def watch_certificates(tls: config.ServerTls, count: Callable[[], None]) -> Watched[Identity] | None:
    """Give the newest identity whenever it is asked for; None where no certificate is named.

    While new files cannot be used, because they cannot be read or the key is another's, the old identity stays.

    Raises:
        Trouble: MALFORMED, for keys of the configuration that make no sense without one another.
    """
    if not tls.certificate:
        if tls.key or tls.client_ca or tls.client_names:
            raise Trouble(Reason.MALFORMED, "server.tls: there is no certificate", "set server.tls.certificate")
        return None
    if not tls.key:
        raise Trouble(Reason.MALFORMED, "server.tls: the certificate has no key", "set server.tls.key")
    if tls.client_names and not tls.client_ca:
        raise Trouble(Reason.MALFORMED, "server.tls: client_names need a client_ca", "set server.tls.client_ca")
    return Watched((tls.certificate, tls.key, tls.client_ca), lambda: _make(tls), count, keeps=True)


def _make(tls: config.ServerTls) -> Identity:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    show_certificate(context, tls.certificate, tls.key)
    return Identity(context, _trust(context, tls.client_ca) if tls.client_ca else "")


def _trust(context: ssl.SSLContext, client_ca: str) -> str:
    """Ask clients for a certificate of these authorities, and give these; who has none is told by the page that needs it.

    The kubelet's probes have none. One that is shown has to be good: else the handshake fails.
    """
    remedy = "name a readable file of PEM certificates in server.tls.client_ca"
    try:
        with open(client_ca, "rb") as file:  # noqa: PTH123  # Path.read_bytes has no bound
            authorities = file.read(_LONGEST).decode("ascii", "ignore")  # comments may be in any encoding
        context.load_verify_locations(cadata=authorities)
    except FileNotFoundError:
        raise Trouble(Reason.MISSING, f"{client_ca}: no such file", remedy) from None
    except PermissionError:
        raise Trouble(Reason.PERMISSION, f"{client_ca}: not readable", remedy) from None
    except (OSError, ValueError):  # with ssl.SSLError
        raise Trouble(Reason.MALFORMED, f"{client_ca}: not a file of PEM certificates", remedy) from None
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an authority that is named needs none above it
    return authorities


Certificate = dict[str, Any]  # as SSLSocket.getpeercert() gives it


def names_of(certificate: Certificate) -> frozenset[str]:
    """Give the names that a client's certificate is for: common name, DNS names, e-mail and IP addresses, URIs."""
    subject = (pair for part in certificate.get("subject", ()) for pair in part)
    common = (value for name, value in subject if name == "commonName")
    return frozenset(
        (*common, *(value for _, value in certificate.get("subjectAltName", ()) if isinstance(value, str)))
    )


def has_expired(certificate: Certificate, now: float) -> bool:
    """Tell whether it was good until before `now`, in Unix seconds: a connection may outlive its certificate."""
    return ssl.cert_time_to_seconds(certificate["notAfter"]) < now

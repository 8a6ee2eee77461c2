# SPDX-License-Identifier: Apache-2.0
"""What can go wrong on a connection, in words: each a Trouble that names the URL and shows no secret."""

import http.client
import socket
import ssl

from inferometer.model import Reason, Trouble
from inferometer.wire.requests import shown

# What helps against a certificate that is not trusted, by OpenSSL's X509_V_ERR_* (x509_vfy.h).
_TOO_EARLY, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64
_REMEDIES = {
    _TOO_EARLY: "set this machine's clock, or the clock of whoever issued the certificate",
    _EXPIRED: "renew the server's certificate, or set this machine's clock",
    _OTHER_NAME: "name the server as its certificate does",
    _OTHER_ADDRESS: "name the server as its certificate does",
}


class Troubles:
    """Turns what can go wrong in a `with` block into a Trouble that names the URL and shows no secret."""

    def __init__(self, url: str, deadline: float) -> None:
        self._url = url
        self._deadline = deadline

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, StopIteration):
            return
        reason, text, remedy = _explain(error, self._deadline)
        # Not chained: http.client's own messages quote header values, and a header may be a token.
        raise Trouble(reason, f"{shown(self._url)}: {text}", remedy) from None


def _explain(error: Exception, deadline: float) -> tuple[Reason, str, str]:
    """Name what happened: reason, text, remedy."""
    match error:
        case Trouble():
            return error.reason, error.message, error.remedy
        case TimeoutError():
            return Reason.TIMEOUT, f"no complete answer within {round(deadline, 2):g} s", "see whether the server hangs"
        case socket.gaierror():
            return Reason.MISSING, "the host's name does not resolve", "correct the name"
        case ssl.SSLCertVerificationError():
            remedy = _REMEDIES.get(error.verify_code, "name its CA file")
            return Reason.REFUSED, f"its certificate is not trusted: {error.verify_message}", remedy
        case ssl.SSLError() if "ALERT" in (alert := error.reason or "") and ("CERT" in alert or "_CA" in alert):
            return Reason.PERMISSION, "asks for a client certificate that it trusts", "name certificate and key"
        case ssl.SSLError() if not isinstance(error, ssl.SSLEOFError):
            return Reason.MALFORMED, "does not speak TLS as it should", "see whether the port speaks https"
        case ConnectionRefusedError():
            return Reason.REFUSED, "nobody listens there", "start the server, or correct the address"
        case ConnectionError() | ssl.SSLEOFError():  # with http.client's RemoteDisconnected
            return Reason.REFUSED, "closed the connection", "see the server's log"
        case OSError():
            return Reason.REFUSED, f"no connection: {error.strerror or type(error).__name__}", "check the network"
        case http.client.IncompleteRead():
            return Reason.MALFORMED, "the answer was cut off", "see the server's log"
        case http.client.LineTooLong():
            return Reason.TOO_LARGE, "its headers are too large", ""
        case http.client.HTTPException() if "headers" in str(error):  # "got more than 100 headers"
            return Reason.TOO_LARGE, "it sends too many headers", ""
        case http.client.HTTPException():
            return Reason.MALFORMED, "does not answer in HTTP", "see whether the port speaks HTTP"
        case ValueError():
            return Reason.MALFORMED, "the URL, a header to send or the answer is not valid HTTP", ""
        case _:
            return Reason.INTERNAL, f"{type(error).__name__} in the client", "report it"

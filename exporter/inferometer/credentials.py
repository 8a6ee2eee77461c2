# SPDX-License-Identifier: Apache-2.0
"""What the agent shows to those it asks, and whom it trusts: files that somebody else mounts and renews."""

import base64
import os
import re
import ssl
import threading
import time
from collections.abc import Callable
from typing import Protocol

from inferometer.model import Reason, Trouble

TOKEN_AGE = 60.0  # seconds; a bound token lives ten minutes at least and is renewed at 80 % of its life (KEP-1205)
LONGEST_SECRET = 64 << 10  # bytes

_TOKEN = re.compile(r"\s*([!-~]+)\s*")
_PASSWORD = re.compile(r"([^\x00-\x1f\x7f\ufffd]+)\r?\n?")  # spaces count; U+FFFD is what was no UTF-8


class Authorization(Protocol):
    """The value of the Authorization header."""

    def current(self) -> str:
        """Give it, at most a minute old. Raises Trouble MISSING, PERMISSION or MALFORMED, never with a secret in it."""
        ...

    def renew(self) -> bool:
        """Read it now and say whether it is another one. Raises as `current` does."""
        ...


class Bearer:
    """A bearer token in a file (RFC 6750 section 2.1) that somebody else renews."""

    def __init__(self, path: str) -> None:
        self._secret = _Secret(path, "token", _TOKEN, "Bearer {}".format)

    def current(self) -> str:
        """Give the header's value."""
        return self._secret.current()

    def renew(self) -> bool:
        """Read the token now and say whether it is another one."""
        return self._secret.renew()


class Basic:
    """A user (RFC 7617) with the password in a file that somebody else renews."""

    def __init__(self, user: str, path: str) -> None:
        self._secret = _Secret(path, "password", _PASSWORD, lambda password: _basic(user, password))

    def current(self) -> str:
        """Give the header's value."""
        return self._secret.current()

    def renew(self) -> bool:
        """Read the password now and say whether it is another one."""
        return self._secret.renew()


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class _Secret:
    """One line in a file: `what` it is, its form, and how the header's value is made of it."""

    def __init__(self, path: str, what: str, form: re.Pattern[str], make: Callable[[str], str]) -> None:
        self._path = path
        self._what = what
        self._form = form
        self._make = make
        self._value = ""
        self._read_at = float("-inf")

    def current(self) -> str:
        if time.monotonic() - self._read_at >= TOKEN_AGE:
            self.renew()
        return self._value

    def renew(self) -> bool:
        remedy = f"mount the {self._what} there, or name another file"
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123  # Path.read_bytes has no bound
                read = file.read(LONGEST_SECRET)
        except PermissionError:
            raise Trouble(Reason.PERMISSION, f"{self._path}: not readable", remedy) from None
        except OSError:
            raise Trouble(Reason.MISSING, f"{self._path}: no {self._what} there", remedy) from None
        found = self._form.fullmatch(read.decode("utf-8", "replace"))
        if found is None or len(read) == LONGEST_SECRET:
            raise Trouble(Reason.MALFORMED, f"{self._path}: does not hold one {self._what}", remedy)
        value = self._make(found[1])
        changed, self._value, self._read_at = value != self._value, value, time.monotonic()
        return changed


class Tls:
    """Whom to trust and what to show over TLS, made anew when one of its files is another. For any number of threads.

    Args:
        ca_file: PEM certificates to trust and no others. Empty: the system's.
        certificate_file: PEM chain to show, with the key in `key_file`. Empty: none.
        key_file: the PEM key of it, without a passphrase.
        server_name: whom the server's certificate has to be for. Empty: the host of the URL.
        insecure: take any certificate.
    """

    def __init__(
        self,
        ca_file: str = "",
        certificate_file: str = "",
        key_file: str = "",
        server_name: str = "",
        *,
        insecure: bool = False,
    ) -> None:
        self.server_name = server_name
        self._ca_file = ca_file
        self._certificate_file = certificate_file
        self._key_file = key_file
        self._insecure = insecure
        self._lock = threading.Lock()
        self._made_of: object = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Give the newest. Raises Trouble MISSING, PERMISSION or MALFORMED, which name the file."""
        with self._lock:
            files = tuple(map(stamp, filter(None, (self._ca_file, self._certificate_file, self._key_file))))
            if self._context is None or files != self._made_of:
                self._context, self._made_of = self._make(), files
            return self._context

    def _make(self) -> ssl.SSLContext:
        context = trust_file(self._ca_file) if self._ca_file else ssl.create_default_context()
        if self._insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self._certificate_file:
            show_certificate(context, self._certificate_file, self._key_file)
        return context


def stamp(path: str) -> object:
    """Tell one content of a file from the next, None where there is none: mounted secrets change by a link to another folder."""
    try:
        found = os.stat(path)  # noqa: PTH116  # one call for all numbers
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size  # a change of rights is one, too


def show_certificate(context: ssl.SSLContext, certificate_file: str, key_file: str) -> None:
    """Have a context show a certificate with its chain. Raises Trouble MISSING, PERMISSION or MALFORMED."""
    remedy = "name readable PEM files of a certificate and its own key, without a passphrase"
    for path in (certificate_file, key_file):
        try:
            with open(path, "rb"):  # noqa: PTH123  # OpenSSL does not say which of the two it cannot open
                pass
        except PermissionError:
            raise Trouble(Reason.PERMISSION, f"{path}: not readable", remedy) from None
        except OSError:
            raise Trouble(Reason.MISSING, f"{path}: no such file", remedy) from None
    try:
        context.load_cert_chain(certificate_file, key_file, password="")  # "": never ask at a terminal
    except (OSError, ValueError):  # with ssl.SSLError
        where = f"{certificate_file}, {key_file}"
        raise Trouble(Reason.MALFORMED, f"{where}: not a certificate with its key", remedy) from None


def trust_file(ca_file: str) -> ssl.SSLContext:
    """Trust the PEM certificates in `ca_file` and no others. Raises Trouble MISSING, PERMISSION or MALFORMED."""
    remedy = "name a readable file of PEM certificates"
    try:
        return ssl.create_default_context(cafile=ca_file)
    except FileNotFoundError:
        raise Trouble(Reason.MISSING, f"{ca_file}: no such file", remedy) from None
    except PermissionError:
        raise Trouble(Reason.PERMISSION, f"{ca_file}: not readable", remedy) from None
    except OSError:  # with ssl.SSLError
        raise Trouble(Reason.MALFORMED, f"{ca_file}: not a file of PEM certificates", remedy) from None

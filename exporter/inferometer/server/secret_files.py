# SPDX-License-Identifier: Apache-2.0
"""Files of bearer tokens and of users: one a line, `#` begins a comment, and what is no entry lets nobody in."""

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping

from inferometer.model import Reason, Trouble
from inferometer.server.passwords import Hashed, is_name, read_hash

log = logging.getLogger(__name__)

_LONGEST = 1 << 20  # bytes of a file
_MOST = 1000  # entries of a file

_TOKEN = re.compile(r"[!-~]{16,8192}")  # what is shorter can be guessed


def read_tokens(path: str) -> tuple[bytes, ...]:
    """Give the SHA-256 of each token: they themselves are not kept.

    Raises Trouble MISSING, PERMISSION, TOO_LARGE or MALFORMED (no UTF-8); a line that is no token is logged by its number.
    """
    return tuple(digest(line) for number, line in _lines(path) if _is_entry(path, number, _TOKEN.fullmatch(line)))


def read_users(path: str) -> Mapping[str, Hashed]:
    """Give each user's hash, by name; of a name that stands twice the last. Raises as `read_tokens` does."""
    users: dict[str, Hashed] = {}
    for number, line in _lines(path):
        name, _, text = line.partition(":")
        hashed = read_hash(text)
        if _is_entry(path, number, hashed and is_name(name)) and hashed:
            users[name] = hashed
    return users


def digest(token: str) -> bytes:
    """Give what a token is known by."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _is_entry(path: str, number: int, found: object) -> bool:
    if not found:
        log.warning("%s:%d: no entry, it is left out", path, number)  # never with what stands there
    return bool(found)


def _lines(path: str) -> Iterator[tuple[int, str]]:
    remedy = "mount the file there, or name another one in server.auth"
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # Path.read_bytes has no bound
            read = file.read(_LONGEST + 1)
    except PermissionError:
        raise Trouble(Reason.PERMISSION, f"{path}: not readable", remedy) from None
    except OSError:
        raise Trouble(Reason.MISSING, f"{path}: no such file", remedy) from None
    if len(read) > _LONGEST:
        raise Trouble(Reason.TOO_LARGE, f"{path}: longer than {_LONGEST} bytes", remedy)
    try:
        text = read.decode()
    except UnicodeDecodeError:
        raise Trouble(Reason.MALFORMED, f"{path}: no text in UTF-8", remedy) from None
    lines = ((number, line.strip(" \t\r")) for number, line in enumerate(text.split("\n"), 1))
    entries = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if len(entries) > _MOST:
        raise Trouble(Reason.TOO_LARGE, f"{path}: more than {_MOST} entries", remedy)
    yield from entries

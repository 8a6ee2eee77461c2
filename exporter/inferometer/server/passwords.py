# SPDX-License-Identifier: Apache-2.0
"""Hashes of passwords: PBKDF2 (RFC 8018) with SHA-256 or SHA-512, in the form of Python's passlib, which Ansible writes too.

The standard library has no bcrypt, and scrypt at a strength that is worth it takes more memory than the whole agent may.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
from typing import NamedTuple

ROUNDS = 600_000  # what OWASP's Password Storage Cheat Sheet asks of PBKDF2 with SHA-256; about 0.2 s
_SALT = 16  # bytes
_SIZES = {"sha256": 32, "sha512": 64}
_FEWEST, _MOST = 1_000, 5_000_000  # rounds: more would keep the endpoint busy for seconds

# $pbkdf2-sha256$ROUNDS$SALT$HASH, the last two in base64 with `.` for `+` and without padding.
_FORM = re.compile(r"\$pbkdf2-(sha256|sha512)\$([1-9][0-9]{0,7})\$([A-Za-z0-9./]{11,86})\$([A-Za-z0-9./]{43,86})")
_NAME = re.compile(r"[^\x00-\x1f\x7f:#\s][^\x00-\x1f\x7f:]{0,254}")


class Hashed(NamedTuple):
    """What is kept of a password."""

    algorithm: str
    rounds: int
    salt: bytes
    digest: bytes


def is_name(name: str) -> bool:
    """Tell whether a user can be called so (RFC 7617 section 2: no colon), and found in a file with comments."""
    return _NAME.fullmatch(name) is not None and name == name.strip()


def hash_password(password: str) -> str:
    """Make the text that stands for a password in a file of users."""
    salt = os.urandom(_SALT)
    made = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ROUNDS)
    return f"$pbkdf2-sha256${ROUNDS}${_encode(salt)}${_encode(made)}"


def read_hash(text: str) -> Hashed | None:
    """Read such a text; None for what is none, or is made too cheaply or too dearly."""
    found = _FORM.fullmatch(text)
    if found is None or not _FEWEST <= int(found[2]) <= _MOST:
        return None
    try:
        salt, made = _decode(found[3]), _decode(found[4])
    except binascii.Error:
        return None
    return Hashed(found[1], int(found[2]), salt, made) if len(made) == _SIZES[found[1]] else None


def is_password(hashed: Hashed, password: bytes) -> bool:
    """Tell whether it is the password. It takes the same time for every answer; other threads go on meanwhile."""
    made = hashlib.pbkdf2_hmac(hashed.algorithm, password, hashed.salt, hashed.rounds)
    return hmac.compare_digest(made, hashed.digest)


def _encode(data: bytes) -> str:
    return base64.b64encode(data, b"./").decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"./", validate=True)

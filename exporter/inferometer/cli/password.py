# SPDX-License-Identifier: Apache-2.0
"""`inferometer password`: a line for the file of users that server.auth.users_file names."""

import argparse
import getpass
import sys

from inferometer.cli.output import Failure, is_terminal, write
from inferometer.server.passwords import hash_password, is_name
from inferometer.views.json import dump

_LONGEST = 1024  # characters


def execute(arguments: argparse.Namespace) -> int:
    """Ask for a password twice, or read one line of standard input, and print the user's line."""
    if not is_name(arguments.name):
        raise Failure(2, "a name has no colon, no control character and 255 characters at most")
    hashed = hash_password(_ask() if is_terminal(sys.stdin) else _read())
    line = f"{arguments.name}:{hashed}"
    write((dump({"name": arguments.name, "hash": hashed}) if arguments.json else line) + "\n")
    return 0


def _ask() -> str:
    password = _checked(getpass.getpass("Password: "))
    if password != getpass.getpass("Once more: "):
        raise Failure(1, "the two are not the same")
    return password


def _read() -> str:
    line = sys.stdin.buffer.readline(4 * _LONGEST) if sys.stdin else b""
    try:
        return _checked(line.decode().rstrip("\r\n"))
    except UnicodeDecodeError:
        raise Failure(1, "standard input: the password is not in UTF-8") from None


def _checked(password: str) -> str:
    if not 0 < len(password) <= _LONGEST:
        raise Failure(1, f"a password has 1 to {_LONGEST} characters")
    return password

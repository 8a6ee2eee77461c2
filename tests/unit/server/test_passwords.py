# SPDX-License-Identifier: Apache-2.0
"""Hashes of passwords, and the files that hold them and tokens."""

import hashlib
import logging
from pathlib import Path

import pytest

from inferometer.model import Reason, Trouble
from inferometer.server.passwords import hash_password, is_name, is_password, read_hash
from inferometer.server.secret_files import digest, read_tokens, read_users

# passlib.hash.pbkdf2_sha256.using(rounds=29000).hash("toomanysecrets"), from passlib's documentation.
PASSLIB = "$pbkdf2-sha256$29000$N2YMIWQsBWBMae09x1jrPQ$1t8iyB2A.WF/Z5JZv.lfCIhXXN33N23OSgQYThBYRfk"


def test_a_password_is_known_by_its_hash() -> None:
    """What is made is read, tells the password from every other, and is another each time."""
    text = hash_password("correct horse é battery")
    hashed = read_hash(text)
    assert hashed
    assert hashed.rounds >= 600_000
    assert is_password(hashed, "correct horse é battery".encode())
    assert not is_password(hashed, b"correct horse")
    assert hash_password("correct horse é battery") != text


def test_the_form_is_passlibs() -> None:
    """A hash that passlib, and Ansible by it, has made is understood."""
    hashed = read_hash(PASSLIB)
    assert hashed
    assert is_password(hashed, b"toomanysecrets")
    assert not is_password(hashed, b"TooManySecrets")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "password",
        "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",  # htpasswd -B
        "$apr1$Zbc4Bd2W$X7Z3dqWkM1Yc0Pz4VfH1D.",
        PASSLIB.replace("29000", "1"),
        PASSLIB.replace("29000", "99999999"),
        PASSLIB.replace("29000", "029000"),
        PASSLIB.replace("sha256", "sha1"),
        PASSLIB.replace("sha256", "sha512"),
        PASSLIB[:-1],
        PASSLIB + "A",
        PASSLIB + "\n",
    ],
)
def test_what_is_no_hash_is_none(text: str) -> None:
    """Other forms, and rounds that are worth nothing or would take for ever, are refused."""
    assert read_hash(text) is None


def test_names_of_users() -> None:
    """A name is what HTTP can send and a line can hold."""
    assert all(map(is_name, ("prometheus", "Jane Doe", "é", "a" * 255)))
    assert not any(map(is_name, ("", "a:b", "#a", " a", "a ", "a\nb", "a" * 256)))


def test_a_file_of_users_is_read_line_by_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Comments and blank lines are nothing; what is no entry is left out, and named by its line without its content."""
    path = tmp_path / "users"
    path.write_text(f"# people\n\njane:{PASSLIB}\r\njoe:hunter2\nno entry\n:{PASSLIB}\njim:{PASSLIB}\n")
    with caplog.at_level(logging.WARNING):
        users = read_users(str(path))
    assert set(users) == {"jane", "jim"}
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == [f"{path}:{n}" for n in (4, 5, 6)]
    assert "hunter2" not in caplog.text


def test_a_file_of_tokens_keeps_none_of_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One token a line; only its SHA-256 is kept, and what could be guessed is no token."""
    path = tmp_path / "tokens"
    path.write_text("# of the scraper\n0123456789abcdef\n\nshort\nwith a space in the middle\nanother-long-token-=")
    with caplog.at_level(logging.WARNING):
        tokens = read_tokens(str(path))
    assert tokens == (digest("0123456789abcdef"), digest("another-long-token-="))
    assert tokens[0] == hashlib.sha256(b"0123456789abcdef").digest()
    assert len(caplog.records) == 2
    assert "short" not in caplog.text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, Reason.MISSING),
        (b"\xff\xfe\x00", Reason.MALFORMED),
        (b"0123456789abcdef\n" * 1001, Reason.TOO_LARGE),
        (b"a" * (1 << 20) + b"\n", Reason.TOO_LARGE),
    ],
)
def test_a_file_that_cannot_be_used_is_a_trouble(tmp_path: Path, content: bytes | None, reason: Reason) -> None:
    """What is not there, no text, or far too much is named with its path."""
    path = tmp_path / "tokens"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Trouble) as trouble:
        read_tokens(str(path))
    assert trouble.value.reason is reason
    assert str(path) in trouble.value.message


def test_any_text_of_the_right_shape_is_a_hash() -> None:
    """Every character of its base64 is read, `.` and `/` among them."""
    hashed = read_hash(PASSLIB[:-43] + "/" * 42 + "8")
    assert hashed
    assert (hashed.rounds, hashed.digest) == (29000, b"\xff" * 32)

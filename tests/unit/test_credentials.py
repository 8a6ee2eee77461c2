# SPDX-License-Identifier: Apache-2.0
"""What is shown and trusted comes from files that others renew: read when they change, and never told."""

import threading
from pathlib import Path

import pytest

from inferometer.credentials import LONGEST_SECRET, Basic, Bearer, Tls
from inferometer.model import Reason, Trouble
from kubelet.certificates import issue


def trouble(made: Bearer | Basic) -> Trouble:
    with pytest.raises(Trouble) as caught:
        made.current()
    return caught.value


def test_a_secret_is_kept_until_it_is_renewed(tmp_path: Path) -> None:
    """A changed file counts when somebody asks again, and the same file is no other secret."""
    file = tmp_path / "token"
    file.write_text(" one \n")
    token = Bearer(str(file))
    assert token.current() == "Bearer one"
    file.write_text("two")
    assert token.current() == "Bearer one"
    assert token.renew()
    assert not token.renew()
    assert token.current() == "Bearer two"


def test_a_password_may_hold_what_a_token_may_not(tmp_path: Path) -> None:
    """Spaces at its ends and letters of any alphabet; no line but one."""
    file = tmp_path / "password"
    file.write_bytes(" pä ss \r\n".encode())
    assert Basic("u", str(file)).current() == "Basic dTogcMOkIHNzIA=="
    file.write_bytes(b"a\nb")
    assert trouble(Basic("u", str(file))).reason is Reason.MALFORMED


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"a b", b"hunter2\nhunter2", b"\x00", b"\xff", b"hunter2" * LONGEST_SECRET]
)
def test_what_is_no_token_is_named_by_its_file_alone(tmp_path: Path, content: bytes) -> None:
    """Its text is in no message."""
    file = tmp_path / "token"
    file.write_bytes(content)
    found = trouble(Bearer(str(file)))
    assert (found.reason, str(file) in found.message) == (Reason.MALFORMED, True)
    assert "hunter2" not in found.told()


def test_a_context_is_made_once_for_each_content_of_its_files(tmp_path: Path) -> None:
    """Threads that ask at once get the same; another file in its place, by a link as Secrets are mounted, makes a new one."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        issue(tmp_path / name)
    data = tmp_path / "data"
    data.symlink_to(tmp_path / "one")
    tls = Tls(ca_file=str(data / "ca.crt"))
    made: list[object] = []
    threads = [threading.Thread(target=lambda: made.append(tls.context())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, made))) == 1
    (tmp_path / "next").symlink_to(tmp_path / "two")
    (tmp_path / "next").replace(data)
    assert tls.context() is not made[0]


def test_a_file_that_is_gone_is_trouble_until_it_is_back(tmp_path: Path) -> None:
    """What was trusted before does not go on counting."""
    ca = issue(tmp_path).ca
    tls = Tls(ca_file=str(ca))
    tls.context()
    ca.rename(tmp_path / "away")
    with pytest.raises(Trouble, match="no such file"):
        tls.context()
    (tmp_path / "away").rename(ca)
    assert tls.context().get_ca_certs()

# SPDX-License-Identifier: Apache-2.0
"""Who gets in: over real sockets, with tokens, names and passwords from files, and the API server's word."""

import base64
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inferometer import config
from inferometer.client import Client
from inferometer.credentials import trust_file
from inferometer.model import Reason, Trouble
from inferometer.server import Reviews, Tally, passwords
from inferometer.server.passwords import Hashed, hash_password, is_password
from kubelet.certificates import issue
from kubelet.reviews import ReviewServer
from serving import PAGE, PATIENCE, Start, ask, say, wait_until

TOKEN = "0123456789abcdef-one"
OTHER = "0123456789abcdef-two"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def counted(tally: Tally) -> dict[str, int]:
    return {reason: count for reason, count in tally.refusals.items() if count}


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture(scope="module")
def hashed() -> str:
    return hash_password("open sesame")


@pytest.fixture
def users(tmp_path: Path, hashed: str) -> Path:
    path = tmp_path / "users"
    path.write_text(f"jane:{hashed}\n")
    return path


# --- tokens in a file ---


def test_a_token_opens_the_pages(start: Start, tokens: Path) -> None:
    """Without one of the file's tokens /metrics, /metrics/dcgm and the status page answer 401 with a challenge, and are counted."""
    tally = Tally()
    _, port = start(auth=config.ServerAuth(tokens_file=str(tokens)), tally=tally)
    for path in ("/metrics", "/metrics/dcgm", "/"):
        response, body = ask(port, path)
        assert response.status == 401
        assert response.headers.get_all("WWW-Authenticate") == ['Bearer realm="inferometer"']
        assert PAGE not in body
        assert ask(port, path, Authorization=f"Bearer {OTHER}")[0].status == 401
        assert ask(port, path, Authorization=basic("jane", TOKEN))[0].status == 401
        assert ask(port, path, Authorization=f"bearer  {TOKEN}")[0].status == 200
    assert counted(tally) == {"no_credentials": 6, "bad_credentials": 3}


def test_the_kubelets_probes_need_no_credentials(start: Start, tokens: Path) -> None:
    """/healthz and /readyz say nothing of anybody and are open; so is what is not there, or not allowed at all."""
    _, port = start(auth=config.ServerAuth(tokens_file=str(tokens)))
    statuses = {path: ask(port, path)[0].status for path in ("/healthz", "/readyz", "/nothing", "/metrics/")}
    assert statuses == {"/healthz": 200, "/readyz": 200, "/nothing": 404, "/metrics/": 404}
    assert ask(port, method="POST")[0].status == 405


@pytest.mark.parametrize(
    "target", ["/metrics", "/metrics?a=b", "http://a/metrics", "//", "/", "/./metrics", "/%6detrics"]
)
def test_no_way_to_write_the_path_leads_round_the_gate(start: Start, tokens: Path, target: str) -> None:
    """However the path is written: without credentials nobody sees the page."""
    _, port = start(auth=config.ServerAuth(tokens_file=str(tokens)))
    answer = say(port, f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert answer[9:12] in {b"401", b"404"}


def test_who_may_not_see_the_page_is_not_told_of_it_either(start: Start, tokens: Path) -> None:
    """HEAD and If-None-Match are no way to learn anything without credentials."""
    _, port = start(auth=config.ServerAuth(tokens_file=str(tokens)))
    etag = ask(port, Authorization=f"Bearer {TOKEN}")[0].headers["ETag"]
    for method in ("GET", "HEAD"):
        response, _ = ask(port, method=method, If_None_Match=etag)
        assert response.status == 401
        assert response.headers["ETag"] is None


def test_credentials_that_stand_twice_are_none(start: Start, tokens: Path) -> None:
    """Two Authorization headers are not one of them."""
    _, port = start(auth=config.ServerAuth(tokens_file=str(tokens)))
    twice = f"Authorization: Bearer {OTHER}\r\nAuthorization: Bearer {TOKEN}\r\n"
    answer = say(port, f"GET /metrics HTTP/1.0\r\n{twice}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_tokens_are_read_again_when_the_file_changes(start: Start, tokens: Path) -> None:
    """A new token counts with the next request, and one that was taken out does not any more."""
    _, port = start(auth=config.ServerAuth(tokens_file=str(tokens)))
    assert ask(port, Authorization=f"Bearer {TOKEN}")[0].status == 200
    tokens.write_text(f"{TOKEN}\n{OTHER}\n")
    assert [ask(port, Authorization=f"Bearer {each}")[0].status for each in (TOKEN, OTHER)] == [200, 200]
    tokens.write_text(f"# empty but for {OTHER}\n{OTHER}\n")
    assert [ask(port, Authorization=f"Bearer {each}")[0].status for each in (TOKEN, OTHER)] == [401, 200]


def test_without_its_file_nobody_gets_in(start: Start, tokens: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is gone, or no text, lets nobody in: 503, logged once, counted, and it heals by itself."""
    tally = Tally()
    _, port = start(auth=config.ServerAuth(tokens_file=str(tokens)), tally=tally)
    with caplog.at_level(logging.INFO):
        tokens.unlink()
        for _ in range(3):
            response, _ = ask(port, Authorization=f"Bearer {TOKEN}")
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
        tokens.write_bytes(b"\xff\xff")
        assert ask(port, Authorization=f"Bearer {TOKEN}")[0].status == 503
        assert ask(port)[0].status == 401
        assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
        tokens.write_text(TOKEN)
        assert ask(port, Authorization=f"Bearer {TOKEN}")[0].status == 200
    assert tally.files["tokens"] == 2
    assert counted(tally) == {"undecided": 4, "no_credentials": 1}
    assert TOKEN not in caplog.text


def test_an_empty_file_lets_nobody_in(start: Start, tokens: Path) -> None:
    """A file without a token is no way to switch the gate off."""
    tokens.write_text("")
    _, port = start(auth=config.ServerAuth(tokens_file=str(tokens)))
    assert ask(port)[0].status == 401
    assert ask(port, Authorization="Bearer ")[0].status == 401


def test_what_is_not_there_at_the_start_is_a_trouble(start: Start, tmp_path: Path) -> None:
    """The endpoint never begins open because a file of its own is missing."""
    missing = str(tmp_path / "no")
    for auth in (config.ServerAuth(tokens_file=missing), config.ServerAuth(users_file=missing)):
        with pytest.raises(Trouble) as trouble:
            start(auth=auth)
        assert trouble.value.reason is Reason.MISSING
        assert missing in trouble.value.message
    with pytest.raises(Trouble, match="no API server"):
        start(auth=config.ServerAuth(token_review=True))


def test_credentials_in_the_clear_are_warned_of(start: Start, tokens: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asks for credentials without TLS is told at the start that others can read them."""
    start(auth=config.ServerAuth(tokens_file=str(tokens)))
    assert "server.tls" in caplog.text


# --- names and passwords ---


def test_a_name_and_password_open_the_page(start: Start, users: Path) -> None:
    """The right password gets in; a wrong one, another's name and nonsense do not, and are told how to ask."""
    tally = Tally()
    _, port = start(auth=config.ServerAuth(users_file=str(users)), tally=tally)
    assert ask(port, Authorization=basic("jane", "open sesame"))[0].status == 200
    nonsense = ("Basic", "Basic !!!", "Basic amFuZQ==", "Basic " + base64.b64encode(b"\xff:a").decode())
    for wrong in (basic("jane", "open"), basic("joe", "open sesame"), *nonsense):
        response, _ = ask(port, Authorization=wrong)
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == 'Basic realm="inferometer", charset="UTF-8"'
    assert counted(tally) == {"bad_credentials": 6}


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The passwords that were hashed."""
    tried: list[bytes] = []

    def noting(hashed: Hashed, password: bytes) -> bool:
        tried.append(password)
        return is_password(hashed, password)

    monkeypatch.setattr("inferometer.server.gate.is_password", noting)
    return tried


def test_a_password_that_was_right_costs_once(start: Start, users: Path, tried: list[bytes]) -> None:
    """A scraper's password is hashed at its first scrape, and again when the user's line has changed."""
    _, port = start(auth=config.ServerAuth(users_file=str(users)))
    for _ in range(5):
        assert ask(port, Authorization=basic("jane", "open sesame"))[0].status == 200
    assert tried == [b"open sesame"]
    users.write_text(f"jane:{hash_password('open barley')}\n")
    assert ask(port, Authorization=basic("jane", "open sesame"))[0].status == 401
    assert ask(port, Authorization=basic("jane", "open barley"))[0].status == 200
    assert tried == [b"open sesame", b"open sesame", b"open barley"]


def test_who_was_taken_out_does_not_get_in_any_more(start: Start, users: Path, hashed: str) -> None:
    """That a password was right once is forgotten with its line."""
    _, port = start(auth=config.ServerAuth(users_file=str(users)))
    assert ask(port, Authorization=basic("jane", "open sesame"))[0].status == 200
    users.write_text(f"joe:{hashed}\n")
    assert ask(port, Authorization=basic("jane", "open sesame"))[0].status == 401
    assert ask(port, Authorization=basic("joe", "open sesame"))[0].status == 200


def test_guessing_is_limited_and_harms_no_scraper(
    start: Start, users: Path, tried: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond ten guesses at once, and one a second, passwords are not even tried: 429. Who is known goes on."""
    monkeypatch.setattr(passwords, "ROUNDS", 1000)  # what a guess costs is not of interest here
    users.write_text(f"jane:{hash_password('open sesame')}\n")
    tally = Tally()
    _, port = start(auth=config.ServerAuth(users_file=str(users)), tally=tally)
    assert ask(port, Authorization=basic("jane", "open sesame"))[0].status == 200
    with ThreadPoolExecutor(8) as pool:
        guesses = [basic("jane" if number % 2 else "joe", str(number)) for number in range(200)]
        statuses = list(pool.map(lambda guess: ask(port, Authorization=guess)[0].status, guesses))
    assert set(statuses) == {401, 429}
    assert statuses.count(429) == tally.refusals["limited"]
    assert len(tried) == 1 + statuses.count(401)
    assert len(tried) < 100  # ten, and one for each second that the two hundred took
    assert ask(port, Authorization=basic("jane", "open sesame"))[0].status == 200


# --- the API server ---


@pytest.fixture
def reviewed(start: Start, tmp_path: Path, tokens: Path) -> Iterator[tuple[int, ReviewServer, Tally]]:
    """An endpoint that asks an API server, and takes a file's tokens too."""
    folder = tmp_path / "api"
    folder.mkdir()
    files = issue(folder)
    own = tmp_path / "own"
    own.write_text("a-token")
    with ReviewServer(files) as api:
        api.users = {"of-prometheus": "prometheus", "of-joe": "joe"}
        api.readers = {"prometheus"}
        trust = trust_file(str(files.ca))
        reviews = Reviews(
            lambda: Client(deadline=PATIENCE, max_body=1 << 20, trust=trust, token_file=str(own)),
            api.url,
            (),
            60.0,
            PATIENCE,
        )
        tally = Tally()
        auth = config.ServerAuth(token_review=True, tokens_file=str(tokens))
        _, port = start(auth=auth, tally=tally, reviews=reviews)
        yield port, api, tally
        api.released.set()


def test_the_api_servers_word_counts(reviewed: tuple[int, ReviewServer, Tally]) -> None:
    """Who may is served, who may not gets 403, who is nobody 401; a token of the file is not even asked for."""
    port, api, tally = reviewed
    shown = {
        token: ask(port, Authorization=f"Bearer {token}")[0].status for token in ("of-prometheus", "of-joe", "of-x")
    }
    assert shown == {"of-prometheus": 200, "of-joe": 403, "of-x": 401}
    asked = len(api.asked)
    assert ask(port, Authorization=f"Bearer {TOKEN}")[0].status == 200
    assert len(api.asked) == asked
    assert counted(tally) == {"forbidden": 1, "bad_credentials": 1}


def test_without_the_api_server_nobody_new_gets_in(reviewed: tuple[int, ReviewServer, Tally]) -> None:
    """What it has said goes on, what it has not said is 503; what does not depend on it goes on."""
    port, api, tally = reviewed
    assert ask(port, Authorization="Bearer of-prometheus")[0].status == 200
    api.fault = 500
    assert ask(port, Authorization="Bearer of-prometheus")[0].status == 200
    response, body = ask(port, Authorization="Bearer of-joe")
    assert (response.status, response.headers["Retry-After"]) == (503, "5")
    assert b"of-joe" not in body
    assert ask(port, Authorization=f"Bearer {TOKEN}")[0].status == 200
    assert ask(port, "/healthz")[0].status == 200
    assert counted(tally) == {"undecided": 1}


def test_an_api_server_that_hangs_holds_up_only_who_needs_it(reviewed: tuple[int, ReviewServer, Tally]) -> None:
    """While one token is reviewed, pages are served to everybody who is known, and the probes are answered."""
    port, api, _ = reviewed
    assert ask(port, Authorization="Bearer of-prometheus")[0].status == 200
    api.fault = "hang"
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(ask, port, Authorization="Bearer of-joe")
        wait_until(lambda: len(api.asked) == 3)
        assert ask(port, Authorization="Bearer of-prometheus")[0].status == 200
        assert ask(port, "/readyz")[0].status == 200
        assert not stuck.done()
        api.released.set()
        assert stuck.result(PATIENCE)[0].status == 503

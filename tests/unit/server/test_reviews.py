# SPDX-License-Identifier: Apache-2.0
"""Tokens that the API server reviews: who is let in, for how long, and what happens while it cannot be asked."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inferometer.client import Client
from inferometer.credentials import trust_file
from inferometer.server.reviews import Reviews, Verdict
from kubelet.certificates import Certificates, issue
from kubelet.reviews import ReviewServer
from serving import PATIENCE, wait_until

ALLOWED, UNKNOWN, FORBIDDEN, UNDECIDED = Verdict

Make = Callable[..., Reviews]


class Clock:
    """Monotonic seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return issue(tmp_path)


@pytest.fixture
def api(files: Certificates) -> Iterator[ReviewServer]:
    with ReviewServer(files) as api:
        api.users = {"of-prometheus": "system:serviceaccount:monitoring:prometheus", "of-joe": "joe"}
        api.readers = {"system:serviceaccount:monitoring:prometheus"}
        yield api


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(api: ReviewServer, files: Certificates, tmp_path: Path, clock: Clock) -> Iterator[Make]:
    """Make the reviews of a token's file, with a clock that stands still."""
    (tmp_path / "token").write_text("a-token")
    made: list[Reviews] = []

    def make_one(*, audiences: tuple[str, ...] = (), deadline: float = PATIENCE, patience: float = PATIENCE) -> Reviews:
        trust = trust_file(str(files.ca))
        token = str(tmp_path / "token")
        reviews = Reviews(
            lambda: Client(deadline=deadline, max_body=1 << 20, trust=trust, token_file=token),
            api.url,
            audiences,
            60.0,
            patience,
            clock,
        )
        reviews.open()
        made.append(reviews)
        return reviews

    yield make_one
    for reviews in made:
        reviews.close()


def test_the_api_server_says_who_may(make: Make, api: ReviewServer) -> None:
    """A token of somebody who may get /metrics is let in; another's is forbidden, nobody's is unknown."""
    reviews = make()
    assert [reviews.judge(token) for token in ("of-prometheus", "of-joe", "of-nobody")] == [ALLOWED, FORBIDDEN, UNKNOWN]
    spec = dict(api.asked)["SubjectAccessReview"]
    assert spec["nonResourceAttributes"] == {"path": "/metrics", "verb": "get"}
    assert spec["groups"] == ["system:serviceaccounts", "system:authenticated"]
    assert spec["uid"] == "uid-of-joe"
    assert spec["extra"] == {"node": ["n1"]}


def test_an_answer_counts_for_a_while(make: Make, api: ReviewServer, clock: Clock) -> None:
    """Who was let in is asked for again after a minute, who was not after ten seconds: a new right is soon noticed."""
    reviews = make()
    for _ in range(5):
        assert reviews.judge("of-prometheus") is ALLOWED
        assert reviews.judge("of-joe") is FORBIDDEN
    assert (api.count("TokenReview"), api.count("SubjectAccessReview")) == (2, 2)
    api.readers = {"joe"}
    clock.now += 11
    assert reviews.judge("of-joe") is ALLOWED
    assert reviews.judge("of-prometheus") is ALLOWED
    clock.now += 50
    assert reviews.judge("of-prometheus") is FORBIDDEN


def test_a_token_for_another_audience_is_nobodys(make: Make, api: ReviewServer) -> None:
    """With audiences a token must be for one of them, and the API server must say that it has looked."""
    reviews = make(audiences=("inferometer", "metrics"))
    assert reviews.judge("of-prometheus") is UNKNOWN
    api.users["for-us"] = "system:serviceaccount:monitoring:prometheus"
    api.audiences["for-us"] = ["metrics"]
    assert reviews.judge("for-us") is ALLOWED
    assert api.asked[0][1]["audiences"] == ["inferometer", "metrics"]


def test_an_api_server_that_knows_no_audiences_has_not_looked(
    make: Make, api: ReviewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer without audiences is no answer to the question for which they were asked."""
    user = {"username": "system:serviceaccount:monitoring:prometheus"}
    monkeypatch.setattr(api, "review", lambda *_: {"authenticated": True, "user": user, "allowed": True})
    assert make(audiences=("inferometer",)).judge("of-prometheus") is UNKNOWN
    assert make().judge("of-prometheus") is ALLOWED


@pytest.mark.parametrize("fault", [500, 403, 404, 429, "html", "cut", "hang"])
def test_while_it_cannot_be_asked_old_answers_go_on_and_nobody_new_gets_in(
    make: Make, api: ReviewServer, clock: Clock, fault: int | str, caplog: pytest.LogCaptureFixture
) -> None:
    """What let in counts for five minutes in all; then, and for everybody else, it is undecided, never open."""
    reviews = make(deadline=0.5 if fault == "hang" else PATIENCE)
    if fault != "hang":  # the first answer may be slower than half a second
        assert reviews.judge("of-prometheus") is ALLOWED
        assert reviews.judge("of-joe") is FORBIDDEN
    api.fault = fault
    with caplog.at_level(logging.INFO):
        clock.now += 70
        if fault != "hang":
            assert reviews.judge("of-prometheus") is ALLOWED
        assert reviews.judge("of-joe") is UNDECIDED
        assert reviews.judge("of-nobody") is UNDECIDED
        clock.now += 231
        assert reviews.judge("of-prometheus") is UNDECIDED
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert "of-" not in caplog.text
        api.fault = None
        api.released.set()
        if fault != "hang":
            clock.now += 6
            assert reviews.judge("of-prometheus") is ALLOWED
            assert "again" in caplog.records[-1].getMessage()


def test_after_a_failure_it_is_left_alone_for_a_moment(make: Make, api: ReviewServer, clock: Clock) -> None:
    """Scrapes do not wait one after the other for an API server that is away: five seconds it is not asked."""
    reviews = make()
    api.fault = 503
    assert reviews.judge("of-prometheus") is UNDECIDED
    asked = len(api.asked)
    for _ in range(20):
        assert reviews.judge("of-prometheus") is UNDECIDED
    assert len(api.asked) == asked
    api.fault = None
    clock.now += 5
    assert reviews.judge("of-prometheus") is ALLOWED


def test_strangers_tokens_displace_nobody_and_do_not_flood_the_api_server(
    make: Make, api: ReviewServer, clock: Clock
) -> None:
    """However many tokens are tried, the API server gets fifty questions at once, five a second, and memory is bounded."""
    reviews = make()
    assert reviews.judge("of-prometheus") is ALLOWED
    verdicts = [reviews.judge(f"guess-{number}") for number in range(400)]
    assert set(verdicts) == {UNKNOWN, UNDECIDED}
    assert api.count("TokenReview") == 50
    for number in range(400):
        clock.now += 0.2
        reviews.judge(f"another-{number}")
        if number % 40 == 0:
            assert reviews.judge("of-prometheus") is ALLOWED
    assert len(reviews._denied) <= 256
    assert api.count("TokenReview") < 600


@pytest.mark.parametrize("token", ["", " ", "a b", "\xe9", "\x00", "odd"])
def test_what_is_no_token_is_nobodys_and_spoils_nothing(make: Make, token: str) -> None:
    """The API server refuses a review of nothing by 400: nobody can make it seem to be away by asking so."""
    reviews = make()
    assert reviews.judge(token) is UNKNOWN
    assert reviews.judge("of-prometheus") is ALLOWED


def test_no_token_is_kept(make: Make) -> None:
    """Neither what was let in nor what was not can be found in what is remembered."""
    reviews = make()
    reviews.judge("of-prometheus")
    reviews.judge("of-nobody")
    assert "of-" not in repr((reviews._allowed, reviews._denied))


def test_while_one_asks_an_old_answer_is_better_than_to_wait(make: Make, api: ReviewServer, clock: Clock) -> None:
    """A scrape whose answer is a little old does not wait for a question of somebody else's."""
    reviews = make()
    assert reviews.judge("of-prometheus") is ALLOWED
    clock.now += 70
    api.fault = "hang"
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(reviews.judge, "of-joe")
        wait_until(lambda: api.count("TokenReview") == 2)
        assert reviews.judge("of-prometheus") is ALLOWED
        assert not stuck.done()
        api.released.set()
        assert stuck.result(PATIENCE) is UNDECIDED


def test_many_at_once_with_one_token_are_one_question(make: Make, api: ReviewServer) -> None:
    """Sixteen scrapes that come together ask the API server once."""
    reviews = make()
    together = threading.Barrier(16)

    def judge(_: int) -> Verdict:
        together.wait(PATIENCE)
        return reviews.judge("of-prometheus")

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(judge, range(16))) == {ALLOWED}
    assert api.count("TokenReview") == 1


def test_closing_ends_a_question(make: Make, api: ReviewServer) -> None:
    """The endpoint's end does not wait for an API server that hangs."""
    reviews = make()
    api.fault = "hang"
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(reviews.judge, "of-joe")
        wait_until(lambda: api.count("TokenReview") == 1)
        reviews.close()
        assert stuck.result(PATIENCE) is UNDECIDED

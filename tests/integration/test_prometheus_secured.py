# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes an endpoint that asks who it is: TLS, client certificates, tokens, names and passwords."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from inferometer.client import Client
from inferometer.config import Server, ServerAuth, ServerTls
from inferometer.credentials import trust_file
from inferometer.server import Published, Reviews
from inferometer.server.passwords import hash_password
from inferometer.simulation.node import SimulatedNode
from integration.agents import agent_on, scrape_job
from integration.backends import Prometheus
from integration.programs import Needs
from kubelet.certificates import Certificates, issue
from kubelet.reviews import ReviewServer
from serving import PATIENCE, SNAPSHOT, starting
from whole.agents import await_that

TOKEN, PASSWORD = "a-token-of-the-scraper", "open sésame"
# Of another password, by the fewest rounds that are taken: with as many as there should be, a machine that has other things to
# do takes longer to refuse than the scraper waits.
ANOTHER = "$pbkdf2-sha256$1000$SBHbvz1rZI/ygbLJXNmigw$UFr2Gs699sXzEy5h/UcpvujF5DWaLtb.gftP.bCah6w"


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    """The server's."""
    (tmp_path / "server").mkdir()
    return issue(tmp_path / "server")


@pytest.fixture
def client(tmp_path: Path) -> Certificates:
    """The scraper's."""
    (tmp_path / "client").mkdir()
    return issue(tmp_path / "client", name="prometheus")


@pytest.fixture
def secured(files: Certificates, client: Certificates, tmp_path: Path) -> Server:
    """An endpoint that asks for a client certificate, and for a token or a password."""
    (tmp_path / "tokens").write_text(f"{TOKEN}\n")
    (tmp_path / "users").write_text(f"jane:{hash_password(PASSWORD)}\n")
    return Server(
        tls=ServerTls(str(files.certificate), str(files.key), str(client.ca), ("prometheus",)),
        auth=ServerAuth(tokens_file=str(tmp_path / "tokens"), users_file=str(tmp_path / "users")),
    )


def tls_config(files: Certificates, client: Certificates | None = None) -> dict[str, str]:
    """Give Prometheus' `tls_config`."""
    trust = {"ca_file": str(files.ca)}
    return {**trust, "cert_file": str(client.certificate), "key_file": str(client.key)} if client else trust


def await_target(prometheus: Prometheus, health: str, said: str = "") -> None:
    """Wait until Prometheus thinks this of its target; its first scrape may have come too late for a deadline of 500 ms."""

    def is_so() -> bool:
        return [(each["health"], said in each["lastError"]) for each in prometheus.targets()] == [(health, True)]

    await_that(is_so, f"a target that is {health}: {said}")


@pytest.mark.parametrize("by", ["token", "password"])
def test_prometheus_shows_a_certificate_and_credentials(
    node: SimulatedNode,
    secured: Server,
    files: Certificates,
    client: Certificates,
    tmp_path: Path,
    needs: Needs,
    by: str,
) -> None:
    """With both it scrapes the agent by https, goes on when the certificate is renewed, and stops when they are changed."""
    needs("prometheus")
    credentials: dict[str, object] = {"authorization": {"credentials": TOKEN}}
    if by == "password":
        credentials = {"basic_auth": {"username": "jane", "password": PASSWORD}}
    # No oftener than passwords may be tried.
    pace = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    options = {"scheme": "https", "tls_config": tls_config(files, client), **credentials, **pace}
    with (
        agent_on(node, server=secured) as agent,
        Prometheus(tmp_path / "scraper", scrape=[scrape_job(agent, **options)]) as prometheus,
    ):
        await_that(lambda: prometheus.query("scrape_samples_scraped > 700"), "a scrape")
        await_target(prometheus, "up")
        assert [each["scrapeUrl"].partition(":")[0] for each in prometheus.targets()] == ["https"]

        renewed = issue(tmp_path / "server")  # of another authority: Prometheus reads its file again, too
        assert renewed == files
        since = time.time()
        await_that(lambda: prometheus.query(f"up == 1 and timestamp(up) > {since + 2}"), "scrapes after")

        (tmp_path / "tokens").write_text("another-token-than-that\n")
        (tmp_path / "users").write_text(f"jane:{ANOTHER}\n")
        await_target(prometheus, "down", "401")


@pytest.mark.parametrize(
    ("with_certificate", "with_token", "said"),
    [(False, True, "403"), (True, False, "401")],
    ids=["no certificate", "no token"],
)
def test_one_of_the_two_is_not_enough(
    node: SimulatedNode,
    secured: Server,
    files: Certificates,
    client: Certificates,
    tmp_path: Path,
    needs: Needs,
    with_certificate: bool,
    with_token: bool,
    said: str,
) -> None:
    """Without a certificate, or without credentials, Prometheus is told which status it got."""
    needs("prometheus")
    options: dict[str, object] = {
        "scheme": "https",
        "tls_config": tls_config(files, client if with_certificate else None),
        **({"authorization": {"credentials": TOKEN}} if with_token else {}),
    }
    with (
        agent_on(node, server=secured) as agent,
        Prometheus(tmp_path / "scraper", scrape=[scrape_job(agent, **options)]) as prometheus,
    ):
        await_target(prometheus, "down", said)


@pytest.fixture
def reviewed(files: Certificates, tmp_path: Path) -> Iterator[tuple[str, ReviewServer]]:
    """An endpoint by TLS that has tokens reviewed, and the API server that does."""
    with ExitStack() as stack:
        api = stack.enter_context(ReviewServer(files))
        api.users, api.readers = {"of-prometheus": "prometheus", "of-joe": "joe"}, {"prometheus"}
        (tmp_path / "own").write_text(api.token)
        reviews = Reviews(
            lambda: Client(
                deadline=PATIENCE, max_body=1 << 20, trust=trust_file(str(files.ca)), token_file=str(tmp_path / "own")
            ),
            api.url,
            (),
            60.0,
            PATIENCE,
        )
        start = stack.enter_context(starting())
        pages = Published({"text": lambda _: b"seen 1\n", "openmetrics": lambda _: b"seen 1\n# EOF\n"})
        pages.publish(SNAPSHOT)
        tls = ServerTls(str(files.certificate), str(files.key))
        server, _ = start(pages, tls=tls, auth=ServerAuth(token_review=True), reviews=reviews)
        yield server.url, api


@pytest.mark.parametrize(("token", "health", "said"), [("of-prometheus", "up", ""), ("of-joe", "down", "403")])
def test_prometheus_shows_a_token_that_is_reviewed(
    reviewed: tuple[str, ReviewServer],
    files: Certificates,
    tmp_path: Path,
    needs: Needs,
    token: str,
    health: str,
    said: str,
) -> None:
    """With the token of a service account that may get /metrics it scrapes; one review serves many scrapes."""
    needs("prometheus")
    url, api = reviewed
    job = {
        "job_name": "reviewed",
        "scheme": "https",
        "tls_config": tls_config(files),
        "authorization": {"credentials": token},
        "static_configs": [{"targets": [url.partition("://")[2]]}],
    }
    with Prometheus(tmp_path / "scraper", scrape=[job]) as prometheus:
        await_target(prometheus, health, said)
        if health == "up":
            await_that(lambda: prometheus.query("count_over_time(seen[30s]) >= 4"), "four scrapes")
            assert api.count("TokenReview") == 1

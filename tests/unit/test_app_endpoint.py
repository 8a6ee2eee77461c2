# SPDX-License-Identifier: Apache-2.0
"""The endpoint as the configuration has it: the way to the API server, and what the agent tells of those it turned away."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inferometer.app.endpoint import is_moved, make_server
from inferometer.config import Config, Pods, Seconds, ServerAuth
from inferometer.model import Reason, Trouble
from inferometer.server import Tally
from inferometer.sources.identity.traffic import Traffic
from kubelet.certificates import issue
from kubelet.reviews import ReviewServer
from serving import PAGE, ask, published


def configured(pods: Pods, auth: ServerAuth) -> Config:
    base = Config()
    server = replace(base.server, listen="127.0.0.1:0", auth=auth)
    return replace(base, server=server, identity=replace(base.identity, pods=pods))


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ReviewServer]:
    with ReviewServer(issue(tmp_path)) as api:
        api.users, api.readers = {"of-prometheus": "prometheus"}, {"prometheus"}
        yield api


def test_tokens_are_reviewed_where_pods_are_asked_for(api: ReviewServer, tmp_path: Path) -> None:
    """The API server, its CA and the agent's token are those of `identity.pods`; what is asked is counted with the rest."""
    (tmp_path / "token").write_text("a-token")
    pods = Pods(
        server=api.url, token_file=str(tmp_path / "token"), ca_file=str(tmp_path / "ca.crt"), deadline=Seconds(30)
    )
    config, traffic, tally = configured(pods, ServerAuth(token_review=True)), Traffic(), Tally()
    server = make_server(config, {}, published(), lambda: (True, "ok"), tally, traffic)
    server.start()
    try:
        port = int(server.url.rpartition(":")[2])
        assert ask(port, Authorization="Bearer of-prometheus")[1] == PAGE
        assert ask(port, Authorization="Bearer of-nobody")[0].status == 401
    finally:
        server.close()
    asked = {key: requests for key, (requests, _) in traffic.counts.items()}
    assert asked == {("create", "tokenreviews"): 2, ("create", "subjectaccessreviews"): 1}
    assert tally.refusals["bad_credentials"] == 1


@pytest.mark.parametrize(("server", "reason"), [("", Reason.MISSING), ("http://127.0.0.1:1", Reason.MALFORMED)])
def test_without_a_safe_way_to_the_api_server_it_does_not_start(server: str, reason: Reason) -> None:
    """Somebody's token is never sent in the clear, and a gate that nobody can open is not built."""
    config = configured(Pods(server=server), ServerAuth(token_review=True))
    made = make_server(config, {}, published(), lambda: (True, "ok"), Tally(), Traffic())
    with pytest.raises(Trouble) as trouble:
        made.start()
    assert trouble.value.reason is reason
    made.close()


def test_what_makes_the_endpoint_another() -> None:
    """Its own keys, and where it reviews tokens those of the API server."""
    open_one = configured(Pods(), ServerAuth())
    reviewing = configured(Pods(), ServerAuth(token_review=True))
    other = Pods(server="https://b")
    assert is_moved(open_one, reviewing)
    assert is_moved(reviewing, configured(other, ServerAuth(token_review=True)))
    assert not is_moved(open_one, configured(other, ServerAuth()))

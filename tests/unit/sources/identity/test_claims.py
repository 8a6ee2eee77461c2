# SPDX-License-Identifier: Apache-2.0
"""The claims that local pods use, read one by one from the API server."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from inferometer import config
from inferometer.model import AllocatedClaim, Grant, Reason, Trouble
from inferometer.sources.identity import claims as module
from inferometer.sources.identity.claims import Claims, project
from kubelet.api import ApiServer
from kubelet.certificates import Certificates, issue

RECORDED = Path(__file__).parents[3] / "fixtures" / "kubelet" / "api_dra_1.36.json"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def api(certificates: Certificates) -> Iterator[ApiServer]:
    with ApiServer(certificates) as server:
        yield server


@pytest.fixture
def source(api: ApiServer, certificates: Certificates, tmp_path: Path) -> Iterator[Claims]:
    (tmp_path / "token").write_text(api.token)
    settings = config.Pods(
        server=api.url,
        token_file=str(tmp_path / "token"),
        ca_file=str(certificates.ca),
        deadline=config.Seconds(3),
        max_body=config.Size(1 << 20),
    )
    with closing(Claims(settings, 5.0)) as source:
        yield source


def claim(name: str = "x", uid: str = "uid-x", *, admin: bool = False) -> Any:
    result = {"request": "gpus", "driver": "gpu.nvidia.com", "pool": "n1", "device": "gpu-0"}
    if admin:
        result["adminAccess"] = True  # type: ignore[assignment]  # JSON, of mixed types
    return {
        "metadata": {"namespace": "ns", "name": name, "uid": uid},
        "status": {"allocation": {"devices": {"results": [result]}}},
    }


def wanted(*claims: tuple[str, str | None]) -> frozenset[tuple[str, str, str | None]]:
    return frozenset(("ns", name, uid) for name, uid in claims)


def test_the_recorded_claims_tell_requests_and_admin_access() -> None:
    """A real API server's answer: two requests of one claim, a prioritized alternative, an observer of all GPUs."""
    items = json.loads(RECORDED.read_text())["items"]
    recorded = {c["metadata"]["name"]: project(c) for c in items if c["kind"] == "ResourceClaim"}

    assert [(g.device, g.request, g.admin) for g in recorded["two-g-xbpqm"].grants] == [
        ("gpu-7", "a", False),
        ("gpu-1", "b/any", False),
    ]
    assert {g.admin for g in recorded["watcher-g-qx7c5"].grants} == {True}
    assert len(recorded["watcher-g-qx7c5"].grants) == 8
    assert recorded["ext1-extended-resources-chcf8"].uid == "b2af79cd-8241-4efb-ad54-9433250cc406"


def test_only_the_claims_that_are_wanted_are_asked_for_and_once(api: ApiServer, source: Claims) -> None:
    """One GET for a claim, however often the source is read."""
    api.put_claim(claim("x"))
    api.put_claim(claim("other", "uid-o"))
    source.aim(wanted(("x", "uid-x")))

    for _ in range(3):
        read = source.read()

    assert read == (AllocatedClaim("ns", "x", "uid-x", (Grant("gpus", "gpu.nvidia.com", "n1", "gpu-0"),)),)
    assert len(api.claims_asked) == 1


def test_nothing_is_asked_where_no_pod_uses_a_claim(api: ApiServer, source: Claims) -> None:
    """A node without claims costs the API server nothing."""
    assert source.read() == ()
    assert api.claims_asked == []


def test_a_claim_that_is_no_longer_wanted_is_forgotten(api: ApiServer, source: Claims) -> None:
    """What no pod uses any more is dropped at once."""
    api.put_claim(claim("x"))
    source.aim(wanted(("x", "uid-x")))
    source.read()

    source.aim(wanted())

    assert source.read() == ()


def test_a_claim_made_again_under_its_name_is_read_again(
    api: ApiServer, source: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node's UID differs from the one that was read: the claim is asked for anew."""
    monkeypatch.setattr(module, "AGE", (600.0, 600.0))
    monkeypatch.setattr(module, "AGAIN", 0.0)
    api.put_claim(claim("x", "uid-1"))
    source.aim(wanted(("x", "uid-1")))
    source.read()
    api.put_claim(claim("x", "uid-2"))

    source.aim(wanted(("x", "uid-2")))

    assert [c.uid for c in source.read()] == ["uid-2"]


def test_a_claim_that_is_gone_is_no_trouble(api: ApiServer, source: Claims) -> None:
    """Not found is an answer: the claim is left out, and not asked for again at once."""
    api.put_claim(claim("x"))
    source.aim(wanted(("x", "uid-x"), ("gone", "uid-g")))

    assert [c.name for c in source.read()] == ["x"]
    source.read()
    assert sum(path.endswith("/gone") for path in api.claims_asked) == 1


@pytest.mark.parametrize(
    ("fault", "reason", "says"),
    [
        (403, Reason.PERMISSION, "reading claim ns/x is not allowed"),
        (401, Reason.PERMISSION, "401"),
        (500, Reason.REJECTED, "500 for claim ns/x"),
        ("html", Reason.MALFORMED, "has no form that is known"),
    ],
)
def test_a_refusal_names_the_claim_and_is_not_repeated_at_once(
    api: ApiServer, source: Claims, fault: int | str, reason: Reason, says: str
) -> None:
    """The trouble says what and where; the API server is left alone for a while."""
    api.claim_fault = fault
    source.aim(wanted(("x", "uid-x")))

    for _ in range(3):
        with pytest.raises(Trouble) as caught:
            source.read()

    assert caught.value.reason is reason
    assert says in caught.value.message
    assert len(api.claims_asked) == 1


def test_a_claim_that_cannot_be_read_takes_nothing_from_the_others(api: ApiServer, source: Claims) -> None:
    """One broken claim among three: the two others are known, and it is asked for again only after a pause."""
    for name in ("a", "c"):
        api.put_claim(claim(name, f"uid-{name}"))
    api.put_claim({"metadata": {"namespace": "ns", "name": "b"}})
    source.aim(wanted(("a", "uid-a"), ("b", "uid-b"), ("c", "uid-c")))

    first, second = source.read(), source.read()

    assert [c.name for c in first] == [c.name for c in second] == ["a", "c"]
    assert sum(path.endswith("/b") for path in api.claims_asked) == 1


def test_what_is_known_holds_while_the_api_server_is_away(
    api: ApiServer, source: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An allocation does not change under a running pod: an outage of the API server does not unmake an owner."""
    monkeypatch.setattr(module, "AGE", (0.0, 0.0))
    api.put_claim(claim("x"))
    source.aim(wanted(("x", "uid-x")))
    source.read()
    api.claim_fault = 500

    assert [c.name for c in source.read()] == ["x"]
    assert len(api.claims_asked) == 2


def test_the_missing_right_is_named(api: ApiServer, source: Claims) -> None:
    """The remedy is the rule to grant."""
    api.claim_fault = 403
    source.aim(wanted(("x", "uid-x")))

    with pytest.raises(Trouble) as caught:
        source.read()

    assert '"resourceclaims"' in caught.value.remedy
    assert '"get"' in caught.value.remedy


def test_after_a_refusal_it_is_tried_again(api: ApiServer, source: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause ends."""
    monkeypatch.setattr(module, "BACKOFF", (0.0, 0.0))
    api.put_claim(claim("x"))
    api.claim_fault = 500
    source.aim(wanted(("x", "uid-x")))
    with pytest.raises(Trouble):
        source.read()
    api.claim_fault = None

    assert [c.name for c in source.read()] == ["x"]


def test_a_claim_that_is_not_allocated_grants_nothing() -> None:
    """A pending claim has no status; it is a claim all the same."""
    assert project({"metadata": {"namespace": "ns", "name": "x", "uid": "u"}}).grants == ()


@pytest.mark.parametrize("told", [[], {}, {"metadata": []}, {"metadata": {"name": "x"}}, claim() | {"status": 7}])
def test_another_form_is_refused(told: Any) -> None:
    """What is no ResourceClaim is said to be none."""
    with pytest.raises(ValueError, match="not a ResourceClaim"):
        project(told)

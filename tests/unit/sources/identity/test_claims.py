# SPDX-License-Identifier: Apache-2.0
"""The claims that local pods use, read one by one from the API server."""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from inferometer import config
from inferometer.model import AllocatedClaim, Grant, Reason, Trouble
from inferometer.sources.identity import refreshing as module
from inferometer.sources.identity.claims import Claims
from inferometer.sources.identity.traffic import Traffic
from inferometer.sources.identity.wanted import Wanted
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
        deadline=config.Seconds(30),
        max_body=config.Size(1 << 20),
    )
    with closing(Claims(config.Claims(source="api"), settings, 5.0)) as source:
        yield source


def claim(name: str = "x", uid: str = "uid-x", *, admin: bool = False) -> Any:
    result = {"request": "gpus", "driver": "gpu.nvidia.com", "pool": "n1", "device": "gpu-0"}
    if admin:
        result["adminAccess"] = True  # type: ignore[assignment]  # JSON, of mixed types
    return {
        "metadata": {"namespace": "ns", "name": name, "uid": uid},
        "status": {"allocation": {"devices": {"results": [result]}}},
    }


def wanted(*claims: tuple[str, str | None], users: Iterable[str] = (), device: str = "") -> frozenset[Wanted]:
    shown = frozenset({("gpu.nvidia.com", "n1", device)} if device else ())
    return frozenset(Wanted("ns", name, uid, frozenset(users), shown) for name, uid in claims)


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
    monkeypatch.setattr(module, "AGAIN", (0.0, 0.0))
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
        (429, Reason.REJECTED, "429 for claim ns/x"),
        (410, Reason.REJECTED, "410 for claim ns/x"),
        ("html", Reason.MALFORMED, "has no form that is known"),
        ("unserved", Reason.UNSUPPORTED, "resource.k8s.io/v1 is not served"),
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
    assert source.behind() == 0.0
    api.claim_fault = 500

    assert [c.name for c in source.read()] == ["x"]
    assert len(api.claims_asked) == 2
    assert source.behind() < source.behind()  # it is not renewed, and says for how long


def test_the_token_file_vanishes(api: ApiServer, source: Claims, tmp_path: Path) -> None:
    """What is known holds; of what is not the trouble says why, and who is asked with the old token refuses it."""
    api.put_claim(claim("x"))
    source.aim(wanted(("x", "uid-x")))
    source.read()
    (tmp_path / "token").unlink()
    api.token = "another"

    source.aim(wanted(("x", "uid-x"), ("y", "uid-y")))
    assert [c.name for c in source.read()] == ["x"]
    source.aim(wanted(("y", "uid-y")))
    with pytest.raises(Trouble) as caught:
        source.read()
    assert str(tmp_path / "token") in caught.value.message or caught.value.reason is Reason.PERMISSION


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


def test_a_claim_that_is_never_without_a_pod_is_read_once(
    api: ApiServer, source: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is reserved cannot be given back: pods that come and go change nothing, until none is left of those before."""
    monkeypatch.setattr(module, "AGAIN", (0.0, 0.0))
    api.put_claim(claim("x"))
    counts = []
    for users in ("a", "ab", "b", "bc", "", "c", "de", "d"):
        source.aim(wanted(("x", "uid-x"), users=users))
        source.read()
        counts.append(len(api.claims_asked))

    assert counts == [1, 1, 1, 1, 1, 1, 2, 2]


def test_other_devices_than_the_claims_own_are_a_sign(
    api: ApiServer, source: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelet shows what the claim has not: it was given back, and given something else."""
    monkeypatch.setattr(module, "AGAIN", (0.0, 0.0))
    api.put_claim(claim("x"))
    source.aim(wanted(("x", "uid-x"), device="gpu-0"))
    source.read()
    source.read()
    assert len(api.claims_asked) == 1
    other = claim("x")
    other["status"]["allocation"]["devices"]["results"][0]["device"] = "gpu-1"
    api.put_claim(other)

    assert source.aim(wanted(("x", "uid-x"), device="gpu-1"))
    assert [grant.device for claim in source.read() for grant in claim.grants] == ["gpu-1"]
    source.read()
    assert len(api.claims_asked) == 2


def test_a_claim_that_is_deleted_by_force_stays_what_its_pods_have(
    api: ApiServer, source: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its object is gone, its devices are still prepared: the kubelet shows the same UID."""
    monkeypatch.setattr(module, "AGE", (0.0, 0.0))
    api.put_claim(claim("x"))
    source.aim(wanted(("x", "uid-x")))
    source.read()
    api.claims.clear()

    assert [c.uid for c in source.read()] == ["uid-x"]
    source.aim(wanted(("x", "uid-of-another")))
    assert source.read() == ()


def test_one_refusal_speaks_for_all_claims_of_a_namespace(api: ApiServer, source: Claims) -> None:
    """An agent without the right does not ask two hundred times what it is told the first time."""
    api.claim_fault = 403
    there = wanted(*((f"c{number}", f"uid-{number}") for number in range(20)))
    source.aim(there | {Wanted("other", "x", "uid-x")})

    with pytest.raises(Trouble):
        source.read()

    assert len(api.claims_asked) == 2


def test_a_server_that_asks_to_be_left_alone_is(
    api: ApiServer, source: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """API priority and fairness answers 429 with a Retry-After: no other claim is asked for until then."""
    monkeypatch.setattr(module, "BACKOFF", (0.0, 0.0))
    api.claim_fault, api.retry_after = 429, "60"
    source.aim(wanted(("a", "uid-a"), ("b", "uid-b")))
    for _ in range(3):
        with pytest.raises(Trouble) as caught:
            source.read()

    assert caught.value.reason is Reason.REJECTED
    assert len(api.claims_asked) == 1


def test_a_slow_server_is_asked_bit_by_bit(api: ApiServer, source: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is given before the deadline; the rest comes with the next reads."""
    for name in "abc":
        api.put_claim(claim(name, f"uid-{name}"))
    source.aim(wanted(*((name, f"uid-{name}") for name in "abc")))
    source.deadline = 0.0  # the first answer is already late

    assert [len(source.read()) for _ in range(4)] == [1, 2, 3, 3]


def test_more_claims_than_the_allowance_are_read_bit_by_bit(
    api: ApiServer, certificates: Certificates, tmp_path: Path
) -> None:
    """Fifty at once and five a second; those that nobody knows come first."""
    now = 0.0
    names = [f"c{number:02}" for number in range(70)]
    for name in names:
        api.put_claim(claim(name, f"uid-{name}"))
    (tmp_path / "token").write_text(api.token)
    settings = config.Pods(
        server=api.url,
        token_file=str(tmp_path / "token"),
        ca_file=str(certificates.ca),
        deadline=config.Seconds(30),
    )
    traffic = Traffic(1.0, lambda: now)
    with closing(Claims(config.Claims(source="api"), settings, 1.0, traffic)) as source:
        source.deadline = 60.0  # whatever else this machine does
        source.aim(wanted(*((name, f"uid-{name}") for name in names)))

        def known(at: float) -> int:
            nonlocal now
            now = at
            return len(source.read())

        counts = [known(at) for at in (0.0, 0.0, 1.0, 2.0, 60.0)]

    assert counts == [50, 50, 55, 60, 70]
    requests, received = traffic.counts["get", "resourceclaims"]
    assert requests == 70
    assert received > 70 * 100


@pytest.fixture
def files(tmp_path: Path) -> config.Claims:
    """The files of a node on which claim ns/x was prepared."""
    device = {"PoolName": "n1", "DeviceName": "gpu-0", "RequestNames": ["gpus"]}
    state = {"ClaimUID": "uid-x", "ClaimName": "x", "Namespace": "ns", "DriverState": {"d": {"Devices": [device]}}}
    data = json.dumps({"ClaimInfoStateList": [state]})
    (tmp_path / "state").write_text(json.dumps({"Data": data, "Checksum": 0}))
    return config.Claims(
        state_file=str(tmp_path / "state"), checkpoint=str(tmp_path / "checkpoint"), cdi_dir=str(tmp_path)
    )


def test_without_the_right_the_nodes_own_files_are_read(
    api: ApiServer, certificates: Certificates, tmp_path: Path, files: config.Claims, caplog: pytest.LogCaptureFixture
) -> None:
    """A 403 is told once, with the remedy, and what the node knows of the claim is given, as incomplete."""
    (tmp_path / "token").write_text(api.token)
    api.claim_fault = 403
    settings = config.Pods(
        server=api.url,
        token_file=str(tmp_path / "token"),
        ca_file=str(certificates.ca),
        deadline=config.Seconds(30),
    )
    with closing(Claims(files, settings, 5.0)) as source:
        source.aim(wanted(("x", "uid-x"), ("elsewhere", "uid-e")))
        for _ in range(3):
            (found,) = source.read()

    assert (found.uid, found.grants, found.complete) == ("uid-x", (Grant("gpus", "d", "n1", "gpu-0"),), False)
    (told,) = caplog.messages
    assert "resourceclaims" in told
    assert "own files" in told


def test_without_an_api_server_the_files_are_all(files: config.Claims) -> None:
    """A claim that only a pod names is found by its name, one with another UID is another one."""
    with closing(Claims(files, None, 5.0)) as source:
        source.aim(wanted(("x", None)))
        assert [c.uid for c in source.read()] == ["uid-x"]
        source.aim(wanted(("x", "uid-of-before")))
        assert source.read() == ()


def test_without_either_what_is_missing_is_named(tmp_path: Path) -> None:
    """No API server and no file: the file is named, and both remedies."""
    settings = config.Claims(state_file=str(tmp_path / "none"), checkpoint=str(tmp_path / "no"))
    with closing(Claims(settings, None, 5.0)) as source:
        source.aim(wanted(("x", "uid-x")))
        with pytest.raises(Trouble) as caught:
            source.read()

    assert caught.value.reason is Reason.MISSING
    assert str(tmp_path / "none") in caught.value.message
    assert "resourceclaims" in caught.value.remedy

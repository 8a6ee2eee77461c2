# SPDX-License-Identifier: Apache-2.0
"""The map of who holds what: kept while nothing changes, how old and how complete it is, and what a claim adds to it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from frames import CONTEXT, frames, gpu, instance
from inferometer import catalog
from inferometer.join import Context, join
from inferometer.join.memo import Memo
from inferometer.model import AllocatedClaim, Allocation, Claim, Frames, Grant, Metric, Pod, PooledDevice, Snapshot

DRIVER = "gpu.nvidia.com"
POD = Pod("uid-a", "ns", "a", "Running", claims={"gpu": "c"})
HELD = Allocation("ns", "a", "main", "gpu-0", claim=Claim("ns", "c", DRIVER, "n1", "gpu-0", uid="uid-c"))
TOLD = AllocatedClaim("ns", "c", "uid-c", (Grant("r", DRIVER, "n1", "gpu-0"),))
PUBLISHED = PooledDevice(DRIVER, "n1", "gpu-0", "gpu", "GPU-0")


def fresh() -> Context:
    return replace(CONTEXT, memo=Memo())


def labelled(snapshot: Snapshot, metric: Metric) -> list[tuple[dict[str, str], object]]:
    """Give the points of a metric with their attributes, as far as they are there."""
    return [
        ({key: text for key, text in zip(metric.keys, p.attributes, strict=True) if text}, p.value)
        for p in snapshot.points
        if p.metric is metric
    ]


def info(*, claim: AllocatedClaim = TOLD, pods: Sequence[Pod] | None = (POD,)) -> dict[str, str]:
    """Give what the only holding's info says."""
    ((told, _),) = labelled(
        join(frames(devices=[gpu(0)], allocations=[HELD], pods=pods, claims=[claim]), fresh()), catalog.OWNER_INFO
    )
    return told


def level(seen: Frames) -> str:
    """Give the one level that is 1."""
    (told,) = [each for each, value in labelled(join(seen, fresh()), catalog.IDENTITY_LEVEL) if value == 1.0]
    return told["inferometer.identity.level"]


def test_what_nobody_changed_is_not_found_again() -> None:
    """Devices are made anew for each report, and are the same: so is who holds them."""
    context = fresh()
    first, second = (
        join(frames(devices=[gpu(0)], allocations=[HELD], pods=[POD], claims=[TOLD], passed=passed), context)
        for passed in (0, 5)
    )

    assert len(first.holdings) == 1
    assert second.holdings is first.holdings
    assert second.shares is first.shares


DEVICES = [gpu(0), gpu(1)]
BASE = {"devices": DEVICES, "allocations": [HELD], "pods": [POD], "claims": [TOLD], "slices": [PUBLISHED]}
CHANGES = [
    {"devices": [gpu(0)]},
    {"devices": [gpu(0, mig_enabled=True), instance(0, 0), gpu(1)]},
    {"devices": None},
    {"allocations": []},
    {"allocations": None},
    {"allocations": [replace(HELD, container="other")]},
    {"pods": [replace(POD, labels={"team": "red"})]},
    {"pods": [replace(POD, uid="uid-later")]},
    {"pods": None},
    {"claims": [replace(TOLD, grants=(replace(TOLD.grants[0], admin=True),))]},
    {"claims": None},
    {"slices": [replace(PUBLISHED, uuid="GPU-1")]},
    {"slices": None},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_whatever_changes_is_seen_at_once(change: dict[str, object]) -> None:
    """What is kept from one tick to the next changes no result."""
    context = fresh()
    seen = [frames(**{**BASE, **each}) for each in ({}, change, {})]  # type: ignore[arg-type]  # parameters of `frames`

    assert [join(tick, context) for tick in seen] == [join(tick, fresh()) for tick in seen]


def test_another_context_has_a_picture_of_its_own() -> None:
    """Contexts that share what is kept do not share what they are asked for."""
    pod = replace(POD, labels={"team": "red", "squad": "blue"})
    seen = frames(devices=[gpu(0)], allocations=[HELD], pods=[pod], claims=[TOLD])
    context = fresh()

    teams = [join(seen, each).holdings[0].owner.team for each in (context, replace(context, team_keys=("squad",)))]

    assert teams == ["red", "blue"]


def test_each_source_of_the_map_has_an_age() -> None:
    """What has never been read has none; what is silent, or answers with what it could not renew, grows old."""
    seen = frames(devices=[gpu(0)], allocations=[HELD], pods=[POD])
    ages = {**seen.ages, ("claims", ""): 40.0, ("slices", ""): 1.0, ("engine", "e:1"): 3.0}
    seen = replace(seen, ages=ages, behind={("slices", ""): 300.0})

    found = labelled(join(seen, fresh()), catalog.IDENTITY_AGE)

    assert {told["inferometer.source.name"]: age for told, age in found} == {
        "podresources": 0.0,
        "pods": 0.0,
        "claims": 40.0,
        "slices": 301.0,
    }


def test_the_level_says_how_complete_the_map_is() -> None:
    """It is whole when the UID and the role of every holding are known."""
    whole = {"devices": [gpu(0)], "allocations": [HELD], "pods": [POD], "claims": [TOLD]}

    def without(**changed: object) -> str:
        return level(frames(**{**whole, **changed}))  # type: ignore[arg-type]  # parameters of `frames`

    assert without() == "uid"
    assert without(allocations=[]) == "uid"  # nobody holds anything, for certain
    assert without(claims=None) == "partial"  # somebody, who may be an admin
    assert without(pods=[]) == "partial"  # somebody who is not shown yet
    assert without(pods=None) == "name"
    assert without(allocations=None) == "none"
    part = Allocation("ns", "p", "main", "GPU-4c395b7a-a7e6-d90f-1ced-d96e8dd68288-3", "nvidia.com/gpu")
    assert without(devices=None, allocations=[part]) == "partial"  # of who knows which card


def test_what_a_reservation_is_for_is_missing_from_the_map() -> None:
    """A GPU that KAI's pod keeps for others, of whom nothing is read, has holders who are not in it."""
    keeper = Pod("uid-k", "kai-resource-reservation", "gpu-reservation-n1-x", "Running")
    held = Allocation(keeper.namespace, keeper.name, "main", "GPU-0")

    assert level(frames(devices=[gpu(0)], allocations=[held], pods=[keeper])) == "partial"


@pytest.mark.parametrize(("told", "wanted"), [("TimeSlicing", "time_slicing"), ("MPS", "mps"), ("", None)])
def test_info_tells_how_the_claim_has_its_device_shared(told: str, wanted: str | None) -> None:
    """The strategy that the driver was told, in the catalogue's words; nothing where the claim says nothing."""
    shared = replace(TOLD, grants=(replace(TOLD.grants[0], sharing=told),))

    assert info(claim=shared).get("gpu.sharing.strategy") == wanted
    assert wanted is None or wanted in catalog.SHARING_STRATEGY.values


def test_info_tells_the_group_of_pods_that_the_claim_is_reserved_for() -> None:
    """The pod's own; without the pods the only one that the claim names."""
    reserved = replace(TOLD, groups=("gang",))
    member = replace(POD, group="gang")

    assert info(claim=reserved, pods=[member])["k8s.podgroup.name"] == "gang"
    assert info(claim=reserved, pods=None)["k8s.podgroup.name"] == "gang"
    assert "k8s.podgroup.name" not in info(claim=replace(reserved, groups=("gang", "other")), pods=None)
    assert "k8s.podgroup.name" not in info(pods=[member])  # of a group, but the claim is its own


def test_what_only_describes_a_holding_is_on_its_info_alone() -> None:
    """Values keep to what identifies them."""
    described = {catalog.SHARING_STRATEGY, catalog.POD_GROUP}

    assert not described & set(catalog.OWNER_TIME.attributes)
    assert described <= set(catalog.OWNER_INFO.attributes)

# SPDX-License-Identifier: Apache-2.0
"""Ten thousand random changes of a node, each against who really has what: exact owners, whatever the kubelet gets wrong."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isclose

from hypothesis import given, settings
from hypothesis import strategies as st

from churn import holders, said
from churn.cluster import CONSUMED, Cluster, uuid
from churn.holders import Held, divided, true
from frames import CONTEXT, frames
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import Allocation, Pod, Snapshot
from inferometer.sources.identity.allocations import read_listing
from inferometer.sources.identity.kept import Kept

PERIOD = 5.0
GRACE = 2  # periods that an answer counts for
STEPS = 10_000
SEED = 20261121
RULES = Rules(linger=60.0)
SLICES = said.slices()
PARTS = {catalog.OWNER_TIME, catalog.OWNER_MEMORY_USAGE}
PLACE = {key: place for place, key in enumerate(catalog.OWNER_TIME.keys)}


@dataclass
class Life:
    """A node, the agent's view of it, and which source is out of order: `kubelet`, `pods`, `claims`, `slices`, or none."""

    chance: random.Random
    cluster: Cluster = field(init=False)
    kept: Kept = field(default_factory=lambda: Kept(GRACE * PERIOD))
    state: State = field(default_factory=State)
    out: str = ""
    silent: int = 0  # periods since the source that is out of order answered
    left: int = 0  # periods until it answers again, or remembers the claim
    forgotten: str = ""  # a claim that the kubelet does not find in its cache
    old: bool = False  # whether the kubelet is one before 1.34
    number: int = 0
    allocations: tuple[Allocation, ...] | None = ()
    pods: tuple[Pod, ...] = ()
    told: set[tuple[str, str]] = field(default_factory=set)  # pods and containers whose devices the kubelet has told
    counted: Mapping[tuple[str | None, ...], float] = field(default_factory=dict)  # seconds, by series
    had: Mapping[str, Mapping[str, holders.Share]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.chance)

    def step(self) -> Snapshot:
        """Change something, let the sources say what they say, and give the agent's next snapshot."""
        self.number += 1
        self._break()
        if self.out != "kubelet":
            self.cluster.step()
        elif self.chance.random() < 0.3:  # without it nothing starts; what is forced is gone all the same
            self.cluster.delete(self.chance.choice([*self.cluster.pods, ""]))
        local = said.pods(self.cluster)
        if self.out != "pods":
            self.pods = local
        if self.out != "kubelet":
            self.allocations = self._ask()
        elif self.silent > GRACE:
            self.allocations = None
        devices = said.devices(self.cluster)
        seen = frames(
            devices=devices,
            readings=said.readings(devices),
            allocations=self.allocations,
            pods=None if self.out == "pods" else self.pods,
            claims=None if self.out == "claims" else said.claims(self.cluster, self.allocations or (), self.pods),
            slices=None if self.out == "slices" else SLICES,
            passed=self.number * PERIOD,
        )
        self.state, snapshot = account(self.state, join(seen, CONTEXT), RULES)
        return snapshot

    def _break(self) -> None:
        """Let one thing at a time go wrong for a while, and then nothing for a period at least."""
        self.silent += bool(self.out)
        if self.left:
            self.left -= 1
            if not self.left:
                self.out = self.forgotten = ""
        elif self.chance.random() < 0.2:
            self.out = self.chance.choice(["kubelet", "pods", "claims", "slices", "", ""])
            self.left, self.silent = self.chance.randint(1, 4), 1
            if not self.out:
                self.forgotten, self.left = self.chance.choice([*self.cluster.claims, ""]), GRACE
        elif self.chance.random() < 0.05:
            self.old = not self.old

    def _ask(self) -> tuple[Allocation, ...]:
        """Ask the kubelet, as its source does."""
        listing = read_listing(said.kubelet(self.cluster, self.chance, old=self.old, forgotten=self.forgotten))
        bare = self.bare()
        self.told |= {
            (pod["metadata"]["uid"], c["name"])
            for pod in self.cluster.alive()
            for c in pod["spec"]["containers"]
            if (pod["metadata"]["uid"], c["name"]) not in bare
        }
        return (*listing.allocations, *self.kept.fill(listing.allocations, listing.bare, self.number * PERIOD))

    def bare(self) -> set[tuple[str, str]]:
        """Give the pods and containers that the kubelet tells nothing of."""
        return {
            (pod["metadata"]["uid"], container["name"])
            for pod in self.cluster.alive()
            for container in pod["spec"]["containers"]
            if self.forgotten and self.forgotten in said.named(pod, container)
        }

    def knows(self, held: Held) -> bool:
        """Tell whether the kubelet shows a hold now, or has shown it."""
        place = (held.pod, held.container)
        return place in self.told or place not in self.bare()

    def lists(self, held: Held) -> bool:
        """Tell whether the kubelet has such a device to list: not what it has nothing to prepare for."""
        results = {
            (claim["metadata"]["uid"], "skipNodeOperations" in result)
            for claim in self.cluster.claims.values()
            for result in claim["status"].get("allocation", {}).get("devices", {}).get("results", ())
        }
        return (held.claim, True) not in results


def told(snapshot: Snapshot) -> set[Held]:
    """Give the holds as gpu.owner.info says them."""
    keys = catalog.OWNER_INFO.keys
    found = [dict(zip(keys, p.attributes, strict=True)) for p in snapshot.points if p.metric is catalog.OWNER_INFO]
    assert len({tuple(each.items()) for each in found}) == len(found)
    return {
        Held(
            each["hw.id"] or "",
            each["k8s.pod.uid"] or f"by name {each['k8s.pod.name']}",
            each["k8s.container.name"] or "",
            each["k8s.resourceclaim.uid"] or "",
            each["k8s.resourceclaim.request"] or "",
            each["role"] or "",
        )
        for each in found
    }


def shares(snapshot: Snapshot) -> dict[str, dict[str, holders.Share]]:
    """Give each pod's part of each device that is divided; a device that nobody has is in it too."""
    found: dict[str, dict[str, holders.Share]] = defaultdict(dict)
    for share in snapshot.shares:
        parts = found[share.device]
        if share.owner is not None:
            assert share.owner.key not in parts
            parts[share.owner.key] = holders.Share(share.fraction, share.attribution.value)
    return found


def bare_of_part(held: Iterable[Held]) -> set[Held]:
    return {each._replace(part=None) for each in held}


def check_owners(life: Life, snapshot: Snapshot) -> None:
    """Hold the agent's owners against the true ones, as far as its sources can know them."""
    truth, said_of = true(life.cluster), told(snapshot)
    by_uid = {each for each in said_of if not each.pod.startswith("by name ")}
    alive = {pod["metadata"]["uid"] for pod in life.cluster.alive()}
    assert {each.pod for each in by_uid} <= alive  # law 4
    if life.allocations is None:
        assert not said_of
        assert not snapshot.shares
    elif life.out == "pods":
        _check_names(life, said_of, truth)
    elif life.out == "claims":
        _check_roles(by_uid, truth, life)
    else:
        certain = {each for each in truth if not each.claim or life.out == "kubelet" or life.knows(each)}
        assert bare_of_part(certain) <= by_uid <= bare_of_part(truth)
        if certain == truth:
            _check_shares(life, shares(snapshot), divided(truth), said_of - by_uid)


def _check_shares(
    life: Life,
    found: Mapping[str, Mapping[str, holders.Share]],
    wanted: Mapping[str, Mapping[str, holders.Share]],
    nameless: Iterable[Held],
) -> None:
    """Each device is divided as it should be; one with a holder that is known by its name only is not divided yet."""
    unclear = {each.device for each in nameless} | ({uuid(CONSUMED)} if life.out == "slices" else set())
    for device in (found.keys() | wanted.keys()) - unclear:
        assert found[device].keys() == wanted.get(device, {}).keys()
        for pod, share in wanted.get(device, {}).items():
            assert isclose(found[device][pod].fraction, share.fraction)
            assert found[device][pod].attribution == share.attribution


def _check_names(life: Life, said_of: set[Held], truth: set[Held]) -> None:
    """Without the pods owners have names only, and one of the old kubelets' pods that have ended is not told from others."""
    names = {pod["metadata"]["uid"]: f"by name {name}" for name, pod in life.cluster.pods.items()}
    prepared = {(each.device, names[each.pod]) for each in truth if life.lists(each) and life.knows(each)}
    pairs = {(each.device, each.pod) for each in said_of}
    assert prepared <= pairs
    if not life.old:
        # What a claim gave the last pod of a name stands in while its successor's container shows none: the name is the same.
        kept = {f"by name {each.pod}" for each in life.allocations or () if each.kept}
        assert {pair for pair in pairs if pair[1] not in kept} <= {(each.device, names[each.pod]) for each in truth}


def _check_roles(by_uid: set[Held], truth: set[Held], life: Life) -> None:
    """Without the claims nobody knows who only looks, and which container a request is of: roles are unknown, pods are not."""
    assert all(each.role == ("unknown" if each.claim else "owner") for each in by_uid)
    assert not any(each.request for each in by_uid)
    pairs = {(each.device, each.pod) for each in by_uid}
    assert {(each.device, each.pod) for each in truth if life.lists(each)} == pairs


def check_conservation(life: Life, snapshot: Snapshot) -> None:
    """What a device's owners and nobody have is what the device has, and a pod's time counts as far as it had it throughout."""
    points = [p for p in snapshot.points if p.metric in PARTS]
    used: dict[str | None, float] = defaultdict(float)
    gained: dict[str | None, float] = defaultdict(float)
    series, now = {}, shares(snapshot)
    for point in points:
        assert isinstance(point.value, float)
        device, uid = point.attributes[PLACE["hw.id"]], point.attributes[PLACE["k8s.pod.uid"]]
        if point.metric is catalog.OWNER_MEMORY_USAGE:
            used[device] += point.value
            continue
        series[point.attributes] = point.value
        more = point.value - life.counted.get(point.attributes, 0.0)
        gained[device] += more
        if uid and more:
            before, after = life.had[device or ""][uid], now[device or ""][uid]
            assert isclose(more, PERIOD * min(before.fraction, after.fraction))
    assert all(isclose(total, 1e9) for total in used.values())
    assert used.keys() == now.keys()
    for device in now.keys() & life.had.keys():
        assert isclose(gained[device], PERIOD, abs_tol=1e-6)
    life.counted, life.had = series, now


def test_ten_thousand_changes() -> None:
    """Devices, pods, roles, requests and parts are the true ones at every step; time and use are conserved; nothing outlives its pod."""
    life = Life(random.Random(SEED))
    for _ in range(STEPS):
        snapshot = life.step()
        check_owners(life, snapshot)
        check_conservation(life, snapshot)


@given(st.integers(0, 2**32), st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_changes_from_any_beginning(seed: int, steps: int) -> None:
    """So it is from an empty node on, whatever happens first."""
    life = Life(random.Random(seed))
    for _ in range(steps):
        snapshot = life.step()
        check_owners(life, snapshot)
        check_conservation(life, snapshot)

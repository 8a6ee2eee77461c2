# SPDX-License-Identifier: Apache-2.0
"""One node as the API server has it: pods and claims that are made, end, and are made again under the same name."""

import random
from collections.abc import Callable
from typing import Any

DRIVER, POOL, NAMESPACE = "gpu.nvidia.com", "n1", "ns"
MEMORY = 80 << 30  # bytes, of every GPU
SLOTS = 3  # instances that a GPU in MIG mode has room for
REPLICAS = 4  # of the time-sliced GPU

# What each GPU is for, by its minor number.
WHOLE = (0,)  # given as a whole by the device plugin
SLICED = 1  # by the device plugin too, in replicas
CLAIMED = (2, 3)  # given by claims
CONSUMED = 4  # given by claims, several at once (KEP-5075)
STATIC = 5  # in MIG mode; the device plugin gives its instances
DYNAMIC = 6  # in MIG mode; a claim makes its instance
GPUS = (*WHOLE, SLICED, *CLAIMED, CONSUMED, STATIC, DYNAMIC)

NAMES = tuple(f"pod-{i}" for i in range(8))
SHARED = ("shared-0", "shared-1")  # claims that several pods name

Json = dict[str, Any]


def uuid(gpu: int) -> str:
    """Name a GPU as its driver does."""
    return f"GPU-{gpu}"


class Cluster:
    """Objects as JSON, by name: an object that changes is another object. `plugin` is what only the kubelet knows."""

    def __init__(self, chance: random.Random) -> None:
        self.pods: dict[str, Json] = {}
        self.claims: dict[str, Json] = {}
        self.plugin: dict[str, dict[str, list[str]]] = {}  # UID of a pod -> container -> device ids
        self.past: dict[str, dict[str, Json]] = {}  # UID of a pod that has ended -> its claims, as a kubelet remembers
        self.instances: dict[tuple[int, int], str] = {}  # GPU and slot -> UUID
        self._chance = chance
        self._made = 0
        self._ways: tuple[Callable[[str], None], ...] = (
            self._hold_whole,
            self._hold_replicas,
            self._hold_instance,
            self._claim_one,
            self._claim_two_requests,
            self._claim_shared,
            self._claim_shared,
            self._claim_part,
            self._claim_instance,
            self._claim_as_admin,
            self._claim_extended,
            self._claim_unprepared,
        )

    def step(self) -> None:
        """Change one thing: a pod comes, also in the place of another of its name, or ends; an instance is made or destroyed."""
        name = self._chance.choice(NAMES)
        kind = self._chance.random()
        if kind < 0.55:
            self.delete(name)
            self._chance.choice(self._ways)(name)
        elif kind < 0.75:
            self.delete(name)
        elif kind < 0.85:
            self._complete(name)
        else:
            self._change_instances()

    def alive(self) -> list[Json]:
        """Give the pods that have not ended."""
        return [pod for pod in self.pods.values() if pod["status"]["phase"] == "Running"]

    def delete(self, name: str) -> None:
        """Delete a pod, if there is one of that name; what it held is free."""
        if pod := self.pods.pop(name, None):
            self._release(pod)
            self.plugin.pop(pod["metadata"]["uid"], None)
            self.past.pop(pod["metadata"]["uid"], None)

    def _complete(self, name: str) -> None:
        pod = self.pods.get(name)
        if pod and pod["status"]["phase"] == "Running":
            self.pods[name] = {**pod, "status": {**pod["status"], "phase": "Succeeded"}}
            uses = {use["resourceClaimName"] for use in pod["status"].get("resourceClaimStatuses", ())}
            self.past[pod["metadata"]["uid"]] = {use: self.claims[use] for use in uses if use in self.claims}
            self._release(pod)

    def _release(self, pod: Json) -> None:
        """Take a pod out of its claims. A claim that nobody uses any more is given back; one of the pod's own is deleted."""
        uid = pod["metadata"]["uid"]
        for name, claim in list(self.claims.items()):
            users = [user for user in claim["status"].get("reservedFor", ()) if user["uid"] != uid]
            if len(users) == len(claim["status"].get("reservedFor", ())):
                continue
            if users:
                self.claims[name] = {**claim, "status": {**claim["status"], "reservedFor": users}}
                continue
            for result in claim["status"]["allocation"]["devices"]["results"]:
                slot = result["device"].rpartition("-")[2] if "-mig-" in result["device"] else ""
                self.instances.pop((DYNAMIC, int(slot or -1)), None)
            if name in SHARED and self._chance.random() < 0.5:
                self.claims[name] = {**claim, "status": {}}
            else:
                del self.claims[name]

    def _change_instances(self) -> None:
        place = (STATIC, self._chance.randrange(SLOTS))
        if place not in self.instances:
            self.instances[place] = f"MIG-{self._number()}"
        elif self.instances[place] not in self._held_by_plugin():
            del self.instances[place]

    # --- what pods can have ---------------------------------------------------------------------------------------

    def _hold_whole(self, name: str) -> None:
        if free := [uuid(gpu) for gpu in WHOLE if uuid(gpu) not in self._held_by_plugin()]:
            self._make(name, {"side": [], "main": []}, plugin={"main": free[:1]})

    def _hold_replicas(self, name: str) -> None:
        every = {f"{uuid(SLICED)}::{i}" for i in range(REPLICAS)}
        if free := sorted(every - self._held_by_plugin()):
            count = self._chance.randint(1, len(free))
            self._make(name, {"main": [], "side": []}, plugin={"main": free[:1], "side": free[1:count]})

    def _hold_instance(self, name: str) -> None:
        static = {instance for (gpu, _), instance in self.instances.items() if gpu == STATIC}
        if free := sorted(static - self._held_by_plugin()):
            self._make(name, {"main": []}, plugin={"main": free[:1]})

    def _claim_one(self, name: str) -> None:
        """Make a claim by a template, for one container or for two that share it; its request may be one of alternatives."""
        if free := self._unclaimed():
            request = self._chance.choice(["gpu", "gpu/second"])
            claim = self._claim(f"{name}-gpu", [_result(request, f"gpu-{free[0]}")])
            named = {"name": "ref", "request": "gpu"} if self._chance.random() < 0.5 else {"name": "ref"}
            self._make(name, {"main": [named], "side": [named], "none": []}, {"ref": claim})

    def _claim_two_requests(self, name: str) -> None:
        """Two containers with a request each of one claim, or one that names both."""
        if len(free := self._unclaimed()) > 1:
            claim = self._claim(f"{name}-gpus", [_result(r, f"gpu-{g}") for r, g in zip("ab", free, strict=False)])
            a, b = ({"name": "ref", "request": request} for request in "ab")
            uses = self._chance.choice([{"main": [a], "side": [b]}, {"main": [a, b], "side": []}])
            self._make(name, uses, {"ref": claim})

    def _claim_shared(self, name: str) -> None:
        claim = self._chance.choice(SHARED)
        if not self.claims.get(claim, {}).get("status"):
            if not (free := self._unclaimed()):
                return
            known = self.claims.get(claim)
            self._claim(claim, [_result("gpu", f"gpu-{free[0]}")], known["metadata"]["uid"] if known else "")
        self._make(name, {"main": [{"name": "ref"}]}, {"ref": claim})

    def _claim_part(self, name: str) -> None:
        """Consume a part of a GPU's memory, as far as there is some left."""
        results = [r for claim in self.claims.values() for r in _results(claim) if "consumedCapacity" in r]
        left = MEMORY - sum(int(r["consumedCapacity"]["memory"]) for r in results)
        part = self._chance.choice([10 << 30, 20 << 30, 40 << 30])
        if part <= left:
            result = _result("part", f"gpu-{CONSUMED}")
            result |= {"shareID": self._uid(), "consumedCapacity": {"memory": str(part)}}
            self._make(name, {"main": [{"name": "ref"}]}, {"ref": self._claim(f"{name}-part", [result])})

    def _claim_instance(self, name: str) -> None:
        if free := [slot for slot in range(SLOTS) if (DYNAMIC, slot) not in self.instances]:
            self.instances[DYNAMIC, free[0]] = f"MIG-{self._number()}"
            result = _result("mig", f"gpu-{DYNAMIC}-mig-1g12gb-19-{free[0]}")
            self._make(name, {"main": [{"name": "ref"}]}, {"ref": self._claim(f"{name}-mig", [result])})

    def _claim_as_admin(self, name: str) -> None:
        """Look at all GPUs that claims give, whoever has them (KEP-5018)."""
        results = [{**_result("all", f"gpu-{gpu}"), "adminAccess": True} for gpu in CLAIMED]
        self._make(name, {"main": [{"name": "ref"}]}, {"ref": self._claim(f"{name}-all", results)})

    def _claim_extended(self, name: str) -> None:
        """A claim that the scheduler made for the name of a resource (KEP-5004)."""
        free = self._unclaimed()[:2]
        if free:
            requests = [f"container-{i}-request-0" for i in range(len(free))]
            claim = self._claim(
                f"{name}-extended", [_result(r, f"gpu-{g}") for r, g in zip(requests, free, strict=True)]
            )
            containers = ["main", "side"][: len(free)]
            mappings = [
                {"containerName": container, "requestName": request}
                for container, request in zip(containers, requests, strict=True)
            ]
            extended = {"resourceClaimName": claim, "requestMappings": mappings}
            self._make(name, {container: [] for container in containers}, extended=extended)

    def _claim_unprepared(self, name: str) -> None:
        """A device for which the kubelet has nothing to prepare, and which it does not list (KEP-5945)."""
        if free := self._unclaimed():
            result = {**_result("gpu", f"gpu-{free[0]}"), "skipNodeOperations": ["Prepare"]}
            self._make(name, {"main": [{"name": "ref"}]}, {"ref": self._claim(f"{name}-skip", [result])})

    # --- objects --------------------------------------------------------------------------------------------------

    def _make(
        self,
        name: str,
        uses: dict[str, list[Json]],
        claims: dict[str, str] | None = None,
        *,
        plugin: dict[str, list[str]] | None = None,
        extended: Json | None = None,
    ) -> None:
        uid = self._uid()
        self.pods[name] = {
            "metadata": {"namespace": NAMESPACE, "name": name, "uid": uid},
            "spec": {
                "containers": [{"name": c, "resources": {"claims": named}} for c, named in uses.items()],
                "resourceClaims": [{"name": ref, "resourceClaimTemplateName": "t"} for ref in claims or ()],
            },
            "status": {
                "phase": "Running",
                "resourceClaimStatuses": [{"name": r, "resourceClaimName": c} for r, c in (claims or {}).items()],
                **({"extendedResourceClaimStatus": extended} if extended else {}),
            },
        }
        self.plugin[uid] = plugin or {}
        for claim in (*(claims or {}).values(), *([extended["resourceClaimName"]] if extended else ())):
            status = self.claims[claim]["status"]
            users = [*status.get("reservedFor", ()), {"resource": "pods", "name": name, "uid": uid}]
            self.claims[claim] = {**self.claims[claim], "status": {**status, "reservedFor": users}}

    def _claim(self, name: str, results: list[Json], uid: str = "") -> str:
        metadata = {"namespace": NAMESPACE, "name": name, "uid": uid or self._uid()}
        self.claims[name] = {"metadata": metadata, "status": {"allocation": {"devices": {"results": results}}}}
        return name

    def _unclaimed(self) -> list[int]:
        taken = {r["device"] for claim in self.claims.values() for r in _results(claim) if "adminAccess" not in r}
        return [gpu for gpu in CLAIMED if f"gpu-{gpu}" not in taken]

    def _held_by_plugin(self) -> set[str]:
        running = {pod["metadata"]["uid"] for pod in self.alive()}
        return {d for uid, given in self.plugin.items() if uid in running for ids in given.values() for d in ids}

    def _uid(self) -> str:
        return f"{self._number():08x}-0000-4000-8000-000000000000"

    def _number(self) -> int:
        self._made += 1
        return self._made


def _result(request: str, device: str) -> Json:
    return {"request": request, "driver": DRIVER, "pool": POOL, "device": device}


def _results(claim: Json) -> list[Json]:
    results: list[Json] = claim["status"].get("allocation", {}).get("devices", {}).get("results", [])
    return results

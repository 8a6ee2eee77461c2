# SPDX-License-Identifier: Apache-2.0
"""What the scenarios do: pods of a namespace that come and go, and the agent's owners beside the truth."""

import time
from types import TracebackType
from typing import Any, Protocol, Self

from e2e.agent import PERIOD
from e2e.kube import UNANSWERED, wait
from e2e.node import Node
from e2e.truth import Held, listed, told, true
from whole.pages import Page, Series, values

_PATIENCE = 90.0  # seconds: an agent that missed a claim or a slice looks for it again after 10, 20 and 40


class Telling(Protocol):
    """Whoever has a page."""

    def page(self) -> Page:
        """Scrape it."""
        ...


class Space:
    """A namespace of one test; where it is entered, everything in it is gone at the end."""

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        self._node = node

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.empty()

    def make(self, *things: Any) -> None:
        """Make objects in it, or of no namespace."""
        for thing in things:
            placed = (
                thing
                if thing["kind"] == "DeviceClass"
                else {**thing, "metadata": {**thing["metadata"], "namespace": self.name}}
            )
            self._node.api.create(placed)

    def start(self, *pods: Any) -> dict[str, str]:
        """Make pods at the same moment and wait until they run; gives their UIDs by name."""
        self.make(*pods)
        return {pod["metadata"]["name"]: self._running(pod["metadata"]["name"]) for pod in pods}

    def await_phase(self, name: str, phase: str) -> None:
        """Wait until a pod is in a phase."""
        wait(
            f"pod {name} to be {phase}", lambda: self._node.api.get("Pod", name, self.name)["status"]["phase"] == phase
        )

    def stop(self, *names: str) -> None:
        """Delete pods and wait until the kubelet has let go of them."""
        for name in names:
            self._node.api.delete("Pod", name, self.name)
        wait(
            f"{names} to be gone",
            lambda: not ({*names} & {p["metadata"]["name"] for p in self._node.api.list("Pod", self.name)}),
        )
        wait(f"{names} to hold nothing", lambda: not ({*names} & self._held()))

    def empty(self) -> None:
        """Delete everything in it and wait until no device is held."""
        for kind in ("Pod", "ResourceClaim", "ResourceClaimTemplate"):
            for found in self._node.api.list(kind, self.name):
                self._node.api.delete(kind, found["metadata"]["name"], self.name)
        wait("claims to be gone", lambda: not self._node.api.list("ResourceClaim", self.name))
        wait("pods to be gone", lambda: not self._node.api.list("Pod", self.name))
        wait("devices to be free", lambda: not self._held())

    def claim_of(self, pod: str) -> Any:
        """Give the claim that was made for a pod by a template."""
        (status,) = self._node.api.get("Pod", pod, self.name)["status"]["resourceClaimStatuses"]
        return self._node.api.get("ResourceClaim", status["resourceClaimName"], self.name)

    def result_of(self, pod: str) -> Any:
        """Give the one device that such a claim was allocated."""
        (result,) = self.claim_of(pod)["status"]["allocation"]["devices"]["results"]
        return result

    def _running(self, name: str) -> str:
        def running() -> str | None:
            found = self._node.api.get("Pod", name, self.name)
            if found["status"].get("phase") == "Failed":
                raise AssertionError(f"pod {name} failed")
            states = found["status"].get("containerStatuses", [])
            ready = len(states) == len(found["spec"]["containers"]) and all(s["ready"] for s in states)
            return str(found["metadata"]["uid"]) if ready else None

        try:
            uid: str = wait(f"pod {name} to run", running)
        except AssertionError as error:
            found = self._node.api.get("Pod", name, self.name)["status"]
            events = self._node.api.ask("GET", f"/api/v1/namespaces/{self.name}/events")["items"]
            raise AssertionError(f"{error}\n{found}\n{[event['message'] for event in events]}") from None
        return uid

    def _held(self) -> set[str]:
        """Give the pods that the kubelet lists with devices."""
        return {
            pod.name
            for pod in listed(self._node).pod_resources
            if pod.namespace == self.name and any(c.devices or c.dynamic_resources for c in pod.containers)
        }


def agreed(node: Node, agent: Telling, count: int) -> set[Held]:
    """Wait until the agent's holdings are the true ones, so many; gives them. Fails with what differs."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            so, said = true(node), told(agent.page())
        except (LookupError, *UNANSWERED) as error:  # a pod that has just gone; an agent that has just begun
            so, said = set(), {Held(str(error), None, None, None, None)}
        if so == said and len(so) == count:
            return so
        if time.monotonic() > end:
            text = f"{len(so)} holdings, not {count}\n" if len(so) != count else ""
            raise AssertionError(
                f"{text}missing:\n{_lines(so - said)}\nnot so:\n{_lines(said - so)}\nagreed:\n{_lines(so & said)}"
            )
        time.sleep(0.1)


def device_series(agent: Telling) -> set[Series]:
    """Give the series that name a device and not who holds it, of a page with devices that were read in time."""
    page: Page = wait("a page with devices", lambda: (found := agent.page()) and has_devices(found) and found)
    return {
        (name, labels)
        for name, labels in page
        if "hw_id" in dict(labels) and name.startswith(("hw_", "gpu_")) and not name.startswith("gpu_owner_")
    }


def has_devices(page: Page) -> bool:
    """Whether the devices were read in time: what was read longer ago than two periods does not count."""
    age = values(page, "inferometer_source_age_seconds", "inferometer_source_name").get(("nvidia",))
    return age is not None and age <= 2 * PERIOD


def _lines(holdings: set[Held]) -> str:
    return "\n".join(f"  {held}" for held in sorted(holdings, key=str)) or "  none"

# SPDX-License-Identifier: Apache-2.0
"""The simulated node's own books: frozen values that tests compare with what the agent says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NoReturn


@dataclass(frozen=True, slots=True)
class DeviceLedger:
    """A GPU (`parent` is None) or MIG instance, in base units: bytes, watts, joules, hertz, degrees Celsius, ratios 0..1.

    None means that the hardware cannot say it: an instance has no power, energy, temperature or clocks of its own, and
    nothing has a utilisation while MIG is on. `joules` is the meter's reading, which is whole millijoules. Memory in use
    leaves out what the driver reserves. `power` is the mean of the last second, `power_now` of the last step. `xids` counts
    a GPU's XIDs by code, since the beginning. `worked` is how long each part was at work since the beginning, in seconds: over
    an interval, its difference is the mean share times the interval. `throttled` is in seconds, by reason; `link_bytes` were
    received over each NVLink, in whole KiB, and as many sent; `pcie_bytes` received and sent.
    """

    uuid: str
    index: int
    minor: int
    parent: str | None
    profile: str | None
    memory_used: int
    memory_total: int
    memory_reserved: int
    power: float | None = None
    power_now: float | None = None
    power_limit: float | None = None
    joules: float | None = None
    utilization: float | None = None
    temperature: float | None = None
    memory_temperature: float | None = None
    clocks: Mapping[str, float] | None = None
    lost: bool = False
    hung: bool = False
    xids: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    worked: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    throttled: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    reasons: tuple[str, ...] = ()
    pcie_bytes: tuple[int, int] | None = None
    link_bytes: tuple[int, ...] = ()
    links_down: frozenset[int] = frozenset()
    errors: Mapping[tuple[str, str], int] = field(default_factory=lambda: MappingProxyType({}))
    remapped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    remap_pending: bool = False
    recovery_action: str = "none"


@dataclass(frozen=True, slots=True)
class HistogramLedger:
    """A histogram. `counts` are per bucket, one more than `bounds`: the last is above the highest bound."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float

    @property
    def count(self) -> int:
        """The number of observations."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class EngineLedger:
    """What one engine has done since its pod started.

    `finished` is by reason, as the page says it. `aborted` counts the requests whose client hung up: vLLM 0.32 leaves
    them out of `finished` and of every per-request histogram but time to first token. `arrived` is all of them:
    arrived = finished + aborted + running + waiting. `histograms` is by family, without the `vllm:` prefix.
    """

    namespace: str
    pod: str
    pod_uid: str
    container: str
    port: int
    model: str
    prompt_tokens: int
    cached_prompt_tokens: int
    generation_tokens: int
    arrived: int
    finished: Mapping[str, int]
    aborted: int
    running: int
    waiting: int
    preemptions: int
    kv_utilization: float
    histograms: Mapping[str, HistogramLedger]
    up: bool = True


@dataclass(frozen=True, slots=True)
class HoldingLedger:
    """One container's hold on one device.

    `replicas` is the number of time slices, `request` the claim's request, which the kubelet does not tell.
    """

    device: str
    namespace: str
    pod: str
    pod_uid: str
    container: str
    resource: str = ""
    replicas: int = 1
    claim_namespace: str | None = None
    claim_name: str | None = None
    claim_uid: str | None = None
    request: str | None = None
    role: str = "owner"


@dataclass(frozen=True, slots=True)
class PodLedger:
    """A pod of the node. `workload_kind` and `workload_name` are what a person would say owns it, empty for a pod by itself.

    `pid` is its one process, on each of its devices: among the last that Linux gives, so that it is hardly ever another's.
    """

    key: str
    namespace: str
    name: str
    uid: str
    workload_kind: str
    workload_name: str
    team: str
    cost_center: str
    pid: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything, at one moment. `at` is in seconds of the simulation's own time."""

    at: float
    devices: tuple[DeviceLedger, ...]
    engines: tuple[EngineLedger, ...]
    holdings: tuple[HoldingLedger, ...]
    pods: tuple[PodLedger, ...]

    def device(self, uuid: str) -> DeviceLedger:
        """Find a device by its UUID. Raises KeyError."""
        return next((d for d in self.devices if d.uuid == uuid), None) or _missing(uuid)

    def engine(self, pod: str) -> EngineLedger:
        """Find an engine by its pod's name. Raises KeyError."""
        return next((e for e in self.engines if e.pod == pod), None) or _missing(pod)

    def pod(self, key: str) -> PodLedger:
        """Find a pod by its key in the scenario. Raises KeyError."""
        return next((p for p in self.pods if p.key == key), None) or _missing(key)

    def held_by(self, pod_uid: str) -> tuple[HoldingLedger, ...]:
        """All holdings of a pod."""
        return tuple(h for h in self.holdings if h.pod_uid == pod_uid)


def _missing(key: str) -> NoReturn:
    raise KeyError(key)

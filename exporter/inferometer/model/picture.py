# SPDX-License-Identifier: Apache-2.0
"""The joined picture of one tick: owners, holdings, engines, health, the snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from inferometer.model.devices import Device, Sxid, Unsupported, Xid
from inferometer.model.engines import Target
from inferometer.model.identity import Claim
from inferometer.model.metrics import Metric
from inferometer.model.reading import Reason
from inferometer.model.values import Exemplar, Point, Resource


class Role(StrEnum):
    """What a holding means."""

    OWNER = "owner"
    ADMIN = "admin"  # admin access: looks, does not own
    UNKNOWN = "unknown"


class Attribution(StrEnum):
    """How we know whose a value is (law 5)."""

    EXCLUSIVE = "exclusive"
    MIG = "mig"
    PROCESS = "process"
    CAPACITY = "capacity"
    EQUAL = "equal"
    DECLARED = "declared"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Owner:
    """A pod that holds devices. Told apart by `uid`, or by namespace and name where no pod source answers."""

    namespace: str
    pod: str
    uid: str | None = None
    workload_kind: str | None = None
    workload_name: str | None = None
    team: str | None = None
    cost_center: str | None = None
    queue: str | None = None

    @property
    def key(self) -> str:
        """What makes it this owner and no other (law 4)."""
        return self.uid or f"{self.namespace}/{self.pod}"


@dataclass(frozen=True, slots=True)
class Holding:
    """(device or instance, pod, container, claim, request): one series of `gpu.owner.info`."""

    device: str
    owner: Owner
    container: str
    role: Role
    claim: Claim | None = None
    replicas: int = 1
    weight: float | None = None  # what part of the device was granted, 0 to 1, where it is not all of it
    declared: bool = False  # by a scheduler, in the pod's annotations


@dataclass(frozen=True, slots=True)
class Tenure:
    """One pod alone on one device: whose time and use the device's are.

    `attributes` is aligned with the `gpu.owner.*` values' attributes; what differs between the pod's containers,
    claims or requests on this device is absent from it.
    """

    device: str
    owner: Owner
    attribution: Attribution
    attributes: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """What part of a device is whose: `fraction` of its time, 0 to 1. Without an `owner` it is what nobody has.

    `attributes` is aligned with the `gpu.owner.*` values' attributes, as a tenure's is.
    """

    device: str
    fraction: float
    attribution: Attribution
    attributes: tuple[str | None, ...]
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine endpoint with the identity that the join found for it.

    `blind` is why its page tells nothing, as in `inference.engine.blind`. `missing` and `unknown` are the families by which
    its page differs from what is known, `complaints` why objectives cannot be measured, each with the metric
    it is about and its `inference.slo.state`.
    """

    target: Target
    engine: str
    backend: str
    kind: str
    version: str
    models: tuple[str, ...]
    owner: Owner | None
    resource: Resource
    blind: str = ""
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    complaints: tuple[tuple[str, str, str], ...] = ()


class Balance(NamedTuple):
    """What one page says of the requests of one engine that counts every one of them in one of these places.

    `attributes` is aligned with those of `inference.requests.aborted`. `first` are the requests that had a first token,
    `finished` those that ended as the engine says, `aborted` those of them that were given up, `pending` those that run
    or wait. `at` is when the page was read and `start` when its counters began, in Unix seconds.
    """

    attributes: tuple[str | None, ...]
    resource: Resource
    at: float
    first: float
    finished: float
    aborted: float
    pending: float
    start: float | None = None


class Start(NamedTuple):
    """How far one engine's start is; times are Unix seconds, 0 is not yet or not told.

    `engine` is the pod's UID and the endpoint. `scheduled`, `started` and `ready` are the pod's and its container's own,
    `unready` is since when the pod is not ready. `first` are the first tokens that the page counts, read at `at`; None
    without a page. `latest` and `model` are aligned with the attributes of the two metrics, but for the phase; None until the
    page tells the model.
    """

    engine: tuple[str, str]
    scheduled: float
    started: float
    ready: float
    unready: float
    first: float | None
    at: float
    latest: tuple[str | None, ...] | None
    model: tuple[str | None, ...] | None
    resource: Resource


class SourceHealth(NamedTuple):
    """One source's state for the status page and the self-metrics."""

    source: str
    instance: str
    up: bool
    age: float | None  # seconds since the newest good frame; None: never
    took: float
    reason: str = ""
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything known at one tick. Immutable; every output is a pure function of it.

    `points` are grouped by metric in catalogue order.
    """

    at: float  # Unix seconds
    steady: float  # monotonic seconds
    node: Resource
    devices: tuple[Device, ...] = ()
    holdings: tuple[Holding, ...] = ()
    tenures: tuple[Tenure, ...] = ()
    shares: tuple[Share, ...] = ()  # of every device that can be owned, while it is known who holds what
    undivided: tuple[
        Share, ...
    ] = ()  # GPUs in MIG mode, then: their instances' time is owned, their energy is nobody's
    energies: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))  # GPU -> joules that it counts
    engines: tuple[Engine, ...] = ()
    balances: tuple[Balance, ...] = ()
    starting: tuple[Start, ...] | None = None  # None: the pods cannot be read now
    sources: tuple[SourceHealth, ...] = ()
    sequence: int = 0  # of the newest frame in it
    failures: tuple[tuple[str, str, int, Reason], ...] = ()  # source, instance, sequence and reason of failed reads
    drops: tuple[tuple[str, int, int], ...] = ()  # limit or doubt, sequence of the frame, and how many it cost there
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # at this tick, by limit
    exports: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # since the start, by outcome
    unsupported: tuple[Unsupported, ...] = ()
    failed: tuple[Unsupported, ...] = ()  # calls that failed at this tick only
    xids: tuple[Xid, ...] = ()  # of every teller the newest, by their numbers; those of earlier ticks among them
    sxids: tuple[Sxid, ...] = ()  # likewise
    kernel_lost: int | None = None  # records of the kernel's log that were overwritten unread, since the start
    points: tuple[Point, ...] = ()
    exemplars: Mapping[tuple[Metric, tuple[str | None, ...]], tuple[Exemplar, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )  # of points, by metric and attributes: hardly a page has any
    simulated: bool = False

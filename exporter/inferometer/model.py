# SPDX-License-Identifier: Apache-2.0
"""The nouns: immutable values that flow from the sources through the join to the views. Imports nothing of ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

EMPTY: Mapping[str, str] = MappingProxyType({})


def _empty() -> Mapping[str, str]:
    """Give the shared empty mapping: dataclasses refuse an unhashable default."""
    return EMPTY


# --- the contract: what a metric is -------------------------------------------------------------------------------


class Instrument(StrEnum):
    """How a metric's values behave, in OpenTelemetry's terms."""

    GAUGE = "gauge"
    COUNTER = "counter"  # monotonic, cumulative
    UPDOWNCOUNTER = "updowncounter"  # additive, may fall
    HISTOGRAM = "histogram"  # explicit bounds, cumulative


class Stability(StrEnum):
    """How far a name can be relied on."""

    CONVENTION = "convention"  # the semantic conventions' own name, at the version the catalogue pins
    PROVISIONAL = "provisional"  # ours, until a convention exists


class Aggregation(StrEnum):
    """What may be done across the series of one name."""

    SUM = "sum"
    AVERAGE = "average"
    MAX = "max"
    JOIN = "join"  # an info series: join on it, never add it up


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute key. `values` closes the set where it is closed."""

    key: str
    description: str
    values: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The Prometheus label name: dots become underscores."""
        return self.key.replace(".", "_")


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One entry of the catalogue. Compared by identity: a metric is defined once (law 10).

    `attributes` is the order in which a point carries its attribute values.
    """

    name: str
    unit: str
    instrument: Instrument
    attributes: tuple[Attribute, ...]
    stability: Stability
    aggregation: Aggregation
    description: str
    prometheus: str
    keys: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(a.key for a in self.attributes))

    def __repr__(self) -> str:
        return f"<Metric {self.name}>"


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a source reads a metric from: a row of the reference page.

    Args:
        metric: the catalogue name.
        call: the API call, field id or scraped family, as its own documentation spells it.
        source: `nvml`, `vllm`, `podresources`, ... or `join`/`accounting`/`agent` for what is computed here.
        attributes: the attribute values this call fills, e.g. `hw.gpu.task=encoder`.
        architecture: the first GPU architecture (or engine version) that has it; empty means all.
        mig: `gpu` (whole GPU only), `instance`, `both`, `not while MIG is on`, or empty where the question has no meaning.
    """

    metric: str
    call: str
    source: str
    attributes: Mapping[str, str] = field(default_factory=_empty)
    architecture: str = ""
    mig: str = ""


# --- values -------------------------------------------------------------------------------------------------------


class Histogram(NamedTuple):
    """An explicit-bounds histogram. `counts` are per bucket, not cumulative, one more than `bounds` (the last is +Inf)."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float

    @property
    def observations(self) -> int:
        """The number of observations."""
        return sum(self.counts)


Value = float | Histogram


def series_of(value: Value) -> int:
    """Count the Prometheus series of one value: a histogram has one per bucket, its sum and its count."""
    return len(value.counts) + 2 if isinstance(value, Histogram) else 1


class Reading(NamedTuple):
    """One measured value of one subject, before the join gives it identity.

    `subject` is a device UUID, or the instance name of an engine target. `attributes` holds only what this
    measurement adds (`hw.gpu.task`, `gen_ai.token.type`); the join adds the subject's own.
    `start` is when a counter or histogram began, in Unix seconds, where the source knows it.
    """

    subject: str
    metric: Metric
    attributes: tuple[tuple[str, str], ...]
    value: Value
    start: float | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """Who speaks: an OTLP resource. `attributes` are sorted by key."""

    attributes: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, attributes: Mapping[str, str | None]) -> "Resource":
        """Build one from a mapping; empty and missing values are left out."""
        return cls(tuple(sorted((k, v) for k, v in attributes.items() if v)))


class Point(NamedTuple):
    """One value of one series, as every output sees it.

    `attributes` is aligned with `metric.attributes`; None means the attribute is absent.
    `at` is the read time of the frame it came from and `start` when its counter began (None: unknown), Unix seconds.
    """

    metric: Metric
    attributes: tuple[str | None, ...]
    value: Value
    at: float
    start: float | None
    resource: Resource


# --- the three worlds ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Device:
    """A physical GPU (`parent` is None) or a MIG instance of one.

    `index` and `minor` are the GPU's own; an instance carries its parent's. `details` describes (model, driver, ...)
    and ends up only on `gpu.info` / `gpu.mig.info`.
    """

    uuid: str
    index: int
    minor: int | None = None
    parent: str | None = None
    mig_enabled: bool = False
    profile: str | None = None  # "1g.12gb"
    gpu_instance: int | None = None
    compute_instance: int | None = None
    profile_id: int | None = None  # GPU instance profile id, as in the DRA device name
    placement: int | None = None  # first memory slice of the placement
    pci_address: str | None = None
    details: Mapping[str, str] = field(default_factory=_empty)  # attribute key -> value

    @property
    def is_instance(self) -> bool:
        """Whether this is a MIG instance."""
        return self.parent is not None


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A call that a device answered with 'not supported', found once and named."""

    device: str
    metric: str
    call: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What the devices source read: GPUs before their instances, in NVML order.

    `unresponsive` maps a device UUID to the age in seconds of its last good answer; it contributes no readings.
    """

    devices: tuple[Device, ...]
    readings: tuple[Reading, ...]
    unsupported: tuple[Unsupported, ...] = ()
    unresponsive: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    details: Mapping[str, str] = field(default_factory=_empty)  # driver and CUDA version
    failed: tuple[Unsupported, ...] = ()  # calls that failed this time, though they may work the next


@dataclass(frozen=True, slots=True)
class Claim:
    """A DRA ResourceClaim allocation, as far as the node shows it (resource.k8s.io/v1)."""

    namespace: str
    name: str
    driver: str
    pool: str
    device: str
    uid: str | None = None
    request: str | None = None
    share_id: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """One device that a claim was given: a `DeviceRequestAllocationResult` (resource.k8s.io/v1)."""

    request: str
    driver: str
    pool: str
    device: str
    admin: bool = False
    share_id: str | None = None


@dataclass(frozen=True, slots=True)
class AllocatedClaim:
    """What the API server says of a claim that a local pod uses: what the kubelet's answer leaves out."""

    namespace: str
    name: str
    uid: str
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Allocation:
    """One device held by one container, by one way.

    `device` is the plugin's device id without its replica suffix (`GPU-...`, `MIG-...`), or, with a claim, the DRA
    device name (`gpu-2`, `gpu-0-mig-1g12gb-19-0`), which the join resolves.
    """

    namespace: str
    pod: str
    container: str
    device: str
    resource: str = ""
    replica: str | None = None
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """A container port of a pod."""

    container: str
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of this node."""

    uid: str
    namespace: str
    name: str
    phase: str = ""
    ip: str = ""
    labels: Mapping[str, str] = field(default_factory=_empty)
    annotations: Mapping[str, str] = field(default_factory=_empty)
    owner_kind: str = ""
    owner_name: str = ""
    containers: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """An inference engine's endpoint to scrape. `instance` names it once on this node (`namespace/pod:port` or `host:port`)."""

    instance: str
    url: str
    engine: str = ""  # a dialect the operator insists on; empty: recognise it from the page
    namespace: str = ""
    pod: str = ""
    pod_uid: str = ""
    container: str = ""  # only when it is certain
    headers: Mapping[str, str] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What one scrape of one target said, normalised.

    `engine` names what emits the page, `backend` what runs behind it, `kind` is engine, router or unknown.
    Every reading's subject is `target.instance`.
    """

    target: Target
    engine: str
    backend: str
    kind: str
    version: str
    models: tuple[str, ...]
    readings: tuple[Reading, ...]
    unmapped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # series not believed, by doubt


# --- reading ------------------------------------------------------------------------------------------------------


class Reason(StrEnum):
    """Why a read failed: the closed set that errors are counted by."""

    MISSING = "missing"  # not there: no library, no socket, no file
    PERMISSION = "permission"
    TIMEOUT = "timeout"
    REFUSED = "refused"  # nobody listens, or the peer closed
    REJECTED = "rejected"  # the peer answered with an error
    MALFORMED = "malformed"  # the answer is not what its protocol promises
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    CRASHED = "crashed"
    INTERNAL = "internal"  # our own defect


class Trouble(Exception):  # noqa: N818  # it is raised, counted and shown to people; "Error" would say less
    """A source could not read. `message` names the place, `remedy` says what to do."""

    def __init__(self, reason: Reason, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.remedy = remedy


class Source(Protocol[T_co]):
    """One world to read. `read` blocks, may raise, and is only ever called from one thread at a time.

    `name` is one of a few (`nvidia`, `podresources`, `pods`, `engine`), `instance` tells equals apart.
    """

    @property
    def name(self) -> str:
        """One of a few: `nvidia`, `podresources`, `pods`, `engine`."""
        ...

    @property
    def instance(self) -> str:
        """Which one, where a name has several; else empty."""
        ...

    @property
    def period(self) -> float:
        """Seconds between reads."""
        ...

    @property
    def deadline(self) -> float:
        """Seconds that one read may take."""
        ...

    def read(self) -> T_co:
        """Read once. Raises Trouble for what is expected to go wrong."""
        ...

    def close(self) -> None:
        """Release everything; called once, from another thread if need be."""
        ...


@dataclass(frozen=True, slots=True)
class Frame(Generic[T]):
    """What one source read at one time: `value`, or the trouble it had.

    `at` is Unix seconds when the read ended and `took` its duration. `sequence` counts this source's frames.
    """

    source: str
    instance: str
    sequence: int
    at: float
    took: float
    period: float
    value: T | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Frames:
    """The board's state at one tick: the newest outcome of every source, and the newest good frame while it is valid.

    `now` is Unix seconds, for stamps and ages; `steady` is monotonic seconds, for durations, so that a clock that is
    set never makes or loses time. `exports` counts pushes by outcome since the agent started, `dropped` what limits
    dropped ahead of the sources at this tick.
    """

    now: float
    steady: float
    outcomes: tuple[Frame[object], ...] = ()
    good: tuple[Frame[object], ...] = ()
    newest_good: Mapping[tuple[str, str], float] = field(default_factory=lambda: MappingProxyType({}))  # read times
    exports: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


# --- the joined picture -------------------------------------------------------------------------------------------


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
class Engine:
    """An engine endpoint with the identity that the join found for it."""

    target: Target
    engine: str
    backend: str
    kind: str
    version: str
    models: tuple[str, ...]
    owner: Owner | None
    resource: Resource


@dataclass(frozen=True, slots=True)
class SourceHealth:
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
    engines: tuple[Engine, ...] = ()
    sources: tuple[SourceHealth, ...] = ()
    failures: tuple[tuple[str, str, int, Reason], ...] = ()  # source, instance, sequence and reason of failed reads
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # at this tick, by limit
    exports: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # since the start, by outcome
    unsupported: tuple[Unsupported, ...] = ()
    points: tuple[Point, ...] = ()
    simulated: bool = False


Clock = Callable[[], float]

# SPDX-License-Identifier: Apache-2.0
"""What each GPU and MIG instance is and does: the devices, and what the driver and the kernel tell of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from inferometer.model.metrics import no_words
from inferometer.model.values import Reading


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
    multiprocessors: int | None = None  # of an instance
    pci_address: str | None = None
    details: Mapping[str, str] = field(default_factory=no_words)  # attribute key -> value

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
class Xid:
    """An XID that the driver reported of a GPU, `times` over since the source last looked, at Unix seconds `at`.

    `number` is one higher than that of the same teller's XID or SXID before, as long as the process lives. `teller` is `nvml` or `kernel`: most XIDs are told
    by both. NVML names the GPU by `device`, its UUID; the kernel's log by `pci_address` (`0000:3b:00.0`) alone, and often the
    process. The instances' ids are None where the whole GPU is meant. NVML does not tell when an event was: its `at` is when it
    was read, and the XID was at most `late` seconds before.
    """

    number: int
    code: int
    at: float
    teller: str
    device: str = ""
    pci_address: str = ""
    gpu_instance: int | None = None
    compute_instance: int | None = None
    pid: int | None = None
    times: int = 1
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Sxid:
    """An SXID: what the driver reported of an NVSwitch in the kernel's log, at Unix seconds `at`, numbered among its XIDs."""

    number: int
    code: int
    at: float
    pci_address: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class KernelReport:
    """What the kernel's log told of GPUs: the newest, by their numbers, those of earlier reports among them.

    `lost` counts the records that the kernel overwrote before they were read, since the agent was started.
    """

    xids: tuple[Xid, ...] = ()
    sxids: tuple[Sxid, ...] = ()
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Process:
    """A process on a GPU or MIG instance: `kind` is compute, graphics or mps, `memory` in bytes, `busy` its share of SM time.

    None is what the driver does not tell, as `busy` while MIG is on.
    """

    device: str
    pid: int
    kind: str
    memory: int | None = None
    busy: float | None = None
    at: float | None = None  # when it was read, Unix seconds


@dataclass(frozen=True, slots=True)
class Vgpu:
    """A vGPU of this host. `memory` and `memory_limit` are bytes, `busy` the share of time by `hw.gpu.task`."""

    uuid: str
    parent: str
    type: str = ""
    vm: str = ""
    memory: int | None = None
    memory_limit: int | None = None
    busy: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    at: float | None = None  # when it was read, Unix seconds


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What the devices source read: GPUs before their instances, in NVML order.

    `unresponsive` maps a device UUID to the age in seconds of its last good answer; it contributes no readings. `nameless`
    is the number of GPUs that the driver counts and that have never said who they are. `events`
    are the newest, by their numbers, those of earlier reports among them: a report that nobody looked at loses none. `calls`
    are the driver's, with how often each was made since the source was, and the seconds that it took in all.
    """

    devices: tuple[Device, ...]
    readings: tuple[Reading, ...]
    unsupported: tuple[Unsupported, ...] = ()
    unresponsive: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    nameless: int = 0
    details: Mapping[str, str] = field(default_factory=no_words)  # driver and CUDA version
    failed: tuple[Unsupported, ...] = ()  # calls that failed this time, though they may work the next
    events: tuple[Xid, ...] = ()
    processes: tuple[Process, ...] = ()
    vgpus: tuple[Vgpu, ...] = ()
    excluded: Mapping[str, str] = field(
        default_factory=no_words
    )  # PCI address or UUID of GPUs left out -> model, or ""
    calls: Mapping[str, tuple[int, float]] = field(default_factory=lambda: MappingProxyType({}))
    fields: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))  # field -> seconds, the slowest
    restarts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # of the sampler, by cause
    # Numbers of NVLinks that have been up since the source was there, by GPU UUID.
    linked: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))

# SPDX-License-Identifier: Apache-2.0
"""What the test's libnvidia-ml.so.1 answers, as values: GPUs, MIG instances and faults, written to the text that it reads.

`text.c` documents the text. A property that is None is not supported. A GPU is an H100 SXM; `models.py` has others.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fakenvml.defaults import ECC, FIELD_TYPES, FIELDS, GPM, INSTANCE_GPM, MIG_PROFILES, Fields, Number, nvlink4

GIB = 1 << 30


@dataclass(frozen=True)
class Process:
    """A process on a device; `kind` is compute, graphics or mps, `memory` in bytes or not available, the rest in percent."""

    kind: str
    pid: int
    memory: int | None = None
    sm: int = 0
    mem: int = 0
    enc: int = 0
    dec: int = 0
    jpg: int = 0
    ofa: int = 0

    def __str__(self) -> str:
        memory = "-" if self.memory is None else self.memory
        return f"{self.kind} {self.pid} {memory} {self.sm} {self.mem} {self.enc} {self.dec} {self.jpg} {self.ofa}"


@dataclass(frozen=True)
class Vgpu:
    """A virtual GPU that a GPU carries."""

    id: int
    uuid: str
    vm: str = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
    type: int = 1105
    memory: int = 4 * GIB
    sm: int = 0
    mem: int = 0
    enc: int = 0
    dec: int = 0
    jpg: int = 0
    ofa: int = 0

    def __str__(self) -> str:
        return " ".join(str(getattr(self, field.name)) for field in dataclasses.fields(self))


@dataclass(frozen=True)
class Instance:
    """A MIG instance at one MIG index."""

    uuid: str
    name: str = "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    gi: int | None = 7
    ci: int | None = 0
    profile_id: int | None = 19
    placement: int | None = 0
    placement_size: int | None = 1
    memory_total: int | None = 10 * GIB
    memory_used: int | None = 1 * GIB
    memory_reserved: int | None = 16 << 20
    bar1_total: int | None = 16 * GIB
    bar1_used: int | None = 1 << 20
    compute_mode: int | None = 0
    slices: int | None = 1
    compute_slices: int | None = 1
    memory_mb: int | None = 9984
    sms: int | None = 16
    copy_engines: int | None = 1
    decoders: int | None = 1
    encoders: int | None = 0
    jpegs: int | None = 1
    ofas: int | None = 0
    gpm: Mapping[int, Number] = dataclasses.field(default_factory=lambda: dict(INSTANCE_GPM))
    ecc: Mapping[tuple[int, ...], int] = dataclasses.field(default_factory=lambda: {(0, 1, 7): 0, (1, 1, 7): 0})
    fields: Fields = dataclasses.field(default_factory=dict)
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True)
class Gpu:
    """A GPU. `instances` are by MIG index; None is a hole. Mappings are by id, by link, or as `text.c` says of the key."""

    uuid: str
    instances: tuple[Instance | None, ...] = ()
    minor: int | None = 0
    name: str | None = "NVIDIA H100 80GB HBM3"
    serial: str | None = "1650522000001"
    vbios: str | None = "96.00.61.00.01"
    board_part: str | None = "692-2G520-0200-000"
    board_id: int | None = 0x3B00
    brand: int | None = 14
    pci: str | None = "00000000:3B:00.0"
    numa: int | None = 0
    memory_numa: int | None = None  # the memory's own node: GH200, GB200
    platform: str | None = None  # GUID CHASSIS SLOT TRAY HOST PEER MODULE: Blackwell
    architecture: int | None = 9
    compute: str | None = "9.0"
    compute_mode: int | None = 0
    persistence: int | None = 1
    virtualization: int | None = 0
    memory_total: int | None = 80 * GIB
    memory_used: int | None = 20 * GIB
    memory_reserved: int | None = 512 << 20
    bar1_total: int | None = 128 * GIB
    bar1_used: int | None = 2 << 20
    cc_memory_total: int | None = None
    cc_memory_used: int | None = None
    ecc_mode: int | None = 1
    ecc_pending: int | None = 1
    ecc: Mapping[tuple[int, ...], int] = dataclasses.field(default_factory=lambda: dict(ECC))
    retired: Mapping[int, tuple[int, ...]] = dataclasses.field(default_factory=dict)  # addresses by cause
    retired_pending: int | None = None
    remapped: tuple[int, ...] | None = (1, 0, 0, 0)
    remapped_v2: tuple[int, ...] | None = (1, 0, 0, 0, 0, 0)
    row_histogram: tuple[int, ...] | None = (639, 1, 0, 0, 0)
    sram: tuple[int, ...] | None = (0, 0, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    power: int | None = 345_600
    power_instant: int | None = 351_234
    power_limit: int | None = 700_000
    power_management_limit: int | None = 700_000
    power_default_limit: int | None = 700_000
    power_min_limit: int | None = 200_000
    power_max_limit: int | None = 700_000
    energy: int | None = 123_456_789
    violation: Mapping[int, int] = dataclasses.field(default_factory=lambda: {0: 5_000_000_000, 1: 1_000_000_000})
    utilization: int | None = 87
    memory_utilization: int | None = 42
    encoder: int | None = 3
    decoder: int | None = 5
    jpeg: int | None = 7
    ofa: int | None = 9
    temperature: int | None = 61
    memory_temperature: int | None = 71
    margin: int | None = 26
    threshold: Mapping[int, int] = dataclasses.field(default_factory=lambda: {0: 95, 1: 92, 2: 105, 3: 87})
    fans: int | None = 0
    fan: Mapping[int, int] = dataclasses.field(default_factory=dict)
    clock_graphics: int | None = 1980
    clock_sm: int | None = 1965
    clock_memory: int | None = 2619
    clock_video: int | None = 1545
    clock_max_graphics: int | None = 1985
    clock_max_sm: int | None = 1985
    clock_max_memory: int | None = 2625
    clock_max_video: int | None = 1605
    pstate: int | None = 0
    clocks_event_reasons: int | None = 4  # a mask: software power cap
    pcie_generation: int | None = 5
    pcie_generation_max: int | None = 5
    pcie_generation_gpu_max: int | None = 5
    pcie_width: int | None = 16
    pcie_width_max: int | None = 16
    pcie_replay: int | None = 4
    pcie_tx: int | None = 1_000
    pcie_rx: int | None = 2_000
    nvlinks: int | None = 18
    nvlink_version: int | None = 6  # NVLink 4.0
    nvlink: Mapping[tuple[int, str], int] = dataclasses.field(default_factory=dict)  # (3, "state"), (3, "error.0")
    c2c: int | None = 0
    fabric: str | None = "3 0 17 170 1 0102030405060708090a0b0c0d0e0f10"  # STATE STATUS CLIQUE HEALTHMASK SUMMARY UUID
    mig: int | None = 0
    mig_pending: int | None = None  # None: as `mig`
    mig_max: int | None = 7
    mig_profiles: Mapping[int, tuple[int, ...]] = dataclasses.field(default_factory=lambda: dict(MIG_PROFILES))
    parent_processes: int | None = None
    event_types: int | None = 8  # a mask: XIDs
    lost: int | None = None
    gpm_supported: int | None = 1
    gpm: Mapping[int, Number] = dataclasses.field(default_factory=lambda: dict(GPM))
    field_latency: int | None = 3
    field_newest: int | None = 307
    fields: Fields = dataclasses.field(default_factory=lambda: FIELDS | nvlink4(18))
    field_types: Mapping[int, int] = dataclasses.field(default_factory=lambda: dict(FIELD_TYPES))
    samples: Mapping[int, tuple[int, ...]] = dataclasses.field(
        default_factory=lambda: {0: (345_000, 401_000, 350_000), 1: (80, 99, 87), 5: (1980, 1965), 6: (2619,)}
    )
    processes: tuple[Process, ...] = ()
    vgpus: tuple[Vgpu, ...] = ()
    # Of (1105, "name") and (1105, "memory").
    vgpu_type: Mapping[tuple[int, str], int | str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What a call does instead: `kind` is error (with a code), hang, crash, slow (with milliseconds) or absurd (a pattern)."""

    kind: str
    subject: str  # gpu0, gpu0.mig2, system, *
    call: str  # the symbol, or *; field.ID and gpm.ID for error and absurd
    number: int = 0


@dataclass(frozen=True)
class Xid:
    """An event of a GPU: delivered once, by its number, which rises from one of a GPU to its next."""

    gpu: int
    code: int
    number: int
    instances: tuple[int, int] | None = None  # GPU and compute instance; None is the whole GPU


@dataclass(frozen=True)
class SystemEvent:
    """An event of the system: 1, the driver lets go of a GPU; 2, it takes it. Delivered once, as an XID is."""

    type: int
    gpu: int
    number: int


@dataclass(frozen=True)
class Node:
    """Everything that the library answers."""

    gpus: tuple[Gpu, ...] = ()
    faults: tuple[Fault, ...] = ()
    xids: tuple[Xid, ...] = ()
    system_events: tuple[SystemEvent, ...] = ()
    driver: str = "575.57.08"
    cuda: int = 12090
    conf_compute: tuple[int, int, int, int] | None = None  # environment, feature, developer tools, multi-GPU mode
    excluded: tuple[tuple[str, str], ...] = ()  # PCI address and UUID of devices that the driver was told to leave out
    trace: bool = False
    flowing: bool = False  # what a device did is sampled at every question, not once for each text

    def text(self) -> str:
        """Give the text that the library reads."""
        return "\n".join(self._lines()) + "\n"

    def write(self, path: Path) -> None:
        """Put the text in place, all at once."""
        fresh = path.with_suffix(".new")
        fresh.write_text(self.text())
        fresh.replace(path)

    def _lines(self) -> Iterator[str]:
        yield f"system driver {self.driver}"
        yield f"system cuda {self.cuda}"
        if self.flowing:
            yield "system flowing 1"
        if self.conf_compute is not None:
            yield f"system conf_compute {_value(self.conf_compute)}"
        for i, (address, uuid) in enumerate(self.excluded):
            yield f"system excluded.{i} {address} {uuid}"
        yield f"gpus {len(self.gpus)}"
        if self.trace:
            yield "trace"
        for i, gpu in enumerate(self.gpus):
            yield from _properties(f"gpu{i}", gpu)
            for j, instance in enumerate(gpu.instances):
                if instance is not None:
                    yield from _properties(f"gpu{i}.mig{j}", instance)
        for fault in self.faults:
            yield f"{fault.kind} {fault.subject} {fault.call} {fault.number}"
        for xid in self.xids:
            yield " ".join(map(str, ("xid", f"gpu{xid.gpu}", xid.code, xid.number, *(xid.instances or ()))))
        for event in self.system_events:
            yield f"system_event {event.type} {event.gpu} {event.number}"


_KEYS = {
    "fields": "field",
    "mig_profiles": "mig_profile",
    "processes": "process",
    "vgpus": "vgpu",
}  # where the text calls it otherwise


def _properties(subject: str, thing: Gpu | Instance) -> Iterator[str]:
    for field in dataclasses.fields(thing):
        value = getattr(thing, field.name)
        key = _KEYS.get(field.name, field.name)
        if value is None or key == "instances":
            continue
        if key == "field_types":
            yield from (f"{subject} field.{id_}.type {type_}" for id_, type_ in value.items())
        elif isinstance(value, Mapping):
            yield from (f"{subject} {key}.{_part(part)} {_value(given)}" for part, given in value.items())
        elif key in ("process", "vgpu"):
            yield from (f"{subject} {key}.{i} {given}" for i, given in enumerate(value))
        else:
            yield f"{subject} {key} {_value(value)}"


def _part(part: int | tuple[int | str, ...]) -> str:
    return ".".join(map(str, part)) if isinstance(part, tuple) else str(part)


def _value(value: Number | str | tuple[int, ...]) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

# SPDX-License-Identifier: Apache-2.0
"""What the test's libnvidia-ml.so.1 answers, as values: GPUs, MIG instances and faults, written to the text that it reads.

`fakenvml.c` documents the text. A property that is None is not supported.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

GIB = 1 << 30


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
    slices: int | None = 1
    compute_slices: int | None = 1
    memory_mb: int | None = 9984


@dataclass(frozen=True)
class Gpu:
    """A GPU. `instances` are by MIG index; None is a hole."""

    uuid: str
    instances: tuple[Instance | None, ...] = ()
    minor: int | None = 0
    name: str | None = "NVIDIA H100 80GB HBM3"
    serial: str | None = "1650522000001"
    vbios: str | None = "96.00.61.00.01"
    pci: str | None = "00000000:3B:00.0"
    numa: int | None = 0
    architecture: int | None = 9
    compute: str | None = "9.0"
    memory_total: int | None = 80 * GIB
    memory_used: int | None = 20 * GIB
    memory_reserved: int | None = 512 << 20
    power: int | None = 345_600
    power_instant: int | None = 351_234
    power_limit: int | None = 700_000
    energy: int | None = 123_456_789
    utilization: int | None = 87
    encoder: int | None = 3
    decoder: int | None = 5
    temperature: int | None = 61
    memory_temperature: int | None = 71
    clock_graphics: int | None = 1980
    clock_sm: int | None = 1965
    clock_memory: int | None = 2619
    clock_video: int | None = 1545
    mig: int | None = 0
    mig_max: int | None = 7
    event_types: int | None = 8  # a mask: XIDs


@dataclass(frozen=True)
class Fault:
    """What a call does instead: `kind` is error (with a code), hang, crash or slow (with milliseconds)."""

    kind: str
    subject: str  # gpu0, gpu0.mig2, system, *
    call: str  # the symbol, or *
    number: int = 0


@dataclass(frozen=True)
class Xid:
    """An event of a GPU: delivered once, by its number, which rises from one of a GPU to its next."""

    gpu: int
    code: int
    number: int
    instances: tuple[int, int] | None = None  # GPU and compute instance; None is the whole GPU


@dataclass(frozen=True)
class Node:
    """Everything that the library answers."""

    gpus: tuple[Gpu, ...] = ()
    faults: tuple[Fault, ...] = ()
    xids: tuple[Xid, ...] = ()
    driver: str = "575.57.08"
    cuda: int = 12090
    trace: bool = False

    def text(self) -> str:
        """Give the text that the library reads."""
        return "\n".join(self._lines()) + "\n"

    def write(self, path: Path) -> None:
        """Put the text in place, all at once."""
        fresh = path.with_suffix(".new")
        fresh.write_text(self.text())
        fresh.replace(path)

    def _lines(self) -> Iterator[str]:
        yield f"driver {self.driver}"
        yield f"cuda {self.cuda}"
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


def _properties(subject: str, thing: Gpu | Instance) -> Iterator[str]:
    for field in fields(thing):
        value = getattr(thing, field.name)
        if value is not None and field.name != "instances":
            yield f"{subject} {field.name} {value}"

# SPDX-License-Identifier: Apache-2.0
"""The node on which faults are tried: one GPU that has them, two that must not notice, and what there is to fault.

Nothing here names a call: what can fail is what the sampler's own table says, and who is asked is what the library's log says.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from fakenvml.defaults import FIELDS, GPM, Fields, nvlink4, nvlink5
from fakenvml.fakenvml import GIB, Fault, Gpu, Instance, Node, Process
from fakenvml.models import every
from inferometer import catalog
from inferometer.sources.devices import calls

LINKS = 12  # the first twelve have fields of their own in old drivers
ENGINE = "engine"
STILL = {172: 0.0}  # of GPM: counters do not move, and what is added up from read to read is nothing
SAMPLES = {0: (90_000, 120_000), 1: (40, 70)}  # of power in mW, of utilization in percent
WITNESSES = ("GPU-W", "GPU-M", "MIG-M")
VGPU = "vgpu-uuid-1"  # the patient's
PATIENT, SLICE = "GPU-P", "MIG-P"  # as pages are compared; see `Scene`

# What the patient is: whole, or in MIG mode, or with a driver that refuses the first one or two ways to read a row.
KINDS = ("whole", "mig", "older", "oldest")


@dataclass(frozen=True)
class Scene:
    """The node, with a patient of one kind. Another `number` is another patient, to which no refusal of the last one sticks."""

    kind: str = "whole"
    number: int = 0

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """The patient's UUIDs, and what they are called on pages that are compared."""
        return (f"GPU-{self.kind}-{self.number}", PATIENT), (f"MIG-{self.kind}-{self.number}", SLICE)

    def node(self, *faults: Fault, trace: bool = False) -> Node:
        """Give what the driver answers."""
        witnesses = (
            Gpu(
                "GPU-W",
                minor=1,
                samples=SAMPLES,
                gpm={**GPM, **STILL},
                nvlinks=0,
                fields=FIELDS,
                processes=(Process("compute", 7, GIB, sm=5),),
            ),
            Gpu("GPU-M", minor=2, samples=SAMPLES, nvlinks=0, fields=FIELDS, mig=1, instances=(Instance("MIG-M"),)),
        )
        return Node(
            (self._patient(), *witnesses),
            faults=(*faults, *_refusals(self.kind)),
            conf_compute=(0, 1, 0, 0),
            excluded=(("00000000:5E:00.0", "GPU-X"),),
            trace=trace,
            flowing=True,
        )

    def _patient(self) -> Gpu:
        # What there are several ways to read is the same by each of them.
        (whole, _), (part, _) = self.names
        given: Fields = {id_: value for id_, value in every("").fields.items() if not isinstance(id_, tuple)}
        fields: Fields = dict.fromkeys(calls.FIELDS, 1)
        fields |= {**given, **nvlink4(LINKS), **nvlink5(LINKS), 170: LINKS}
        for gone in _OTHERWISE:
            fields.pop(gone, None)
        for link in range(LINKS):
            fields |= {(id_, link): 1 for id_ in (161, 162, 163, 164, 171, 231, 232, 233)}
            fields |= {(202, link): (1_000 + link) << 30, (204, link): (2_000 + link) << 30}
        fields |= {29: 2, 30: 1}
        if self.kind == "whole":
            del fields[75]  # counts more than what is asked for first, and is asked for when that is refused
        gpm = {**every("").gpm, **STILL, 100: 10.0, 101: 11.0}
        whole_gpu = replace(
            every(whole),
            nvlink={(link, f"error.{kind}"): 1 for link in range(LINKS) for kind in range(5)},
            retired_pending=0,
            minor=3,
            numa=1,
            nvlinks=LINKS,
            fields=fields,
            gpm=gpm,
            field_types={},
            pci="00000000:5D:00.0",
        )
        if self.kind != "mig":
            return replace(whole_gpu, fields={**fields, 91: LINKS}) if self.kind == "whole" else whole_gpu
        process = Process("compute", 4242, GIB)
        return replace(whole_gpu, mig=1, instances=(Instance(part, processes=(process,)), None))


# Fields that the library answers from a property, which the patient has.
_OTHERWISE = (82, 83, 94, 185, 186, 187, 188, 189, 190, 192)


_VGPU_HOST = "nvmlDeviceGetVirtualizationMode"  # tells whether there are vGPUs to ask for

# Calls that are no way of a row, and that have an older one in their place.
_NEWER = ("nvmlDeviceGetProcessesUtilizationInfo", "nvmlDeviceGetVgpuInstancesUtilizationInfo")


def _name(way: calls.Way) -> Iterator[str]:
    """Give what a way's answers are called in a fault."""
    if way.field:
        yield from (f"field.{id_}" for id_ in (way.field if isinstance(way.field, tuple) else (way.field,)))
    elif way.gpm:
        yield f"gpm.{way.gpm}"
    else:
        yield way.call


def _refusals(kind: str) -> Iterator[Fault]:
    """Refuse the first ways of each row that has others."""
    count = {"older": 1, "oldest": 2}.get(kind, 0)
    if count:
        yield from (Fault("error", "gpu0", name, 13) for name in _NEWER)
    for ways in (row.ways for row in calls.GPU_ROWS):
        names = [list(_name(way)) for way in ways]
        kept = {name for later in names[count:] or names[-1:] for name in later}
        for name in (name for refused in names[: min(count, len(names) - 1)] for name in refused if name not in kept):
            yield Fault("error", "gpu0", name, 2 if name.startswith("field") else 13)


@dataclass(frozen=True)
class Target:
    """What can fail: a call, or one value of a batch (`field.ID`, `gpm.ID`); and whom to ask for it to be reached."""

    name: str
    kind: str
    subject: str  # as the library knows it: gpu0, gpu0.mig0, system
    first: bool = False  # called only when the GPU is new, or the library

    @property
    def is_function(self) -> bool:
        """Tell whether it is a function of the library, and not one value of many that a function gives."""
        return self.name.startswith("nvml")

    @property
    def has_another_way(self) -> bool:
        """Tell whether the sampler has a call for when this one is refused, or other links that do not refuse."""
        if any(isinstance(way.field, tuple) and self.name in _name(way) for row in calls.GPU_ROWS for way in row.ways):
            return True
        return self.name in _NEWER or any(self.name in _name(way) for row in calls.ROWS for way in row.ways[:-1])

    @property
    def told(self) -> frozenset[str]:
        """The names under which complaints tell of it."""
        batch = {calls.FIELDS_CALL: "NVML_FI_DEV", calls.GPM_CALL: "NVML_GPM_METRIC"}.get(self.name)
        if batch or self.name.startswith("nvmlGpm"):
            return frozenset(
                w.call for r in calls.ROWS for w in r.ways if w.call.startswith(batch or "NVML_GPM_METRIC")
            )
        ways = {way.call for row in calls.ROWS for way in row.ways if self.name in _name(way)}
        return frozenset(ways or {self.name})

    def costs(self, metric: str) -> bool:
        """Tell whether it may cost the patient a metric, by its name on the page; what it costs its instance is its own."""
        if metric in _VERDICTS:
            return True  # of what else is there
        for family, prefix in ((calls.EVENTS, "gpu_xid"), (calls.PROCESSES, "gpu_process"), (calls.VGPUS, "gpu_vgpu")):
            if self.name in family:
                return metric.startswith(prefix)
        if self.name == _VGPU_HOST and metric.startswith("gpu_vgpu"):
            return True
        if self.name.startswith("nvmlGpm") and not self.name.startswith("nvmlGpmInstance"):
            return metric in _fed_by(lambda row: any(way.gpm for way in row.ways))
        if self.name == calls.FIELDS_CALL:
            return metric in _fed_by(lambda row: any(way.field for way in row.ways) or row.each is not None)
        if self.name in calls.WALK:
            return True
        return metric in _fed_by(
            lambda row: (
                any(self.name in _name(way) for way in row.ways)
                or (row.each is not None and row.each.call == self.name)
            )
        )


# What is made of the values of others.
_VERDICTS = frozenset(metric.prometheus for metric in (catalog.STATUS, catalog.GPU_HEALTH_CAUSE))


def needs_two_reads() -> frozenset[str]:
    """Give the metrics that a new sampler cannot tell at once: what it asks for is what was since the read before."""
    return _fed_by(lambda row: any(way.gpm or way.samples for way in row.ways)) | {
        catalog.PROCESS_UTILIZATION.prometheus
    }


def _fed_by(wanted: Callable[[calls.Row], bool]) -> frozenset[str]:
    """Give the metrics of rows, as pages name them."""
    return frozenset(
        catalog.BY_NAME[given.metric].prometheus for row in calls.ROWS if wanted(row) for given in row.gives
    )


def values() -> Iterator[Target]:
    """Give every field and GPM metric of the table, each with a patient that is asked for it."""
    for row in calls.GPU_ROWS:
        for i, way in enumerate(row.ways):
            kind = ("whole", "older", "oldest")[min(i, 2)]
            if way.field or way.gpm:
                yield from (Target(name, kind, "gpu0") for name in _name(way))
    for row in calls.INSTANCE_ROWS:
        yield from (Target(f"gpm.{way.gpm}", "mig", "gpu0.mig0") for way in row.ways if way.gpm)


def functions(asked: Mapping[tuple[str, str], Collection[tuple[str, str]]]) -> Iterator[Target]:
    """Give every function of the table that is called: `asked` has call and subject, by kind of patient and by moment.

    Moments are `always`, at each read, and `first`: when the library is opened, or when a GPU is first seen.
    """
    for name in calls.CALLS[1:]:
        found = (
            Target(name, kind, subject, first=moment == "first")
            for moment in ("always", "first")
            for kind in KINDS
            for subject in ("gpu0", "gpu0.mig0", "system")
            if (name, subject) in asked[kind, moment]
        )
        if target := next(found, None):
            yield target

# SPDX-License-Identifier: Apache-2.0
"""One GPU with its MIG instances, read through NVML in the sampler child: one `read`, one frame."""

from collections.abc import Callable
from typing import Any, NamedTuple

from inferometer.sources.devices import calls, codes, exclusion
from inferometer.sources.devices.events import Events
from inferometer.sources.devices.gpm import Gpm
from inferometer.sources.devices.instances import Instances
from inferometer.sources.devices.subject import WITH_MIG, Complaint, Mark, Subject
from inferometer.sources.devices.turns import Turns


class Seen(NamedTuple):
    """What a read found: the GPU, and the devices on which processes run, itself or its instances, by UUID."""

    uuid: str
    handle: calls.Handle
    mig: bool
    hosts_vgpus: bool
    devices: tuple[tuple[str, calls.Handle], ...]


class Gpu:
    """The GPU at one NVML index. What it is and what it refuses is found out once per generation: UUID and MIG mode."""

    def __init__(
        self,
        nvml: calls.Nvml,
        index: int,
        mark: Mark,
        driver: dict[str, str],
        events: Events,
        periods: dict[str, float],
        exclude: frozenset[str] = frozenset(),
    ) -> None:
        self._nvml = nvml
        self._index = index
        self._mark = mark
        self._driver = driver
        self._events = events
        self._turns = Turns(periods, index)
        self._exclude = exclude
        self._left_out: dict[str, Any] | None = None  # the frame of a GPU that is left out
        self.seen: Seen | None = None  # by the last read
        self._uuid = ""
        self._asks_mig = True
        self._mig: bool | None = None
        self._described = False
        self._details: dict[str, str] = {}
        self._refused_facts: set[calls.Fact] = set()
        self._owed: dict[calls.Fact, None] = {}  # to be read, in their order
        self._uncounted = True  # the MIG indexes
        self._subject = Subject(nvml, mark, "", ())
        self._instances = Instances(nvml, mark, "", 0)

    def read(self) -> dict[str, Any]:
        """Read the GPU and its instances; of a GPU that is left out, only which one it is, once.

        Raises LostError where the GPU is lost, GoneError where the driver is, and what the binding raises where not even
        a handle can be had.
        """
        if self._left_out is not None:
            return self._left_out
        nvml = self._nvml
        handle = self._ask("nvmlDeviceGetHandleByIndex_v2", nvml.nvmlDeviceGetHandleByIndex, self._index)
        uuid = self._ask("nvmlDeviceGetUUID", lambda: codes.identity(nvml.nvmlDeviceGetUUID(handle)))
        if uuid != self._uuid:
            self._uuid, self._asks_mig, self._described = uuid, True, False
            model = exclusion.find(nvml, handle, uuid, self._exclude, self._mark)
            if model is not None:
                self._left_out = {"gpu": self._index, "uuid": uuid, "excluded": model}
                return self._left_out
        failed: list[Complaint] = []
        refused = self._events.watch(uuid, handle, self._mark, failed)
        mig = self._mig_mode(handle, failed)
        if mig != self._mig:
            self._mig, self._described = mig, False
        if not self._described:
            self._turns.begin_anew()
        due = self._turns.due()
        if not self._described:
            self._describe()
        elif calls.SLOW in due:
            # What was told to be nothing is asked again: an empty answer may have been a slip.
            self._owed.update(
                dict.fromkeys(fact for fact in calls.GPU_FACTS if fact.changes or fact.attribute not in self._details)
            )
        self._read_facts(handle, failed)
        if mig and self._uncounted:
            self._count_instances(handle, failed)
        values = self._subject.read(handle, due, failed)
        instances = self._instances.read(handle, due, failed) if mig else []
        self._turns.have_read(due)
        self.seen = Seen(
            uuid,
            handle,
            bool(mig),
            self._details.get("gpu.virtualization_mode") == "host_vgpu",
            tuple(self._instances.handles) if mig else ((uuid, handle),),
        )
        return {
            "gpu": self._index,
            "tiers": list(self._subject.tiers),
            "values": values,
            "instances": [told for _, told in instances],
            "failed": failed,
            "latencies": list(self._subject.latencies.items()),
            "about": {
                "uuid": uuid,
                "mig": bool(mig),
                "details": self._details.copy(),
                "instances": [facts for facts, _ in instances],
                "unsupported": self._subject.unsupported + self._instances.unsupported + refused,
            },
        }

    def close(self) -> None:
        """Let go of what it holds in the driver."""
        self._subject.close()
        self._instances.close()

    def _ask(self, call: str, function: Callable[..., Any], *arguments: object) -> Any:
        """Make a call whose failure concerns the whole GPU."""
        self._mark(call)
        try:
            return function(*arguments)
        except Exception as error:
            codes.explain(self._nvml, error)
            raise

    def _mig_mode(self, handle: calls.Handle, failed: list[Complaint]) -> bool | None:
        """Tell whether MIG is enabled now; None where this GPU has no MIG, which is found once."""
        if not self._asks_mig:
            return None
        self._mark("nvmlDeviceGetMigMode")
        try:
            return codes.switch(self._nvml.nvmlDeviceGetMigMode(handle)[0])
        except Exception as error:
            reason = codes.explain(self._nvml, error)
            if reason in codes.REFUSED:
                self._asks_mig = False
                return None
            failed.append((self._uuid, "gpu.mig.info", "nvmlDeviceGetMigMode", reason))
            return self._mig

    def _describe(self) -> None:
        """Begin a generation of this GPU: forget what another one refused, and ask for all that describes."""
        self.close()
        off = [row for row in calls.GPU_ROWS if self._mig and row.without_mig]
        table = [(slot, row) for slot, row in calls.GPU_TABLE if row not in off]
        self._subject = Subject(self._nvml, self._mark, self._uuid, table, Gpm(self._nvml, self._mark, self._sample))
        for row in off:
            for quantity in row.gives:
                self._subject.refuse(quantity.metric, row.ways[0].call, WITH_MIG)
        self._details = {"hw.vendor": "NVIDIA", **self._driver}
        self._refused_facts = set()
        if self._mig is not None:
            self._details["gpu.mig.mode"] = "enabled" if self._mig else "disabled"
        self._owed = dict.fromkeys(calls.GPU_FACTS)
        self._instances = Instances(self._nvml, self._mark, self._uuid, 0)
        self._uncounted = True
        self._described = True

    def _sample(self, handle: calls.Handle, sample: Any) -> None:
        self._mark("nvmlGpmSampleGet")
        self._nvml.nvmlGpmSampleGet(handle, sample)

    def _read_facts(self, handle: calls.Handle, failed: list[Complaint]) -> None:
        """Read what describes and is owed. A fact that is gone, or that cannot be told any more, is left out.

        One that failed without being refused stays owed: it is worth asking again at the next read.
        """
        for fact in list(self._owed):
            self._details.pop(fact.attribute, None)
            if fact not in self._refused_facts:
                self._mark(fact.call)
                try:
                    if text := fact.read(self._nvml, handle):
                        self._details[fact.attribute] = text
                except Exception as error:
                    reason = codes.explain(self._nvml, error)
                    if reason not in codes.REFUSED:
                        failed.append((self._uuid, "gpu.info", fact.call, reason))
                        continue
                    self._refused_facts.add(fact)
                    self._subject.refuse("gpu.info", fact.call, reason)
            del self._owed[fact]

    def _count_instances(self, handle: calls.Handle, failed: list[Complaint]) -> None:
        """Find out how many MIG indexes there are to look at; some of them are holes."""
        call = "nvmlDeviceGetMaxMigDeviceCount"
        self._mark(call)
        try:
            indexes = int(self._nvml.nvmlDeviceGetMaxMigDeviceCount(handle))
        except Exception as error:
            reason = codes.explain(self._nvml, error)
            failed.append((self._uuid, "gpu.mig.info", call, reason))
            self._uncounted = reason not in codes.REFUSED
        else:
            self._instances = Instances(self._nvml, self._mark, self._uuid, indexes)
            self._uncounted = False

# SPDX-License-Identifier: Apache-2.0
"""One GPU with its MIG instances, read through NVML in the sampler child: one `read`, one frame."""

from collections.abc import Callable
from typing import Any

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.events import Events
from inferometer.sources.devices.instances import Instances
from inferometer.sources.devices.subject import Complaint, Mark, Subject

_WITH_MIG = "not_while_mig_is_enabled"


class Gpu:
    """The GPU at one NVML index. What it is and what it refuses is found out once per generation: UUID and MIG mode."""

    def __init__(self, nvml: calls.Nvml, index: int, mark: Mark, driver: dict[str, str], events: Events) -> None:
        self._nvml = nvml
        self._index = index
        self._mark = mark
        self._driver = driver
        self._events = events
        self._uuid = ""
        self._asks_mig = True
        self._mig: bool | None = None
        self._described = False
        self._details: dict[str, str] = {}
        self._subject = Subject(nvml, mark, "", ())
        self._instances = Instances(nvml, mark, "", 0)

    def read(self) -> dict[str, Any]:
        """Read the GPU and its instances.

        Raises LostError where the GPU is lost, GoneError where the driver is, and what the binding raises where not even
        a handle can be had.
        """
        nvml = self._nvml
        handle = self._ask("nvmlDeviceGetHandleByIndex_v2", nvml.nvmlDeviceGetHandleByIndex, self._index)
        uuid = self._ask("nvmlDeviceGetUUID", nvml.nvmlDeviceGetUUID, handle)
        if uuid != self._uuid:
            self._uuid, self._asks_mig, self._described = uuid, True, False
        failed: list[Complaint] = []
        refused = self._events.watch(uuid, handle, self._mark, failed)
        mig = self._mig_mode(handle, failed)
        if mig != self._mig or not self._described:
            self._mig = mig
            self._describe(handle, failed)
        values = self._subject.read(handle, failed)
        instances = self._instances.read(handle, failed)
        return {
            "gpu": self._index,
            "uuid": uuid,
            "mig": bool(mig),
            "details": self._details,
            "values": values,
            "instances": instances,
            "unsupported": self._subject.unsupported + self._instances.unsupported + refused,
            "failed": failed,
        }

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
            return bool(self._nvml.nvmlDeviceGetMigMode(handle)[0])
        except Exception as error:
            reason = codes.explain(self._nvml, error)
            if reason in codes.REFUSED:
                self._asks_mig = False
                return None
            failed.append((self._uuid, "gpu.mig.info", "nvmlDeviceGetMigMode", reason))
            return self._mig

    def _describe(self, handle: calls.Handle, failed: list[Complaint]) -> None:
        """Read what only describes, and forget what another generation of this GPU refused."""
        off = [row for row in calls.GPU_ROWS if self._mig and row.without_mig]
        table = [(slot, row) for slot, row in calls.GPU_TABLE if row not in off]
        subject = self._subject = Subject(self._nvml, self._mark, self._uuid, table)
        subject.unsupported += [
            (self._uuid, quantity.metric, way.call, _WITH_MIG)
            for row in off
            for way in row.ways
            for quantity in row.gives
        ]
        self._details = {"hw.vendor": "NVIDIA", **self._driver}
        if self._mig is not None:
            self._details["gpu.mig.mode"] = "enabled" if self._mig else "disabled"
        before = len(failed)
        for fact in calls.GPU_FACTS:
            self._mark(fact.call)
            try:
                if text := fact.read(self._nvml, handle):
                    self._details[fact.attribute] = text
            except Exception as error:
                reason = codes.explain(self._nvml, error)
                (subject.unsupported if reason in codes.REFUSED else failed).append(
                    (self._uuid, "gpu.info", fact.call, reason)
                )
        self._instances = Instances(
            self._nvml, self._mark, self._uuid, self._indexes(handle, failed) if self._mig else 0
        )
        # What failed without being refused is worth asking again at the next read.
        self._described = len(failed) == before

    def _indexes(self, handle: calls.Handle, failed: list[Complaint]) -> int:
        """Give how many MIG indexes there are to look at; some of them are holes."""
        self._mark("nvmlDeviceGetMaxMigDeviceCount")
        try:
            return int(self._nvml.nvmlDeviceGetMaxMigDeviceCount(handle))
        except Exception as error:
            failed.append(
                (self._uuid, "gpu.mig.info", "nvmlDeviceGetMaxMigDeviceCount", codes.explain(self._nvml, error))
            )
            return 0

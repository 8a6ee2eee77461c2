# SPDX-License-Identifier: Apache-2.0
"""One AMD GPU, read through AMD SMI in the sampler child: one `read`, one frame."""

from collections.abc import Callable
from typing import Any

from inferometer.sources.devices import calls, codes, exclusion
from inferometer.sources.devices.amd import table
from inferometer.sources.devices.amd.binding import NOT_FOUND, Smi
from inferometer.sources.devices.gpu import Seen
from inferometer.sources.devices.subject import Complaint, Mark, Subject
from inferometer.sources.devices.turns import Turns

# Why a part of a GPU that is partitioned tells nothing: the driver tells of the whole GPU, and its first partition does.
OF_A_PARTITION = "told_by_the_first_partition"
_INFO = "gpu.info"


class Gpu:
    """The GPU behind a handle. What it refuses is found out once, until another GPU is there."""

    seen: Seen | None = None  # who uses it is not asked

    def __init__(
        self, smi: Smi, index: int, handle: calls.Handle, mark: Mark, periods: dict[str, float], exclude: frozenset[str]
    ) -> None:
        self._smi = smi
        self._index = index
        self._handle = handle
        self._mark = mark
        self._turns = Turns(periods, index)
        self._exclude = exclude
        self._uuid = ""
        self._subject = Subject(smi, mark, "", ())
        self._details: dict[str, str] = {}
        self._refused: dict[calls.Fact, Complaint] = {}

    def read(self) -> dict[str, Any]:
        """Read the GPU; of one that is left out, only which one it is.

        Raises LostError where the GPU is gone, GoneError where the driver is, and FieldError where it does not say which
        one it is.
        """
        uuid = self._identify("amdsmi_get_gpu_device_uuid", self._smi.amdsmi_get_gpu_device_uuid)
        address = self._identify("amdsmi_get_gpu_device_bdf", self._smi.amdsmi_get_gpu_device_bdf).lower()
        if {exclusion.plain(uuid), exclusion.plain(address)} & self._exclude:
            return {"gpu": self._index, "uuid": uuid, "excluded": self._model()}
        if uuid != self._uuid:
            self._begin(uuid, address)
        due = self._turns.due()
        failed: list[Complaint] = []
        if calls.SLOW in due:
            self._describe(failed)
        values = self._subject.read(self._handle, due, failed)
        self._turns.have_read(due)
        return {
            "gpu": self._index,
            "tiers": list(self._subject.tiers),
            "values": values,
            "instances": [],
            "failed": failed,
            "latencies": [],
            "about": {
                "uuid": uuid,
                "mig": False,
                "details": self._details,
                "instances": [],
                "unsupported": [*self._subject.unsupported, *self._refused.values()],
            },
        }

    def close(self) -> None:
        """Let go of what it holds in the driver: nothing."""

    def _identify(self, call: str, function: Callable[[calls.Handle], str]) -> str:
        """Make a call that every GPU that is there answers. Raises LostError for one that the driver does not find."""
        self._mark(call)
        try:
            return codes.identity(function(self._handle))
        except codes.FieldError as error:
            if str(error) == NOT_FOUND:
                raise codes.LostError(codes.LOST) from error
            raise

    def _begin(self, uuid: str, address: str) -> None:
        """Begin with another GPU: forget what the one before refused."""
        self._uuid, self._refused = uuid, {}
        self._turns.begin_anew()
        self._details = {"hw.vendor": "AMD", "gpu.pci.address": exclusion.plain(address)}
        whole = self._partition() == 0
        self._subject = Subject(self._smi, self._mark, uuid, table.TABLE if whole else ())
        for row in () if whole else table.ROWS:
            for quantity in row.gives:
                self._subject.refuse(quantity.metric, row.ways[0].call, OF_A_PARTITION)

    def _partition(self) -> int:
        """Give which partition of its GPU this is; 0 also where the driver knows no partitions."""
        self._mark("amdsmi_get_gpu_kfd_info")
        try:
            partition = self._smi.amdsmi_get_gpu_kfd_info(self._handle)["current_partition_id"]
        except Exception as error:
            codes.explain(self._smi, error)
            return 0
        return partition if isinstance(partition, int) else 0

    def _describe(self, failed: list[Complaint]) -> None:
        """Read what only describes. What fails this time stays as it was."""
        for fact in table.FACTS:
            if fact in self._refused:
                continue
            self._mark(fact.call)
            try:
                text = fact.read(self._smi, self._handle)
            except Exception as error:
                reason = codes.explain(self._smi, error)
                complaint = (self._uuid, _INFO, fact.call, reason)
                if reason in codes.REFUSED:
                    self._refused[fact] = complaint
                else:
                    failed.append(complaint)
            else:
                self._details = {**self._details, fact.attribute: text} if text else self._details

    def _model(self) -> str:
        """Give the model of a GPU that is left out, "" where it cannot be told."""
        fact = next(fact for fact in table.FACTS if fact.attribute == "hw.model")
        self._mark(fact.call)
        try:
            return fact.read(self._smi, self._handle)
        except Exception as error:
            codes.explain(self._smi, error)
            return ""

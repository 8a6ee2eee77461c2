# SPDX-License-Identifier: Apache-2.0
"""The rows of one GPU or MIG instance, read in the sampler child: what it says, what it refuses, what failed this time."""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from inferometer.sources.devices import calls, codes

Complaint = tuple[str, str, str, str]  # device UUID, metric, call, reason
Mark = Callable[[str], None]  # says which call is entered

# Answers that mean "no value" in NVML: all bits set, in 32 and in 64.
_NO_VALUE = frozenset({0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF})
# The members of the union `nvmlValue_t`, by `nvmlValueType_t`.
_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")


class _FieldError(Exception):
    """A field of a GetFieldValues answer has a return code of its own: the text."""


class Subject:
    """A GPU or instance. What it refuses is found once, kept in `unsupported`, and not asked again."""

    def __init__(self, nvml: calls.Nvml, mark: Mark, uuid: str, table: Sequence[tuple[int, calls.Row]]) -> None:
        self.uuid = uuid
        self.unsupported: list[Complaint] = []
        self._nvml = nvml
        self._mark = mark
        self._plan = [(slot, row, list(row.ways)) for slot, row in table]

    def read(self, handle: calls.Handle, failed: list[Complaint]) -> list[tuple[int, float]]:
        """Read every row: pairs of slot and value. A row that fails costs only itself, and is told in `failed`.

        Raises LostError where the GPU is lost, GoneError where the driver is.
        """
        values: list[tuple[int, float]] = []
        fields = self._fields(handle)
        for slot, row, ways in self._plan:
            while ways:
                way = ways[0]
                try:
                    raw = self._raw(way, handle, fields)
                    values += [
                        (slot + i, row.gives[i].scale(x)) for i, x in enumerate(raw) if x is not None and _is_value(x)
                    ]
                    break
                except _FieldError as answer:
                    reason = str(answer)
                except Exception as error:
                    reason = codes.explain(self._nvml, error)
                if not self.complain([row], way.call, reason, failed):
                    break
                del ways[0]
        return values

    def complain(self, rows: Sequence[calls.Row], call: str, reason: str, failed: list[Complaint]) -> bool:
        """Name a call that gave no answer; tell whether it was refused for good."""
        refused = reason in codes.REFUSED
        complaints = [(self.uuid, quantity.metric, call, reason) for row in rows for quantity in row.gives]
        (self.unsupported if refused else failed).extend(complaints)
        return refused

    def _raw(self, way: calls.Way, handle: calls.Handle, fields: dict[int, float | str]) -> Sequence[float | None]:
        if way.read is not None:
            self._mark(way.call)
            return way.read(self._nvml, handle)
        answer = fields.get(way.field, "no_data")
        if isinstance(answer, str):
            # A driver that does not know a field calls it an invalid argument.
            raise _FieldError("not_supported" if answer == "invalid_argument" else answer)
        return (answer,)

    def _fields(self, handle: calls.Handle) -> dict[int, float | str]:
        """Ask all fields in one call: field id to its value, or to the name of its return code."""
        wanted = [ways[0].field for _, _, ways in self._plan if ways and ways[0].field]
        if not wanted:
            return {}
        self._mark(calls.FIELDS_CALL)
        try:
            answers = self._nvml.nvmlDeviceGetFieldValues(handle, wanted)
            return {answer.fieldId: _number(answer) for answer in answers}
        except Exception as error:
            return dict.fromkeys(wanted, codes.explain(self._nvml, error))


def _is_value(raw: float) -> bool:
    """Tell numbers from NVML's "no value" and from NaN and infinities."""
    return raw not in _NO_VALUE and isfinite(raw)


def _number(answer: Any) -> float | str:
    """Give a field's value (`nvmlFieldValue_t`), or the name of its return code."""
    if answer.nvmlReturn:
        return codes.name(answer.nvmlReturn)
    kind = int(answer.valueType)
    return float(getattr(answer.value, _MEMBERS[kind])) if kind < len(_MEMBERS) else f"malformed: value type {kind}"

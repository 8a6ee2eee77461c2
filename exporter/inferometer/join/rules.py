# SPDX-License-Identifier: Apache-2.0
"""What makes a GPU other than ok: one table of rules. A rule whose reading is absent does not hold."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from inferometer import catalog, xid_catalog
from inferometer.model import Metric

OK, PREDICTED, DEGRADED, FAILED = STATES = ("ok", "predicted_failure", "degraded", "failed")  # the worst comes last

MOST_RETIRED = 64  # pages; there is no room for more

Pair = tuple[str, str]
Numbers = Mapping[Metric, list[tuple[tuple[Pair, ...], float]]]


class Facts(NamedTuple):
    """What the rules look at: whether a GPU is silent, its readings, and the severities of its newest XIDs.

    `wired` are the numbers of its NVLinks that lead somewhere: see `wiring`.
    """

    silent: bool
    numbers: Numbers
    xids: frozenset[str] = frozenset()
    wired: frozenset[str] = frozenset()


class Condition(NamedTuple):
    """What may be so of a GPU, and the metrics that tell."""

    holds: Callable[[Facts], bool]
    reads: tuple[Metric, ...]


class Rule(NamedTuple):
    """When it is so, the GPU is in `state`, and `cause` says why; `source` is why it means that."""

    cause: str
    state: str
    when: Condition
    source: str


def _sum(facts: Facts, metric: Metric, *wanted: Pair) -> float:
    """Add up the readings that have these attributes; 0 if there is none."""
    return sum(value for attributes, value in facts.numbers.get(metric, ()) if set(wanted) <= set(attributes))


def _from(least: float, metric: Metric, *wanted: Pair) -> Condition:
    """Hold from a number on."""
    return Condition(lambda facts: _sum(facts, metric, *wanted) >= least, (metric,))


def _recovery(action: str) -> Condition:
    return _from(1, catalog.GPU_RECOVERY_ACTION, (catalog.RECOVERY_ACTION.key, action))


def _throttled(reason: str) -> Condition:
    return _from(1, catalog.GPU_THROTTLE_ACTIVE, (catalog.THROTTLE_REASON.key, reason))


def _fabric(condition: str) -> Condition:
    return _from(1, catalog.GPU_FABRIC_CONDITION, (catalog.FABRIC_CONDITION.key, condition))


def _some_down(metric: Metric) -> Condition:
    """Hold where a link is down and another one is up: where all are down they lead nowhere."""

    def holds(facts: Facts) -> bool:
        links = facts.numbers.get(metric, ())
        return 0 < sum(up for _, up in links) < len(links)

    return Condition(holds, (metric,))


def _nvlink_down(facts: Facts) -> bool:
    """Tell whether a link that leads somewhere is down. All others may be: most cards leave some unused."""
    links = facts.numbers.get(catalog.NVLINK_UP, ())
    return any(not up and dict(attributes).get(catalog.NVLINK.key) in facts.wired for attributes, up in links)


def _narrow(facts: Facts) -> bool:
    width, most = _sum(facts, catalog.PCIE_WIDTH), _sum(facts, catalog.PCIE_WIDTH_MAX)
    return 0 < width < most


def _slowed_otherwise(facts: Facts) -> bool:
    """Tell whether the hardware slows down for a reason of its own: heat and power brake set this bit as well."""
    reasons = ("hw_thermal", "hw_power_brake")
    return _throttled("hw_slowdown").holds(facts) and not any(_throttled(reason).holds(facts) for reason in reasons)


def _grave_xid(facts: Facts) -> bool:
    """Tell whether an XID asks for a reset or more. Where the driver gives its own verdict, that one counts instead."""
    return catalog.GPU_RECOVERY_ACTION not in facts.numbers and not facts.xids.isdisjoint(
        {xid_catalog.RESET, xid_catalog.FATAL}
    )


_NVML = "nvml.h"
_MEMORY = "NVIDIA, GPU Memory Error Management"  # https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/
_FLAGS = f"{_MEMORY}, Error Recovery and Response Flags"
_RMA = f"{_MEMORY}, RMA Policy"

RULES: tuple[Rule, ...] = (
    # The GPU cannot be used, or must not be.
    Rule(
        "unresponsive",
        FAILED,
        Condition(lambda facts: facts.silent, (catalog.GPU_READING_AGE,)),
        "the driver's calls do not return, or say that the GPU is lost",
    ),
    Rule("reset_required", FAILED, _recovery("gpu_reset"), f"{_FLAGS}: end all processes, reset the GPU"),
    Rule(
        "drain_and_reset_required",
        FAILED,
        _recovery("drain_and_reset"),
        f"{_FLAGS}: as before, and no new work until then",
    ),
    Rule(
        "bus_reset_required",
        FAILED,
        _recovery("bus_reset"),
        f"{_NVML}, nvmlDeviceGpuRecoveryAction_t: reset its PCIe bus",
    ),
    Rule(
        "node_reboot_required", FAILED, _recovery("node_reboot"), f"{_FLAGS}: the operating system may be inconsistent"
    ),
    Rule("system_reboot_required", FAILED, _recovery("system_reboot"), f"{_NVML}, nvmlDeviceGpuRecoveryAction_t"),
    Rule(
        "row_remap_failure",
        FAILED,
        _from(1, catalog.GPU_ROW_REMAP_FAILURE),
        f"{_RMA}: it is to be replaced, if the field diagnostic agrees; XID 64 is the same",
    ),
    Rule(
        "xid",
        FAILED,
        Condition(_grave_xid, (catalog.XID_ERRORS, catalog.GPU_RECOVERY_ACTION)),
        "an XID of severity reset or fatal in the last ten minutes, where the driver gives no verdict of its own",
    ),
    # It works, with less than it has.
    Rule("drain_p2p_required", DEGRADED, _recovery("drain_p2p"), f"{_FLAGS}: traffic between GPUs has to pause"),
    Rule(
        "imex_recovery_required", DEGRADED, _recovery("recover_imex_domain"), f"{_NVML}, nvmlDeviceGpuRecoveryAction_t"
    ),
    Rule(
        "row_remap_pending",
        DEGRADED,
        _from(1, catalog.GPU_ROW_REMAP_PENDING),
        f"{_FLAGS}: work goes on; reset it when it is idle",
    ),
    Rule(
        "page_retirement_pending",
        DEGRADED,
        _from(1, catalog.GPU_RETIRED_PENDING),
        "NVIDIA, Dynamic Page Retirement: the page is in use until the next reset",
    ),
    Rule(
        "uncorrected_memory_errors",
        DEGRADED,
        _from(1, catalog.HW_ERRORS, (catalog.ERROR_TYPE.key, "uncorrected")),
        f"{_MEMORY}: since the last reset, each has ended a process",
    ),
    Rule(
        "hw_thermal",
        DEGRADED,
        _throttled("hw_thermal"),
        f"{_NVML}, nvmlClocksEventReasons: too hot, clocks are halved or worse",
    ),
    Rule(
        "hw_power_brake",
        DEGRADED,
        _throttled("hw_power_brake"),
        f"{_NVML}: the power supply asks for less, clocks are halved or worse",
    ),
    Rule(
        "hw_slowdown",
        DEGRADED,
        Condition(_slowed_otherwise, (catalog.GPU_THROTTLE_ACTIVE,)),
        f"{_NVML}: clocks are halved or worse",
    ),
    Rule(
        "pcie_width",
        DEGRADED,
        Condition(_narrow, (catalog.PCIE_WIDTH, catalog.PCIE_WIDTH_MAX)),
        "an idle GPU lowers its PCIe generation, never its width: a lane is broken, or badly seated",
    ),
    Rule(
        "nvlink_down",
        DEGRADED,
        Condition(_nvlink_down, (catalog.NVLINK_UP, catalog.GPU_FABRIC_STATE)),
        "NVIDIA, Health Validation, nvlink_active: a link is down that was up, or that is up at its peers (`wiring`)",
    ),
    Rule(
        "c2c_link_down",
        DEGRADED,
        _some_down(catalog.C2C_UP),
        "as for NVLink, but soldered: where one is up all have to be",
    ),
    Rule("fabric_degraded_bandwidth", DEGRADED, _fabric("degraded_bandwidth"), f"{_NVML}, NVML_GPU_FABRIC_HEALTH_MASK"),
    Rule("fabric_route_recovery", DEGRADED, _fabric("route_recovery"), f"{_NVML}, NVML_GPU_FABRIC_HEALTH_MASK"),
    Rule("fabric_route_unhealthy", DEGRADED, _fabric("route_unhealthy"), f"{_NVML}, NVML_GPU_FABRIC_HEALTH_MASK"),
    Rule(
        "fabric_access_timeout_recovery",
        DEGRADED,
        _fabric("access_timeout_recovery"),
        f"{_NVML}, NVML_GPU_FABRIC_HEALTH_MASK",
    ),
    Rule(
        "fabric_incorrect_configuration",
        DEGRADED,
        _fabric("incorrect_configuration"),
        f"{_NVML}, NVML_GPU_FABRIC_HEALTH_MASK",
    ),
    # It works, and will not for long.
    Rule(
        "sram_threshold",
        PREDICTED,
        _from(1, catalog.GPU_SRAM_THRESHOLD),
        f"{_RMA}: SRAM errors beyond what is accepted",
    ),
    Rule(
        "no_spare_rows",
        PREDICTED,
        _from(1, catalog.GPU_ROW_REMAP_BANKS, (catalog.SPARE_ROWS.key, "none")),
        f"{_RMA}: the next uncorrectable error in that bank is a remapping failure",
    ),
    Rule(
        "retired_pages",
        PREDICTED,
        _from(MOST_RETIRED, catalog.GPU_RETIRED_PAGES),
        f"{_MEMORY}, Row Remapping: GPUs before Ampere can retire 64 pages",
    ),
)

# SPDX-License-Identifier: Apache-2.0
"""A GPU's power, energy, heat, fans and clocks, and what lowers the clocks."""

from collections.abc import Callable
from functools import lru_cache

from inferometer.sources.devices.calls.shapes import (
    FAST,
    MEDIUM,
    SLOW,
    Each,
    Handle,
    Mark,
    Nvml,
    Quantity,
    Raw,
    Row,
    Way,
    call,
    celsius,
    field,
    mega,
    milli,
    nano,
    one_of,
    percent,
    watts,
)


def _limit(metric: str, number: int, name: str, way: Way) -> Row:
    return Row((Quantity(metric, scale=watts),), (field(number, name), way), SLOW)


def _constraint(position: int) -> Way:
    def read(nvml: Nvml, handle: Handle) -> Raw:
        return (nvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)[position],)

    return Way("nvmlDeviceGetPowerManagementLimitConstraints", read)


def _sensor(location: str, *ways: Way, tier: str = FAST) -> Row:
    return Row((Quantity("hw.temperature", (("hw.sensor_location", location),), celsius),), ways, tier)


def _threshold(location: str, limit: str, constant: str) -> Row:
    return Row(
        (Quantity("hw.temperature.limit", (("hw.sensor_location", location), ("hw.limit_type", limit)), celsius),),
        (call("nvmlDeviceGetTemperatureThreshold", constant),),
        SLOW,
    )


def _clock(domain: str, constant: str, metric: str, function: str, tier: str) -> Row:
    return Row((Quantity(metric, (("gpu.clock.domain", domain),), mega),), (call(function, constant),), tier)


_DOMAINS = (
    ("graphics", "NVML_CLOCK_GRAPHICS"),
    ("sm", "NVML_CLOCK_SM"),
    ("memory", "NVML_CLOCK_MEM"),
    ("video", "NVML_CLOCK_VIDEO"),
)

# --- what lowers the clocks -------------------------------------------------------------------------------------------

# The bits of nvmlClocksEventReasons, in their order.
_REASONS = (
    *("idle", "application_clocks", "sw_power_cap", "hw_slowdown", "sync_boost"),
    *("sw_thermal", "hw_thermal", "hw_power_brake", "display_clocks"),
)


def _reasons(function: str) -> Way:
    def read(nvml: Nvml, handle: Handle) -> Raw:
        return _bits(int(getattr(nvml, function)(handle)))

    return Way(function, read)


@lru_cache(64)
def _bits(mask: int) -> Raw:
    if mask >> 32:
        raise ValueError(f"{mask:#x} is no set of reasons")
    return tuple(float(mask >> bit & 1) for bit in range(len(_REASONS)))


def _time(reason: str) -> Quantity:
    return Quantity("gpu.throttle.time", (("gpu.throttle.reason", reason),), nano)


def _throttle(reason: str, number: int, name: str) -> Row:
    return Row((_time(reason),), (field(number, name),), MEDIUM)


_MOST_FANS = 64
_FASTEST = 200  # percent


def _fans(nvml: Nvml, handle: Handle, mark: Mark) -> int:
    mark("nvmlDeviceGetNumFans")
    fans = int(nvml.nvmlDeviceGetNumFans(handle))
    if not 0 <= fans <= _MOST_FANS:
        raise ValueError(f"{fans} fans are not believed")
    return fans


def _fan(nvml: Nvml, handle: Handle, index: int) -> Raw:
    # The speed that is intended, of which a fan may report more than 100 % while it spins up.
    speed = nvml.nvmlDeviceGetFanSpeed_v2(handle, index)
    return (min(100, speed) if 0 <= speed <= _FASTEST else speed,)


def _first(raw: float) -> Raw:
    return raw, None


def _second(raw: float) -> Raw:
    return None, raw


def _performance_state(raw: float) -> float:
    """Keep 0 to 15; 32 means unknown. Raises ValueError."""
    if not 0 <= raw <= 15:
        raise ValueError(f"{raw:g} is no performance state")
    return float(raw)


_STATE: Callable[[float], float] = _performance_state

# nvmlDeviceGpuRecoveryAction_t
_RECOVERY = (
    *("none", "gpu_reset", "node_reboot", "drain_p2p", "drain_and_reset"),
    *("recover_imex_domain", "bus_reset", "system_reboot"),
)

GPU: tuple[Row, ...] = (
    # The field and the function are an average over a second on Ampere and newer (but GA100); the other field is what the
    # board draws now.
    Row((Quantity("hw.power", scale=watts),), (field(185, "POWER_AVERAGE"), call("nvmlDeviceGetPowerUsage"))),
    Row((Quantity("gpu.power.instant", scale=watts),), (field(186, "POWER_INSTANT"),)),
    Row(
        (Quantity("gpu.power.max", scale=watts),),
        (Way("nvmlDeviceGetSamples", samples="NVML_TOTAL_POWER_SAMPLES"),),
    ),
    Row((Quantity("hw.energy", scale=milli),), (call("nvmlDeviceGetTotalEnergyConsumption"),), architecture="volta"),
    Row((Quantity("gpu.power.limit", scale=watts),), (call("nvmlDeviceGetEnforcedPowerLimit"),), MEDIUM),
    _limit(
        "gpu.power.limit.default",
        189,
        "POWER_DEFAULT_LIMIT",
        call("nvmlDeviceGetPowerManagementDefaultLimit"),
    ),
    _limit("gpu.power.limit.minimum", 187, "POWER_MIN_LIMIT", _constraint(0)),
    _limit("gpu.power.limit.maximum", 188, "POWER_MAX_LIMIT", _constraint(1)),
    _sensor(
        "core",
        call("nvmlDeviceGetTemperatureV", "NVML_TEMPERATURE_GPU"),
        call("nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU"),
    ),
    _sensor("memory", field(82, "MEMORY_TEMP")),
    Row((Quantity("gpu.temperature.margin", scale=celsius),), (call("nvmlDeviceGetMarginTemperature"),), MEDIUM),
    _threshold("core", "high.degraded", "NVML_TEMPERATURE_THRESHOLD_SLOWDOWN"),
    _threshold("core", "high.critical", "NVML_TEMPERATURE_THRESHOLD_SHUTDOWN"),
    _threshold("memory", "high.degraded", "NVML_TEMPERATURE_THRESHOLD_MEM_MAX"),
    Row(
        (Quantity("gpu.fan.speed", scale=percent),),
        (Way("nvmlDeviceGetFanSpeed_v2", _fan),),
        MEDIUM,
        each=Each("gpu.fan", "nvmlDeviceGetNumFans", _fans),
    ),
    *(_clock(*domain, "gpu.clock.frequency", "nvmlDeviceGetClockInfo", FAST) for domain in _DOMAINS),
    *(_clock(*domain, "gpu.clock.frequency.max", "nvmlDeviceGetMaxClockInfo", SLOW) for domain in _DOMAINS),
    Row((Quantity("gpu.performance_state", scale=_STATE),), (call("nvmlDeviceGetPerformanceState"),), MEDIUM),
    Row(
        tuple(Quantity("gpu.throttle.active", (("gpu.throttle.reason", reason),)) for reason in _REASONS),
        (
            _reasons("nvmlDeviceGetCurrentClocksEventReasons"),  # driver 535 and newer
            _reasons("nvmlDeviceGetCurrentClocksThrottleReasons"),
        ),
    ),
    _throttle("sw_power_cap", 74, "PERF_POLICY_POWER"),
    _throttle("sync_boost", 76, "PERF_POLICY_SYNC_BOOST"),
    _throttle("board_limit", 77, "PERF_POLICY_BOARD_LIMIT"),
    _throttle("low_utilization", 78, "PERF_POLICY_LOW_UTILIZATION"),
    _throttle("reliability", 79, "PERF_POLICY_RELIABILITY"),
    # Older drivers do not tell the two kinds of heat apart from each other.
    Row(
        (_time("sw_thermal"), _time("thermal")),
        (
            field(269, "CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN", _first),
            field(75, "PERF_POLICY_THERMAL", _second),
        ),
        MEDIUM,
    ),
    _throttle("hw_thermal", 270, "CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN"),
    _throttle("hw_power_brake", 271, "CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN"),
    Row(
        tuple(Quantity("gpu.recovery.action", (("gpu.recovery.action", action),)) for action in _RECOVERY),
        (field(230, "GET_GPU_RECOVERY_ACTION", one_of(len(_RECOVERY))),),  # driver 570 and newer
        MEDIUM,
    ),
)

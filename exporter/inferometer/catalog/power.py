# SPDX-License-Identifier: Apache-2.0
"""A physical GPU's power, heat, clocks and fans, beyond the conventions'."""

from inferometer.catalog.attributes import (
    GPU_CLOCK,
    GPU_FAN,
    HW_LIMIT_TYPE,
    HW_SENSOR,
    THROTTLE_REASON,
)
from inferometer.catalog.define import (
    AVG,
    MAX,
    ON_GPU,
    SUM,
    C,
    G,
    metric,
)

GPU_POWER_INSTANT = metric("gpu.power.instant", "W", G, ON_GPU, SUM, "Power drawn by the board at this moment.")
GPU_POWER_MAX = metric(
    "gpu.power.max",
    "W",
    G,
    ON_GPU,
    SUM,
    "Highest power among the driver's own samples since the read before, so that a peak between two reads is seen.",
)
GPU_POWER_LIMIT_DEFAULT = metric(
    "gpu.power.limit.default", "W", G, ON_GPU, SUM, "Power limit that the board starts with."
)
GPU_POWER_LIMIT_MINIMUM = metric("gpu.power.limit.minimum", "W", G, ON_GPU, SUM, "Lowest power limit that can be set.")
GPU_POWER_LIMIT_MAXIMUM = metric("gpu.power.limit.maximum", "W", G, ON_GPU, SUM, "Highest power limit that can be set.")
TEMPERATURE_LIMIT = metric(
    "hw.temperature.limit",
    "Cel",
    G,
    (*ON_GPU, HW_SENSOR, HW_LIMIT_TYPE),
    MAX,
    "Temperature at which the GPU slows down (high.degraded) or shuts down (high.critical).",
)
GPU_TEMPERATURE_MARGIN = metric(
    "gpu.temperature.margin", "Cel", G, ON_GPU, MAX, "Degrees left until the GPU slows down; below 0 it has."
)
GPU_FAN_SPEED = metric("gpu.fan.speed", "1", G, (*ON_GPU, GPU_FAN), AVG, "Fan speed as a fraction of its highest.")
GPU_CLOCK_FREQUENCY_MAX = metric(
    "gpu.clock.frequency.max", "Hz", G, (*ON_GPU, GPU_CLOCK), AVG, "Highest clock frequency of the GPU."
)
GPU_PERFORMANCE_STATE = metric(
    "gpu.performance_state", "{state}", G, ON_GPU, MAX, "Performance state: 0 is the fastest, 15 the slowest."
)
GPU_THROTTLE_TIME = metric(
    "gpu.throttle.time",
    "s",
    C,
    (*ON_GPU, THROTTLE_REASON),
    SUM,
    "Time that the clocks were lowered, by reason. Reasons may hold at once.",
)
GPU_THROTTLE_ACTIVE = metric(
    "gpu.throttle.active",
    "{state}",
    G,
    (*ON_GPU, THROTTLE_REASON),
    MAX,
    "1 for each reason that lowers the clocks now, else 0.",
)

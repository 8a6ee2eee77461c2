# SPDX-License-Identifier: Apache-2.0
"""What a physical GPU does and is."""

from inferometer.catalog.attributes import (
    GPU_ARCH,
    GPU_CLOCK,
    GPU_COMPUTE,
    GPU_COMPUTE_MODE,
    GPU_CONFIDENTIAL,
    GPU_CUDA,
    GPU_ECC,
    GPU_MIG_MODE,
    GPU_MIG_PENDING,
    GPU_MINOR,
    GPU_NUMA,
    GPU_PART,
    GPU_PCI,
    GPU_PERSISTENCE,
    GPU_PIPE,
    GPU_STATE,
    GPU_VIRTUALIZATION,
    HEALTH_CAUSE,
    HW_DRIVER,
    HW_FIRMWARE,
    HW_GPU_TASK,
    HW_MODEL,
    HW_SENSOR,
    HW_SERIAL,
    HW_STATE,
    HW_VENDOR,
    PROCESS_ID,
    PROCESS_TYPE,
    RECOVERY_ACTION,
    VGPU_TYPE,
    VGPU_VM,
)
from inferometer.catalog.define import (
    AVG,
    JOIN,
    MAX,
    ON_GPU,
    ON_HARDWARE,
    ON_INSTANCE,
    ON_VGPU,
    SUM,
    C,
    G,
    U,
    metric,
)

# Physical GPUs, where a convention exists.
GPU_UTILIZATION = metric(
    "hw.gpu.utilization", "1", G, (*ON_GPU, HW_GPU_TASK), AVG, "Fraction of time that the GPU's engine was busy."
)
GPU_MEMORY_USAGE = metric(
    "hw.gpu.memory.usage", "By", U, ON_GPU, SUM, "GPU memory in use by processes, without what the driver reserves."
)
GPU_MEMORY_LIMIT = metric("hw.gpu.memory.limit", "By", U, ON_GPU, SUM, "Size of the GPU memory.")
POWER = metric(
    "hw.power",
    "W",
    G,
    ON_HARDWARE,
    SUM,
    "Power drawn by the board: the driver's average over about a second, where the GPU has one.",
)
ENERGY = metric("hw.energy", "J", C, ON_HARDWARE, SUM, "Energy consumed since the driver was loaded.")
TEMPERATURE = metric("hw.temperature", "Cel", G, (*ON_GPU, HW_SENSOR), MAX, "Temperature of the sensor.")
STATUS = metric(
    "hw.status",
    "1",
    U,
    (*ON_HARDWARE, HW_STATE),
    SUM,
    "1 for the state that the GPU is in, 0 for the others; the worst of what `gpu.health.reason` has, ok where it has nothing.",
)

# Physical GPUs, our own names.
GPU_INFO = metric(
    "gpu.info",
    "{gpu}",
    G,
    (
        *ON_GPU,
        HW_VENDOR,
        HW_MODEL,
        HW_SERIAL,
        HW_DRIVER,
        HW_FIRMWARE,
        GPU_CUDA,
        GPU_PCI,
        GPU_MINOR,
        GPU_NUMA,
        GPU_ARCH,
        GPU_COMPUTE,
        GPU_MIG_MODE,
        GPU_MIG_PENDING,
        GPU_COMPUTE_MODE,
        GPU_PERSISTENCE,
        GPU_VIRTUALIZATION,
        GPU_CONFIDENTIAL,
        GPU_ECC,
        GPU_PART,
    ),
    JOIN,
    "Always 1; describes a GPU.",
)
GPU_DEVICES = metric(
    "gpu.devices",
    "{gpu}",
    G,
    (HW_MODEL, GPU_STATE),
    SUM,
    "Physical GPUs of this node, by model and state; 0, without both, where there is no driver or no GPU.",
)
GPU_MEMORY_RESERVED = metric(
    "gpu.memory.reserved", "By", U, ON_GPU, SUM, "GPU memory that the driver and firmware keep for themselves."
)
GPU_POWER_LIMIT = metric("gpu.power.limit", "W", G, ON_GPU, SUM, "Power limit that is enforced now.")
GPU_CLOCK_FREQUENCY = metric("gpu.clock.frequency", "Hz", G, (*ON_GPU, GPU_CLOCK), AVG, "Clock frequency now.")
GPU_READING_AGE = metric("gpu.reading.age", "s", G, ON_GPU, MAX, "Time since the GPU last answered the driver's calls.")

# Compute.
GPU_UTILIZATION_MAX = metric(
    "gpu.utilization.max",
    "1",
    G,
    ON_GPU,
    MAX,
    "Highest general utilization among the driver's own samples since the read before, so that a peak between two reads is seen.",
)
GPU_MEMORY_ACTIVITY = metric(
    "gpu.memory.activity", "1", G, ON_GPU, AVG, "Fraction of time that GPU memory was being read or written."
)
GPU_GRAPHICS_ACTIVITY = metric(
    "gpu.graphics.activity", "1", G, ON_GPU, AVG, "Fraction of time that any graphics or compute engine was active."
)
GPU_SM_ACTIVITY = metric("gpu.sm.activity", "1", G, ON_GPU, AVG, "Fraction of SMs that were busy, over time.")
GPU_SM_OCCUPANCY = metric(
    "gpu.sm.occupancy", "1", G, ON_GPU, AVG, "Warps that were resident, as a fraction of what the SMs can hold."
)
GPU_TENSOR_ACTIVITY = metric(
    "gpu.tensor.activity", "1", G, ON_GPU, AVG, "Fraction of time that the tensor pipes of the SMs were active."
)
GPU_PIPE_ACTIVITY = metric(
    "gpu.pipe.activity", "1", G, (*ON_GPU, GPU_PIPE), AVG, "Fraction of time that a pipe of the SMs was active."
)
GPU_DRAM_ACTIVITY = metric(
    "gpu.dram.activity", "1", G, ON_GPU, AVG, "Memory bandwidth in use, as a fraction of what the GPU has."
)
GPU_CONTEXT_SWITCH_ACTIVITY = metric(
    "gpu.context_switch.activity",
    "1",
    G,
    ON_GPU,
    AVG,
    "Fraction of time spent in switching contexts: what time-slicing costs.",
)
GPU_CONTEXT_SWITCHES = metric(
    "gpu.context_switches",
    "{switch}",
    C,
    ON_GPU,
    SUM,
    "Switches between contexts that the compute engine was asked for, while the agent read the GPU.",
)
GPU_SM_CYCLES_ELAPSED = metric(
    "gpu.sm.cycles.elapsed", "{cycle}", C, ON_GPU, SUM, "SM clock cycles since the node was started."
)
GPU_SM_CYCLES_ACTIVE = metric(
    "gpu.sm.cycles.active",
    "{cycle}",
    C,
    ON_GPU,
    SUM,
    "SM clock cycles in which an SM was busy, since the node was started.",
)
GPU_PIPE_CYCLES = metric(
    "gpu.pipe.cycles",
    "{cycle}",
    C,
    (*ON_GPU, GPU_PIPE),
    SUM,
    "SM clock cycles in which a pipe was active, since the node was started.",
)

# Health, processes, vGPUs.
GPU_RECOVERY_ACTION = metric(
    "gpu.recovery.action",
    "{state}",
    G,
    (*ON_GPU, RECOVERY_ACTION),
    MAX,
    "1 for what the driver says has to be done, 0 for the others.",
)
GPU_HEALTH_CAUSE = metric(
    "gpu.health.reason",
    "{reason}",
    G,
    (*ON_GPU, HW_STATE, HEALTH_CAUSE),
    JOIN,
    "Always 1, while it holds: why `hw.status` is not ok, and which state that means.",
)
GPU_PROCESSES = metric(
    "gpu.processes", "{process}", G, (*ON_INSTANCE, PROCESS_TYPE), SUM, "Processes that use the GPU or MIG instance."
)
PROCESS_MEMORY_USAGE = metric(
    "gpu.process.memory.usage",
    "By",
    U,
    (*ON_INSTANCE, PROCESS_TYPE, PROCESS_ID),
    SUM,
    "Device memory of a process. Off by default: `devices.nvidia.process_series`.",
)
PROCESS_UTILIZATION = metric(
    "gpu.process.utilization",
    "1",
    G,
    (*ON_INSTANCE, PROCESS_TYPE, PROCESS_ID),
    AVG,
    "Fraction of time that a process kept the SMs busy. Off by default: `devices.nvidia.process_series`.",
)
VGPU_INFO = metric(
    "gpu.vgpu.info", "{vgpu}", G, (*ON_VGPU, VGPU_TYPE, VGPU_VM), JOIN, "Always 1; describes a vGPU of this host."
)
VGPU_UTILIZATION = metric(
    "gpu.vgpu.utilization",
    "1",
    G,
    (*ON_VGPU, HW_GPU_TASK),
    AVG,
    "Fraction of time that a vGPU kept an engine of its GPU busy.",
)
VGPU_MEMORY_USAGE = metric("gpu.vgpu.memory.usage", "By", U, ON_VGPU, SUM, "GPU memory that a vGPU uses.")
VGPU_MEMORY_LIMIT = metric("gpu.vgpu.memory.limit", "By", U, ON_VGPU, SUM, "Size of a vGPU's memory.")

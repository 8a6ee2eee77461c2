# SPDX-License-Identifier: Apache-2.0
"""What a MIG instance does and is."""

from inferometer.catalog.attributes import (
    ERROR_TYPE,
    GPU_PIPE,
    GPU_STATE,
    MEMORY_LOCATION,
    MIG_CI,
    MIG_GI,
    MIG_PLACEMENT,
    MIG_PROFILE,
    MIG_SMS,
)
from inferometer.catalog.define import (
    AVG,
    JOIN,
    ON_INSTANCE,
    SUM,
    C,
    G,
    U,
    metric,
)

# MIG instances.
MIG_INFO = metric(
    "gpu.mig.info",
    "{instance}",
    G,
    (*ON_INSTANCE, MIG_GI, MIG_CI, MIG_PLACEMENT, MIG_SMS),
    JOIN,
    "Always 1; describes a MIG instance.",
)
MIG_MEMORY_USAGE = metric(
    "gpu.mig.memory.usage", "By", U, ON_INSTANCE, SUM, "Memory of the MIG instance in use by processes."
)
MIG_MEMORY_LIMIT = metric("gpu.mig.memory.limit", "By", U, ON_INSTANCE, SUM, "Size of the MIG instance's memory.")
MIG_MEMORY_RESERVED = metric(
    "gpu.mig.memory.reserved", "By", U, ON_INSTANCE, SUM, "Memory of the MIG instance that the driver keeps for itself."
)

MIG_DEVICES = metric(
    "gpu.mig.devices",
    "{instance}",
    G,
    (MIG_PROFILE, GPU_STATE),
    SUM,
    "MIG instances of this node, by profile and state.",
)
MIG_GRAPHICS_ACTIVITY = metric(
    "gpu.mig.graphics.activity",
    "1",
    G,
    ON_INSTANCE,
    AVG,
    "Fraction of time that the MIG instance's engines were active.",
)
MIG_SM_ACTIVITY = metric(
    "gpu.mig.sm.activity", "1", G, ON_INSTANCE, AVG, "Fraction of the MIG instance's SMs that were busy, over time."
)
MIG_SM_OCCUPANCY = metric(
    "gpu.mig.sm.occupancy",
    "1",
    G,
    ON_INSTANCE,
    AVG,
    "Warps that were resident, as a fraction of what the MIG instance's SMs can hold.",
)
MIG_TENSOR_ACTIVITY = metric(
    "gpu.mig.tensor.activity",
    "1",
    G,
    ON_INSTANCE,
    AVG,
    "Fraction of time that the MIG instance's tensor pipes were active.",
)
MIG_PIPE_ACTIVITY = metric(
    "gpu.mig.pipe.activity",
    "1",
    G,
    (*ON_INSTANCE, GPU_PIPE),
    AVG,
    "Fraction of time that a pipe of the MIG instance's SMs was active.",
)
MIG_DRAM_ACTIVITY = metric(
    "gpu.mig.dram.activity",
    "1",
    G,
    ON_INSTANCE,
    AVG,
    "Memory bandwidth in use, as a fraction of what the MIG instance has.",
)
MIG_BAR1_USAGE = metric(
    "gpu.mig.memory.bar1.usage", "By", U, ON_INSTANCE, SUM, "BAR1 memory of the MIG instance in use."
)
MIG_BAR1_LIMIT = metric(
    "gpu.mig.memory.bar1.limit", "By", U, ON_INSTANCE, SUM, "Size of the MIG instance's BAR1 memory."
)
MIG_ERRORS = metric(
    "gpu.mig.errors",
    "{error}",
    C,
    (*ON_INSTANCE, ERROR_TYPE, MEMORY_LOCATION),
    SUM,
    "Memory errors that ECC found in the MIG instance since the driver was loaded; its GPU counts them too.",
)

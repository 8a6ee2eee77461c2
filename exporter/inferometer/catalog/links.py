# SPDX-License-Identifier: Apache-2.0
"""How GPUs are linked: PCIe, NVLink, chip-to-chip and the NVLink fabric."""

from inferometer.catalog.attributes import (
    C2C_LINK,
    DIRECTION,
    ERROR_TYPE,
    FABRIC_CLIQUE,
    FABRIC_CLUSTER,
    FABRIC_CONDITION,
    FABRIC_STATE,
    NVLINK,
)
from inferometer.catalog.define import (
    JOIN,
    MAX,
    ON_GPU,
    SUM,
    C,
    G,
    metric,
)

PCIE_IO = metric(
    "hw.gpu.io",
    "By",
    C,
    (*ON_GPU, DIRECTION),
    SUM,
    "Bytes over PCIe. Counted by the GPU; NVLink has its own, `gpu.nvlink.io`.",
)
PCIE_THROUGHPUT = metric(
    "gpu.pcie.throughput", "By/s", G, (*ON_GPU, DIRECTION), SUM, "PCIe traffic between the last two reads."
)
PCIE_GENERATION = metric(
    "gpu.pcie.link.generation", "{generation}", G, ON_GPU, MAX, "PCIe generation that the link runs at now."
)
PCIE_GENERATION_MAX = metric(
    "gpu.pcie.link.generation.max", "{generation}", G, ON_GPU, MAX, "Highest PCIe generation of this GPU in this slot."
)
PCIE_WIDTH = metric("gpu.pcie.link.width", "{lane}", G, ON_GPU, MAX, "PCIe lanes that the link runs with now.")
PCIE_WIDTH_MAX = metric(
    "gpu.pcie.link.width.max", "{lane}", G, ON_GPU, MAX, "Most PCIe lanes of this GPU in this slot."
)
PCIE_REPLAYS = metric("gpu.pcie.replays", "{replay}", C, ON_GPU, SUM, "PCIe packets sent again.")
PCIE_RECOVERIES = metric(
    "gpu.pcie.recoveries", "{recovery}", C, ON_GPU, SUM, "Times that the PCIe link went from L0 to recovery."
)
PCIE_ERRORS = metric("gpu.pcie.errors", "{error}", C, (*ON_GPU, ERROR_TYPE), SUM, "PCIe errors, by kind.")

NVLINK_UP = metric(
    "gpu.nvlink.up",
    "{link}",
    G,
    (*ON_GPU, NVLINK),
    SUM,
    "1 if the NVLink is active or asleep, else 0; a link that leads nowhere is 0, too.",
)
NVLINK_SPEED = metric(
    "gpu.nvlink.speed", "By/s", G, (*ON_GPU, NVLINK), SUM, "Bandwidth of the NVLink, as it was trained."
)
NVLINK_IO = metric("gpu.nvlink.io", "By", C, (*ON_GPU, NVLINK, DIRECTION), SUM, "Bytes over the NVLink.")
NVLINK_THROUGHPUT = metric(
    "gpu.nvlink.throughput", "By/s", G, (*ON_GPU, DIRECTION), SUM, "Traffic of all NVLinks between the last two reads."
)
NVLINK_ERRORS = metric(
    "gpu.nvlink.errors",
    "{error}",
    C,
    (*ON_GPU, NVLINK, ERROR_TYPE),
    SUM,
    "Errors of the NVLink, by kind; which kinds there are depends on its generation.",
)
C2C_UP = metric("gpu.c2c.up", "{link}", G, (*ON_GPU, C2C_LINK), SUM, "1 if the chip-to-chip link is active, else 0.")
C2C_THROUGHPUT = metric(
    "gpu.c2c.throughput",
    "By/s",
    G,
    (*ON_GPU, DIRECTION),
    SUM,
    "Traffic of all chip-to-chip links between the last two reads.",
)
C2C_ERRORS = metric(
    "gpu.c2c.errors", "{error}", C, (*ON_GPU, C2C_LINK, ERROR_TYPE), SUM, "Errors of the chip-to-chip link, by kind."
)
FABRIC_INFO = metric(
    "gpu.fabric.info",
    "{gpu}",
    G,
    (*ON_GPU, FABRIC_CLUSTER, FABRIC_CLIQUE),
    JOIN,
    "Always 1; where a GPU is in its NVLink fabric.",
)
GPU_FABRIC_STATE = metric(
    "gpu.fabric.state",
    "{state}",
    G,
    (*ON_GPU, FABRIC_STATE),
    MAX,
    "1 for the state of the GPU's registration with the fabric, 0 for the others.",
)
GPU_FABRIC_CONDITION = metric(
    "gpu.fabric.condition",
    "{state}",
    G,
    (*ON_GPU, FABRIC_CONDITION),
    MAX,
    "1 for each thing that is wrong with the GPU's fabric, else 0.",
)

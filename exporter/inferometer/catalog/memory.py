# SPDX-License-Identifier: Apache-2.0
"""What a physical GPU's memory does: BAR1, errors, retired pages and remapped rows."""

from inferometer.catalog.attributes import (
    ERROR_TYPE,
    MEMORY_LOCATION,
    RETIREMENT_CAUSE,
    SPARE_ROWS,
    SRAM_UNIT,
)
from inferometer.catalog.define import (
    MAX,
    ON_GPU,
    ON_HARDWARE,
    SUM,
    C,
    G,
    U,
    metric,
)

GPU_BAR1_USAGE = metric(
    "gpu.memory.bar1.usage", "By", U, ON_GPU, SUM, "BAR1 memory in use: what maps GPU memory for the CPU and for peers."
)
GPU_BAR1_LIMIT = metric("gpu.memory.bar1.limit", "By", U, ON_GPU, SUM, "Size of the BAR1 memory.")
HW_ERRORS = metric(
    "hw.errors",
    "{error}",
    C,
    (*ON_HARDWARE, ERROR_TYPE, MEMORY_LOCATION),
    SUM,
    "Memory errors that ECC found since the driver was loaded: corrected and uncorrected, by location.",
)
GPU_ECC_LIFETIME = metric(
    "gpu.ecc.errors.lifetime",
    "{error}",
    C,
    (*ON_GPU, ERROR_TYPE, MEMORY_LOCATION),
    SUM,
    "Memory errors that ECC found in the GPU's lifetime: corrected and uncorrected, by location.",
)
GPU_SRAM_UNCORRECTED = metric(
    "gpu.sram.errors.lifetime",
    "{error}",
    C,
    (*ON_GPU, SRAM_UNIT),
    SUM,
    "Uncorrected SRAM errors in the GPU's lifetime, by the unit that had them.",
)
GPU_SRAM_THRESHOLD = metric(
    "gpu.sram.threshold_exceeded",
    "{state}",
    G,
    ON_GPU,
    MAX,
    "1 where the GPU had more SRAM errors than its maker accepts.",
)
GPU_RETIRED_PAGES = metric(
    "gpu.memory.retired_pages",
    "{page}",
    U,
    (*ON_GPU, RETIREMENT_CAUSE),
    SUM,
    "Memory pages retired for good, by cause.",
)
GPU_RETIRED_PENDING = metric(
    "gpu.memory.retired_pages.pending", "{state}", G, ON_GPU, MAX, "1 where a page is retired at the next reset."
)
GPU_ROW_REMAPS = metric(
    "gpu.memory.row_remaps",
    "{row}",
    U,
    (*ON_GPU, ERROR_TYPE),
    SUM,
    "Memory rows replaced by spare ones, by the errors that led to it.",
)
GPU_ROW_REMAP_PENDING = metric(
    "gpu.memory.row_remap.pending", "{state}", G, ON_GPU, MAX, "1 where a row is remapped at the next reset."
)
GPU_ROW_REMAP_FAILURE = metric(
    "gpu.memory.row_remap.failure",
    "{state}",
    G,
    ON_GPU,
    MAX,
    "1 where a row could not be remapped: the GPU needs replacing.",
)
GPU_ROW_REMAP_BANKS = metric(
    "gpu.memory.row_remap.banks",
    "{bank}",
    U,
    (*ON_GPU, SPARE_ROWS),
    SUM,
    "Memory banks by how many spare rows they have left.",
)

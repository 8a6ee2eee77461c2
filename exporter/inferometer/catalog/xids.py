# SPDX-License-Identifier: Apache-2.0
"""What the driver reports of GPUs and NVSwitches by itself: XIDs and SXIDs."""

from inferometer.catalog.attributes import (
    NVSWITCH_PCI,
    SXID_CODE,
    XID_ACTION,
    XID_CODE,
    XID_MNEMONIC,
    XID_SEVERITY,
)
from inferometer.catalog.define import (
    JOIN,
    MAX,
    ON_GPU,
    ON_OWNER,
    SUM,
    C,
    G,
    metric,
)

XID_ERRORS = metric(
    "gpu.xid.errors",
    "{error}",
    C,
    (*ON_GPU, XID_CODE, XID_SEVERITY),
    SUM,
    "XIDs that the driver reported while the agent watched, each once, though NVML and the kernel's log tell most of them both. "
    "A code that an alert names is 0 from the first snapshot that shows the GPU; another one is 0 in the snapshot that first "
    "sees it, and counts from the next one on. Absent while neither tells the GPU's XIDs.",
)
XID_EVENTS = metric(
    "gpu.xid.events",
    "{error}",
    C,
    ON_GPU,
    SUM,
    "XIDs of any code, those without a counter of their own among them; 0 from the first snapshot that shows the GPU.",
)
XID_LAST_TIME = metric(
    "gpu.xid.last.time",
    "s",
    G,
    (*ON_GPU, XID_CODE),
    MAX,
    "When the newest XID of the code was, in Unix time; by NVML's events alone, when it was read. Absent until there is one.",
)
XID_INFO = metric(
    "gpu.xid.info",
    "{code}",
    G,
    (XID_CODE, XID_MNEMONIC, XID_SEVERITY, XID_ACTION),
    JOIN,
    "Always 1, for each code that a GPU here has a counter of: what NVIDIA's XID catalogue says of it.",
)
SXID_ERRORS = metric(
    "gpu.nvswitch.sxid.errors",
    "{error}",
    C,
    (NVSWITCH_PCI, SXID_CODE, XID_SEVERITY),
    SUM,
    "SXIDs that the driver reported of an NVSwitch in the kernel's log while the agent watched. A code is 0 in the snapshot that "
    "first sees it, and counts from the next one on.",
)
OWNER_XID_ERRORS = metric(
    "gpu.owner.xid.errors",
    "{error}",
    C,
    (*ON_OWNER, XID_SEVERITY),
    SUM,
    "XIDs of a GPU or MIG instance while the owner held it alone. One that nobody held alone, and what is only told for "
    "information or is not in NVIDIA's catalogue, is nobody's.",
)

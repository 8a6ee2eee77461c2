# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's XID catalogue as data: each code's mnemonic, how bad it is, and what is to be done first.

Source of mnemonics and recommendations: https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html, "Resolution
Bucket (Immediate Action)", as of 2025-10-29; it holds for Ampere and newer. The mnemonics are without their prefix
ROBUST_CHANNEL_. A code up to 172 that is not listed is "unused" there, with CONTACT_SUPPORT.
The severity is ours, since the catalogue has none: it follows what is recommended there, and for codes whose
recommendation is a workflow or nothing, what the code says.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

APPLICATION = "application"  # what runs on the GPU brought it on itself, or is all that has to be restarted
WARNING = "warning"  # something to look at; work goes on
RESET = "reset"  # the GPU must be reset before anything is run on it again
FATAL = "fatal"  # hardware or firmware that a reset may not mend: nothing on it can be trusted
INFO = "info"  # says something of another XID, or is a test
UNKNOWN = "unknown"  # not in the catalogue, or unused there
SEVERITIES = (APPLICATION, WARNING, RESET, FATAL, INFO, UNKNOWN)

# What is told of a bucket: a closed set that rules and people can rely on, in place of NVIDIA's growing one.
ACTIONS = {
    "IGNORE": "ignore",
    "RESTART_APP": "restart_app",
    "RESET_GPU": "reset_gpu",
    "RESTART_VM": "restart_node",
    "RESTART_BM": "restart_node",
    "CHECK_MECHANICALS": "check_hardware",
    "UPDATE_SWFW": "update_software",
    "CONTACT_SUPPORT": "contact_support",
    # Steps that NVIDIA's guide describes; what is to be done depends on what they find.
    "WORKFLOW_XID_45": "workflow",
    "WORKFLOW_XID_48": "workflow",
    "WORKFLOW_NVLINK_ERR": "workflow",
    "WORKFLOW_NVLINK5_ERR": "workflow",
    "XID_154": "workflow",  # the driver's log line says what
    "CHECK_UVM": "workflow",
    "": UNKNOWN,  # the catalogue recommends nothing
}


class Entry(NamedTuple):
    """One code. `bucket` is NVIDIA's word for what is to be done first, a key of `ACTIONS`."""

    code: int
    mnemonic: str
    severity: str
    bucket: str

    @property
    def action(self) -> str:
        """What is to be done first: one of `ACTIONS`' values."""
        return ACTIONS[self.bucket]


def _units(first: int, unit: str, numbers: range, severity: str, bucket: str) -> Iterator[Entry]:
    """Give the codes from `first` on, which stand side by side for equal parts of a GPU."""
    for code, number in enumerate(numbers, first):
        yield Entry(code, f"{unit}{number}_ERROR", severity, bucket)


CATALOG: tuple[Entry, ...] = (
    Entry(8, "FIFO_ERROR_IDLE_TIMEOUT", APPLICATION, "RESTART_APP"),
    Entry(11, "GR_ERROR_MISSING_HW", APPLICATION, "RESTART_APP"),
    Entry(13, "GR_EXCEPTION", APPLICATION, "RESTART_APP"),
    Entry(14, "FAKE_ERROR", INFO, "IGNORE"),
    Entry(25, "GR_ILLEGAL_NOTIFY", APPLICATION, "RESTART_APP"),
    Entry(31, "FIFO_ERROR_MMU_ERR_FLT", APPLICATION, "RESTART_APP"),
    Entry(32, "PBDMA_ERROR", APPLICATION, "RESTART_APP"),
    Entry(37, "FECS_ERR_UNIMP_FIRMWARE_METHOD", WARNING, "IGNORE"),
    Entry(38, "FECS_ERR_WATCHDOG_TIMEOUT", WARNING, "IGNORE"),
    *_units(39, "CE", range(3), APPLICATION, "RESTART_APP"),
    Entry(43, "RESETCHANNEL_VERIF_ERROR", APPLICATION, "IGNORE"),
    Entry(44, "GR_FAULT_DURING_CTXSW", WARNING, "IGNORE"),
    Entry(45, "PREEMPTIVE_REMOVAL", APPLICATION, "WORKFLOW_XID_45"),
    Entry(46, "GPU_TIMEOUT_ERROR", RESET, "RESET_GPU"),
    Entry(48, "GPU_ECC_DBE", RESET, "WORKFLOW_XID_48"),
    Entry(54, "SILENT_RUNNING_PWR_REDUCED_CLOCKING", FATAL, "CHECK_MECHANICALS"),
    Entry(60, "SEC2_ERROR", APPLICATION, "RESTART_APP"),
    Entry(62, "PMU_HALT_ERROR", RESET, "RESET_GPU"),
    Entry(63, "INFOROM_DRAM_RETIREMENT_EVENT", WARNING, "IGNORE"),
    Entry(64, "INFOROM_DRAM_RETIREMENT_FAILURE", FATAL, "RESET_GPU"),
    Entry(66, "FECS_ERR_REG_ACCESS_VIOLATION", WARNING, "IGNORE"),
    Entry(67, "FECS_ERR_VERIF_VIOLATION", WARNING, "IGNORE"),
    *_units(68, "NVDEC", range(1), APPLICATION, "RESTART_APP"),
    Entry(69, "GR_CLASS_ERROR", APPLICATION, "RESTART_APP"),
    *_units(70, "CE", range(3, 6), APPLICATION, "RESTART_APP"),
    Entry(74, "NVLINK_ERROR", RESET, "WORKFLOW_NVLINK_ERR"),
    *_units(75, "CE", range(6, 9), APPLICATION, "RESTART_APP"),
    Entry(78, "VGPU_START_ERROR", WARNING, "UPDATE_SWFW"),
    Entry(79, "GPU_HAS_FALLEN_OFF_THE_BUS", FATAL, "RESTART_BM"),
    Entry(80, "PBDMA_PUSHBUFFER_CRC_MISMATCH", APPLICATION, "RESTART_APP"),
    *_units(82, "NVJPG", range(1), APPLICATION, "RESTART_APP"),
    *_units(83, "NVDEC", range(1, 3), APPLICATION, "RESTART_APP"),
    *_units(85, "CE", range(9, 10), APPLICATION, "RESTART_APP"),
    *_units(86, "OFA", range(1), APPLICATION, "RESTART_APP"),
    *_units(88, "NVDEC", range(3, 5), APPLICATION, "RESTART_APP"),
    Entry(92, "EXCESSIVE_SBE_INTERRUPTS", WARNING, "IGNORE"),
    Entry(93, "INFOROM_ERASE_LIMIT_EXCEEDED", WARNING, "IGNORE"),
    Entry(94, "CONTAINED_ERROR", WARNING, "RESTART_APP"),
    Entry(95, "UNCONTAINED_ERROR", FATAL, "RESET_GPU"),
    *_units(96, "NVDEC", range(5, 8), APPLICATION, "RESTART_APP"),
    *_units(99, "NVJPG", range(1, 8), APPLICATION, "RESTART_APP"),
    Entry(106, "SMBPBI_TEST_MESSAGE", INFO, "IGNORE"),
    Entry(107, "SMBPBI_TEST_MESSAGE_SILENT", INFO, "IGNORE"),
    Entry(108, "NVLINK_REMOTE_TRANSLATION_ERROR", APPLICATION, "IGNORE"),
    Entry(109, "CTXSW_TIMEOUT_ERROR", RESET, "RESET_GPU"),
    Entry(110, "SEC_FAULT_ERROR", RESET, "RESET_GPU"),
    Entry(119, "GSP_RPC_TIMEOUT", FATAL, "RESET_GPU"),
    Entry(120, "GSP_ERROR", FATAL, "RESET_GPU"),
    Entry(121, "C2C_ERROR", WARNING, "IGNORE"),
    *_units(126, "CE", range(10, 20), APPLICATION, "RESTART_APP"),
    Entry(136, "ALI_TRAINING_FAIL", RESET, "RESET_GPU"),
    Entry(137, "NVLINK_PRIV_ERR", APPLICATION, "IGNORE"),
    *_units(139, "OFA", range(1, 2), APPLICATION, "RESTART_APP"),
    Entry(140, "UNRECOVERABLE_ECC_ERROR_ESCAPE", FATAL, "RESET_GPU"),
    Entry(141, "FAST_PATH_ERROR", WARNING, "IGNORE"),
    Entry(142, "NVENC3_ERROR", WARNING, "CONTACT_SUPPORT"),
    Entry(143, "GPU_INIT_ERROR", FATAL, "RESET_GPU"),
    # NVLink 5: the sub-code, which only the kernel's log has, says how bad it is.
    Entry(144, "NVLINK_SAW_ERROR", WARNING, "WORKFLOW_NVLINK5_ERR"),
    Entry(145, "NVLINK_RLW_ERROR", WARNING, "WORKFLOW_NVLINK5_ERR"),
    Entry(146, "NVLINK_TLW_ERROR", WARNING, "WORKFLOW_NVLINK5_ERR"),
    Entry(147, "NVLINK_TREX_ERROR", WARNING, "WORKFLOW_NVLINK5_ERR"),
    Entry(148, "NVLINK_NVLPW_CTRL_ERROR", WARNING, "WORKFLOW_NVLINK5_ERR"),
    Entry(149, "NVLINK_NETIR_ERROR", WARNING, "WORKFLOW_NVLINK5_ERR"),
    Entry(150, "NVLINK_MSE_ERROR", WARNING, "WORKFLOW_NVLINK5_ERR"),
    Entry(151, "KEY_ROTATION_ERROR", RESET, "RESTART_VM"),
    Entry(152, "DLA_SMMU_ERROR", WARNING, "IGNORE"),
    Entry(153, "DLA_TIMEOUT", WARNING, "IGNORE"),
    Entry(154, "GPU_RECOVERY_ACTION_CHANGED", INFO, "XID_154"),
    Entry(155, "NVLINK_SW_DEFINED_ERROR", RESET, "RESET_GPU"),
    Entry(156, "RESOURCE_RETIREMENT_EVENT", RESET, "RESET_GPU"),
    Entry(157, "RESOURCE_RETIREMENT_FAILURE", WARNING, "IGNORE"),
    Entry(158, "GPU_FATAL_TIMEOUT", FATAL, "RESET_GPU"),
    Entry(159, "CHI_NON_DATA_ERROR", WARNING, "CHECK_UVM"),
    Entry(160, "CHANNEL_RETIREMENT_EVENT", WARNING, "IGNORE"),
    Entry(161, "CHANNEL_RETIREMENT_FAILURE", WARNING, "IGNORE"),
    # No action is recommended for these yet.
    Entry(162, "PSHC_REENGAGED", INFO, ""),
    Entry(163, "PSHC_DISENGAGED", INFO, ""),
    Entry(164, "PSHC_LOW_LIFETIME", WARNING, ""),
    Entry(165, "PSHC_ZERO_LIFETIME", WARNING, ""),
    Entry(166, "NVLINK_SECURE_CRYPTO_ERR", WARNING, ""),
    Entry(167, "PCIE_FATAL_TIMEOUT", FATAL, ""),
    Entry(168, "REDUCED_GPU_MEMORY_CAPACITY", WARNING, ""),
    Entry(169, "SEC2_HALT_ERROR", RESET, ""),
    Entry(170, "NVLINK_SECURE_OTHER", WARNING, ""),
    # Details of 48, which they stand beside.
    Entry(171, "UNCORRECTABLE_DRAM_ERROR", RESET, ""),
    Entry(172, "UNCORRECTABLE_SRAM_ERROR", RESET, ""),
)

_BY_CODE = {entry.code: entry for entry in CATALOG}
_LAST = 172  # of the codes that the catalogue knows, if only as unused


@lru_cache(256)  # asked for every counter of every GPU, at every tick
def entry(code: int) -> Entry:
    """Give what is known of a code; of 999, "the driver does not say which", and of what is newer than this, nothing is."""
    known = _BY_CODE.get(code)
    return known or Entry(code, "", UNKNOWN, "CONTACT_SUPPORT" if 0 < code <= _LAST else "")


# What the alerts name, and what stands at 0 from the first snapshot that shows a GPU, since Prometheus sees no increase in
# a counter that is born at 1. A page: nothing that runs there can be trusted. A ticket: NVIDIA has something to be done,
# or to be looked at, that is not the application's. What is in neither list and not unknown is nobody's alert.
PAGED: tuple[int, ...] = tuple(e.code for e in CATALOG if e.severity in (RESET, FATAL))
TICKETED: tuple[int, ...] = tuple(e.code for e in CATALOG if e.severity == WARNING and e.action != "ignore")
ALERTED: tuple[int, ...] = tuple(sorted((*PAGED, *TICKETED)))

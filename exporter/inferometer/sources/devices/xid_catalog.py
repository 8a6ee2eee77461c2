# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's XID catalogue: each code's mnemonic and what is to be done first, as data.

Source: https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html, "Resolution Bucket (Immediate Action)", as of
October 2025; it holds for Ampere and newer. The mnemonics are without their prefix ROBUST_CHANNEL_. A code up to 172 that
is not listed is "unused" there, with CONTACT_SUPPORT.
"""

from typing import NamedTuple

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
    "": "unknown",  # the catalogue recommends nothing
}
UNKNOWN = "unknown"
_UNUSED = "CONTACT_SUPPORT"
_LAST = 172


class Entry(NamedTuple):
    """One code, or the codes `first` to `last` that stand side by side for equal parts of a GPU."""

    first: int
    last: int
    mnemonic: str
    bucket: str


def _one(code: int, mnemonic: str, bucket: str) -> Entry:
    return Entry(code, code, mnemonic, bucket)


CATALOG: tuple[Entry, ...] = (
    _one(8, "FIFO_ERROR_IDLE_TIMEOUT", "RESTART_APP"),
    _one(11, "GR_ERROR_MISSING_HW", "RESTART_APP"),
    _one(13, "GR_EXCEPTION", "RESTART_APP"),
    _one(14, "FAKE_ERROR", "IGNORE"),
    _one(25, "GR_ILLEGAL_NOTIFY", "RESTART_APP"),
    _one(31, "FIFO_ERROR_MMU_ERR_FLT", "RESTART_APP"),
    _one(32, "PBDMA_ERROR", "RESTART_APP"),
    _one(37, "FECS_ERR_UNIMP_FIRMWARE_METHOD", "IGNORE"),
    _one(38, "FECS_ERR_WATCHDOG_TIMEOUT", "IGNORE"),
    Entry(39, 41, "CE0_ERROR to CE2_ERROR", "RESTART_APP"),
    _one(43, "RESETCHANNEL_VERIF_ERROR", "IGNORE"),
    _one(44, "GR_FAULT_DURING_CTXSW", "IGNORE"),
    _one(45, "PREEMPTIVE_REMOVAL", "WORKFLOW_XID_45"),
    _one(46, "GPU_TIMEOUT_ERROR", "RESET_GPU"),
    _one(48, "GPU_ECC_DBE", "WORKFLOW_XID_48"),
    _one(54, "SILENT_RUNNING_PWR_REDUCED_CLOCKING", "CHECK_MECHANICALS"),
    _one(60, "SEC2_ERROR", "RESTART_APP"),
    _one(62, "PMU_HALT_ERROR", "RESET_GPU"),
    _one(63, "INFOROM_DRAM_RETIREMENT_EVENT", "IGNORE"),
    _one(64, "INFOROM_DRAM_RETIREMENT_FAILURE", "RESET_GPU"),
    _one(66, "FECS_ERR_REG_ACCESS_VIOLATION", "IGNORE"),
    _one(67, "FECS_ERR_VERIF_VIOLATION", "IGNORE"),
    _one(68, "NVDEC0_ERROR", "RESTART_APP"),
    _one(69, "GR_CLASS_ERROR", "RESTART_APP"),
    Entry(70, 72, "CE3_ERROR to CE5_ERROR", "RESTART_APP"),
    _one(74, "NVLINK_ERROR", "WORKFLOW_NVLINK_ERR"),
    Entry(75, 77, "CE6_ERROR to CE8_ERROR", "RESTART_APP"),
    _one(78, "VGPU_START_ERROR", "UPDATE_SWFW"),
    _one(79, "GPU_HAS_FALLEN_OFF_THE_BUS", "RESTART_BM"),
    _one(80, "PBDMA_PUSHBUFFER_CRC_MISMATCH", "RESTART_APP"),
    _one(82, "NVJPG0_ERROR", "RESTART_APP"),
    Entry(83, 84, "NVDEC1_ERROR, NVDEC2_ERROR", "RESTART_APP"),
    _one(85, "CE9_ERROR", "RESTART_APP"),
    _one(86, "OFA0_ERROR", "RESTART_APP"),
    Entry(88, 89, "NVDEC3_ERROR, NVDEC4_ERROR", "RESTART_APP"),
    _one(92, "EXCESSIVE_SBE_INTERRUPTS", "IGNORE"),
    _one(93, "INFOROM_ERASE_LIMIT_EXCEEDED", "IGNORE"),
    _one(94, "CONTAINED_ERROR", "RESTART_APP"),
    _one(95, "UNCONTAINED_ERROR", "RESET_GPU"),
    Entry(96, 98, "NVDEC5_ERROR to NVDEC7_ERROR", "RESTART_APP"),
    Entry(99, 105, "NVJPG1_ERROR to NVJPG7_ERROR", "RESTART_APP"),
    Entry(106, 107, "SMBPBI_TEST_MESSAGE, SMBPBI_TEST_MESSAGE_SILENT", "IGNORE"),
    _one(108, "NVLINK_REMOTE_TRANSLATION_ERROR", "IGNORE"),
    _one(109, "CTXSW_TIMEOUT_ERROR", "RESET_GPU"),
    _one(110, "SEC_FAULT_ERROR", "RESET_GPU"),
    _one(119, "GSP_RPC_TIMEOUT", "RESET_GPU"),
    _one(120, "GSP_ERROR", "RESET_GPU"),
    _one(121, "C2C_ERROR", "IGNORE"),
    Entry(126, 135, "CE10_ERROR to CE19_ERROR", "RESTART_APP"),
    _one(136, "ALI_TRAINING_FAIL", "RESET_GPU"),
    _one(137, "NVLINK_PRIV_ERR", "IGNORE"),
    _one(139, "OFA1_ERROR", "RESTART_APP"),
    _one(140, "UNRECOVERABLE_ECC_ERROR_ESCAPE", "RESET_GPU"),
    _one(141, "FAST_PATH_ERROR", "IGNORE"),
    _one(142, "NVENC3_ERROR", "CONTACT_SUPPORT"),
    _one(143, "GPU_INIT_ERROR", "RESET_GPU"),
    # NVLink 5: the sub-code, which only the kernel's log has, says how bad it is.
    _one(144, "NVLINK_SAW_ERROR", "WORKFLOW_NVLINK5_ERR"),
    _one(145, "NVLINK_RLW_ERROR", "WORKFLOW_NVLINK5_ERR"),
    _one(146, "NVLINK_TLW_ERROR", "WORKFLOW_NVLINK5_ERR"),
    _one(147, "NVLINK_TREX_ERROR", "WORKFLOW_NVLINK5_ERR"),
    _one(148, "NVLINK_NVLPW_CTRL_ERROR", "WORKFLOW_NVLINK5_ERR"),
    _one(149, "NVLINK_NETIR_ERROR", "WORKFLOW_NVLINK5_ERR"),
    _one(150, "NVLINK_MSE_ERROR", "WORKFLOW_NVLINK5_ERR"),
    _one(151, "KEY_ROTATION_ERROR", "RESTART_VM"),
    _one(152, "DLA_SMMU_ERROR", "IGNORE"),
    _one(153, "DLA_TIMEOUT", "IGNORE"),
    _one(154, "GPU_RECOVERY_ACTION_CHANGED", "XID_154"),
    _one(155, "NVLINK_SW_DEFINED_ERROR", "RESET_GPU"),
    _one(156, "RESOURCE_RETIREMENT_EVENT", "RESET_GPU"),
    _one(157, "RESOURCE_RETIREMENT_FAILURE", "IGNORE"),
    _one(158, "GPU_FATAL_TIMEOUT", "RESET_GPU"),
    _one(159, "CHI_NON_DATA_ERROR", "CHECK_UVM"),
    _one(160, "CHANNEL_RETIREMENT_EVENT", "IGNORE"),
    _one(161, "CHANNEL_RETIREMENT_FAILURE", "IGNORE"),
    _one(162, "PSHC_REENGAGED", ""),
    _one(163, "PSHC_DISENGAGED", ""),
    _one(164, "PSHC_LOW_LIFETIME", ""),
    _one(165, "PSHC_ZERO_LIFETIME", ""),
    _one(166, "NVLINK_SECURE_CRYPTO_ERR", ""),
    _one(167, "PCIE_FATAL_TIMEOUT", ""),
    _one(168, "REDUCED_GPU_MEMORY_CAPACITY", ""),
    _one(169, "SEC2_HALT_ERROR", ""),
    _one(170, "NVLINK_SECURE_OTHER", ""),
    _one(171, "UNCORRECTABLE_DRAM_ERROR", ""),
    _one(172, "UNCORRECTABLE_SRAM_ERROR", ""),
)

_BUCKETS = {code: entry.bucket for entry in CATALOG for code in range(entry.first, entry.last + 1)}


def action(code: int) -> str:
    """Give what is to be done first: one of `ACTIONS`' values. 999, and what is newer than this catalogue, is unknown."""
    bucket = _BUCKETS.get(code, _UNUSED if 0 < code <= _LAST else "")
    return ACTIONS.get(bucket, UNKNOWN)

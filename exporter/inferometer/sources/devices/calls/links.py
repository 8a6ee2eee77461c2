# SPDX-License-Identifier: Apache-2.0
"""A GPU's links: PCIe, NVLink of every generation, chip-to-chip, and the NVLink fabric."""

from collections.abc import Callable
from ctypes import byref
from typing import Any

from inferometer.sources.devices import codes
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
    field,
    gpm,
    kibi,
    mebi,
    mega,
    small,
)

_RECEIVE, _TRANSMIT = ("network.io.direction", "receive"), ("network.io.direction", "transmit")


def _throughput(metric: str, receive: tuple[int, str], transmit: tuple[int, str]) -> tuple[Row, ...]:
    return tuple(
        Row((Quantity(metric, (direction,), mebi),), (gpm(*which),), FAST, architecture="hopper")
        for direction, which in ((_RECEIVE, receive), (_TRANSMIT, transmit))
    )


def _link(metric: str, function: str, tier: str) -> Row:
    return Row((Quantity(metric, scale=small),), (call(function),), tier)


def _pcie_error(kind: str, number: int, name: str) -> Row:
    return Row((Quantity("gpu.pcie.errors", (("error.type", kind),)),), (field(number, name),), SLOW)


# Bytes come from counters only: nvmlDeviceGetPcieThroughput blocks for 20 ms.
PCIE: tuple[Row, ...] = (
    Row((Quantity("hw.gpu.io", (_RECEIVE,)),), (field(198, "PCIE_COUNT_RX_BYTES"),), MEDIUM),  # driver 555 and newer
    Row((Quantity("hw.gpu.io", (_TRANSMIT,)),), (field(197, "PCIE_COUNT_TX_BYTES"),), MEDIUM),
    *_throughput("gpu.pcie.throughput", (21, "PCIE_RX_PER_SEC"), (20, "PCIE_TX_PER_SEC")),
    _link("gpu.pcie.link.generation", "nvmlDeviceGetCurrPcieLinkGeneration", MEDIUM),
    _link("gpu.pcie.link.generation.max", "nvmlDeviceGetMaxPcieLinkGeneration", SLOW),
    _link("gpu.pcie.link.width", "nvmlDeviceGetCurrPcieLinkWidth", MEDIUM),
    _link("gpu.pcie.link.width.max", "nvmlDeviceGetMaxPcieLinkWidth", SLOW),
    Row(
        (Quantity("gpu.pcie.replays", scale=small),),
        (field(94, "PCIE_REPLAY_COUNTER"), call("nvmlDeviceGetPcieReplayCounter")),
        SLOW,
    ),
    Row((Quantity("gpu.pcie.recoveries"),), (field(169, "PCIE_L0_TO_RECOVERY_COUNTER"),), SLOW),
    _pcie_error("nak_received", 174, "PCIE_COUNT_NAKS_RECEIVED"),
    _pcie_error("receiver", 175, "PCIE_COUNT_RECEIVER_ERROR"),
    _pcie_error("bad_tlp", 176, "PCIE_COUNT_BAD_TLP"),
    _pcie_error("nak_sent", 177, "PCIE_COUNT_NAKS_SENT"),
    _pcie_error("bad_dllp", 178, "PCIE_COUNT_BAD_DLLP"),
    _pcie_error("non_fatal", 179, "PCIE_COUNT_NON_FATAL_ERROR"),
    _pcie_error("fatal", 180, "PCIE_COUNT_FATAL_ERROR"),
    _pcie_error("unsupported_request", 181, "PCIE_COUNT_UNSUPPORTED_REQ"),
    _pcie_error("lcrc", 182, "PCIE_COUNT_LCRC_ERROR"),
    _pcie_error("lane", 183, "PCIE_COUNT_LANE_ERROR"),
)

# --- NVLink -----------------------------------------------------------------------------------------------------------

_UP = (1, 2)  # NVML_NVLINK_STATE_ACTIVE, and _SLEEP: it wakes by itself
_LAST_STATE = 15  # of the four in nvml.h 0 is inactive, and 3 active with its traffic disabled
_MOST_LINKS = 72  # what GPM has ids for; a driver that says more is not believed


def _count(number: int) -> Callable[[Nvml, Handle, Mark], int]:
    def count(nvml: Nvml, handle: Handle, mark: Mark) -> int:
        """Ask a field how many links there are. Raises RefusedError where there are none."""
        mark("nvmlDeviceGetFieldValues")
        answer = codes.value_of(nvml.nvmlDeviceGetFieldValues(handle, [number])[0])
        if isinstance(answer, str) and answer not in codes.REFUSED_FIELD:
            raise codes.FieldError(answer)
        links = 0 if isinstance(answer, str) else int(answer)
        if not 0 < links <= _MOST_LINKS:
            raise codes.RefusedError("not_supported")
        return links

    return count


def _nvlinks(nvml: Nvml, handle: Handle, mark: Mark) -> int:
    """Count NVLinks: by a field, and where a driver does not know it by asking for one after the other."""
    try:
        return _count(91)(nvml, handle, mark)
    except codes.RefusedError:
        mark("nvmlDeviceGetNvLinkState")
        for link in range(_MOST_LINKS):
            try:
                _active(nvml.nvmlDeviceGetNvLinkState(handle, link))
            except nvml.NVMLError as error:
                if link and codes.name(error.value) in codes.REFUSED_FIELD:
                    return link
                raise
        return _MOST_LINKS


_EACH_NVLINK = Each("gpu.nvlink.link", "nvmlDeviceGetNvLinkState", _nvlinks)
_EACH_C2C = Each("gpu.c2c.link", "nvmlDeviceGetFieldValues", _count(170))


def _active(raw: float) -> Raw:
    if not 0 <= raw <= _LAST_STATE:
        raise ValueError(f"{raw:g} is no state of a link")
    return (float(raw == 1),)


def _up(raw: float) -> Raw:
    _active(raw)
    return (float(raw in _UP),)


def _state(nvml: Nvml, handle: Handle, link: int) -> Raw:
    return _active(nvml.nvmlDeviceGetNvLinkState(handle, link))


def _per_link(*quantities: Quantity, ways: tuple[Way, ...], tier: str = MEDIUM, architecture: str = "volta") -> Row:
    return Row(quantities, ways, tier, architecture=architecture, each=_EACH_NVLINK)


def _by_link(first: int, sixth: int) -> tuple[int, ...]:
    """Give the ids of a field that has one for each of the links 0 to 11: links 6 to 11 came later."""
    return (*range(first, first + 6), *range(sixth, sixth + 6))


def _counter(constant: str) -> Way:
    def read(nvml: Nvml, handle: Handle, link: int) -> Raw:
        return (nvml.nvmlDeviceGetNvLinkErrorCounter(handle, link, getattr(nvml, constant)),)

    return Way("nvmlDeviceGetNvLinkErrorCounter", read)


def _old_error(kind: str, ids: tuple[int, ...], name: str, constant: str, *first: Way) -> Row:
    return _per_link(
        Quantity("gpu.nvlink.errors", (("error.type", kind),)),
        ways=(*first, field(ids, name), _counter(constant)),
        tier=SLOW,  # counters of each kind of each link are half of all that is read, and hardly ever move
    )


def _new_error(kind: str, number: int, name: str) -> Row:
    return _per_link(
        Quantity("gpu.nvlink.errors", (("error.type", kind),)),
        ways=(field(number, f"NVLINK_COUNT_{name}"),),
        tier=SLOW,
        architecture="blackwell",
    )


NVLINK: tuple[Row, ...] = (
    _per_link(
        Quantity("gpu.nvlink.up"),
        ways=(field(165, "NVLINK_GET_STATE", _up), Way("nvmlDeviceGetNvLinkState", _state)),
    ),
    _per_link(
        Quantity("gpu.nvlink.speed", scale=mega),
        ways=(field(164, "NVLINK_GET_SPEED"), field(_by_link(84, 132), "NVLINK_SPEED_MBPS_L0 to L11")),
        tier=SLOW,
    ),
    # NVLink 5 counts bytes; up to NVLink 4 the payload is counted, in KiB.
    _per_link(
        Quantity("gpu.nvlink.io", (_RECEIVE,)),
        ways=(field(204, "NVLINK_COUNT_RCV_BYTES"), field(139, "NVLINK_THROUGHPUT_DATA_RX", kibi)),
    ),
    _per_link(
        Quantity("gpu.nvlink.io", (_TRANSMIT,)),
        ways=(field(202, "NVLINK_COUNT_XMIT_BYTES"), field(138, "NVLINK_THROUGHPUT_DATA_TX", kibi)),
    ),
    *_throughput("gpu.nvlink.throughput", (60, "NVLINK_TOTAL_RX_PER_SEC"), (61, "NVLINK_TOTAL_TX_PER_SEC")),
    # Up to NVLink 4.
    _old_error(
        "replay",
        _by_link(46, 108),
        "NVLINK_REPLAY_ERROR_COUNT_L0 to L11",
        "NVML_NVLINK_ERROR_DL_REPLAY",
        field(161, "NVLINK_ERROR_DL_REPLAY"),
    ),
    _old_error(
        "recovery",
        _by_link(53, 114),
        "NVLINK_RECOVERY_ERROR_COUNT_L0 to L11",
        "NVML_NVLINK_ERROR_DL_RECOVERY",
        field(162, "NVLINK_ERROR_DL_RECOVERY"),
    ),
    _old_error(
        "crc",
        _by_link(32, 96),
        "NVLINK_CRC_FLIT_ERROR_COUNT_L0 to L11",
        "NVML_NVLINK_ERROR_DL_CRC_FLIT",
        field(163, "NVLINK_ERROR_DL_CRC"),
    ),
    _old_error("crc_data", _by_link(39, 102), "NVLINK_CRC_DATA_ERROR_COUNT_L0 to L11", "NVML_NVLINK_ERROR_DL_CRC_DATA"),
    _old_error(
        "ecc_data", tuple(range(148, 160)), "NVLINK_ECC_DATA_ERROR_COUNT_L0 to L11", "NVML_NVLINK_ERROR_DL_ECC_DATA"
    ),
    # NVLink 5.
    _new_error("malformed_packet", 206, "MALFORMED_PACKET_ERRORS"),
    _new_error("buffer_overrun", 207, "BUFFER_OVERRUN_ERRORS"),
    _new_error("receive", 208, "RCV_ERRORS"),
    _new_error("receive_remote", 209, "RCV_REMOTE_ERRORS"),
    _new_error("receive_general", 210, "RCV_GENERAL_ERRORS"),
    _new_error("local_link_integrity", 211, "LOCAL_LINK_INTEGRITY_ERRORS"),
    _new_error("transmit_discard", 212, "XMIT_DISCARDS"),
    _new_error("recovery_successful", 213, "LINK_RECOVERY_SUCCESSFUL_EVENTS"),
    _new_error("recovery_failed", 214, "LINK_RECOVERY_FAILED_EVENTS"),
    _new_error("effective", 219, "EFFECTIVE_ERRORS"),
    _new_error("symbol", 221, "SYMBOL_ERRORS"),
)

# --- chip-to-chip -----------------------------------------------------------------------------------------------------


def _c2c(metric: str, number: int, name: str, *attributes: tuple[str, str]) -> Row:
    decode = _active if metric == "gpu.c2c.up" else None
    return Row(
        (Quantity(metric, attributes),), (field(number, name, decode),), MEDIUM, architecture="hopper", each=_EACH_C2C
    )


C2C: tuple[Row, ...] = (
    _c2c("gpu.c2c.up", 171, "C2C_LINK_GET_STATUS"),
    *_throughput("gpu.c2c.throughput", (101, "C2C_TOTAL_RX_PER_SEC"), (100, "C2C_TOTAL_TX_PER_SEC")),
    _c2c("gpu.c2c.errors", 231, "C2C_LINK_ERROR_INTR", ("error.type", "interrupt")),
    _c2c("gpu.c2c.errors", 232, "C2C_LINK_ERROR_REPLAY", ("error.type", "replay")),
    _c2c("gpu.c2c.errors", 233, "C2C_LINK_ERROR_REPLAY_B2B", ("error.type", "replay_back_to_back")),
)

# --- fabric -----------------------------------------------------------------------------------------------------------

_STATES = ("not_started", "in_progress", "completed")
# The fields of the health mask: their first bit; two bits each: 1 is true, 2 is false, anything else is not known.
_CONDITIONS = (("degraded_bandwidth", 0), ("route_recovery", 2), ("route_unhealthy", 4), ("access_timeout_recovery", 6))
_CONFIGURATION = 8  # four bits: 1 is right, 2 and more name what is wrong


def fabric(nvml: Nvml, handle: Handle) -> Any:
    """Ask where a GPU is in its NVLink fabric (`nvmlGpuFabricInfoV_t`). Raises RefusedError for a GPU without one."""
    info = nvml.c_nvmlGpuFabricInfo_v2_t()
    info.version = nvml.nvmlGpuFabricInfo_v2
    nvml.nvmlDeviceGetGpuFabricInfoV(handle, byref(info))  # the binding passes on what it is given
    if info.state == 0 and not any(info.clusterUuid):
        raise codes.RefusedError("not_supported")
    if not 1 <= info.state <= len(_STATES):
        raise ValueError(f"{info.state} is no state of a fabric")
    return info


def _fabric(nvml: Nvml, handle: Handle) -> Raw:
    info = fabric(nvml, handle)
    state, mask = int(info.state), int(info.healthMask)
    wrong = mask >> _CONFIGURATION & 15
    return (
        *(float(state == i) for i in range(1, len(_STATES) + 1)),
        *({1: 1.0, 2: 0.0}.get(mask >> bit & 3) for _, bit in _CONDITIONS),
        float(wrong > 1) if wrong else None,
    )


FABRIC: tuple[Row, ...] = (
    Row(
        (
            *(Quantity("gpu.fabric.state", (("gpu.fabric.state", state),)) for state in _STATES),
            *(
                Quantity("gpu.fabric.condition", (("gpu.fabric.condition", condition),))
                for condition in (*(name for name, _ in _CONDITIONS), "incorrect_configuration")
            ),
        ),
        (Way("nvmlDeviceGetGpuFabricInfoV", _fabric),),
        MEDIUM,
        architecture="hopper",
    ),
)

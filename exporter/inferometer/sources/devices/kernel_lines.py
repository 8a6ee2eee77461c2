# SPDX-License-Identifier: Apache-2.0
"""What a record of the kernel's log says: its sequence number, its time, and the XID or SXID, if it tells one.

Sources: `Documentation/ABI/testing/dev-kmsg` of Linux for records; `krcReportXid_IMPL` (kernel_rc.c) and
`NVSWITCH_PRINT_SXID` (common_nvswitch.h) of NVIDIA's open kernel modules, 515 to 595, for the lines.

Nothing but codes, addresses and process ids is taken: the rest of a line may quote what a program has put there.
"""

import re
from typing import NamedTuple

_KERNEL = 0  # the facility of the kernel itself; what a process writes into the log has another (1, user)
_HEAD = re.compile(rb"([0-9]{1,6}),([0-9]{1,18}),([0-9]{1,18})(?:,[^;\n]*)?;")

# Both at the beginning of a message only: elsewhere, and after a line break within it, stands what others have said.
_ADDRESS = rb"(?:PCI:)?([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})(?:\.([0-7]))?"
_XID = re.compile(
    rb"NVRM: Xid \("
    + _ADDRESS
    + rb"(?: GPU-I:([0-9]{1,4}))?(?: GPU-CI:([0-9]{1,4}))?\): ([0-9]{1,4})(?![0-9])(?:, pid='?([0-9]{1,9})(?![0-9]))?"
)
_SXID = re.compile(
    rb"nvidia-nvswitch[0-9]{1,4}: SXid \(" + _ADDRESS + rb"\): ([0-9]{1,5})(?![0-9])(?:, ([A-Z][a-z]+))?"
)

_MORE = (b"Severity", b"Data")  # how the second and third line of an SXID begin


class Record(NamedTuple):
    """One record: `at` is seconds of the kernel's own clock, `message` empty where it is not the kernel that speaks."""

    sequence: int
    at: float
    message: bytes


class XidLine(NamedTuple):
    """An XID as the kernel's log tells it; `address` is `0000:3b:00.0`, the ids are None where the line has none."""

    code: int
    address: str
    gpu_instance: int | None
    compute_instance: int | None
    pid: int | None


class SxidLine(NamedTuple):
    """An SXID, told of the NVSwitch at `address`."""

    code: int
    address: str
    fatal: bool


def parse(record: bytes) -> Record | None:
    """Take a record apart: `PREFIX,SEQUENCE,MICROSECONDS,FLAGS;MESSAGE`, then lines of a dictionary. None: it is not one."""
    head = _HEAD.match(record)
    if head is None:
        return None
    ours = int(head[1]) >> 3 == _KERNEL
    message = record[head.end() :].partition(b"\n")[0] if ours else b""
    return Record(int(head[2]), int(head[3]) / 1e6, message)


def find(message: bytes) -> XidLine | SxidLine | None:
    """Find the XID or SXID that a message tells.

    An SXID takes three lines, of which the first counts. Only a line that says so is of a fatal one: some say nothing.
    """
    if (line := _XID.match(message)) is not None:
        return XidLine(int(line[7]), _address(line), _number(line[5]), _number(line[6]), _number(line[8]))
    if (line := _SXID.match(message)) is not None and line[6] not in _MORE:
        return SxidLine(int(line[5]), _address(line), line[6] == b"Fatal")
    return None


def _address(line: re.Match[bytes]) -> str:
    """Write an address as the kernel does elsewhere; a GPU's line has no function, which is 0."""
    domain, bus, device, function = (int(part or b"0", 16) for part in line.group(1, 2, 3, 4))
    return f"{domain:04x}:{bus:02x}:{device:02x}.{function:x}"


def _number(digits: bytes | None) -> int | None:
    return None if digits is None else int(digits)

# SPDX-License-Identifier: Apache-2.0
"""Lines of the kernel's log, as drivers of fifteen years have written them, and what only looks like them."""

import pytest

from inferometer.sources.devices.kernel_lines import Record, SxidLine, XidLine, find, parse

GPU = "0000:3b:00.0"
SWITCH = "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): "


def test_a_record_is_taken_apart() -> None:
    """Its sequence number, its time in seconds, and its message, without the dictionary that follows."""
    record = b"3,4711,11341703994,-,caller=T1;NVRM: hello; world\n SUBSYSTEM=pci\n DEVICE=+pci:0000:3b:00.0\n"

    assert parse(record) == Record(4711, 11341.703994, b"NVRM: hello; world")


@pytest.mark.parametrize(
    "record", [b"", b"\n", b"hello", b"3,4711;x", b"-3,1,1,-;x", b"3,1,1,-", b"3,,1,-;x", b"\xff" * 9000]
)
def test_what_is_no_record_is_passed_over(record: bytes) -> None:
    """Garbage is nothing."""
    assert parse(record) is None


@pytest.mark.parametrize("prefix", [8 + 3, 16 + 3, 23 << 3])
def test_what_a_process_writes_into_the_log_does_not_count(prefix: int) -> None:
    """Every root process can write to /dev/kmsg; its records have a number, and say nothing."""
    record = b"%d,7,1000000,-;NVRM: Xid (PCI:0000:3b:00): 79, pid=1, name=x, fallen\n" % prefix

    assert parse(record) == Record(7, 1.0, b"")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "(PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off",
            XidLine(79, GPU, None, None, None),
        ),
        ("(PCI:0000:3b:00): 31, pid=12345, name=python, Ch 00000008", XidLine(31, GPU, None, None, 12345)),
        ("(PCI:0000:3b:00): 31, pid='12345', name=python, Ch 8", XidLine(31, GPU, None, None, 12345)),
        ("(PCI:0000:3b:00): 48, An uncorrectable error", XidLine(48, GPU, None, None, None)),
        ("(0000:3b:00): 6, PE0000 0908", XidLine(6, GPU, None, None, None)),
        ("(PCI:0000:3B:00): 79", XidLine(79, GPU, None, None, None)),
        ("(PCI:00000000:3B:00.0): 79, x", XidLine(79, GPU, None, None, None)),
        ("(PCI:10000:01:1f): 62, x", XidLine(62, "10000:01:1f.0", None, None, None)),
        ("(PCI:0000:3b:00 GPU-I:05): 94, pid=7194, Contained", XidLine(94, GPU, 5, None, 7194)),
        ("(PCI:0000:3b:00 GPU-I:13 GPU-CI:00): 13, pid=1, name=a", XidLine(13, GPU, 13, 0, 1)),
        ("(PCI:0019:01:00): 149, NETIR Fatal XC0 i0 Link -1 (0x1)", XidLine(149, "0019:01:00.0", None, None, None)),
    ],
)
def test_an_xid_is_read_in_every_form(message: str, expected: XidLine) -> None:
    """With and without bus, process and MIG instances; the address is written as the kernel does elsewhere."""
    assert find(f"NVRM: Xid {message}".encode()) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("28006, Non-fatal, Link 46 MC TS crumbstore MCTO", SxidLine(28006, "0000:c1:00.0", fatal=False)),
        ("23001, Fatal, Link 12 ingress", SxidLine(23001, "0000:c1:00.0", fatal=True)),
        ("12028, Correctable, Link 03 x", SxidLine(12028, "0000:c1:00.0", fatal=False)),
        ("10003, SOE init Failed(0)", SxidLine(10003, "0000:c1:00.0", fatal=False)),
        ("28006, Severity 0 Engine instance 46 Sub-engine instance 00", None),
        ("28006, Data {0x0000002e, 0x0000002e}", None),
    ],
)
def test_an_sxid_is_read_once(message: str, expected: SxidLine | None) -> None:
    """Of the lines that an SXID takes the first counts; it says whether it is fatal, or nothing."""
    assert find((SWITCH + message).encode()) == expected


@pytest.mark.parametrize(
    "message",
    [
        "NVRM: GPU at PCI:0000:3b:00: GPU-3b6ec030-5adc-1847-e155-79f635584b4e",
        "NVRM: GPU 0000:3b:00.0: RmInitAdapter failed! (0x22:0x56:894)",
        "evil[666]: segfault NVRM: Xid (PCI:0000:3b:00): 79, pid=1",
        "evil\\x0aNVRM: Xid (PCI:0000:3b:00): 79, pid=1",
        " NVRM: Xid (PCI:0000:3b:00): 79, pid=1",
        "NVRM: Xid (PCI:0000:3b:00): 10001, x",
        "NVRM: Xid (PCI:0000:3b:00): -1, x",
        "NVRM: Xid (PCI:0000:3b:00: 79",
        "NVRM: Xid (PCI:0000:3b): 79, x",
        "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): garbled, Fatal",
        "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 123456, Fatal",
        "x nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 28006, Fatal",
    ],
)
def test_what_only_looks_like_one_is_none(message: str) -> None:
    """A program's name is in many messages of the kernel, and can be anything: only the beginning of a message counts."""
    assert find(message.encode()) is None


def test_an_absurd_process_id_costs_only_itself() -> None:
    """The XID counts all the same."""
    assert find(b"NVRM: Xid (PCI:0000:3b:00): 31, pid=99999999999, x") == XidLine(31, GPU, None, None, None)

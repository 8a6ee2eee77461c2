# SPDX-License-Identifier: Apache-2.0
"""Whatever stands in the kernel's log, it is read without an error, within bounds, and no code is invented."""

from hypothesis import given
from hypothesis import strategies as st

from fakekmsg import FakeKmsg
from inferometer.config import KernelLog as Settings
from inferometer.sources.devices.kernel_lines import XidLine, find, parse
from inferometer.sources.devices.kernel_log import KernelLog

PIECES = st.sampled_from(
    [
        b"NVRM: Xid (", b"PCI:", b"0000:", b"3b:", b"00", b".0", b")", b": ", b", ", b"pid=", b"'<unknown>'", b"79", b"-", b";",
        b" GPU-I:05", b" GPU-CI:01", b"nvidia-nvswitch0: SXid (", b"Fatal", b"Severity", b"\n", b" K=v\n", b"3,1,5,-;", b"99999",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.binary(max_size=20), max_size=20).map(b"".join)


@given(TEXTS)
def test_any_bytes_are_a_record_or_not(text: bytes) -> None:
    """A record has a number and a time; an XID has at most four digits and an SXID five."""
    record = parse(text)
    line = find(text)

    assert record is None or (record.sequence >= 0 and record.at >= 0)
    if line is not None:
        assert 0 <= line.code <= (9_999 if isinstance(line, XidLine) else 99_999)
        assert line.address.count(":") == 2


@given(st.lists(st.tuples(st.booleans(), TEXTS, st.integers(0, 2**40)), max_size=30), st.integers(1, 40))
def test_no_log_can_harm_the_source(records: list[tuple[bool, bytes, int]], room: int) -> None:
    """Raw bytes and messages alike, overwritten or not: reading ends, times lie in the past, numbers rise."""
    kmsg = FakeKmsg(room)
    source = KernelLog(Settings(), 5.0, opener=kmsg.open, clock=lambda: 1e9, steady=lambda: 1e5, boot="boot")
    source.read()
    for raw, text, at in records:
        if raw:
            kmsg.put(text)
        else:
            kmsg.say(text, at / 1e6)
    report = source.read()
    source.close()

    told = [(x.number, x.at) for x in report.xids] + [(s.number, s.at) for s in report.sxids]
    assert all(1e9 - 1e6 <= at <= 1e9 for _, at in told)
    assert len({number for number, _ in told}) == len(told)
    assert report.lost >= 0

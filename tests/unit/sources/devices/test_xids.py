# SPDX-License-Identifier: Apache-2.0
"""What the agent makes of the sampler's frames of events: numbers of their own, bounds, and no trust."""

import time
from typing import Any

import pytest

from inferometer.model import Reason, Trouble
from inferometer.sources.devices import calls, events
from inferometer.sources.devices.numbers import next_number
from inferometer.sources.devices.whereabouts import EVENTS
from inferometer.sources.devices.xids import Xids

WAIT = calls.NUMBER["nvmlEventSetWait_v2"]


def frame(*rows: object, failed: object = ()) -> dict[str, Any]:
    return {"events": list(rows), "failed": failed}


def test_no_two_sources_share_a_number() -> None:
    """A source that is made anew, for a new configuration, does not repeat what was counted."""
    before, after = Xids(30.0), Xids(30.0)
    for xids in (before, after):
        xids.take(frame(["GPU-0", 79, None, None, 1], ["GPU-0", 31, 7, 0, 2]))

    numbers = [xid.number for xids in (before, after) for xid in xids.newest]

    assert numbers == list(range(numbers[0], numbers[0] + 4))


def test_numbers_are_consecutive_for_each_teller() -> None:
    """What NVML tells between two lines of the log is no gap in the log's numbers."""
    first = next_number("kernel")
    Xids(30.0).take(frame(["GPU-0", 79, None, None, 1]))

    assert next_number("kernel") == first + 1


def test_an_xid_is_stamped_when_it_is_taken() -> None:
    """NVML does not say when an event was; all of one frame are of one moment."""
    xids = Xids(30.0)
    before = time.time()
    xids.take(frame(["GPU-0", 79, None, None, 1], ["GPU-1", 31, 7, 0, 2]))

    assert {xid.teller for xid in xids.newest} == {"nvml"}
    (at,) = {xid.at for xid in xids.newest}
    assert before <= at <= time.time()


def test_how_late_an_xid_may_be_is_told() -> None:
    """Since the newest sample that had all events: not the one before it, nor one in which none were asked for."""
    xids = Xids(30.0)
    xids.begin()
    began = time.time()
    xids.failed({}, complete=True)
    for _ in range(2):  # asked for, and not answered
        xids.begin()
        xids.failed({EVENTS: (WAIT, 0.0)}, complete=False)
    xids.take(frame(["GPU-0", 79, None, None, 1]))

    assert xids.newest[0].at - xids.newest[0].late <= began


def test_only_the_newest_are_kept() -> None:
    """Whatever the driver has to say, what is kept of it is bounded."""
    xids = Xids(30.0)
    for code in range(3 * events.MOST):
        xids.take(frame(["GPU-0", code, None, None, 1]))

    assert [xid.code for xid in xids.newest] == list(range(events.MOST, 3 * events.MOST))


@pytest.mark.parametrize(
    "sent",
    [
        {"events": [["GPU-0", 79]], "failed": []},
        {"events": [["GPU-0", "off the bus", None, None, 1]], "failed": []},
        {"events": 7, "failed": []},
        {"events": [], "failed": [["GPU-0"]]},
        {"events": []},
    ],
)
def test_what_the_sampler_would_never_send_is_malformed(sent: dict[str, Any]) -> None:
    """A frame that makes no sense is a trouble, not a defect."""
    with pytest.raises(Trouble) as caught:
        Xids(30.0).take(sent)

    assert caught.value.reason is Reason.MALFORMED


def test_while_events_are_paused_it_says_so() -> None:
    """After a hang or crash no events are asked for, and each report names that; one that works clears it."""
    xids = Xids(30.0)
    assert xids.begin()
    assert xids.failed({}, complete=True) == ()

    xids.blame(WAIT)

    assert not xids.begin()
    (paused,) = xids.failed({}, complete=True)
    assert (paused.device, paused.metric, paused.call) == ("every GPU", "gpu.xid.errors", "nvmlEventSetWait_v2")
    assert not xids.begin()


def test_a_call_that_does_not_return_is_named() -> None:
    """While events are under way when the sample is over, their absence has a reason."""
    xids = Xids(30.0)
    xids.begin()

    (hung,) = xids.failed({EVENTS: (WAIT, 0.0)}, complete=True)

    assert (hung.call, hung.reason) == ("nvmlEventSetWait_v2", "timeout")

# SPDX-License-Identifier: Apache-2.0
"""Names that are told once, and readings that are kept, save work and change no report; garbage is an error of those that are known."""

from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inferometer import catalog
from inferometer import config as configuration
from inferometer.catalog import BY_NAME
from inferometer.model import DeviceReport, Unsupported
from inferometer.sources.devices import calls, frames
from inferometer.sources.devices.telling import DriverTelling, Telling
from inferometer.sources.devices.told import Told
from inferometer.sources.devices.words import NVIDIA

_TIERS = (["fast"], ["fast", "medium"], ["fast", "slow"], ["fast", "medium", "slow"])
_SWITCHES = next(i for i, (q, _) in enumerate(calls.QUANTITIES) if q.metric == catalog.GPU_CONTEXT_SWITCHES.name)
_SLOTS = (
    _SWITCHES,
    *[
        slot
        for tier in calls.TIERS
        for slot, (_, row) in enumerate(calls.QUANTITIES)
        if row.tier == tier and not row.each
    ][:4],
    *[slot for slot, (_, row) in enumerate(calls.QUANTITIES) if row.tier == "medium" and not row.each][:2],
    *[slot for slot, (_, row) in enumerate(calls.QUANTITIES) if row.tier == "slow" and not row.each][:2],
    *[slot for slot, (_, row) in enumerate(calls.QUANTITIES) if row.each][:2],
)
_NUMBERS = st.sampled_from([0.0, 1.0, 2.5])
Frame = dict[str, Any]


@st.composite
def _values(draw: st.DrawFn, tiers: list[str], *, own: bool) -> list[tuple[float, ...]]:
    """Give what a device tells in these tiers: some of what it may, in order."""
    values: list[tuple[float, ...]] = []
    for slot in sorted(draw(st.sets(st.sampled_from(_SLOTS)))):
        row = calls.QUANTITIES[slot][1]
        if row.tier not in tiers or (slot == _SWITCHES and not own):
            continue
        indexes = sorted(draw(st.sets(st.integers(0, 2)))) if row.each else [None]
        values += [(slot, draw(_NUMBERS)) if i is None else (slot, draw(_NUMBERS), i) for i in indexes]
    return values


@st.composite
def _frames(draw: st.DrawFn) -> Frame:
    """Give what one of two GPUs is read as, at the newest sample or at one before."""
    gpu, tiers = draw(st.integers(0, 1)), draw(st.sampled_from(_TIERS))
    uuids = draw(st.sampled_from([(), (f"MIG-{gpu}a",), (f"MIG-{gpu}a", f"MIG-{gpu}b")]))
    other = draw(st.sampled_from(_TIERS))
    return {
        "n": draw(st.integers(1, 2)),
        "gpu": gpu,
        "tiers": tiers,
        "values": draw(_values(tiers, own=True)),
        "instances": [{"tiers": other, "values": draw(_values(other, own=False))} for _ in uuids],
        "failed": draw(st.sampled_from([[], [(f"GPU-{gpu}", "hw.power", "call", "timeout")]])),
        "latencies": draw(st.sampled_from([[], [(186, 5.0)]])),
        "about": {
            "uuid": f"GPU-{gpu}",
            "mig": bool(uuids),
            "details": {"gpu.minor": draw(st.sampled_from("01"))},
            "instances": [
                dict.fromkeys(("profile", "gi", "ci", "profile_id", "placement", "multiprocessors")) | {"uuid": uuid}
                for uuid in uuids
            ],
            "unsupported": draw(st.sampled_from([[], [(f"GPU-{gpu}", "hw.energy", "call", "not_supported")]])),
        },
    }


def _new() -> Told:
    periods = {calls.MEDIUM: 1e6, calls.SLOW: 1e6}
    return Told(NVIDIA, configuration.Nvidia(), 1e6, periods)


def _take(told: Told, sent: bytes) -> set[int]:
    """Have the agent take what was sent; give the GPUs that have answered, where sample 2 is the newest."""
    answered = set()
    for frame in _split(sent):
        if (index := told.take(frame, newest=frame.get("n") == 2)) is not None:
            answered.add(index)
    return answered


def _split(sent: bytes) -> Iterator[Frame]:
    while sent:
        end = 4 + int.from_bytes(sent[:4], "big")
        yield frames.read(sent[4:end])
        sent = sent[end:]


def _report(told: Told, answered: set[int]) -> DeviceReport:
    return told.report(answered, {}, complete=True, paused=lambda _: (), restarts={})


def _expect(lived: list[Frame]) -> Mapping[tuple[object, ...], float]:
    """Work out what counts in the end, from the frames themselves."""
    fast: dict[int, dict[tuple[object, ...], float]] = {}
    slower: dict[tuple[str, str], dict[tuple[object, ...], float]] = {}
    sums: dict[str, float] = {}
    newest: dict[int, Frame] = {}
    for frame in lived:
        uuids = [frame["about"]["uuid"], *(instance["uuid"] for instance in frame["about"]["instances"])]
        now: dict[tuple[object, ...], float] = {}
        for uuid, device in zip(uuids, (frame, *frame["instances"]), strict=True):
            found: dict[str, dict[tuple[object, ...], float]] = {tier: {} for tier in device["tiers"]}
            for slot, value, *index in device["values"]:
                quantity, row = calls.QUANTITIES[slot]
                if slot == _SWITCHES:
                    sums[uuid] = sums.get(uuid, 0.0) + value
                added = ((row.each.attribute, str(index[0])),) if row.each else ()
                found[row.tier][uuid, BY_NAME[quantity.metric], (*quantity.attributes, *added)] = (
                    sums[uuid] if slot == _SWITCHES else value
                )
            now |= found.pop("fast")
            slower |= {(uuid, tier): said for tier, said in found.items()}
        if frame["n"] == 2:
            newest[frame["gpu"]], fast[frame["gpu"]] = frame, now
    there = {uuid for frame in newest.values() for uuid in _uuids(frame)}
    told = [*fast.values(), *(said for (uuid, _), said in slower.items() if uuid in there)]
    return {name: value for said in told for name, value in said.items()}


def _uuids(frame: Frame) -> list[str]:
    return [frame["about"]["uuid"], *(instance["uuid"] for instance in frame["about"]["instances"])]


@given(st.lists(_frames(), min_size=1, max_size=8))
def test_what_is_told_once_is_as_if_it_were_told_each_time(lived: list[Frame]) -> None:
    """Whatever was told and read before, a report has what the frames say: late ones, other layouts and other instances too."""
    told, tellings = _new(), {0: Telling(), 1: Telling()}
    answered: set[int] = set()
    report = None
    for frame in lived:
        answered |= _take(told, tellings[frame["gpu"]].tell(frame))
        report = _report(told, answered) if answered else None

    newest = {frame["gpu"]: frame for frame in lived if frame["n"] == 2}
    if report is None:
        assert not newest
        return
    last = [newest[gpu] for gpu in sorted(newest)]
    assert {(r.subject, r.metric, r.attributes): r.value for r in report.readings} == _expect(lived)
    assert len(report.readings) == len(_expect(lived))
    assert [device.uuid for device in report.devices] == [uuid for frame in last for uuid in _uuids(frame)]
    assert list(report.unsupported) == [Unsupported(*u) for frame in last for u in frame["about"]["unsupported"]]
    assert list(report.failed) == [Unsupported(*u) for frame in last for u in frame["failed"]]


@given(st.lists(_frames(), min_size=1, max_size=4), st.data())
def test_a_broken_stream_is_refused(lived: list[Frame], data: st.DataObject) -> None:
    """Of a stream of which one byte is another, or some are missing, each frame is taken, or ends in an error that is known."""
    tellings = {0: Telling(), 1: Telling()}
    sent = b"".join(tellings[frame["gpu"]].tell(frame) for frame in lived)
    sent += DriverTelling().tell(2, 2, {1: [2, 3]}, {"driver": {}, "excluded": []})
    place = data.draw(st.integers(0, len(sent) - 1))
    byte = data.draw(st.integers(0, 255))
    broken = data.draw(
        st.sampled_from([sent[:place] + bytes([byte]) + sent[place + 1 :], sent[:place] + sent[place + 1 :]])
    )
    told = _new()

    try:
        answered = _take(told, broken)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        return
    report = _report(told, answered) if answered else None

    for reading in report.readings if report else ():
        assert isinstance(reading.value, float)

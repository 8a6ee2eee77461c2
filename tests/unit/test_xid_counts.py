# SPDX-License-Identifier: Apache-2.0
"""The fold of XIDs: born at 0, counted once, kept while the GPU is there and a while longer, bounded."""

from collections.abc import Iterable

from frames import CONTEXT, NOW, frames, gpu
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import Frames, Point, Snapshot, Xid

RULES = Rules(linger=300.0, max_codes=3)


def xid(number: int, code: int = 79, device: int = 0, times: int = 1) -> Xid:
    return Xid(number, f"GPU-{device}", code, "restart_node", times=times)


def tick(passed: float, *xids: Xid, devices: Iterable[int] = (0, 1)) -> Frames:
    return frames(devices=[gpu(i) for i in devices], xids=xids, passed=passed)


def run(*ticks: Frames) -> list[Snapshot]:
    state, snapshots = State(), []
    for frames_now in ticks:
        state, snapshot = account(state, join(frames_now, CONTEXT), RULES)
        snapshots.append(snapshot)
    return snapshots


def points(snapshot: Snapshot) -> dict[tuple[str | None, ...], Point]:
    """Give the counters by GPU, index, code and action."""
    return {p.attributes[:4]: p for p in snapshot.points if p.metric is catalog.XID_ERRORS}


def counts(snapshot: Snapshot) -> dict[tuple[str | None, str | None], object]:
    return {(key[0], key[2]): p.value for key, p in points(snapshot).items()}


def dropped(snapshot: Snapshot) -> object:
    return next(p.value for p in snapshot.points if p.metric is catalog.DROPPED and p.attributes[0] == "xid")


def test_the_first_of_a_code_is_seen_as_an_increase() -> None:
    """The snapshot that first sees a code has it at 0, the next one has the count, with what came in both."""
    none, born, counted, still = run(
        tick(0), tick(5, xid(1), xid(2)), tick(10, xid(1), xid(2), xid(3)), tick(15, xid(1), xid(2), xid(3))
    )

    key = ("GPU-0", "0", "79", "restart_node")
    assert points(none) == {}
    assert [points(s)[key].value for s in (born, counted, still)] == [0.0, 3.0, 3.0]
    assert {points(s)[key].start for s in (born, counted, still)} == {NOW}
    assert [points(s)[key].at for s in (born, counted, still)] == [NOW + 5, NOW + 10, NOW + 15]


def test_a_code_that_is_there_counts_at_once() -> None:
    """Only the birth of a series takes a tick; codes and GPUs are told apart."""
    *_, last = run(
        tick(0, xid(1)), tick(5, xid(1), xid(2, code=31)), tick(10, xid(1), xid(2, code=31), xid(3, times=4))
    )

    assert counts(last) == {("GPU-0", "79"): 5.0, ("GPU-0", "31"): 1.0}


def test_an_event_is_counted_once_however_often_it_is_told() -> None:
    """The same events in many ticks, or in a report that comes again, are the same events."""
    told = (xid(4), xid(5, device=1))

    *_, last = run(*(tick(5.0 * i, *told) for i in range(5)))

    assert counts(last) == {("GPU-0", "79"): 1.0, ("GPU-1", "79"): 1.0}


def test_counts_outlive_the_source_and_its_reports() -> None:
    """While the driver is away, or a new sampler knows nothing of before, the counts stand."""
    *_, away, anew = run(tick(0, xid(1)), tick(5), frames(passed=10), tick(15, xid(9)))

    assert counts(away) == {("GPU-0", "79"): 1.0}
    assert counts(anew) == {("GPU-0", "79"): 2.0}


def test_a_gpu_that_is_gone_takes_its_counts_after_the_linger() -> None:
    """They stand, frozen, for the linger; what was held back counts; a GPU that comes again later begins anew, later."""
    _, gone, still, over, back = run(
        tick(0, xid(1)),
        tick(5, devices=[1]),
        tick(300, devices=[1]),
        tick(306, devices=[1]),
        tick(400, xid(2)),
    )

    assert counts(gone) == counts(still) == {("GPU-0", "79"): 1.0}
    assert points(still)["GPU-0", "0", "79", "restart_node"].at == NOW + 5
    assert counts(over) == {}
    assert counts(back) == {("GPU-0", "79"): 0.0}
    assert points(back)["GPU-0", "0", "79", "restart_node"].start == NOW + 306


def test_codes_beyond_the_limit_are_dropped_and_counted() -> None:
    """A GPU has counters of so many codes; the others' events are counted as dropped, and other GPUs are untouched."""
    told = (*(xid(i, code=i) for i in range(1, 6)), xid(6, code=9, device=1, times=2), xid(7, code=5, times=3))

    *_, last = run(tick(0, *told), tick(5, *told))

    assert counts(last) == {("GPU-0", "1"): 1.0, ("GPU-0", "2"): 1.0, ("GPU-0", "3"): 1.0, ("GPU-1", "9"): 2.0}
    assert dropped(last) == 5.0


def test_events_that_were_pushed_out_before_they_were_counted_are_dropped_and_counted() -> None:
    """Numbers are consecutive: a gap is what the report could not hold."""
    *_, last = run(tick(0, xid(7)), tick(5, xid(12), xid(13)), tick(10))

    assert counts(last) == {("GPU-0", "79"): 3.0}
    assert dropped(last) == 4.0

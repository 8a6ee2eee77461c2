# SPDX-License-Identifier: Apache-2.0
"""The board: the newest good frame and the newest outcome of every source; and the poller that fills it, tick by tick."""

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from types import MappingProxyType

from inferometer.crew import Crew
from inferometer.hand import Hand
from inferometer.model import Clock, Frame, Frames, Keeping, Prompt, Reason, Source, Trouble

log = logging.getLogger(__name__)

Key = tuple[str, str]  # source name, instance

# Of the whole process: a source that is made anew, for a new configuration, must not repeat numbers that were counted.
_sequences = itertools.count(1)

_LONGEST_DEFECT = 300  # characters of an unexpected exception; one may quote a whole page
_SHARE = 0.9  # of a period: how long a tick waits at most, so that the snapshot is made before the next one is due
_STOOD = 0.1  # seconds that a wait takes too long: then nobody could answer, as this process was given no time


class Board:
    """What is known, under one lock: the only thing that threads share.

    A good frame counts until two of its periods after its read; that is the only grace anywhere (law 1).
    """

    def __init__(self, clock: Clock = time.time, steady: Clock = time.monotonic) -> None:
        self._clock = clock
        self._steady = steady
        self._lock = threading.Lock()
        self._newest: dict[Key, Frame[object]] = {}
        self._good: dict[Key, tuple[Frame[object], float]] = {}  # with the monotonic time it arrived

    def put(self, frame: Frame[object]) -> None:
        """Take a source's newest frame."""
        key = (frame.source, frame.instance)
        with self._lock:
            self._newest[key] = frame
            if frame.trouble is None:
                self._good[key] = (frame, self._steady())

    def forget(self, key: Key) -> None:
        """Drop a source that is no more."""
        with self._lock:
            self._newest.pop(key, None)
            self._good.pop(key, None)

    def frames(self) -> Frames:
        """Give the newest outcomes and the good frames that still count now, in the order of their names."""
        with self._lock:
            outcomes = tuple([self._newest[key] for key in sorted(self._newest)])
            good = [(key, *self._good[key]) for key in sorted(self._good)]
        now, steady = self._clock(), self._steady()
        return Frames(
            now=now,
            steady=steady,
            outcomes=outcomes,
            good=tuple([frame for _, frame, arrived in good if steady - arrived <= 2 * frame.period]),
            ages=MappingProxyType({key: steady - arrived for key, _, arrived in good}),
            behind=MappingProxyType({key: frame.behind for key, frame, _ in good if frame.behind}),
        )


class _Round:
    """The readers that a tick waits for. It is woken once, by the last of them: each time that a thread wakes costs."""

    def __init__(self) -> None:
        self.over = threading.Condition()
        self.pending: set[_Reader] = set()

    def answered(self, reader: "_Reader") -> None:
        """Note that a reader has its answer, or that nobody wants one. Condition held."""
        if reader in self.pending:
            self.pending.remove(reader)
            if not self.pending:
                self.over.notify_all()


class _Reader:
    """One source and the thread that reads it: a source that hangs holds up nobody but itself.

    The thread is there from when it is first needed until the crew has seen to the source: most engines need theirs once.
    """

    def __init__(self, source: Source[object], board: Board, clock: Clock, round_: "_Round") -> None:
        self.source = source
        self.key: Key = (source.name, source.instance)
        self.due = 0.0  # monotonic; 0 is now
        self.busy = False
        self._board = board
        self._clock = clock
        self._round = round_
        self._began = 0.0
        self._stopped = False
        self._failing = ""
        self._behind = source.behind if isinstance(source, Keeping) else None  # to ask what a source is takes long
        self._prompt = source if isinstance(source, Prompt) else None
        self._asked_at = 0.0  # Unix seconds
        self._hand = Hand(self._label())

    def start(self, now: float) -> bool:
        """Begin a read; tell whether the crew is to see to it. Called with the condition held."""
        self.busy = True
        self._began = now
        if self._prompt is not None and self._prompt.is_prompt:
            return True
        self.hand_over()
        return False

    @property
    def moment(self) -> float:
        """Seconds after the tick at which the source is to be asked."""
        return self._prompt.moment if self._prompt is not None else 0.0

    def ask(self) -> int | None:
        """Ask the source, without waiting; None where its own thread has to."""
        self._asked_at = self._clock()
        try:
            return self._prompt.ask() if self._prompt is not None else None
        except Exception:  # `read` meets it again, and says it
            log.debug("%s: cannot be asked ahead", self._label(), exc_info=True)
            return None

    def take(self) -> bool:
        """Take what the source has answered so far; tell whether nothing is left to be done here."""
        if self._prompt is None:
            return True
        began = time.monotonic()
        value, trouble = self._attempt(self._prompt.take)
        if value is None and trouble is None:
            if self._prompt.is_prompt:
                return False
            self.hand_over()
        else:
            with self._round.over:
                self._hand.let_go()
                # Neither the time until it was asked counts nor the time that its answer lay there.
                self._end(value, trouble, self._prompt.took + time.monotonic() - began, self._asked_at)
        return True

    def hand_over(self) -> None:
        """Have the source read by its own thread."""
        with self._round.over:
            if self._stopped:
                return
            try:
                self._hand.do(self._read)
            except RuntimeError as error:  # no more threads, now; it is tried again when the source is due
                trouble = Trouble(Reason.INTERNAL, f"{self._label()}: {error}", "See how many threads it may have.")
                self._end(None, trouble, time.monotonic() - self._began)

    def overdue(self, now: float) -> bool:
        """Tell whether the read in progress, which somebody still wants, has met its deadline."""
        return self.busy and not self._stopped and now - self._began >= self.source.deadline

    def give_up_on(self, now: float) -> None:
        """Report the read in progress as timed out; it may still come back, as a later frame. Condition held."""
        took = now - self._began
        message = f"{self._label()} has not answered for {took:.1f} s"
        self._report(took, None, Trouble(Reason.TIMEOUT, message, "It is read again when it answers."))

    def forgive(self, stood: float) -> None:
        """Leave seconds in which it could not go on out of the read in progress. Condition held."""
        self._began += stood

    def stop(self) -> None:
        """End the thread when its read returns, and release the source; no tick waits for it. Condition held."""
        self._stopped = True
        with contextlib.suppress(RuntimeError):  # no more threads, now
            self._hand.do(self._close)
            self._hand.let_go()
        self._round.answered(self)

    def join(self, timeout: float) -> None:
        """Wait for the thread to end, but not for ever."""
        self._hand.join(timeout)

    def _label(self) -> str:
        return " ".join(filter(None, self.key))

    def _read(self) -> None:
        if self._stopped:
            return
        value, trouble = self._attempt(self.source.read)
        self._end(value, trouble, time.monotonic() - self._began)

    def _close(self) -> None:
        with contextlib.suppress(Exception):
            self.source.close()

    def _attempt(self, read: Callable[[], object]) -> tuple[object, Trouble | None]:
        try:
            return read(), None
        except Trouble as expected:
            return None, expected.bare()
        except Exception as error:
            if self._failing != Reason.INTERNAL:
                log.exception("%s: a defect of ours while reading", self._label())
            what = repr(error)[:_LONGEST_DEFECT]
            return None, Trouble(Reason.INTERNAL, f"{self._label()}: {what}", "Please report this with the log.")

    def _end(self, value: object, trouble: Trouble | None, took: float, at: float | None = None) -> None:
        with self._round.over:
            if not self._stopped:
                self._report(took, value, trouble, at)
            self.busy = False
            self._round.answered(self)

    def _report(self, took: float, value: object, trouble: Trouble | None, at: float | None = None) -> None:
        name, instance = self.key
        at = self._clock() if at is None else at
        behind = self._behind() if self._behind is not None else 0.0
        self._board.put(Frame(name, instance, next(_sequences), at, took, self.source.period, value, trouble, behind))
        # Logged when it fails, when it fails otherwise, and when it recovers; never once a tick (law 9).
        if trouble is not None and self._failing != trouble.reason:
            level = logging.INFO if trouble.reason is Reason.RELEASED else logging.WARNING
            log.log(level, "%s: %s", self._label(), trouble.told())
        elif trouble is None and self._failing:
            log.info("%s: reads again", self._label())
        self._failing = trouble.reason if trouble is not None else ""


class Poller:
    """Reads all sources on one monotonic tick and puts what they say on the board.

    `tick` returns when every source that was due has answered or met its deadline, and before the next tick is due; what
    answers later is in the next snapshot. Where a wait took too long, as the machine stood still or gave this process no
    time, it waits once more, and that wait counts towards no deadline: else the snapshot after it has nothing in it, and all
    series end.
    """

    def __init__(self, board: Board, period: float, clock: Clock = time.time) -> None:
        self._board = board
        self._period = period
        self._clock = clock
        self._round = _Round()
        self._readers: dict[Key, _Reader] = {}
        self._crew: Crew | None = None  # from when it is first needed

    @property
    def keys(self) -> frozenset[Key]:
        """What is polled."""
        return frozenset(self._readers)

    def add(self, source: Source[object]) -> None:
        """Poll a source from the next tick on."""
        reader = _Reader(source, self._board, self._clock, self._round)
        self._readers[reader.key] = reader

    def remove(self, key: Key) -> None:
        """Poll a source no more; what it said is forgotten at once."""
        with self._round.over:
            self._readers.pop(key).stop()
            self._board.forget(key)

    def hurry(self, key: Key) -> None:
        """Read a source in the next tick, whenever it would be due."""
        self._readers[key].due = 0.0

    def tick(self, patience: float | None = None) -> None:
        """Read what is due and wait for it: at most `patience` seconds, or nearly one period."""
        began = time.monotonic()
        end = began + (_SHARE * self._period if patience is None else patience)
        with self._round.over:
            asked = [r for r in self._readers.values() if r.due <= began and not r.busy]
            late = [r for r in self._readers.values() if r.due <= began and r.busy]
            for reader in late:
                reader.due = began + reader.source.period
                if reader.overdue(began):
                    reader.give_up_on(began)
            pending = self._round.pending = set(asked)  # first: who cannot be read at all has its answer at once
            prompt = []
            for reader in asked:
                # Half a tick of slack: the loop's own jitter must not make a source skip a tick.
                reader.due = began + reader.source.period - self._period / 2
                if reader.start(began):
                    prompt.append(reader)
            if prompt:
                self._call_crew(began, prompt)
            asleep = wake = began
            stood, has_slept, is_forgiven = 0.0, False, False
            while pending:
                now = time.monotonic()
                if now - wake > _STOOD and not is_forgiven:
                    stood += now - asleep
                    end += now - asleep
                    for reader in self._readers.values():
                        reader.forgive(now - asleep)
                    is_forgiven = has_slept  # to begin late, as where many threads are made, is no wait
                waiting = [r for r in pending if not r.overdue(now)]
                if not waiting or now >= end:
                    break
                asleep, wake = now, min(end, *(began + stood + r.source.deadline for r in waiting))
                has_slept = True
                self._round.over.wait(wake - now)
            now = time.monotonic()
            for reader in asked:
                if reader.overdue(now):
                    reader.give_up_on(now)

    def _call_crew(self, began: float, prompt: Sequence[_Reader]) -> None:
        """Have the crew see to readers; it is there from when it is first needed. Called with the condition held."""
        try:
            self._crew = self._crew or Crew()
        except RuntimeError:  # no more threads, now; some of these may still have theirs
            for reader in prompt:
                reader.hand_over()
        else:
            self._crew.start(began, prompt)

    def close(self, timeout: float = 2.0) -> None:
        """Stop polling and release the sources. A read that hangs past `timeout` seconds is left to its daemon thread."""
        with self._round.over:
            readers, self._readers = list(self._readers.values()), {}
            for reader in readers:
                reader.stop()
        if self._crew is not None:
            self._crew.close()
        end = time.monotonic() + timeout
        for reader in readers:
            reader.join(max(0.0, end - time.monotonic()))
        if self._crew is not None:
            self._crew.join(max(0.0, end - time.monotonic()))

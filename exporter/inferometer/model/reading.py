# SPDX-License-Identifier: Apache-2.0
"""What reading is: sources, frames, and what goes wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from inferometer.model.engines import Target

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Reason(StrEnum):
    """Why a read failed: the closed set that errors are counted by."""

    MISSING = "missing"  # not there: no library, no socket, no file
    PERMISSION = "permission"
    TIMEOUT = "timeout"
    REFUSED = "refused"  # nobody listens, or the peer closed
    REJECTED = "rejected"  # the peer answered with an error
    MALFORMED = "malformed"  # the answer is not what its protocol promises
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    CRASHED = "crashed"
    RELEASED = "released"  # let go of on purpose: an operator wants it so
    INTERNAL = "internal"  # our own defect


class Trouble(Exception):  # noqa: N818  # it is raised, counted and shown to people; "Error" would say less
    """A source could not read. `message` names the place, `remedy` says what to do.

    `answer` names what came instead, where somebody answered: one of the source's few words.
    """

    def __init__(self, reason: Reason, message: str, remedy: str = "", answer: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.remedy = remedy
        self.answer = answer

    def bare(self) -> "Trouble":
        """Give one that says the same, to be kept: a raised one holds on to its traceback, and to all that was being read."""
        return Trouble(self.reason, self.message, self.remedy, self.answer)

    def told(self) -> str:
        """Say what is wrong and what to do, as one line for a person."""
        if not self.remedy:
            return self.message
        return f"{self.message.rstrip('.')}. {self.remedy[:1].upper()}{self.remedy[1:].rstrip('.')}."


class Source(Protocol[T_co]):
    """One world to read. `read` blocks, may raise, and is only ever called from one thread at a time.

    `name` is one of a few (`nvidia`, `podresources`, `pods`, `node`, `engine`), `instance` tells equals apart.
    """

    @property
    def name(self) -> str:
        """One of a few: `nvidia`, `podresources`, `pods`, `node`, `engine`."""
        ...

    @property
    def instance(self) -> str:
        """Which one, where a name has several; else empty."""
        ...

    @property
    def period(self) -> float:
        """Seconds between reads."""
        ...

    @property
    def deadline(self) -> float:
        """Seconds that one read may take."""
        ...

    def read(self) -> T_co:
        """Read once. Raises Trouble for what is expected to go wrong."""
        ...

    def close(self) -> None:
        """Release everything; called once, from another thread if need be."""
        ...


@runtime_checkable
class Keeping(Protocol):
    """A source that goes on telling what it read before when it cannot read it again."""

    def behind(self) -> float:
        """Give for how many seconds it has failed to renew what it tells; 0 where it has not."""
        ...


@runtime_checkable
class Prompt(Protocol):
    """A source that can be asked first and read later, mostly: so one thread can see to many of them.

    What cannot be done so, `read` does in its own time, and goes on with what was asked.
    """

    @property
    def moment(self) -> float:
        """Seconds after a tick at which it is to be asked."""
        ...

    @property
    def is_prompt(self) -> bool:
        """Whether it can be asked now, and once it is asked, whether the answer is still on its way."""
        ...

    @property
    def took(self) -> float:
        """Seconds from the question to the answer that `take` gave last, without how long it lay waiting."""
        ...

    def ask(self) -> int | None:
        """Ask, without waiting; give the descriptor that tells when something comes. None: it has to be `read`."""
        ...

    def take(self) -> object | None:
        """Read what has come, without waiting; None while it is not all there. Raises as `read` does."""
        ...


@dataclass(frozen=True, slots=True)
class Frame(Generic[T]):
    """What one source read at one time: `value`, or the trouble it had.

    `at` is Unix seconds when the read ended, or was asked for where the answer then lay waiting; `took` is its duration. `sequence` rises from frame to frame, and
    no two frames of a process share one. `behind` is for how many seconds the source has failed to renew what it still tells.
    """

    source: str
    instance: str
    sequence: int
    at: float
    took: float
    period: float
    value: T | None = None
    trouble: Trouble | None = None
    behind: float = 0.0


class SpoolState(NamedTuple):
    """What an output has waiting because it could not be sent yet.

    `storage` is `disk` or `memory`, whichever takes what has to wait next. `usage` and `limit` are bytes by storage, `age`
    is seconds since the oldest of the `requests` was made, `dropped` counts requests and points since the start by reason.
    """

    storage: str
    requests: int
    age: float
    usage: Mapping[str, int]
    limit: Mapping[str, int]
    dropped: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Frames:
    """The board's state at one tick: the newest outcome of every source, and the newest good frame while it is valid.

    `now` is Unix seconds, for stamps. `steady` is monotonic seconds, for durations, and `ages` are the seconds since each
    source's newest good frame, valid or not: a clock that is set never makes or loses time. `behind` is each such frame's. `exports` counts pushes by
    outcome since the agent started, `dropped` what limits dropped ahead of the sources at this tick. `requests` are those to
    the API server since then, by verb and resource: how often, and bytes received. `spool` is what waits to be pushed, None where nothing is pushed. `targets` are the engines' endpoints that are
    read, by instance. `refusals` counts whom our own endpoint turned away, by reason, `unusable` how often a file of its own
    could not be used, by what it is, both since the agent started.
    """

    now: float
    steady: float
    outcomes: tuple[Frame[object], ...] = ()
    good: tuple[Frame[object], ...] = ()
    ages: Mapping[tuple[str, str], float] = field(default_factory=lambda: MappingProxyType({}))
    behind: Mapping[tuple[str, str], float] = field(default_factory=lambda: MappingProxyType({}))
    exports: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    requests: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))
    spool: SpoolState | None = None
    targets: Mapping[str, Target] = field(default_factory=lambda: MappingProxyType({}))
    refusals: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    unusable: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


Clock = Callable[[], float]

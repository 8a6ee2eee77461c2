# SPDX-License-Identifier: Apache-2.0
"""The kernel's log: the second source of XIDs, which a driver that hangs does not silence, and the only one of SXIDs."""

import errno
import logging
import threading
import time
from collections import deque

from inferometer import config as configuration
from inferometer.model import Clock, KernelReport, Reason, Sxid, Trouble, Xid
from inferometer.sources.devices import kernel_place
from inferometer.sources.devices.kernel_lines import Record, SxidLine, XidLine, find, parse
from inferometer.sources.devices.kernel_place import Place
from inferometer.sources.devices.kmsg import Log, OpenLog, open_log
from inferometer.sources.devices.numbers import next_number

log = logging.getLogger(__name__)

_TELLER = "kernel"
MOST = 1000  # XIDs and SXIDs taken at once; what is more stays with the kernel until the next time
_MOST_RECORDS = 20_000  # of all kinds, looked at in one read: some hundredths of a second
_KEPT = 2 * MOST  # the newest: a report may be replaced by the next before it is looked at, and loses nothing by it
_SAVE_EVERY = 5.0  # seconds
_PASSING = 1.0  # seconds that passing over what is old may take: a full log of a megabyte takes some hundredths
_HOW = (
    "Mount the host's /dev/kmsg into a privileged container, or give CAP_SYSLOG where kernel.dmesg_restrict is 1; or set "
    "devices.kernel_log.enabled to false: NVML tells most XIDs"
)

# Of the whole process, by the log's path: a source that is made anew, for a new configuration, goes on where the last one
# stopped, and counts on.
_left: dict[str, tuple[Place | None, int]] = {}


class KernelLog:
    """XIDs and SXIDs of `/dev/kmsg` (a `Source[KernelReport]`).

    The first time ever it begins at the end: what is old is not known to be ours. With a state file it goes on behind the
    record that was read last; after a reboot it begins at the oldest record, because all of that boot is unseen.
    """

    name = "kernel_log"
    instance = ""
    deadline = 2.0

    def __init__(
        self,
        config: configuration.KernelLog,
        period: float,
        *,
        opener: OpenLog = open_log,
        clock: Clock = time.time,
        steady: Clock = time.monotonic,
        boot: str | None = None,
    ) -> None:
        self.period = period
        self._config = config
        self._open_log = opener
        self._clock = clock
        self._steady = steady
        self._boot = kernel_place.boot_id() if boot is None else boot
        self._reading = threading.Lock()
        self._closed = False
        self._log: Log | None = None
        self._begun = False
        self._last: int | None = None  # the sequence number of the newest record that was dealt with; None: not known
        self._newest = -1  # the highest sequence number of this opening
        self._emptied: float | None = None  # monotonic: when the log was last read to its end
        self._told: deque[Xid | Sxid] = deque(maxlen=_KEPT)  # of both kinds, so that no number is missing in between
        self._lost = 0
        self._saved: tuple[int | None, float] = (None, 0.0)  # sequence number, monotonic time
        self._unsaved = False  # the state file cannot be written, which is told once

    def read(self) -> KernelReport:
        """Read what the kernel has said since the last time, without waiting.

        Raises Trouble: MISSING without the log, PERMISSION where it may not be read, UNSUPPORTED where something else has
        its name, REJECTED for what else the kernel answers.
        """
        with self._reading:
            if self._closed:
                raise Trouble(Reason.REFUSED, "the kernel's log is closed")
            try:
                self._take(self._opened())
            except OSError as error:
                self._let_go()
                raise _trouble(self._config.path, error) from error
            self._save()
            return KernelReport(
                xids=tuple(told for told in self._told if isinstance(told, Xid)),
                sxids=tuple(told for told in self._told if isinstance(told, Sxid)),
                lost=self._lost,
            )

    def close(self) -> None:
        """Close the log and write the state file."""
        with self._reading:
            self._closed = True
            self._let_go()
            if self._begun:
                self._save(now=True)
                _left[self._config.path] = (self._place(), self._lost)

    # --- where to begin -------------------------------------------------------------------------------------------

    def _opened(self) -> Log:
        """Give the log, opened where reading is to begin."""
        if self._log is None:
            opened = self._open_log(self._config.path)
            self._log, self._newest = opened, -1
            if not self._begun:
                self._begin(opened)
            elif self._last is not None:
                opened.rewind()
            else:
                opened.skip()
        return self._log

    def _begin(self, opened: Log) -> None:
        place, self._lost = _left.pop(self._config.path, (None, 0))
        place = place or self._load()
        self._begun = True
        if place is None:
            if opened.has_past:
                self._pass_over(opened)
            return
        self._last = place.sequence if place.boot == self._boot else -1
        opened.rewind()

    def _pass_over(self, opened: Log) -> None:
        """Begin at the end, and know which record that is: whoever comes after a restart goes on there, be there a new one or not.

        The device tells the number of a record only with the record, so those that are there are read, and nothing is taken
        of them. A log that is too long for that, or that is written faster than it is read, has a place from its next record on.
        """
        opened.rewind()
        until = time.monotonic() + _PASSING
        while time.monotonic() < until:
            try:
                record = parse(opened.read())
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    return
                if error.errno not in {errno.EPIPE, errno.EINVAL}:
                    raise
                continue  # overwritten meanwhile, or too long
            if record is not None:
                self._last = self._newest = record.sequence
        self._last, self._newest = None, -1
        opened.skip()

    def _load(self) -> Place | None:
        """Read the state file; what is wrong with it is told, and it is as if there were none."""
        if not self._config.state or not self._boot:
            return None
        try:
            return kernel_place.load(self._config.state)
        except (OSError, ValueError) as error:
            log.warning("kernel_log: the state file is ignored, the log is read from its end: %s", error)
            return None

    # --- reading --------------------------------------------------------------------------------------------------

    def _take(self, opened: Log) -> None:
        """Deal with new records, until there are no more or it is enough for once."""
        now, steady = self._clock(), self._steady()
        found: dict[tuple[XidLine, int], tuple[int, float]] = {}  # XIDs and the second -> how often, and when
        switches: list[tuple[SxidLine, float]] = []
        for _ in range(_MOST_RECORDS):
            if len(found) + len(switches) >= MOST:
                break
            try:
                record = parse(opened.read())
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    self._reached_the_end(steady)
                    break
                if error.errno not in {errno.EPIPE, errno.EINVAL}:
                    raise
                # Overwritten, or too long: the gap in the sequence numbers says how many, but for the very first.
                self._lost += self._last is None
                continue
            if record is None or not self._is_new(record):
                continue
            line = find(record.message)
            if isinstance(line, XidLine):
                at = now - self._age(record, steady)
                times, _ = found.get((line, int(at)), (0, 0.0))
                found[line, int(at)] = (times + 1, at)
            elif isinstance(line, SxidLine):
                switches.append((line, now - self._age(record, steady)))
        self._told += (_xid(line, at, times) for (line, _), (times, at) in found.items())
        self._told += (_sxid(line, at) for line, at in switches)

    def _is_new(self, record: Record) -> bool:
        """Tell whether a record is yet to be dealt with, and count those that are missing before it."""
        self._newest = max(self._newest, record.sequence)
        if self._last is not None:
            if record.sequence <= self._last:
                return False
            self._lost += record.sequence - self._last - 1
        self._last = record.sequence
        return True

    def _reached_the_end(self, steady: float) -> None:
        self._emptied = steady
        if self._last is not None and -1 < self._newest < self._last:
            log.warning("kernel_log: the state file is ahead of the log; the log is read on from its end")
            self._last = self._newest

    def _age(self, record: Record, steady: float) -> float:
        """Give the seconds since a record was written.

        The kernel stamps records by its scheduler's clock, which stands beside CLOCK_MONOTONIC but is not disciplined by
        NTP: over weeks they drift apart by seconds. A record was written after the log was last empty, and before now.
        """
        longest = steady - self._emptied if self._emptied is not None else float("inf")
        return min(max(0.0, steady - record.at), longest)

    # --- leaving --------------------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def _place(self) -> Place | None:
        return None if self._last is None or self._last < 0 else Place(self._boot, self._last)

    def _save(self, *, now: bool = False) -> None:
        """Write the state file, every few seconds, where there is something new."""
        place, (saved, at) = self._place(), self._saved
        if not self._config.state or not self._boot or place is None or place.sequence == saved:
            return
        steady = self._steady()
        if saved is not None and steady - at < _SAVE_EVERY and not now:
            return
        try:
            kernel_place.save(self._config.state, place)
        except OSError as error:
            if not self._unsaved:
                log.warning("kernel_log: what was read cannot be kept for the next start: %s", error)
            self._unsaved, self._saved = True, (saved, steady)
        else:
            self._unsaved, self._saved = False, (place.sequence, steady)


def _xid(line: XidLine, at: float, times: int) -> Xid:
    return Xid(
        number=next_number(_TELLER),
        code=line.code,
        at=at,
        teller=_TELLER,
        pci_address=line.address,
        gpu_instance=line.gpu_instance,
        compute_instance=line.compute_instance,
        pid=line.pid,
        times=times,
    )


def _sxid(line: SxidLine, at: float) -> Sxid:
    return Sxid(number=next_number(_TELLER), code=line.code, at=at, pci_address=line.address, fatal=line.fatal)


def _trouble(path: str, error: OSError) -> Trouble:
    match error.errno:
        case errno.ENOENT | errno.ENXIO | errno.ENODEV | errno.ENOTDIR:
            return Trouble(Reason.MISSING, f"{path} is not there", _HOW)
        case errno.EPERM | errno.EACCES:
            return Trouble(Reason.PERMISSION, f"{path} may not be read", _HOW)
        case errno.ENOTSUP:
            return Trouble(Reason.UNSUPPORTED, f"{path} is not the device of the kernel's log", _HOW)
    return Trouble(Reason.REJECTED, f"{path} cannot be read: {error.strerror}", "It is opened again.")

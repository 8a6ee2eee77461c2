# SPDX-License-Identifier: Apache-2.0
"""The agent's end of one sampler process: start, ask, take frames, see where it is, end or kill it without waiting."""

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import IO, Any, cast

from inferometer.model import Reason, Trouble
from inferometer.sources.devices import frames, whereabouts
from inferometer.sources.devices.whereabouts import Whereabouts

log = logging.getLogger(__name__)

# One arena for all of its threads (mallopt(3)): each that a thread has of its own is reserved by use and never given back.
_FRUGAL = MappingProxyType({"MALLOC_ARENA_MAX": "1"})

_MAX_STDERR = 64 * 1024  # kept in the pipe between two reads; what the child writes beyond is lost, and never blocks it
_MAX_LINES = 20  # logged of one call of `frames`, however much the child complains meanwhile


class Child:
    """A sampler process. Started with Popen, never by fork; in a session of its own, so that Ctrl-C is the agent's alone."""

    def __init__(
        self,
        *,
        vendor: str = "nvidia",
        nvml: str,
        argument: str,
        library: str,
        patience: float,
        periods: Mapping[str, float] = MappingProxyType({}),
        hears_unbind: bool = True,
        processes: bool = True,
        exclude: Sequence[str] = (),
    ) -> None:
        page = whereabouts.create()
        errors, errors_child = os.pipe()
        os.set_blocking(errors, False)
        os.set_blocking(errors_child, False)
        try:
            self._page = Whereabouts(page)
            keys = {
                "page": str(page),
                "patience": str(patience),
                **{tier: str(seconds) for tier, seconds in periods.items()},
                "vendor": vendor,
                "binding": nvml,
                "argument": argument,
                "library": library,
                "unbind": "hear" if hears_unbind else "",
                "processes": "read" if processes else "",
                "exclude": ",".join(exclude),
            }
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module, no shell
                [
                    sys.executable,
                    "-I",
                    "-m",
                    "inferometer.sources.devices.sampler",
                    *(x for pair in keys.items() for x in pair),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors_child,
                bufsize=0,
                pass_fds=(page,),
                env={**_FRUGAL, **os.environ},
                start_new_session=True,
            )
        except BaseException:
            os.close(errors)
            raise
        finally:
            os.close(page)
            os.close(errors_child)
        self._commands = cast("IO[bytes]", self._process.stdin)
        self._frames = cast("IO[bytes]", self._process.stdout)
        self._errors = errors
        os.set_blocking(self._commands.fileno(), False)
        os.set_blocking(self._frames.fileno(), False)
        # Another thread may end or kill it: neither writes to a descriptor that is another's by now, nor kills a stranger.
        self._handling = threading.Lock()
        self._received = bytearray()
        self._lines_left = _MAX_LINES
        self.started = time.monotonic()
        self.last_words = ""  # the last line of its standard error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, command: str) -> None:
        """Send a command; a child that is gone is noticed when its frames end."""
        with self._handling, contextlib.suppress(BlockingIOError, BrokenPipeError, ValueError):
            self._commands.write(command.encode() + b"\n")

    def frames(self, until: float) -> Iterator[dict[str, Any]]:
        """Give frames as they come, until a monotonic time. Raises EOFError when the child has closed its end.

        Raises Trouble (TOO_LARGE, MALFORMED) for what is no frame.
        """
        self._lines_left = _MAX_LINES
        poll = select.poll()
        poll.register(self._frames, select.POLLIN)
        poll.register(self._errors, select.POLLIN)
        while True:
            while (frame := self._take()) is not None:
                yield frame
            ready = poll.poll(max(0.0, until - time.monotonic()) * 1000)
            if not ready:
                return
            for descriptor, _ in ready:
                if descriptor == self._errors:
                    if not self._drain_errors():
                        poll.unregister(self._errors)
                elif received := os.read(descriptor, 1 << 16):
                    self._received += received
                else:
                    self._drain_errors()
                    raise EOFError

    def _take(self) -> dict[str, Any] | None:
        """Give the next whole frame that was received."""
        if len(self._received) < 4:
            return None
        length = int.from_bytes(self._received[:4], "big")
        if length > frames.MAX:
            raise Trouble(
                Reason.TOO_LARGE, f"the sampler sent a frame of {length} bytes; at most {frames.MAX} are taken"
            )
        if len(self._received) < 4 + length:
            return None
        body = bytes(self._received[4 : 4 + length])
        del self._received[: 4 + length]
        try:
            return frames.read(body)
        except (ValueError, TypeError, RecursionError) as error:
            raise Trouble(Reason.MALFORMED, f"the sampler sent what is no frame: {error}") from error

    def _drain_errors(self) -> bool:
        """Log what the child wrote to standard error, a bounded part of it; tell whether more may come."""
        try:
            written = os.read(self._errors, _MAX_STDERR)
        except BlockingIOError:
            return True
        lines = [line[:200] for line in written.decode(errors="replace").splitlines() if line.strip()]
        for line in lines[: self._lines_left]:
            log.debug("sampler %d: %s", self.pid, line)
        self._lines_left -= min(len(lines), self._lines_left)
        if lines:
            self.last_words = lines[-1].strip()
        return bool(written)

    def busy(self) -> dict[int, tuple[int, float]]:
        """Give the NVML calls under way: see `Whereabouts.busy`."""
        return self._page.busy()

    def end(self) -> None:
        """Close its standard input: it shuts NVML down and exits. May be called from another thread."""
        with self._handling, contextlib.suppress(OSError):
            self._commands.close()

    def kill(self) -> None:
        """Kill it, without waiting: a process that is stuck inside the kernel outlives this. From any thread."""
        with self._handling, contextlib.suppress(OSError):
            if self._process.returncode is None:  # not reaped: the number is still its own
                os.kill(self.pid, signal.SIGKILL)

    def exit_status(self) -> int | None:
        """Give its exit status, negative for a signal; None while it lives. Reaps it. From any thread."""
        with self._handling:
            return self._process.poll()

    def how_it_ended(self) -> str:
        """Say how a child ended whose frames have ended: the process is gone, or will be in a moment."""
        with self._handling, contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=0.2)
        status = self._process.returncode
        if status is None:
            return "it has closed its output"
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"exit status {status}" + (f", {self.last_words}" if self.last_words else "")

    @property
    def was_killed(self) -> bool:
        """Tell whether somebody else ended it: the kernel, for want of memory, or a person."""
        return self.exit_status() in {-signal.SIGKILL, -signal.SIGTERM}

    def release(self) -> None:
        """Close what the agent holds of it, once."""
        if self._frames.closed:
            return
        self.end()
        self._frames.close()
        os.close(self._errors)
        self._page.close()


class Departures:
    """Children that were told to end, until they are gone: asked first, killed when their grace is over, never waited for."""

    def __init__(self) -> None:
        self._leaving: list[tuple[Child, float]] = []  # with the monotonic time when it is to be killed
        self._killed: list[Child] = []

    def end(self, child: Child, grace: float) -> None:
        """Tell a child to end, and see to it that it does."""
        child.end()
        self._leaving.append((child, time.monotonic() + grace))
        self.sweep()

    def kill(self, child: Child) -> None:
        """Kill a child now."""
        child.kill()
        self._killed.append(child)

    def sweep(self) -> None:
        """Reap who is gone, kill who should be."""
        now = time.monotonic()
        gone = [child for child, _ in self._leaving if child.exit_status() is not None]
        gone += [child for child in self._killed if child.exit_status() is not None]
        for child in gone:
            child.release()
        late = [child for child, until in self._leaving if child not in gone and now >= until]
        self._leaving = [(child, until) for child, until in self._leaving if child not in gone and child not in late]
        self._killed = [child for child in self._killed if child not in gone]
        for child in late:
            self.kill(child)

    @property
    def unkillable(self) -> tuple[int, ...]:
        """The processes that were killed and are still there."""
        return tuple(child.pid for child in self._killed)

    def __len__(self) -> int:
        return len(self._leaving) + len(self._killed)

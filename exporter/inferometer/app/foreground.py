# SPDX-License-Identifier: Apache-2.0
"""The agent as the process in the foreground: its signals, from before its start to its end."""

import logging
import os
import select
import signal
from collections.abc import Mapping

from inferometer.app.agent import Adapt, Agent, OnConfig
from inferometer.app.allocator import hold_little, settle
from inferometer.app.pipeline import REAL, Stand
from inferometer.config import Config
from inferometer.model import Trouble

log = logging.getLogger(__name__)

_GLANCE = 0.2  # seconds: how soon the first snapshot is noticed


def run(
    config: Config,
    *,
    environ: Mapping[str, str],
    config_path: str | None = None,
    stand: Stand = REAL,
    adapt: Adapt | None = None,
    on_config: OnConfig | None = None,
) -> int:
    """Run the agent in the foreground until SIGTERM or SIGINT. Gives the exit code.

    SIGHUP reads the configuration again; `on_config` is told where it is used. SIGUSR1 lets go of the driver for a while.
    """
    hold_little()
    ended: list[int] = []
    asked: list[int] = []  # to let go of the driver
    agent = Agent(config, environ=environ, config_path=config_path, stand=stand, adapt=adapt, on_config=on_config)

    def end(number: int, _: object) -> None:
        ended.append(number)

    # Before anything is started: a signal that comes early must end the agent as well as a late one.
    woken, waker = os.pipe()  # a signal writes to it: nobody has to look for one again and again
    os.set_blocking(waker, False)
    before = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    previous = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: agent.reload())
    previous[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, lambda number, _: asked.append(number))
    try:
        agent.start()
        settled = False
        while not ended:
            if select.select([woken], [], [], None if settled else _GLANCE)[0]:
                os.read(woken, 64)
            if not settled and agent.newest is not None:
                settle()
                settled = True
            if asked:
                asked.clear()
                agent.release()
        agent.stop()
    except Trouble as trouble:
        log.error("%s", trouble.told())  # noqa: TRY400  # no defect: the message says it all
        return 1
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(waker)
    return 130 if ended[:1] == [signal.SIGINT] else 0

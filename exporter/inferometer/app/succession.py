# SPDX-License-Identifier: Apache-2.0
"""From one agent to the next: the counters are written when the one ends, and taken up when the other starts.

Only then: what was written earlier would be less than what the agent has told since, and a counter that falls to such a value is
taken for one that was reset and has counted all of it anew. So the file is removed when it is taken up, nothing is taken up
that cannot be removed, and after a crash the counters begin again at 0, which everybody understands.
"""

import logging
import os
import threading
import time
from pathlib import Path

from inferometer.accounting import State
from inferometer.accounting.ledger import Moment, UnusableError, take_up, write_down
from inferometer.app import counters_file

log = logging.getLogger(__name__)

_REMEDY = "accounting.state names a file in a directory that the agent may write to, or none"


def inherit(path: str, node: str) -> State | None:
    """Take up the counters that the agent before has left, and remove their file; None where there are none.

    What is wrong with it is logged, and the counters begin at 0.
    """
    if not path:
        return None
    if not os.access(Path(path).parent, os.W_OK | os.X_OK):
        log.error(
            "the counters begin at 0, and are not kept: %s may not be written to. %s.", Path(path).parent, _REMEDY
        )
        return None
    try:
        document = counters_file.read(path)
        if document is None:
            return None
        state = take_up(document, node, _now())
        counters_file.remove(path)
    except UnusableError as error:
        log.error(  # noqa: TRY400  # no defect
            "the counters begin at 0: %s cannot be used: %s. It is replaced when the agent ends.", path, error
        )
    except OSError as error:
        log.error("the counters begin at 0: %s: %s. %s.", path, error.strerror, _REMEDY)  # noqa: TRY400  # no defect
    else:
        log.info("the counters go on from %s", path)
        return state
    return None


def bequeath(path: str, node: str, state: State | None, patience: float) -> None:
    """Leave the counters to the next agent, if a disk that hangs does not take longer than `patience` seconds."""
    if not path or state is None:
        return
    # A thread that hangs with its disk does not hold up the end of the process.
    writing = threading.Thread(target=_write, args=(path, node, state), name="counters", daemon=True)
    writing.start()
    writing.join(patience)
    if writing.is_alive():
        log.error("the counters are not kept: %s is not written within %g s. %s.", path, patience, _REMEDY)


def _write(path: str, node: str, state: State) -> None:
    try:
        counters_file.write(path, write_down(state, node, _now()))
    except UnusableError as error:
        log.error("the counters are not kept: %s: %s", path, error)  # noqa: TRY400  # no defect
    except OSError as error:
        log.error("the counters are not kept: %s: %s. %s.", path, error.strerror, _REMEDY)  # noqa: TRY400  # no defect


def _now() -> Moment:
    return Moment(time.time(), time.monotonic())

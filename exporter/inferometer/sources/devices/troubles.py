# SPDX-License-Identifier: Apache-2.0
"""What is said of a driver that is left alone, of a frame without sense, and where a sampler was."""

from inferometer.model import Reason, Trouble
from inferometer.sources.devices import tables
from inferometer.sources.devices.release import Will
from inferometer.sources.devices.whereabouts import EVENTS, LIBRARY, UNBIND, user_of

PAUSED = "paused_after_hang_or_crash"  # the reason of what is not asked for a while because of a call of its own


def released(vendor: str, will: Will, stuck: tuple[int, ...]) -> Trouble:
    """Say that the driver is left alone, and who holds it all the same."""
    message = f"the {vendor} driver is left alone: {will.why}"
    if stuck:
        pids = ", ".join(map(str, stuck))
        message += f"; but samplers that hang in it and cannot be killed hold it still (processes {pids})"
    return Trouble(Reason.RELEASED, message, will.ends)


def malformed(error: Exception, api: str = "NVML") -> Trouble:
    """Say that a frame is none that the sampler would send."""
    return Trouble(Reason.MALFORMED, f"the {api} sampler sent a frame that makes no sense: {error!r}")


def place(word: int, call: int) -> str:
    """Name a call under way."""
    name = tables.CALLS[call] if call < len(tables.CALLS) else ""
    users = user_of(word)
    subject = "" if word in {LIBRARY, EVENTS, UNBIND} else f"GPU {word - 1 if users is None else users}"
    return " of ".join(filter(None, (name, subject)))

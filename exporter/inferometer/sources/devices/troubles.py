# SPDX-License-Identifier: Apache-2.0
"""What is said when the sampler gives up, and where it was."""

from collections.abc import Mapping

from inferometer.model import Reason, Trouble
from inferometer.sources.devices import calls, library
from inferometer.sources.devices.release import Will
from inferometer.sources.devices.whereabouts import EVENTS, LIBRARY, UNBIND, user_of

INSTALL = "Without NVIDIA GPUs this is normal. Else install the driver, or set devices.nvidia.library to the path of libnvidia-ml.so.1."
# What a sampler that gives up says, and what it means.
_FATAL: Mapping[str, tuple[Reason, str, str]] = {
    "library_not_found": (Reason.MISSING, f"{library.NAME} was not found", INSTALL),
    "driver_not_loaded": (Reason.MISSING, "the NVIDIA kernel driver is not loaded", INSTALL),
    "uninitialized": (Reason.REJECTED, "NVML was shut down under the sampler", "It is opened anew."),
    "lib_rm_version_mismatch": (
        Reason.REJECTED,
        "the NVIDIA kernel driver and its library differ in version",
        "Finish the driver upgrade: reload the kernel modules or restart the node.",
    ),
    "no_permission": (Reason.PERMISSION, "NVML refuses to be opened", "Give the agent access to /dev/nvidiactl."),
    "operating_system": (
        Reason.PERMISSION,
        "the system blocks the NVIDIA devices",
        "Allow /dev/nvidia* in the container's device cgroup.",
    ),
}


def gave_up(reason: str) -> Trouble:
    """Say what a sampler means that gives up."""
    known = reason.split(":", 1)[0]
    if known in _FATAL:
        why, message, remedy = _FATAL[known]
        return Trouble(why, message + reason.removeprefix(known), remedy)
    return Trouble(Reason.REJECTED, f"NVML cannot be opened: {reason}", "See the driver's log: dmesg | grep NVRM.")


def released(will: Will, stuck: tuple[int, ...]) -> Trouble:
    """Say that the driver is left alone, and who holds it all the same."""
    message = f"the NVIDIA driver is left alone: {will.why}"
    if stuck:
        pids = ", ".join(map(str, stuck))
        message += f"; but samplers that hang in it and cannot be killed hold it still (processes {pids})"
    return Trouble(Reason.RELEASED, message, will.ends)


def malformed(error: Exception) -> Trouble:
    """Say that a frame is none that the sampler would send."""
    return Trouble(Reason.MALFORMED, f"the NVML sampler sent a frame that makes no sense: {error!r}")


def place(word: int, call: int) -> str:
    """Name a call under way."""
    name = calls.CALLS[call] if call < len(calls.CALLS) else ""
    users = user_of(word)
    subject = "" if word in {LIBRARY, EVENTS, UNBIND} else f"GPU {word - 1 if users is None else users}"
    return " of ".join(filter(None, (name, subject)))

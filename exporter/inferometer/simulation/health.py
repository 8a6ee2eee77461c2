# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a simulated GPU: memory errors, rows taken out of use, links that are down, and what to do about it."""

from collections import Counter

ERRORS = (("corrected", "dram"), ("corrected", "sram"), ("uncorrected", "dram"), ("uncorrected", "sram"))
ACTIONS = ("none", "gpu_reset", "node_reboot", "drain_p2p", "drain_and_reset", "recover_imex_domain")
LINKS = 18  # NVLinks of an H100 SXM
BANKS = 2560  # of an H100's memory, with spare rows


class Health:
    """The faults of one GPU since it was made; it begins with none."""

    def __init__(self) -> None:
        self.errors: Counter[tuple[str, str]] = Counter()  # by type and location
        self.remapped: Counter[str] = Counter()  # rows, by the type of the error
        self.remap_pending = False
        self.remap_failed = False
        self.action = "none"
        self.links_down: set[int] = set()

    def count_error(self, kind: str, location: str, count: int) -> None:
        """Count ECC errors. Raises ValueError for what there is not."""
        if (kind, location) not in ERRORS:
            raise ValueError(f"no ECC error is {kind} in {location}: {ERRORS}")
        self.errors[kind, location] += count

    def remap_row(self, kind: str, *, pending: bool, failed: bool) -> None:
        """Take a row out of use: `pending` is what a reset of the GPU would do."""
        if kind not in {"corrected", "uncorrected"}:
            raise ValueError(f"no row is remapped for a {kind} error")
        self.remapped[kind] += 1
        self.remap_pending |= pending
        self.remap_failed |= failed

    def recommend(self, action: str) -> None:
        """Set what the driver says is to be done. Raises ValueError."""
        if action not in ACTIONS:
            raise ValueError(f"no recovery action {action!r}: {', '.join(ACTIONS)}")
        self.action = action

    def link(self, link: int, *, up: bool) -> None:
        """Take an NVLink down, or up again. Raises ValueError."""
        if not 0 <= link < LINKS:
            raise ValueError(f"no NVLink {link}: there are {LINKS}")
        (self.links_down.discard if up else self.links_down.add)(link)

    def reset(self) -> None:
        """Reset the GPU: rows that wait are remapped, links come up and nothing is to be done; what was counted stays."""
        self.remap_pending = False
        self.action = "none"
        self.links_down.clear()

# SPDX-License-Identifier: Apache-2.0
"""How much memory processes hold together, as if nobody else ran: PSS (proc_pid_smaps) on a machine of their own.

Plain PSS would divide the interpreter's and gRPC's pages among all Python processes of the machine, the bench's own and
those of the surroundings too, and so would be smaller than it is on a node.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ ([0-9a-f]+) \S+ \d+ *(.*)")
_KIB_PER_MIB = 1024

Part = tuple[str, str]  # file and offset


def held(pids: Iterable[int]) -> float:
    """Give MiB: each process's own pages, and the pages of files once, however many of these processes map them."""
    own = 0
    files: dict[Part, int] = {}
    for pid in pids:
        for part, resident, anonymous in _mappings(Path(f"/proc/{pid}/smaps").read_text()):
            own += anonymous
            files[part] = max(files.get(part, 0), resident - anonymous)
    return (own + sum(files.values())) / _KIB_PER_MIB


def _mappings(smaps: str) -> Iterator[tuple[Part, int, int]]:
    """Give each mapping with its resident and its anonymous KiB."""
    part, resident = ("", ""), 0
    for line in smaps.splitlines():
        if line.startswith("Rss:"):
            resident = int(line.split()[1])
        elif line.startswith("Anonymous:"):
            yield part, resident, int(line.split()[1])
        elif found := _MAPPING.fullmatch(line):
            part = found[2], found[1]

# SPDX-License-Identifier: Apache-2.0
"""The allocator's advice: threads that allocate share one arena."""

import subprocess
import sys

_SCRIPT = """
import sys, threading
from inferometer.app.allocator import hold_little
if sys.argv[1] == "advised":
    hold_little()
ready, done = threading.Barrier(9), threading.Event()
def work():
    kept = [bytes(1000) for _ in range(2000)]
    ready.wait()
    done.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
ready.wait()
arenas = sum(int(line.split("-")[0], 16) % (64 << 20) == 0 for line in open("/proc/self/maps"))
print(arenas)
done.set()
"""


def arenas(how: str) -> int:
    """Count the thread arenas of a process whose threads all allocate: they begin at multiples of 64 MiB."""
    run = subprocess.run([sys.executable, "-c", _SCRIPT, how], capture_output=True, text=True, check=True, timeout=30)
    return int(run.stdout)


def test_threads_share_one_arena() -> None:
    """Fewer arenas are reserved than without the advice, where the C library has them at all."""
    assert arenas("advised") == 0 or arenas("advised") < arenas("plain")

# SPDX-License-Identifier: Apache-2.0
"""The binding in the sampler child: what it brings with it, and what it still can."""

import subprocess
import sys
from pathlib import Path

LOADING = """
import sys
from inferometer.sources.devices import library
binding = library.load_binding({name!r})
"""


def run(script: str, *, name: str = "pynvml", path: str = "") -> list[str]:
    """What a process prints that has loaded a binding."""
    begin = f"import sys; sys.path.insert(0, {path!r})\n" if path else ""
    command = [sys.executable, "-I", "-c", begin + LOADING.format(name=name) + script]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()


def test_the_binding_brings_nothing_that_it_does_not_use() -> None:
    """Neither in the child's memory nor, as a part, in what is imported afterwards."""
    loaded = run("print(*sys.modules)")
    assert "pynvml" in loaded
    assert not {"ctypes.util", "tempfile", "shutil", "subprocess", "bz2", "lzma", "random"} & set(loaded)


def test_a_search_is_made_all_the_same() -> None:
    """By the binding's own name for it, and by whoever imports it later."""
    script = "from ctypes.util import find_library; print(binding.find_library('c'), find_library('c'))"
    found, expected = run(script)
    assert found == expected != "None"


def test_a_binding_may_search_while_it_is_imported(tmp_path: Path) -> None:
    """As others do."""
    (tmp_path / "searching.py").write_text("from ctypes.util import find_library\nFOUND = find_library('c')\n")
    (found,) = run("print(binding.FOUND)", name="searching", path=str(tmp_path))
    assert found.startswith("libc.")


def test_a_search_that_is_there_stays() -> None:
    """Nothing is put in the place of the real one."""
    script = "import ctypes.util; real = ctypes.util; library.load_binding('json'); print(sys.modules['ctypes.util'] is real)"
    assert run(script, name="json") == ["True"]

# SPDX-License-Identifier: Apache-2.0
"""The generated protocol code is what its .proto gives."""

import subprocess
import sys
from pathlib import Path

from inferometer import proto

FOLDER = Path(proto.__file__).parent


def test_generated_code_is_current(tmp_path: Path) -> None:
    """`make proto` would change nothing."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={FOLDER}"]
    sources = [path.name for path in FOLDER.glob("*.proto")]
    outputs = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", *sources]
    subprocess.run([*command, *outputs], check=True, timeout=60)
    assert len(sources) == 3
    for made in tmp_path.iterdir():
        assert made.read_text() == (FOLDER / made.name).read_text(), "run `make proto`"

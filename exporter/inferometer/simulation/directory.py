# SPDX-License-Identifier: Apache-2.0
"""The simulated node's private directory: for its socket, its registers and its kernel log."""

import shutil
import tempfile
from pathlib import Path

_LONGEST_SOCKET = 100  # characters; a unix socket's path may have 107


def make_directory() -> Path:
    """Make a private directory whose paths a unix socket can have: a long TMPDIR is passed over."""
    directory = tempfile.mkdtemp(prefix="inferometer-")
    if len(directory) + len("/kubelet.sock") > _LONGEST_SOCKET:
        shutil.rmtree(directory)
        directory = tempfile.mkdtemp(prefix="inferometer-", dir="/tmp")  # mkdtemp makes it private
    return Path(directory)

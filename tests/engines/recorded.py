# SPDX-License-Identifier: Apache-2.0
"""Pages of live engines beside the books of their clients, as the repository keeps them."""

import os
from pathlib import Path

from live.ledger import Ledger

PAGES = Path(__file__).parents[1] / "fixtures" / "engines"


def record(name: str, page: bytes, ledger: Ledger) -> None:
    """Keep a page and its ledger as `ENGINE/NAME`, where the environment asks for it: INFEROMETER_RECORD=1."""
    if os.environ.get("INFEROMETER_RECORD"):
        path = PAGES / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(page)
        ledger.save(path.with_suffix(".ledger.json"))

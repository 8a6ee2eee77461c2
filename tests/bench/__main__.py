# SPDX-License-Identifier: Apache-2.0
"""`make bench`: one JSON object per measure, flushed as measured; BENCH=encode,parse selects by prefix."""

import os
import sys

from bench import budgets, devices, encode, engines, identity, parse
from bench.measure import Part, run
from inferometer.app.allocator import hold_little

# Encoders and parser first: their rows stand within 30 seconds.
PARTS = (
    Part("encode", encode.measure),
    Part("parse", parse.measure),
    Part("page", parse.measure_to_outputs),
    Part("engines", engines.measure),
    Part("identity", identity.measure),
    Part("dense_node", budgets.measure),
    Part("devices", devices.measure),
)

if __name__ == "__main__":
    hold_little()  # as the agent does: its memory costs it page faults, whatever the size
    lacking = run(PARTS, tuple(name.strip() for name in os.environ.get("BENCH", "").split(",") if name.strip()))
    # What is missing is a named row for a user, and a failure where CI=true.
    sys.exit(bool(lacking) and os.environ.get("CI") == "true")

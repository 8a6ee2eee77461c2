# SPDX-License-Identifier: Apache-2.0
"""The numbers of XIDs and SXIDs: consecutive for each teller, so that each is counted once and a gap is what was lost."""

import itertools

# Of the whole process: a source that is made anew, for a new configuration, must not repeat numbers that were counted.
_numbers = {"nvml": itertools.count(1), "kernel": itertools.count(1)}


def next_number(teller: str) -> int:
    """Give the next number of a teller, `nvml` or `kernel`; the kernel's XIDs and SXIDs share one row."""
    return next(_numbers[teller])

# SPDX-License-Identifier: Apache-2.0
"""What the endpoint's tests share."""

from collections.abc import Iterator

import pytest

from serving import Start, starting


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers, which end with the test."""
    with starting() as start:
        yield start

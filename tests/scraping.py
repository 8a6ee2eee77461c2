# SPDX-License-Identifier: Apache-2.0
"""What the tests of the engines' source share."""

import pytest

from inferometer.model import Trouble
from inferometer.sources.engines.scrape import Engine


def trouble(source: Engine) -> Trouble:
    """Scrape, and give what goes wrong."""
    with pytest.raises(Trouble) as caught:
        source.read()
    return caught.value

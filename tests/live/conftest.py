# SPDX-License-Identifier: Apache-2.0
"""What the tests with live third-party programs share."""

from collections.abc import Iterator

import pytest

from live.dynamo import Dynamo, is_installed


@pytest.fixture(scope="module")
def dynamo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dynamo]:
    """A running engine, shared by a file's tests."""
    if not is_installed():
        pytest.skip(".venv-dynamo is missing: run `make setup-dynamo`")
    with Dynamo(tmp_path_factory.mktemp("dynamo")) as engine:
        yield engine

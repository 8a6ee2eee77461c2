# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/privileges.md name values that the chart has and metrics that the catalogue has."""

import re
from dataclasses import asdict
from typing import Any

import pytest

from charts import CHART, ROOT
from helm.generate.privileges import BEGIN, END, fill_privileges
from helm.generate.switches import DEFAULTS, OFF, Switch
from helm.generate.values import read_values
from inferometer.config import Config

_PAGE = f"# Page\n\n{BEGIN}\n{END}\n\nMore.\n"


@pytest.mark.parametrize("switch", [*DEFAULTS, *OFF], ids=lambda switch: switch.value)
def test_a_switch_is_a_value_of_the_chart(switch: Switch) -> None:
    """Or a key of the agent's configuration, and so are those that it is compared by."""
    values = {value.key for value in read_values((CHART / "values.yaml").read_text(encoding="utf-8"))}
    for key in (switch.value.partition(":")[0], *switch.on, *switch.off, *switch.beside):
        if key.startswith("config."):
            node: Any = asdict(Config())
            for name in key.split(".")[1:]:
                node = node[name]
        else:
            assert key in values, key


def test_the_page_keeps_what_is_written_by_hand() -> None:
    """Only what stands between the marks is replaced; twice is as once."""
    filled = fill_privileges(_PAGE)
    assert filled.startswith("# Page\n\n")
    assert filled.endswith("\n\nMore.\n")
    assert fill_privileges(filled) == filled
    rows = [line for line in filled.splitlines() if line.startswith("| `")]
    assert len(rows) == len(DEFAULTS) + len(OFF)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)


def test_the_page_is_up_to_date() -> None:
    """The committed page is what `python -m helm.generate` writes."""
    page = (ROOT / "docs" / "privileges.md").read_text(encoding="utf-8")
    assert page == fill_privileges(page)


def test_a_page_without_marks_is_refused() -> None:
    """It would be overwritten, or stay as it is."""
    with pytest.raises(ValueError, match="marks are missing"):
        fill_privileges("# Page\n")


@pytest.mark.parametrize(
    ("bought", "message"),
    [
        ({"metrics": ("gpu.owner.infos",)}, "buys gpu.owner.infos"),
        ({"metrics": ("gpu.owners.*",)}, "buys gpu.owners"),
        ({"sources": ("dcgm",)}, "sources that read nothing: dcgm"),
    ],
)
def test_a_metric_that_is_not_there_is_not_for_sale(
    bought: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever renames a metric renames it here."""
    switch = Switch(value="a", on={}, off={}, costs=(), buys="", without="")._replace(**bought)
    monkeypatch.setattr("helm.generate.privileges.DEFAULTS", (switch,))
    with pytest.raises(ValueError, match=message):
        fill_privileges(_PAGE)

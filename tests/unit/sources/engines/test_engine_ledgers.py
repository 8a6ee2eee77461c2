# SPDX-License-Identifier: Apache-2.0
"""Recorded pages of real engines beside the books of their clients: the exporter says what the client knows.

`INFEROMETER_RECORD=1 make engines` records them, and holds the same of the engines while they run.
"""

from pathlib import Path

import pytest

import frames
from engines.triton import triton_differences
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import Target
from inferometer.sources.engines.reader import Reader
from inferometer.views.prometheus import Exposition
from live.ledger import Exchange, Ledger
from live.told import Bounds, Told, differences
from whole.pages import Page, read, values

RECORDED = Path(__file__).parents[3] / "fixtures" / "engines"
LEDGERS = sorted(RECORDED.glob("*/*.ledger.json"))
TARGET = Target("serving/chat-0:8000", "http://10.0.0.7:8000/metrics", namespace="serving", pod="chat-0")

# A request lost less than half a second, in the mean, between its client and the engine on the machine that recorded it.
BOUNDS = Bounds(way=0.5)


def exported(path: Path) -> Page:
    """Give what the agent's own page says when an engine's page is this one."""
    report = Reader(TARGET).read(path.read_bytes())
    joined = join(frames.frames(engines=[report]), frames.CONTEXT)
    _, snapshot = account(State(), joined, Rules(300.0, 2_000))
    return read(Exposition().render(snapshot, openmetrics=True).decode())


def page_of(ledger: Path) -> Path:
    return ledger.with_name(ledger.name.replace(".ledger.json", ".txt"))


@pytest.mark.parametrize("path", LEDGERS, ids=lambda path: path.name.removesuffix(".ledger.json"))
def test_what_is_said_of_a_recorded_engine_is_what_its_client_knew(path: Path) -> None:
    """Requests, tokens, hang-ups and latencies of a real engine, within the bounds that its client's books give."""
    page, ledger = exported(page_of(path)), Ledger.load(path)
    if path.parent.name == "triton":
        assert triton_differences(page, ledger) == []
    else:
        assert differences(Told.read(page), ledger, BOUNDS) == []


def test_of_each_engine_that_runs_here_something_is_recorded() -> None:
    """No page lost its ledger: what `make engines` records is all here."""
    assert [f"{path.parent.name}/{path.name.removesuffix('.ledger.json')}" for path in LEDGERS] == [
        "triton/real_pytriton0.7.0_cpu_failures",
        "vllm/real_v0.32.0_cpu_lora_preempted",
        "vllm/real_v0.32.0_cpu_two_ranks",
        "vllm/real_v0.32.0_cpu_two_servers",
    ]


def test_preemptions_adapters_and_ranks_are_on_the_recorded_pages() -> None:
    """What a client cannot count is there too: the cache was too small, an adapter ran, each rank worked."""
    preempted = exported(RECORDED / "vllm" / "real_v0.32.0_cpu_lora_preempted.txt")
    ranks = exported(RECORDED / "vllm" / "real_v0.32.0_cpu_two_ranks.txt")

    assert values(preempted, "inference_preemptions_total")[()] > 0
    assert values(preempted, "inference_lora_limit") == {(): 1.0}
    assert values(preempted, "inference_estimated_flops_total")[()] > 0
    counts = values(ranks, "gen_ai_server_request_duration_seconds_count", "inference_engine_rank")
    assert counts.keys() == {("0",), ("1",)}
    assert all(counts.values())


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("finished", {"outcome": "refused"}),
        ("prompt tokens", {"prompt": 1}),
        ("completion tokens", {"completion": 10_000}),
        ("first tokens", {"first": 1e-6}),
        ("requests", {"whole": 100.0}),
    ],
)
def test_books_that_are_wrong_are_found_out(check: str, change: dict[str, object]) -> None:
    """A request more or less, a token, a time: the comparison would see it."""
    path = RECORDED / "vllm" / "real_v0.32.0_cpu_two_servers.txt"
    ledger = Ledger.load(path.with_suffix(".ledger.json"))
    first, *rest = ledger.exchanges
    wrong = ledger._replace(exchanges=(Exchange(**{**first._asdict(), **change}), *rest))

    assert any(said.startswith(f"{check}: ") for said in differences(Told.read(exported(path)), wrong, BOUNDS))

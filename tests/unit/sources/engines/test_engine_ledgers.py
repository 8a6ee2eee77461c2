# SPDX-License-Identifier: Apache-2.0
"""Recorded pages of real engines beside the books of their clients: the exporter says what the client knows.

`INFEROMETER_RECORD=1 make engines` records them, and holds the same of the engines while they run.
"""

import re
from pathlib import Path

import pytest

import frames
from engines.own_words import disagreements
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

VLLM = [path.with_name(path.name.replace(".ledger.json", ".txt")) for path in LEDGERS if path.parent.name == "vllm"]
TWO_RANKS = RECORDED / "vllm" / "real_v0.32.0_cpu_two_ranks.txt"
MAY_FINISH = BOUNDS._replace(may_finish=True)


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
    ranks = exported(TWO_RANKS)

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


def left_early(ledger: Ledger, further: int = 0) -> Ledger:
    """Say of two that were answered to the end that their clients had hung up, and had asked for `further` tokens more."""
    answered = [each for each in ledger.finished if each.first is not None and each.sequences == 1][:2]
    left = [each._replace(outcome="aborted", completion=1, limit=each.limit + further) for each in answered]
    return ledger._replace(exchanges=(*(each for each in ledger.exchanges if each not in answered), *left))


def test_an_engine_may_finish_what_its_client_left() -> None:
    """Only where a test says so, and with every token that was asked for."""
    told, ledger = Told.read(exported(TWO_RANKS)), Ledger.load(TWO_RANKS.with_suffix(".ledger.json"))

    def wrong(ledger: Ledger, bounds: Bounds) -> list[str]:
        return [said.partition(":")[0] for said in differences(told, ledger, bounds)]

    assert wrong(ledger, MAY_FINISH) == wrong(left_early(ledger), MAY_FINISH) == []
    assert wrong(left_early(ledger), BOUNDS) == ["finished", "requests", "hung up"]
    assert wrong(left_early(ledger, further=5_000), MAY_FINISH) == ["completion tokens"]
    assert wrong(ledger._replace(exchanges=ledger.exchanges[1:]), MAY_FINISH) != []


@pytest.mark.parametrize("path", VLLM, ids=lambda path: path.name.removesuffix(".txt"))
def test_a_vllm_says_the_same_on_its_own_page(path: Path) -> None:
    """Requests, tokens and each bucket, in each rank; and a number that is another is found out."""
    page, own = exported(path), path.read_bytes()

    assert disagreements(page, own) == []
    for name in (rb"request_success_total", rb"generation_tokens_total", rb"time_to_first_token_seconds_bucket"):
        known = re.search(rb"(vllm:%b\{.*\} )[1-9].*" % name, own)
        assert known
        assert len(disagreements(page, own.replace(known[0], known[1] + b"9000.0"))) == 1

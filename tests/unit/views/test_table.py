# SPDX-License-Identifier: Apache-2.0
"""The joined table: who holds what and what it yields, and where it says nothing rather than something wrong."""

from frames import busy, gpu
from inferometer import catalog
from inferometer.model import Reading, Snapshot
from inferometer.views.samples import samples
from inferometer.views.table import Row, Table, tabulate
from nodes import held, snapshots


def table(before: Snapshot | None, after: Snapshot) -> Table:
    return tabulate(samples(before) if before else None, samples(after))


def row(made: Table, owner: str) -> Row:
    (found,) = [r for r in made.rows if r.owner == owner]
    return found


def test_an_owner_of_whole_gpus_has_their_power_and_yield() -> None:
    """Two GPUs of one pod are one row: 1000 tokens in 10 s for 2 x 2500 J are 100 tokens/s and 0.2 tokens/J."""
    made = row(table(*snapshots({"pair": (50.0, 1050.0)})), "serving/pair")

    assert made == Row("GPU 0, GPU 1", "serving/pair", "", "llama-3-70b", 100.0, 600.0, 0.2)


def test_an_instance_and_a_shared_gpu_have_no_power_of_their_own() -> None:
    """Power is the whole board's: the rows of an instance's and of a replica's owner show tokens only."""
    made = table(*snapshots({"slice": (0.0, 10.0), "left": (0.0, 20.0), "right": (0.0, 30.0)}))

    assert row(made, "serving/slice")[:4] == ("GPU 2 1g.12gb #7", "serving/slice", "", "llama-3-70b")
    for owner, tokens in (("serving/slice", 1.0), ("serving/left", 2.0), ("serving/right", 3.0)):
        assert (row(made, owner).tokens, row(made, owner).watts, row(made, owner).tokens_per_joule) == (
            tokens,
            None,
            None,
        )


def test_a_claims_holder_has_power_once_the_claim_is_read() -> None:
    """Until the claim is read its holder may only look on: it is marked, and the power is not called its own."""
    made = table(*snapshots({"claimed": (0.0, 10.0), "unclear": (0.0, 10.0)}))

    assert row(made, "serving/claimed") == Row("GPU 4", "serving/claimed", "read", "llama-3-70b", 1.0, 300.0, 1 / 250)
    unclear = row(made, "serving/unclear (?)")
    assert (unclear.claim, unclear.watts, unclear.tokens_per_joule) == ("unread", None, None)


def test_a_holding_that_became_shared_has_no_power_any_more() -> None:
    """The counter of time held alone lingers after a second pod came; the table does not fall for it."""
    made = table(*snapshots({"pair": (0.0, 10.0)}, late=(held(gpu(0), "left", "0"),)))

    assert (row(made, "serving/pair").watts, row(made, "serving/pair").tokens_per_joule) == (None, None)
    assert {r.devices: r.owner for r in made.rows if not r.owned}["GPU 1"] == "(one of several of its owner)"


def test_every_gpus_power_stands_once() -> None:
    """The rows' power adds up to the node's: what has no single owner has a row of its own that says why."""
    made = table(*snapshots({}))

    assert sum(r.watts or 0.0 for r in made.rows) == made.watts == 7 * 300.0
    remarks = {r.devices: r.owner for r in made.rows if not r.owned}
    assert remarks == {
        "GPU 2": "(MIG)",
        "GPU 2 1g.12gb #8": "(free)",
        "GPU 3": "(shared by 2)",
        "GPU 5": "(owner not certain)",
        "GPU 6": "(free)",
    }


def test_rows_are_in_the_order_of_the_gpus() -> None:
    """A GPU stands before its instances and its owners."""
    made = table(*snapshots({}))

    assert [r.devices for r in made.rows] == [
        "GPU 0, GPU 1",
        "GPU 2",
        "GPU 2 1g.12gb #7",
        "GPU 2 1g.12gb #8",
        "GPU 3",
        "GPU 3",
        "GPU 3",
        "GPU 4",
        "GPU 5",
        "GPU 5",
        "GPU 6",
    ]


def test_the_first_snapshot_has_no_rates() -> None:
    """A rate needs two reads."""
    _, after = snapshots({"pair": (0.0, 10.0)})

    made = row(table(None, after), "serving/pair")

    assert (made.tokens, made.watts, made.tokens_per_joule) == (None, 600.0, None)


def test_a_restarted_engine_has_no_rate() -> None:
    """A counter that fell says nothing of the interval."""
    made = row(table(*snapshots({"pair": (500.0, 10.0)})), "serving/pair")

    assert (made.tokens, made.tokens_per_joule) == (None, None)


def test_an_engine_that_came_or_went_has_no_rate() -> None:
    """A sum of which one part is unknown is unknown, and so is the node's."""
    came = table(*snapshots({"pair": (-1.0, 10.0), "slice": (0.0, 10.0)}))
    went = table(*snapshots({"pair": (10.0, -1.0), "slice": (0.0, 10.0)}))

    assert row(came, "serving/pair").tokens is None and came.tokens is None
    assert row(went, "serving/pair").tokens is None and went.tokens is None
    assert row(came, "serving/slice").tokens == row(went, "serving/slice").tokens == 1.0


def test_an_engine_without_a_device_has_a_row() -> None:
    """What serves without a pod is seen all the same, below the devices and by its address."""
    made = table(*snapshots({":8123": (0.0, 70.0)}))

    assert made.rows[-1] == Row("", "127.0.0.1:8123", "", "llama-3-70b", 7.0, None, None)


def test_the_sums_stand_above() -> None:
    """Devices, holdings, engines, tokens and power of the node, and what does not answer."""
    made = table(*snapshots({"pair": (0.0, 100.0), "left": (0.0, 50.0)}))

    assert (made.gpus, made.instances, made.holdings, made.engines) == (7, 2, 7, 2)
    assert (made.tokens, made.watts) == (15.0, 2100.0)
    assert made.down == ("engine serving/gone:8000",)
    assert made.simulated is False


def test_how_busy_is_said_of_what_one_pod_holds_and_of_what_nobody_does() -> None:
    """The mean of a pod's GPUs, an instance's own SM activity, and nothing for the holders of a shared GPU."""
    more = (
        *(busy(gpu(i), share) for i, share in ((0, 0.25), (1, 0.75), (3, 0.5), (5, 1.0))),
        Reading("GPU-0", catalog.GPU_SM_ACTIVITY, (), 0.125),
        Reading("MIG-2-0", catalog.MIG_SM_ACTIVITY, (), 0.5),
    )
    made = table(*snapshots({}, more=more))

    assert (row(made, "serving/pair").busy, row(made, "serving/pair").sm) == (0.5, None)  # one part is unknown
    assert (row(made, "serving/slice").busy, row(made, "serving/slice").sm) == (None, 0.5)
    assert row(made, "serving/left").busy is None
    assert row(made, "(shared by 2)").busy == 0.5
    assert row(made, "serving/unclear (?)").busy is None
    assert row(made, "(owner not certain)").busy == 1.0


def test_what_is_wrong_with_gpus_stands_above_in_their_order() -> None:
    """Every cause, with the state that it means."""
    more = (
        Reading("GPU-3", catalog.GPU_ROW_REMAP_FAILURE, (), 1.0),
        Reading("GPU-3", catalog.GPU_SRAM_THRESHOLD, (), 1.0),
        Reading("GPU-1", catalog.GPU_ROW_REMAP_PENDING, (), 1.0),
    )

    assert table(*snapshots({}, more=more)).ill == (
        "GPU 1: row_remap_pending (degraded)",
        "GPU 3: row_remap_failure (failed), sram_threshold (predicted failure)",
    )

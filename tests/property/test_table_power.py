# SPDX-License-Identifier: Apache-2.0
"""The table over any holdings: every GPU's power stands once, and a yield only where one pod alone holds whole GPUs."""

from hypothesis import given
from hypothesis import strategies as st

from frames import CONTEXT, frames, gpu, instance
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import AllocatedClaim, Allocation, Grant, Pod, Reading
from inferometer.views.samples import samples
from inferometer.views.table import tabulate
from inferometer.views.text import lines
from nodes import claimed, engine, held

NAMES = ("a", "b", "c")
GPUS = (gpu(0), gpu(1), gpu(2), gpu(3, mig_enabled=True))
DEVICES = (*GPUS, instance(3, 0), instance(3, 1))
PODS = tuple(Pod(f"uid-{name}", "serving", name, "Running", f"10.0.0.{i}") for i, name in enumerate(NAMES, 1))


def by_claim(pod: str, index: int, kind: str) -> Allocation:
    return claimed(f"gpu-{index}", pod, f"{kind}-{pod}-{index}")


PODS_OF = st.sampled_from(NAMES)
ALLOCATIONS = st.lists(
    st.one_of(
        st.builds(held, st.sampled_from(DEVICES), PODS_OF, st.sampled_from([None, "0", "1"])),
        st.builds(by_claim, PODS_OF, st.integers(0, 2), st.sampled_from(["owning", "looking", "unread"])),
    ),
    max_size=6,
)


def read(allocations: list[Allocation]) -> list[AllocatedClaim]:
    """Give the claims that the API server shows, as their names say."""
    return [
        AllocatedClaim(c.namespace, c.name, c.uid or "", (Grant("r", c.driver, c.pool, c.device, c.name < "o"),))
        for c in (a.claim for a in allocations)
        if c and not c.name.startswith("unread")
    ]


@given(ALLOCATIONS, st.sets(PODS_OF), st.booleans())
def test_power_stands_once_and_a_yield_only_where_it_is_certain(
    allocations: list[Allocation], serving: set[str], pods_known: bool
) -> None:
    """Law 2 and law 1, on what a person reads."""
    state, made = State(), []
    for tick in (0, 1):
        readings = [
            reading
            for i, device in enumerate(GPUS)
            for reading in (
                Reading(device.uuid, catalog.POWER, (), 100.0 + i),
                Reading(device.uuid, catalog.ENERGY, (), 1000.0 * tick),
            )
        ]
        seen = frames(
            devices=DEVICES,
            readings=readings,
            allocations=allocations,
            pods=PODS if pods_known else None,
            claims=read(allocations),
            engines=[engine(pod, 10.0 * tick) for pod in sorted(serving)] if pods_known else [],
            passed=5.0 * tick,
        )
        state, snapshot = account(state, join(seen, CONTEXT), Rules())
        made.append(snapshot)

    table = tabulate(samples(made[0]), samples(made[1]))

    assert sum(row.watts or 0.0 for row in table.rows) == table.watts == sum(100.0 + i for i in range(4))
    owning = {name: {a.device for a in allocations if a.pod == name and not _looks(a)} for name in NAMES}
    for row in table.rows:
        if row.tokens_per_joule is None and not (row.owned and row.watts is not None):
            continue
        (name,) = [n for n in NAMES if row.owner.startswith(f"serving/{n}")]
        mine = {_uuid(device) for device in owning[name]} - {"GPU-3"}
        others = {_uuid(device) for n in NAMES if n != name for device in owning[n]}
        assert mine
        assert all(uuid.startswith("GPU-") for uuid in mine)
        assert not mine & others
        assert not any(a.claim and a.claim.name.startswith("unread") for a in allocations if a.pod == name)
    assert all(len(line) <= 60 for line in lines(table, width=60))


def _looks(allocation: Allocation) -> bool:
    """Whether a claim only gives admin access."""
    return allocation.claim is not None and allocation.claim.name.startswith("looking")


def _uuid(device: str) -> str:
    """Give the UUID behind a DRA device name."""
    return f"GPU-{device[4:]}" if device.startswith("gpu-") else device

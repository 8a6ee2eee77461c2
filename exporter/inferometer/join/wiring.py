# SPDX-License-Identifier: Apache-2.0
"""Which NVLinks of a GPU lead somewhere: only such a link can be down.

NVML calls a link inactive that is broken, and just so one that was never wired. A PCIe card has links for three bridges and
may have one; an H100 NVL leaves six of its 18 unused with all bridges in place. Its capability bits do not tell them apart.
So a link leads somewhere

- when it has been up since the agent began, or
- when it is up at another GPU of the same model on the node, and this GPU has a link that is up: the cards of a model are
  taken to be bridged alike, if they are bridged. That is how an agent knows which is started with a link down already.

Of a GPU whose links are all down, and were when the agent began, nothing is known. Nor of the links of a GPU in MIG mode,
which NVML reports as inactive, and then of those of the others on the node, at whose other end it may be; but not where
they are in a fabric, whose switches stand in between. (DCGM leaves all of a node out then: "Bug 200682374" in its
`DcgmCacheManager.cpp`.)
"""

from collections.abc import Collection, Mapping

from inferometer import catalog
from inferometer.join.rules import Numbers
from inferometer.model import Device

Links = Mapping[str, frozenset[str]]


def find_wired(gpus: Collection[Device], numbers: Mapping[str, Numbers], seen: Links) -> Links:
    """Give the links of GPUs that lead somewhere, by UUID; `seen` are those that have been up before."""
    mig = any(gpu.mig_enabled for gpu in gpus)
    up = {gpu.uuid: links_up(numbers[gpu.uuid]) for gpu in gpus}
    of_model: dict[str, frozenset[str]] = {}
    for gpu in gpus:
        if model := gpu.details.get(catalog.HW_MODEL.key):
            of_model[model] = of_model.get(model, frozenset()) | up[gpu.uuid]
    wired = {}
    for gpu in gpus:
        if gpu.mig_enabled or (mig and catalog.GPU_FABRIC_STATE not in numbers[gpu.uuid]):
            continue
        peers = of_model.get(gpu.details.get(catalog.HW_MODEL.key, ""), frozenset())
        wired[gpu.uuid] = seen.get(gpu.uuid, frozenset()) | (peers if up[gpu.uuid] else frozenset())
    return wired


def links_up(numbers: Numbers) -> frozenset[str]:
    """Give the numbers of a GPU's links that are up now."""
    key = catalog.NVLINK.key
    return frozenset(
        dict(attributes).get(key, "") for attributes, value in numbers.get(catalog.NVLINK_UP, ()) if value == 1
    )

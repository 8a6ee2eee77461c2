# SPDX-License-Identifier: Apache-2.0
"""What the join must know that no frame tells."""

from dataclasses import dataclass, field

from inferometer.config import Identity, Objective
from inferometer.join.memo import Memo
from inferometer.model import Resource


@dataclass(frozen=True, slots=True)
class Context:
    """What the join must know that no frame tells. `node` is the resource of everything that is not an engine's.

    `process_series` asks for series of single processes; `itself` is the namespace and name of the pod that the agent runs in.
    `drivers` are the DRA drivers whose devices are GPUs; `infrastructure` the namespaces of the cluster's operators.
    `objectives` are held against the bounds of the engines' histograms. `memo` saves work from one tick to the
    next; without one every point is made anew.
    """

    node: Resource
    team_keys: tuple[str, ...] = ()
    cost_center_keys: tuple[str, ...] = ()
    max_series: int = 50_000
    simulated: bool = False
    process_series: bool = False
    itself: tuple[str, str] = ("", "")
    drivers: tuple[str, ...] = Identity().drivers
    infrastructure: tuple[str, ...] = Identity().infrastructure_namespaces
    objectives: tuple[Objective, ...] = ()
    memo: Memo | None = field(default=None, compare=False, repr=False)

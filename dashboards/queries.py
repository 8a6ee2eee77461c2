# SPDX-License-Identifier: Apache-2.0
"""The PromQL that several panels share: what a GPU is, who holds it, where it stands.

A device is its `hw_id`, on both routes. `job` and `instance` name nothing here; they only lead to `target_info`, where
Prometheus keeps what an agent's resource says: the node and the cluster.
"""

from collections.abc import Mapping
from types import MappingProxyType

from dashboards.model import Choice, Labels, State

RATE = "$__rate_interval"
IDLE = 0.05  # of a GPU's time: below it, nobody computes

CLUSTER = Labels("cluster", "Cluster", "target_info", "k8s_cluster_name", "k8s.cluster.name of the agents.")
NODE = Labels("node", "Node", 'target_info{k8s_cluster_name=~"$cluster"}', "k8s_node_name", "Nodes with an agent.")
NAMESPACE = Labels(
    "namespace", "Namespace", "gpu_owner_info", "k8s_namespace_name", "Namespaces of pods that hold GPUs."
)
TEAM = Labels(
    "team",
    "Team",
    'gpu_owner_info{k8s_namespace_name=~"$namespace"}',
    "inferometer_team",
    "Teams, from the pods' labels that the agent's identity.team_keys name.",
)
WINDOW = Choice(
    "idle",
    "Idle for",
    ("1h", "15m", "6h", "1d"),
    f"A held GPU is idle when it was busy for less than {IDLE:.0%} of this.",
)

_TARGETS = 'target_info{k8s_cluster_name=~"$cluster",k8s_node_name=~"$node"}'


def here(vector: str) -> str:
    """Keep what the chosen clusters' and nodes' agents say. `vector` still has its `job` and `instance`."""
    return f"{vector} and on (job, instance) {_TARGETS}"


def with_node(info: str) -> str:
    """Give an info series the label `k8s_node_name`, of the chosen clusters and nodes only."""
    nodes = f"max by (job, instance, k8s_node_name) ({_TARGETS})"
    return f"{info} * on (job, instance) group_left (k8s_node_name) {nodes}"


def with_gpu(owners: str) -> str:
    """Give holdings the label `gpu`: the UUID of the physical GPU that the device is, or is part of."""
    whole = f'label_replace({owners}, "gpu", "$1", "hw_id", "(.+)")'
    return f'label_replace({whole}, "gpu", "$1", "hw_parent", "(.+)")'


def counted(part: str, whole: str) -> str:
    """Count the series of `part`; 0 where it is empty while `whole`, of the same labels, is not. Absent stays absent."""
    return f"sum({part} or {whole} * 0)"


def named(vector: str, label: str, absent: str) -> str:
    """Say `absent` where a series lacks the label."""
    return f'label_replace({vector}, "{label}", "{absent}", "{label}", "^$")'


def joined(rows: str, vector: str, *on: str) -> str:
    """Give the rows of a table the values of another vector: one value per `on`, rows may share it."""
    labels = ", ".join(on or ("hw_id",))
    return f"({rows}) * on ({labels}) group_left () {vector}"


GPUS = f"group by (hw_id) ({here('gpu_info')})"
INSTANCES = f"group by (hw_id) ({here('gpu_mig_info')})"
POD = ("k8s_namespace_name", "k8s_pod_name", "k8s_pod_uid")  # the UID is absent where no pod source answers
HOLDINGS = 'gpu_owner_info{role!="admin"}'
HELD = f"group by (hw_id) ({HOLDINGS})"


def gpus_of(holdings: str, *labels: str) -> str:
    """Give the physical GPUs of holdings, one series per GPU and `labels`: an instance counts as its GPU.

    `holdings` is a selector that ends in its matchers.
    """
    by = ", ".join(("hw_id", *labels))
    matchers = holdings.removesuffix("}")
    whole = f'{matchers},hw_parent=""}}'
    part = f'label_replace({matchers},hw_parent!=""}}, "hw_id", "$1", "hw_parent", "(.+)")'
    return f"group by ({by}) ({whole} or {part})"


HELD_GPUS = gpus_of(HOLDINGS)
BUSY = 'max by (hw_id) (hw_gpu_utilization_ratio{hw_gpu_task="general"})'

# hw_status as one number, for colours: the worst state is the highest.
STATES: Mapping[int, State] = MappingProxyType(
    {
        0: State("OK", "green"),
        1: State("Failure predicted", "yellow"),
        2: State("Degraded", "orange"),
        3: State("Failed", "red"),
    }
)


def state_of(matchers: str = "") -> str:
    """Give each GPU's state as a key of `STATES`."""
    more = f",{matchers}" if matchers else ""
    parts = (
        f'hw_status{{hw_state="{state}"{more}}} * {code}'
        for state, code in (("ok", 0), ("predicted_failure", 1), ("degraded", 2), ("failed", 3))
    )
    return f"sum by (hw_id) ({' or '.join(parts)})"

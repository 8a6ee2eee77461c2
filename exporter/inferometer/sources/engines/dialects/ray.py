# SPDX-License-Identifier: Apache-2.0
"""A Ray node's metrics agent, which speaks for every replica on the node. Ray Serve LLM's engine is vLLM.

vLLM's families stand under `ray_vllm_`, with `ReplicaId` (older: `WorkerId` alone) to tell replicas apart. Counters
stand there twice in some versions, with and without `_total`; the first is read.
"""

from inferometer.sources.engines.dialect import Dialect, sign

RAY = Dialect(
    name="ray",
    signs=(sign("ray_vllm_", "model_name"), sign("ray_vllm:", "model_name"), sign("ray_", "SessionName")),
    hosts=True,
    version=("ray_", "Version"),
    prefixes=("ray_",),
    known=(
        *("actors", "cluster_*", "component_*", "core_worker_*", "data_*", "gcs_*", "grpc_*", "health_*", "internal_*"),
        *("io_context_*", "local_resource_*", "memory_*", "node_*", "object_*", "operation_*", "placement_group*"),
        *("process_*", "pull_*", "push_*", "resources", "scheduler_*", "serve_*", "spill_*", "tasks", "train_*"),
        *("tune_*", "unintentional_*"),
    ),
    port=8080,
    images=("ray-llm",),
)

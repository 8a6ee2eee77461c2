# SPDX-License-Identifier: Apache-2.0
"""Every dialect, in the order in which they are tried: who re-exports others' names comes before those others."""

from inferometer import catalog
from inferometer.model import Binding
from inferometer.sources.engines.dialect import Dialect
from inferometer.sources.engines.dialects.dynamo import DYNAMO_FRONTEND, DYNAMO_WORKER, MOCKER_TRTLLM
from inferometer.sources.engines.dialects.epp import EPP
from inferometer.sources.engines.dialects.kserve import KSERVE
from inferometer.sources.engines.dialects.llamacpp import LLAMACPP
from inferometer.sources.engines.dialects.lmdeploy import LMDEPLOY
from inferometer.sources.engines.dialects.nim import NIM
from inferometer.sources.engines.dialects.production_stack import PRODUCTION_STACK
from inferometer.sources.engines.dialects.ray import RAY
from inferometer.sources.engines.dialects.sglang import SGLANG
from inferometer.sources.engines.dialects.tgi import TGI
from inferometer.sources.engines.dialects.triton import TRITON, TRITON_TRTLLM, TRITON_VLLM
from inferometer.sources.engines.dialects.trtllm import TRTLLM
from inferometer.sources.engines.dialects.vllm import VLLM
from inferometer.sources.engines.family import Family

DIALECTS: tuple[Dialect, ...] = (
    DYNAMO_FRONTEND,
    DYNAMO_WORKER,
    EPP,
    PRODUCTION_STACK,
    RAY,
    KSERVE,
    TRITON,
    NIM,
    SGLANG,
    TRTLLM,
    LMDEPLOY,
    TGI,
    LLAMACPP,
    VLLM,
)

# What may run behind a page of a dialect with `hosts`.
BACKENDS: tuple[Dialect, ...] = (VLLM, SGLANG, TRTLLM, LMDEPLOY, TRITON_TRTLLM, TRITON_VLLM, MOCKER_TRTLLM)

# Engines whose names others borrow, the best known first.
LIKE_VLLM: tuple[Dialect, ...] = (VLLM, SGLANG, TRTLLM, LMDEPLOY)

# The dialect of a name that an operator gives; of two that share a name, the engine.
BY_NAME = {d.name: d for d in DIALECTS}


def _bindings(dialect: Dialect) -> tuple[Binding, ...]:
    """Say for the reference page what each family of a dialect gives."""
    return tuple(
        Binding(
            metric=family.metric.name,
            call=", ".join(name + _selector(family) for name in family.called(dialect.prefixes[:1])),
            source=dialect.name,
            attributes={
                **_labels(dialect, family),
                **dict(family.fixed),
                **_CONSTANT,
            },
            architecture=family.versions,
        )
        for family in dialect.families
    )


def _labels(dialect: Dialect, family: Family) -> dict[str, str]:
    """Say which labels an attribute comes from; of several the last that a series has counts."""
    said: dict[str, str] = {}
    for label in (*dialect.labels, *family.labels):
        if label.attribute in family.metric.keys:
            before = said.get(label.attribute)
            said[label.attribute] = f"{before} or {label.name}" if before else f"label {label.name}"
    return said


def _selector(family: Family) -> str:
    """Write which series of a family are meant, as a selector of Prometheus' would."""
    told = [f'{label}=~"{"|".join(sorted(values))}"' for label, values in family.conditions if any(values)]
    return f"{{{','.join(told)}}}" if told else ""


_CONSTANT = {catalog.OPERATION.key: catalog.OPERATION.values[0]}

# Whose families the reference page lists. Triton's vLLM and Dynamo's mocker say vLLM's again.
_LISTED = (
    *(VLLM, SGLANG, TRTLLM, TRITON_TRTLLM, TRITON, NIM, TGI, LLAMACPP, LMDEPLOY, KSERVE),
    *(DYNAMO_WORKER, DYNAMO_FRONTEND, EPP),
)

# Which family of which engine gives which metric.
BINDINGS: tuple[Binding, ...] = tuple(binding for dialect in _LISTED for binding in _bindings(dialect))

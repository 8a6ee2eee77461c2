# SPDX-License-Identifier: Apache-2.0
"""Every metric and attribute, defined once; exposition, OTLP, the reference page and the checks derive from it.

Names of the semantic conventions are used where one exists: `hw.*` and `k8s.*` at semantic-conventions v1.44.0,
`gen_ai.*` of semantic-conventions-genai. Everything else is ours and marked provisional. The catalogue is one namespace:
`catalog.POWER`, `catalog.HW_ID`.
"""

from inferometer.catalog import (
    agent,
    attributes,
    engines,
    gpu,
    links,
    memory,
    mig,
    objectives,
    owners,
    power,
    routers,
    xids,
)
from inferometer.catalog.agent import *  # noqa: F403  # see above
from inferometer.catalog.attributes import *  # noqa: F403  # see above
from inferometer.catalog.define import keys_of as keys_of
from inferometer.catalog.describing import DESCRIBED_BY as DESCRIBED_BY
from inferometer.catalog.describing import is_told as is_told
from inferometer.catalog.engines import *  # noqa: F403  # see above
from inferometer.catalog.gpu import *  # noqa: F403  # see above
from inferometer.catalog.links import *  # noqa: F403  # see above
from inferometer.catalog.memory import *  # noqa: F403  # see above
from inferometer.catalog.mig import *  # noqa: F403  # see above
from inferometer.catalog.names import prometheus_name as prometheus_name
from inferometer.catalog.names import prometheus_unit as prometheus_unit
from inferometer.catalog.objectives import *  # noqa: F403  # see above
from inferometer.catalog.owners import *  # noqa: F403  # see above
from inferometer.catalog.passed import EXPORTED as EXPORTED
from inferometer.catalog.passed import is_passable as is_passable
from inferometer.catalog.passed import is_reserved as is_reserved
from inferometer.catalog.passed import own_labels as own_labels
from inferometer.catalog.passed import spoken as spoken
from inferometer.catalog.passed import verbatim as verbatim
from inferometer.catalog.power import *  # noqa: F403  # see above
from inferometer.catalog.routers import *  # noqa: F403  # see above
from inferometer.catalog.xids import *  # noqa: F403  # see above
from inferometer.model import Attribute, Metric

SEMCONV_VERSION = "1.44.0"
SCHEMA_URL = f"https://opentelemetry.io/schemas/{SEMCONV_VERSION}"

# In the order in which they are published.
METRICS: tuple[Metric, ...] = tuple(
    thing
    for module in (gpu, memory, power, links, xids, mig, owners, engines, objectives, routers, agent)
    for thing in vars(module).values()
    if isinstance(thing, Metric)
)
BY_NAME = {metric.name: metric for metric in METRICS}
ORDER = {metric: i for i, metric in enumerate(METRICS)}


def place(metric: Metric) -> tuple[int, str, tuple[str, ...]]:
    """Give a metric's place among those that are published: families that engines are passed on come last, by name."""
    return ORDER.get(metric, len(METRICS)), metric.prometheus, metric.keys


ATTRIBUTES: tuple[Attribute, ...] = tuple(thing for thing in vars(attributes).values() if isinstance(thing, Attribute))

# SPDX-License-Identifier: Apache-2.0
"""`inferometer metrics`: the catalogue, for a reader, a program or the reference page."""

import argparse

from inferometer import app, catalog
from inferometer.cli.output import write
from inferometer.views import docs, json


def execute(arguments: argparse.Namespace) -> int:
    """Print every metric."""
    if arguments.json:
        write(json.dump(json.metrics(app.bindings())) + "\n")
    elif arguments.markdown:
        write(docs.metrics(app.bindings()))
    else:
        wide = max(len(metric.prometheus) for metric in catalog.METRICS)
        unit = max(len(metric.unit) for metric in catalog.METRICS)
        for metric in catalog.METRICS:
            write(f"{metric.prometheus:{wide}}  {metric.instrument:13}  {metric.unit:{unit}}  {metric.description}\n")
    return 0

# SPDX-License-Identifier: Apache-2.0
"""Words that several dialects share."""

from inferometer import catalog
from inferometer.sources.engines.family import Label

INPUT = ((catalog.TOKEN_TYPE.key, "input"),)
OUTPUT = ((catalog.TOKEN_TYPE.key, "output"),)
COMPUTED = (*INPUT, (catalog.CACHED.key, "false"))
CACHED = (*INPUT, (catalog.CACHED.key, "true"))

PER_EVENT = ((catalog.ITL_SEMANTICS.key, "event"),)
PER_TOKEN = ((catalog.ITL_SEMANTICS.key, "token"),)

MEASURED = ((catalog.ABORT_EVIDENCE.key, "measured"),)

MODEL = Label("model_name", catalog.MODEL.key)
RANK = Label("engine", catalog.RANK.key)
REASON = Label("finished_reason", catalog.FINISH_REASON.key)


def errors_by(label: str) -> Label:
    """Write the label that holds an HTTP status, in full (`404`) or as its class (`4xx`); what is no error is not read."""
    return Label(label, catalog.HTTP_STATUS.key, (("4*", "4xx"), ("5*", "5xx")), rest=None)


def finished(reason: str) -> tuple[tuple[str, str], ...]:
    """Write the one reason that a name says."""
    return ((catalog.FINISH_REASON.key, reason),)

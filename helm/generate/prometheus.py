# SPDX-License-Identifier: Apache-2.0
"""What of the Prometheus operator's kinds (monitoring.coreos.com/v1) the values may hold, as JSON Schema."""

from collections.abc import Mapping
from typing import Any

# A duration as Prometheus reads it: 90s, 1h30m.
SPAN = {
    "type": "string",
    "minLength": 1,
    "pattern": "^(0|([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$",
}

_TEXT = {"type": "string"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_SECRET_KEY = {"$ref": "k8s/SecretKeySelector"}
_SECRET_OR_CONFIGMAP = {
    "type": "object",
    "properties": {"secret": _SECRET_KEY, "configMap": {"$ref": "k8s/ConfigMapKeySelector"}},
    "additionalProperties": False,
}
_TLS_VERSION = {"enum": ["TLS10", "TLS11", "TLS12", "TLS13"]}


def _mapping(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": dict(properties), "additionalProperties": False, **needed}


_RULE = _mapping(
    {
        "alert": _TEXT,
        "record": _TEXT,
        "expr": {"type": ["string", "integer"]},
        "for": {"$ref": "span"},
        "keep_firing_for": {"$ref": "span"},
        "labels": _TEXTS,
        "annotations": _TEXTS,
    },
    "expr",
)

DEFINITIONS: Mapping[str, Any] = {
    "span": SPAN,
    # RelabelConfig
    "relabeling": _mapping(
        {
            "sourceLabels": {"type": "array", "items": _TEXT},
            "separator": _TEXT,
            "targetLabel": _TEXT,
            "regex": _TEXT,
            "modulus": {"type": "integer", "minimum": 0},
            "replacement": _TEXT,
            "action": _TEXT,
        }
    ),
    # SafeTLSConfig
    "tlsConfig": _mapping(
        {
            "ca": _SECRET_OR_CONFIGMAP,
            "cert": _SECRET_OR_CONFIGMAP,
            "keySecret": _SECRET_KEY,
            "serverName": _TEXT,
            "insecureSkipVerify": {"type": "boolean"},
            "minVersion": _TLS_VERSION,
            "maxVersion": _TLS_VERSION,
        }
    ),
    # SafeAuthorization
    "authorization": _mapping({"type": _TEXT, "credentials": _SECRET_KEY}),
    "basicAuth": _mapping({"username": _SECRET_KEY, "password": _SECRET_KEY}),
    # RuleGroup
    "ruleGroup": _mapping(
        {
            "name": {"type": "string", "minLength": 1},
            "interval": {"$ref": "span"},
            "query_offset": {"$ref": "span"},
            "limit": {"type": "integer"},
            "labels": _TEXTS,
            "rules": {"type": "array", "items": _RULE},
        },
        "name",
        "rules",
    ),
}
NOUNS = {
    "span": "duration",
    "relabeling": "`RelabelConfig`",
    "tlsConfig": "`SafeTLSConfig`",
    "authorization": "`SafeAuthorization`",
    "basicAuth": "`BasicAuth`",
    "ruleGroup": "`RuleGroup`",
}

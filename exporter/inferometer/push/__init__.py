# SPDX-License-Identifier: Apache-2.0
"""OTLP push: the newest snapshot, every interval, by HTTP or gRPC, off until an endpoint is set."""

from inferometer.push.exporter import Push
from inferometer.push.settings import Settings, resolve, resource_attributes

__all__ = ["Push", "Settings", "resolve", "resource_attributes"]

# SPDX-License-Identifier: Apache-2.0
"""OTLP push: the newest snapshot, every interval, by HTTP or gRPC, off until an endpoint is set."""

from inferometer.push.exporter import Push
from inferometer.push.opening import open_sender
from inferometer.push.settings import Settings, resolve, resource_attributes

__all__ = ["Push", "Settings", "open_sender", "resolve", "resource_attributes"]

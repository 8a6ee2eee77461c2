# SPDX-License-Identifier: Apache-2.0
"""The container image: built without a registry and without a Docker engine, the same bytes from the same source."""

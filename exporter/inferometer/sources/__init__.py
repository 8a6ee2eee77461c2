# SPDX-License-Identifier: Apache-2.0
"""The sources: each reads one world, and none knows another."""

# SPDX-License-Identifier: Apache-2.0
"""Pure functions from a snapshot to what an output sends or a person reads."""

# SPDX-License-Identifier: Apache-2.0
"""GPU and inference observability: what a GPU does, for whom, and what a token costs."""

__version__ = "0.1.0"

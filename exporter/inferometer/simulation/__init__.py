# SPDX-License-Identifier: Apache-2.0
"""The simulated node: demo and test bed. It enters at the outermost boundary and shares no code with what it feeds."""

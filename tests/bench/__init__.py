# SPDX-License-Identifier: Apache-2.0
"""What things cost, each beside a reference measured in the same run."""

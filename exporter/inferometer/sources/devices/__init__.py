# SPDX-License-Identifier: Apache-2.0
"""What the hardware does: GPUs, read in a child process."""

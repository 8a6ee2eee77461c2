# SPDX-License-Identifier: Apache-2.0
"""What NVML answered, on the disk: the form of values, the names of handles, what is hidden, and the files."""

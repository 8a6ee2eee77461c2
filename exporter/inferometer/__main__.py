# SPDX-License-Identifier: Apache-2.0
"""`python -m inferometer` is the command line."""

import sys

from inferometer.cli import main

sys.exit(main())

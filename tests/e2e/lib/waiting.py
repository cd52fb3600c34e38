# SPDX-License-Identifier: BSD-2-Clause
"""How long the end-to-end tests in Python wait for what must come."""

import os
import time

# How many times longer than usual to wait: on a slow or busy machine.
PATIENCE = int(os.environ.get("MOAT_TEST_PATIENCE", "1"))
LONG = 30 * PATIENCE  # seconds


def wait_until(condition, what):
    """The condition's value once it is true."""
    deadline = time.monotonic() + LONG
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {LONG} s: {what}")
        time.sleep(0.01)

"""Set-up of all tests."""

from __future__ import annotations

import os
import signal

# Workers run side by side: threads of their own would only wait for each other's cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would the commands they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

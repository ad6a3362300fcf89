"""The name by which this machine knows the user of this process."""

from __future__ import annotations

import os
import pwd

from privatekube import plain_text


def current() -> str:
    """Return the login of the user of this process; of one without an account, as in a container, the number.

    It is that of the process, not what an environment variable says.
    """
    try:
        return plain_text.escaped(pwd.getpwuid(os.getuid()).pw_name)
    except KeyError:
        return f"uid {os.getuid()}"

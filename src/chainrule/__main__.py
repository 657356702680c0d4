"""The command `chainrule`, and `python -m chainrule`: Ctrl-C ends it quietly, also while it is loading."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """The command line; ends the process with its status."""
    try:
        from chainrule.cli.main import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        # Libraries tidy up when the process ends, and have nothing to say to a Ctrl-C there.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()

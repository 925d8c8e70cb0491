"""`python -m vitvis.judge`."""

import sys

from vitvis.judge import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND.main())

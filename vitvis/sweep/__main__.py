"""`python -m vitvis.sweep`."""

import sys

from vitvis.sweep import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND.main())

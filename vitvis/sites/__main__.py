"""`python -m vitvis.sites`."""

import sys

from vitvis.sites import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND.main())

"""`python -m vitvis.search`."""

import sys

from vitvis.search import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND.main())

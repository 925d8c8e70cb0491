"""`python -m vitvis.fit`."""

import sys

from vitvis.fit import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND.main())

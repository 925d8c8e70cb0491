"""`python -m vitvis.evaluate`."""

import sys

from vitvis.evaluate import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND.main())

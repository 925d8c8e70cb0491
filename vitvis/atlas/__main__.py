"""`python -m vitvis.atlas`."""

import sys

from vitvis.atlas import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND.main())

"""`python -m vitvis.concepts`."""

import sys

from vitvis.concepts import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND.main())

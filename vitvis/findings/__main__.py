"""`python -m vitvis.findings`."""

import sys

from vitvis.findings import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND.main())

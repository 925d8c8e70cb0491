"""`python -m vitvis.runs`."""

import sys

from vitvis.runs.run import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND.main())

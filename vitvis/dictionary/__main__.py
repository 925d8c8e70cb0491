"""`python -m vitvis.dictionary`."""

import sys

from vitvis.dictionary import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND.main())

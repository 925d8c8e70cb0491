from .engine import search as search
from .reading import SearchRun as SearchRun
from .reading import read_search as read_search
from .run import COMMAND as COMMAND
from .run import main as main
from .run import run as run

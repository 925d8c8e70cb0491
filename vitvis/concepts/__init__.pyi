from .engine import Concepts as Concepts
from .engine import find_concepts as find_concepts
from .run import COMMAND as COMMAND
from .run import main as main
from .run import run as run

from .build import Atlas as Atlas
from .build import write_atlas as write_atlas
from .run import COMMAND as COMMAND
from .run import main as main
from .run import run as run

from .run import COMMAND as COMMAND
from .run import main as main
from .run import run as run
from .table import SiteList as SiteList

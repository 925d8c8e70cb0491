from . import atlas as atlas
from . import concepts as concepts
from . import dictionary as dictionary
from . import evaluate as evaluate
from . import findings as findings
from . import fit as fit
from . import judge as judge
from . import runs as runs
from . import search as search
from . import sites as sites
from . import sweep as sweep
from .atlas.show import show as show
from .atlas.widget import widget as widget
from .backbones import Tap as Tap
from .backbones import load_backbone as load_backbone
from .backbones import parse_units as parse_units
from .errors import VitvisError as VitvisError
from .fit.datamodule import UnitDataModule as UnitDataModule
from .fit.module import ActivationMaximization as ActivationMaximization
from .fit.settings import FitSettings as FitSettings
from .runs import read_records as read_records

__version__: str

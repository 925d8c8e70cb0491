from .engine import Trained as Trained
from .engine import train as train
from .module import DictionaryTraining as DictionaryTraining
from .run import COMMAND as COMMAND
from .run import main as main
from .run import run as run
from .sae import TopKAutoencoder as TopKAutoencoder

from .engine import judge_runs as judge_runs
from .eye import Eye as Eye
from .eye import load_eye as load_eye
from .results import Judgement as Judgement
from .run import COMMAND as COMMAND
from .run import main as main
from .run import run as run

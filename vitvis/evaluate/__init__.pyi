from .bootstrap import interval as interval
from .bootstrap import resampled_means as resampled_means
from .engine import evaluate as evaluate
from .masking import FILLS as FILLS
from .masking import apply_mask as apply_mask
from .run import COMMAND as COMMAND
from .run import main as main
from .run import run as run

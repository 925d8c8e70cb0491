from .engine import run_findings as run_findings
from .finding import Finding as Finding
from .run import COMMAND as COMMAND
from .run import main as main
from .run import run as run

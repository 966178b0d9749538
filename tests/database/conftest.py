"""The PostgreSQL server of the queue's tests is the database's too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "queue"))

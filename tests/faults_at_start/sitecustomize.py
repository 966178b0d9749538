"""Python runs this before anything else in a process whose environment names a plan of faults."""

import faults

faults.install_from_environment()

"""Google Cloud in effigy: each API over its own wire on loopback, for the real clients of Google to speak to.

Strict where Google is strict, with state, on a clock that the test turns, and with faults to inject.
"""

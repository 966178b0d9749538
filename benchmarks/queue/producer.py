"""One of several producers: waits at the gate, enqueues its share, notes that it is done."""

import sys

from counters import Counters
from measures import adapter
from place import here


def main() -> None:
    name, index, share = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    place = here()
    system = adapter(name, place)
    system.connect()
    counters = Counters(place.counters)
    counters.await_gate()
    system.enqueue_one(range(index * share, (index + 1) * share))
    counters.run(index)


if __name__ == "__main__":
    main()

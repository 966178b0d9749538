"""Measures one system once, in the environment it lives in; prints the outcome as JSON.

Its one argument is JSON: system, measure, arguments, place.
"""

import json
import sys

import children
from measures import adapter, measure
from place import Place


def main() -> None:
    children.end_with_parent()
    order = json.loads(sys.argv[1])
    place = Place(*order["place"])
    place.publish()
    system = adapter(f"systems.{order['system']}", place)
    print(json.dumps(measure(order["measure"], system, order["arguments"])))


if __name__ == "__main__":
    main()

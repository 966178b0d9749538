"""The types of the committed schema against those that the HCL names."""

import importlib.util
import sys
from types import ModuleType

from offline import ROOT
from shim.schema import read_schema


def converter() -> ModuleType:
    """Return the script that reads the schema out of the package."""
    path = ROOT / "scripts" / "provider_schema.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def named_types() -> set[tuple[str, str]]:
    """Return ("resource" or "data", type) of all HCL here."""
    script = converter()
    found: set[tuple[str, str]] = script.types_in_hcl(ROOT / place for place in script.PLACES_OF_HCL)
    return found


def surplus_types() -> set[tuple[str, str]]:
    """Return the types that the schema holds for nobody."""
    schema = read_schema()
    held = {("resource", name) for name in schema["resources"]} | {
        ("data", name) for name in schema["data_sources"]
    }
    return held - named_types()

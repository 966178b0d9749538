"""Read the schema of Terraform's google provider out of the npm package @cdktf/provider-google.

The provider itself comes from a registry that an offline machine does not reach. The package was generated
from it and keeps every name, type, nesting and obligation, and the values of enumerations. By hand:

    npm pack @cdktf/provider-google@16.12.1
    python scripts/provider_schema.py cdktf-provider-google-16.12.1.tgz

It writes infra/checks/schema/google.json for the types that the HCL under infra/ and in the tests names, and
for those given with --also. The package is not maintained any more: provider 6.50.0 is the last one in it.
"""

import argparse
import json
import re
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "infra" / "checks" / "schema" / "google.json"
PLACES_OF_HCL = ("infra", "tests/infra")

Block = dict[str, Any]

_TYPE_IN_HCL = re.compile(r'^\s*(resource|data|ephemeral)\s+"(google_\w+)"', re.MULTILINE)
_CLASS = re.compile(
    r"^class (\w+) extends cdktf\.(ComplexObject|TerraformResource|TerraformDataSource|TerraformProvider) \{"
    r"(.*?)^\}",
    re.MULTILINE | re.DOTALL,
)
_SIMPLE = re.compile(r"get (\w+)\(\) \{\s+return (cdktf\.Fn\.tolist\()?this\.(\w+)\('(\w+)'\)")
_MEMBER = re.compile(
    r"required: (true|false)\s+"
    r'this\._\w+ = new (cdktf\.)?(\w+)\(this, "(\w+)"(?:, (true|false))?\)'
)
_TO_HCL = re.compile(
    r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}|^    synthesizeHclAttributes\(\) \{(.*?)^    \}",
    re.MULTILINE | re.DOTALL,
)
_HCL = re.compile(
    r"^ +(\w+): \{\s+value: (.*),\s+isBlock: (true|false),\s+type: \"(\w+)\",\s+storageClassType: \"(\w+)\"",
    re.MULTILINE,
)
_INTERFACE = re.compile(r"^export interface (\w+) [^{]*\{(.*?)^\}", re.MULTILINE | re.DOTALL)
_DOC = re.compile(r"/\*\*(.*?)\*/\s+readonly (\w+)(\??):", re.DOTALL)
_VALUES = re.compile(r"Possible values: (\[[^\]]*\])")
_NAME_IN_DOC = re.compile(r"#(\w+) \w+#\1\}")
_VERSION = re.compile(r"providerVersion: '([\d.]+)'")

_SIMPLE_TYPES: dict[str, Any] = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "getNumberMapAttribute": ["map", "number"],
    "getBooleanMapAttribute": ["map", "bool"],
    "getAnyMapAttribute": ["map", "string"],
}
_MEMBER_TYPES: dict[str, Any] = {
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
    "StringMapList": ["list", ["map", "string"]],
}
_STORED_TYPES: dict[str, Any] = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "stringList": ["list", "string"],
    "stringMap": ["map", "string"],
}


class NotUnderstood(Exception):
    """The package says something in a way that this script cannot read."""


class Generated:
    """One generated file of the package and the classes in it."""

    def __init__(self, code: str, typings: str) -> None:
        self.classes = {name: (kind, body) for name, kind, body in _CLASS.findall(code)}
        self.settable = self._settable(code)
        self.enumerations = self._enumerations(typings)

    def _settable(self, code: str) -> dict[str, dict[str, tuple[bool, str, str]]]:
        """Return what may be written in HCL: struct -> attribute -> (is a block, kind, class)."""
        found: dict[str, dict[str, tuple[bool, str, str]]] = {}
        for function, body, method in _TO_HCL.findall(code):
            members = {
                name: (block == "true", kind, stored)
                for name, _, block, kind, stored in _HCL.findall(body or method)
            }
            # The method stands in the one class that is a resource; functions are named for their struct.
            found[function.lower()] = members
        return found

    def _enumerations(self, typings: str) -> dict[str, dict[str, list[str]]]:
        found: dict[str, dict[str, list[str]]] = {}
        for struct, body in _INTERFACE.findall(typings):
            for comment, _, _ in _DOC.findall(body):
                values, name = _VALUES.search(comment), _NAME_IN_DOC.search(comment)
                if values and name:
                    found.setdefault(struct.lower(), {})[name.group(1)] = json.loads(values.group(1))
        return found

    def top(self) -> Block:
        """Return the block of the resource, data source or provider that the file is about."""
        for name, (kind, _) in self.classes.items():
            if kind != "ComplexObject":
                return self.block(name, struct="", config=f"{name}config")
        raise NotUnderstood("the file holds no resource")

    def block(self, name: str, *, struct: str, config: str) -> Block:
        """Return the attributes and blocks of one class."""
        body = self.classes[name][1]
        settable = self.settable.get(struct, {})
        enumerations = self.enumerations.get(config.lower(), {})
        attributes: dict[str, Any] = {}
        blocks: dict[str, Any] = {}
        for getter, attribute, kind in self._simple(body):
            # The id of a resource is offered for setting, but never taken.
            is_decided = attribute not in settable or (attribute == "id" and not struct)
            must = f" reset{getter[0].upper()}{getter[1:]}(" not in body
            attributes[attribute] = [kind, "computed" if is_decided else "required" if must else "optional"]
            if attribute in enumerations:
                attributes[attribute].append(enumerations[attribute])
        for must_be, external, stored, attribute, is_set in _MEMBER.findall(body):
            if external:
                attributes[attribute] = [_MEMBER_TYPES[stored], "computed"]
                continue
            element = stored.removesuffix("List").removesuffix("OutputReference")
            inner = self.block(f"{element}OutputReference", struct=element.lower(), config=element)
            is_block, hcl_kind, _ = settable.get(attribute, (False, "", ""))
            least = 1 if must_be == "true" else 0
            if is_block:
                many = stored.endswith("List")
                nesting = "single" if hcl_kind == "struct" else "set" if is_set == "true" else "list"
                blocks[attribute] = [nesting, least, 0 if many or nesting == "single" else 1, inner]
            else:
                kind = ["set" if is_set == "true" else "list", object_type(inner)]
                mode = "computed" if attribute not in settable else "required" if least else "optional"
                attributes[attribute] = [kind, mode]
        for attribute in settable.keys() - attributes.keys() - blocks.keys():
            is_block, _, stored = settable[attribute]
            if self.classes[name][0] != "TerraformProvider" or (not is_block and stored not in _STORED_TYPES):
                raise NotUnderstood(f"{name} can be given {attribute}, but its type cannot be told")
            # Nothing reads a provider's attributes, so its class has no typed getters.
            if not is_block and attribute != "alias" and not attribute.endswith("_custom_endpoint"):
                attributes[attribute] = [_STORED_TYPES[stored], "optional"]
        return {"attributes": dict(sorted(attributes.items())), "blocks": dict(sorted(blocks.items()))}

    def _simple(self, body: str) -> Iterator[tuple[str, str, Any]]:
        for getter, wrapped, method, attribute in _SIMPLE.findall(body):
            if method == "interpolationForAttribute":
                continue
            kind = _SIMPLE_TYPES.get(method)
            if kind is None:
                raise NotUnderstood(f"{getter} is read by {method}")
            yield getter, attribute, ["set", kind[1]] if wrapped else kind


def object_type(block: Block) -> Any:
    """Return a block as the type of one value, for what is written or read as an attribute."""
    members = {name: kind for name, (kind, *_) in block["attributes"].items()}
    for name, (nesting, _, _, inner) in block["blocks"].items():
        members[name] = [nesting, object_type(inner)]
    return ["object", dict(sorted(members.items()))]


def folder_of(kind: str, name: str) -> str:
    """Return where the package keeps a type, such as data-google-project."""
    plain = name.removeprefix("google_").replace("_", "-")
    return f"data-google-{plain}" if kind == "data" else plain


def types_in_hcl(places: Iterable[Path]) -> set[tuple[str, str]]:
    """Return the types that HCL names, as ("resource" or "data", type)."""
    found: set[tuple[str, str]] = set()
    for place in places:
        for pattern in ("*.tf", "*.tftest.hcl"):
            for path in place.rglob(pattern):
                found |= set(_TYPE_IN_HCL.findall(path.read_text(encoding="utf-8")))
    return found


def convert(package: Path, types: set[tuple[str, str]]) -> dict[str, Any]:
    """Return the schema of the named types, as the committed file holds it."""
    wanted = {folder_of(kind, name): (kind, name) for kind, name in types} | {
        "provider": ("provider", "google")
    }
    files: dict[str, str] = {}
    with tarfile.open(package) as archive:
        for member in archive:
            parts = member.name.split("/")
            if (
                parts[1:2] == ["lib"]
                and len(parts) == 4
                and parts[2] in wanted
                and parts[3].startswith("index.")
            ):
                content = archive.extractfile(member)
                files["/".join(parts[2:])] = content.read().decode("utf-8") if content else ""
            elif parts[1:] == ["package.json"]:
                content = archive.extractfile(member)
                about = json.loads(content.read()) if content else {}
    missing = sorted(name for folder, (_, name) in wanted.items() if f"{folder}/index.js" not in files)
    if missing:
        raise NotUnderstood(f"the package has no type {', '.join(missing)}")
    found: dict[str, dict[str, Block]] = {"resource": {}, "data": {}, "provider": {}}
    for folder, (kind, name) in sorted(wanted.items()):
        try:
            found[kind][name] = Generated(files[f"{folder}/index.js"], files[f"{folder}/index.d.ts"]).top()
        except (NotUnderstood, KeyError) as error:
            raise NotUnderstood(f"{name}: {error}") from error
    version = _VERSION.search(files["provider/index.js"])
    return {
        "provider": "hashicorp/google",
        "version": version.group(1) if version else "",
        "read_from": f"{about['name']} {about['version']}",
        "configuration": found["provider"]["google"],
        "resources": dict(sorted(found["resource"].items())),
        "data_sources": dict(sorted(found["data"].items())),
    }


def text_of(schema: dict[str, Any]) -> str:
    """Return the schema as JSON with one type a line, so that a change shows which type it is about."""
    lines = []
    for key, value in schema.items():
        if key in ("resources", "data_sources"):
            types = [f"  {json.dumps(name)}: {_compact(block)}" for name, block in value.items()]
            lines.append(f"{json.dumps(key)}: {{\n" + ",\n".join(types) + "\n}")
        else:
            lines.append(f"{json.dumps(key)}: {_compact(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def main() -> None:
    """Write the schema, or say which type the package does not have."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("package", type=Path, help="the .tgz that npm pack wrote")
    parser.add_argument("--also", action="append", default=[], metavar="TYPE", help="TYPE or data.TYPE")
    arguments = parser.parse_args()
    types = types_in_hcl(ROOT / place for place in PLACES_OF_HCL)
    for also in arguments.also:
        types.add(("data", also.removeprefix("data.")) if also.startswith("data.") else ("resource", also))
    try:
        schema = convert(arguments.package, types)
    except NotUnderstood as error:
        sys.exit(str(error))
    SCHEMA.parent.mkdir(parents=True, exist_ok=True)
    SCHEMA.write_text(text_of(schema), encoding="utf-8")
    print(
        f"{len(schema['resources'])} resources and {len(schema['data_sources'])} data sources, "
        f"{SCHEMA.stat().st_size / 1000:.0f} kB"
    )


if __name__ == "__main__":
    main()

"""The script that reads the provider's schema out of the package it was generated into."""

import io
import tarfile
from pathlib import Path

import pytest
from offline import ROOT
from provider_types import converter, named_types
from shim.schema import SCHEMA, read_schema

PACKAGE = ROOT / "build" / "cdktf-provider-google-16.12.1.tgz"

CODE = """
function thingPartToHclTerraform(struct) {
    const attrs = {
        size: {
            value: cdktf.numberToHclTerraform(struct.size),
            isBlock: false,
            type: "simple",
            storageClassType: "number",
        },
        id: {
            value: cdktf.stringToHclTerraform(struct.id),
            isBlock: false,
            type: "simple",
            storageClassType: "string",
        },
    };
}
class ThingPartOutputReference extends cdktf.ComplexObject {
    get id() {
        return this.getStringAttribute('id');
    }
    get size() {
        return this.getNumberAttribute('size');
    }
    resetSize() {
        this._size = undefined;
    }
}
class ThingSeenOutputReference extends cdktf.ComplexObject {
    // at - computed: true, optional: false, required: false
    get at() {
        return this.getStringAttribute('at');
    }
}
class Thing extends cdktf.TerraformResource {
    constructor(scope, id, config) {
        super(scope, id, {
            providerVersion: '6.50.0',
        });
        // seen - computed: true, optional: false, required: false
        this._seen = new ThingSeenList(this, "seen", true);
        // part - computed: false, optional: false, required: true
        this._part = new ThingPartOutputReference(this, "part");
        // other_part - computed: false, optional: true, required: false
        this._otherPart = new ThingPartList(this, "other_part", true);
    }
    get id() {
        return this.getStringAttribute('id');
    }
    resetId() {
        this._id = undefined;
    }
    get colour() {
        return this.getStringAttribute('colour');
    }
    get places() {
        return cdktf.Fn.tolist(this.getListAttribute('places'));
    }
    resetPlaces() {
        this._places = undefined;
    }
    get etag() {
        return this.getStringAttribute('etag');
    }
    synthesizeHclAttributes() {
        const attrs = {
            colour: {
                value: cdktf.stringToHclTerraform(this._colour),
                isBlock: false,
                type: "simple",
                storageClassType: "string",
            },
            id: {
                value: cdktf.stringToHclTerraform(this._id),
                isBlock: false,
                type: "simple",
                storageClassType: "string",
            },
            places: {
                value: cdktf.listMapperHcl(cdktf.stringToHclTerraform, false)(this._places),
                isBlock: false,
                type: "set",
                storageClassType: "stringList",
            },
            part: {
                value: thingPartToHclTerraform(this._part.internalValue),
                isBlock: true,
                type: "list",
                storageClassType: "ThingPartList",
            },
            other_part: {
                value: cdktf.listMapperHcl(thingPartToHclTerraform, true)(this._otherPart.internalValue),
                isBlock: true,
                type: "set",
                storageClassType: "ThingPartList",
            },
        };
    }
}
"""
TYPINGS = """
export interface ThingConfig extends cdktf.TerraformMetaArguments {
    /**
    * What it looks like. Possible values: ["RED", "GREEN"]
    *
    * Docs at Terraform Registry: {@link https://example.org/docs/resources/thing#colour Thing#colour}
    */
    readonly colour: string;
}
"""
PART = {"attributes": {"id": ["string", "required"], "size": ["number", "optional"]}, "blocks": {}}
THING = {
    "attributes": {
        "colour": ["string", "required", ["RED", "GREEN"]],
        "etag": ["string", "computed"],
        "id": ["string", "computed"],
        "places": [["set", "string"], "optional"],
        "seen": [["set", ["object", {"at": "string"}]], "computed"],
    },
    "blocks": {"other_part": ["set", 0, 0, PART], "part": ["list", 1, 1, PART]},
}
PROVIDER = CODE.replace("extends cdktf.TerraformResource", "extends cdktf.TerraformProvider")


def packed(folder: Path, code: str = CODE) -> Path:
    """Return a package with one resource."""
    files = {
        "package/package.json": '{"name": "things", "version": "1.2.3"}',
        "package/lib/thing/index.js": code,
        "package/lib/thing/index.d.ts": TYPINGS,
        "package/lib/provider/index.js": PROVIDER,
        "package/lib/provider/index.d.ts": "",
    }
    path = folder / "things.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def test_a_type_is_read_with_its_obligations_nesting_and_values(tmp_path: Path) -> None:
    schema = converter().convert(packed(tmp_path), {("resource", "google_thing")})

    assert schema["resources"] == {"google_thing": THING}
    assert (schema["version"], schema["read_from"]) == ("6.50.0", "things 1.2.3")


def test_a_type_that_is_not_there_is_named(tmp_path: Path) -> None:
    script = converter()

    with pytest.raises(script.NotUnderstood, match="google_other_thing"):
        script.convert(packed(tmp_path), {("resource", "google_thing"), ("data", "google_other_thing")})


def test_what_cannot_be_read_is_an_error_and_no_gap(tmp_path: Path) -> None:
    script = converter()
    unknown = CODE.replace("this.getNumberAttribute", "this.getQuantumAttribute")

    with pytest.raises(script.NotUnderstood, match="google_thing: size is read by getQuantumAttribute"):
        script.convert(packed(tmp_path, unknown), {("resource", "google_thing")})


def test_the_committed_schema_has_one_type_a_line() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == converter().text_of(read_schema())


if PACKAGE.exists():

    def test_the_committed_schema_is_what_the_package_says() -> None:
        assert read_schema() == converter().convert(PACKAGE, named_types())

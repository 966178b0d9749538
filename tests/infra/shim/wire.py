"""The messages of Terraform's plugin protocol, version 5, as far as a provider of fixed schema needs them.

Only field numbers and kinds reach the wire; the names of messages are ours.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Message = Any

# name: field number kind; a star before the kind says repeated. A map is a repeated entry of key and value.
_MESSAGES = """
Empty:
Value: msgpack 1 bytes
Step: attribute_name 1 string, element_key_string 2 string, element_key_int 3 int64
Path: steps 1 *Step
Diagnostic: severity 1 int32, summary 2 string, detail 3 string, attribute 4 Path
Attribute: name 1 string, type 2 bytes, required 4 bool, optional 5 bool, computed 6 bool
NestedBlock: type_name 1 string, block 2 Block, nesting 3 int32, min_items 4 int64, max_items 5 int64
Block: version 1 int64, attributes 2 *Attribute, block_types 3 *NestedBlock
Schema: version 1 int64, block 2 Block
SchemaEntry: key 1 string, value 2 Schema
Schemas: provider 1 Schema, resource_schemas 2 *SchemaEntry, data_source_schemas 3 *SchemaEntry
PrepareRequest: config 1 Value
PrepareResponse: prepared_config 1 Value, diagnostics 2 *Diagnostic
ValidateRequest: type_name 1 string, config 2 Value
Diagnosed: diagnostics 1 *Diagnostic
RawState: json 1 bytes
UpgradeRequest: type_name 1 string, version 2 int64, raw_state 3 RawState
UpgradeResponse: upgraded_state 1 Value, diagnostics 2 *Diagnostic
ConfigureRequest: terraform_version 1 string, config 2 Value
ReadRequest: type_name 1 string, current_state 2 Value
ReadResponse: new_state 1 Value
PlanRequest: type_name 1 string, prior_state 2 Value, proposed_new_state 3 Value, config 4 Value
PlanResponse: planned_state 1 Value, requires_replace 2 *Path, diagnostics 4 *Diagnostic, legacy_types 5 bool
ApplyRequest: type_name 1 string, prior_state 2 Value, planned_state 3 Value, config 4 Value
ApplyResponse: new_state 1 Value, diagnostics 3 *Diagnostic, legacy_types 4 bool
ReadDataRequest: type_name 1 string, config 2 Value
ReadDataResponse: state 1 Value, diagnostics 2 *Diagnostic
Health: status 1 int32
"""

ERROR = 1
SERVING = 1
NESTING = {"single": 1, "list": 2, "set": 3}

_Field = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "bytes": _Field.TYPE_BYTES,
    "string": _Field.TYPE_STRING,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
}


def _describe() -> descriptor_pb2.FileDescriptorProto:
    described = descriptor_pb2.FileDescriptorProto(name="shim.proto", package="shim", syntax="proto3")
    for line in _MESSAGES.strip().splitlines():
        name, _, fields = line.partition(":")
        message = described.message_type.add(name=name)
        for field in filter(None, fields.split(",")):
            field_name, number, kind = field.split()
            added = message.field.add(name=field_name, number=int(number))
            added.label = _Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL
            kind = kind.removeprefix("*")
            if kind in _KINDS:
                added.type = _KINDS[kind]
            else:
                added.type, added.type_name = _Field.TYPE_MESSAGE, f".shim.{kind}"
    return described


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_describe())


def message(name: str) -> Any:
    """Return the class of one of the messages above."""
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"shim.{name}"))


# What Terraform may call, with the messages that go there and back.
CALLS = {
    "/tfplugin5.Provider/GetSchema": ("Empty", "Schemas"),
    "/tfplugin5.Provider/PrepareProviderConfig": ("PrepareRequest", "PrepareResponse"),
    "/tfplugin5.Provider/ValidateResourceTypeConfig": ("ValidateRequest", "Diagnosed"),
    "/tfplugin5.Provider/ValidateDataSourceConfig": ("ValidateRequest", "Diagnosed"),
    "/tfplugin5.Provider/UpgradeResourceState": ("UpgradeRequest", "UpgradeResponse"),
    "/tfplugin5.Provider/Configure": ("ConfigureRequest", "Diagnosed"),
    "/tfplugin5.Provider/ReadResource": ("ReadRequest", "ReadResponse"),
    "/tfplugin5.Provider/PlanResourceChange": ("PlanRequest", "PlanResponse"),
    "/tfplugin5.Provider/ApplyResourceChange": ("ApplyRequest", "ApplyResponse"),
    "/tfplugin5.Provider/ReadDataSource": ("ReadDataRequest", "ReadDataResponse"),
    "/tfplugin5.Provider/Stop": ("Empty", "Empty"),
    "/plugin.GRPCController/Shutdown": ("Empty", "Empty"),
    "/grpc.health.v1.Health/Check": ("Empty", "Health"),
}

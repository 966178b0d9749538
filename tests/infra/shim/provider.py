"""The provider: what it answers to each call of Terraform."""

import json
from typing import Any

from shim import made_up, values, wire
from shim.schema import Block, wire_schemas


class Provider:
    """Answers every call from the schema alone; holds no state, so many Terraforms may ask at once."""

    def __init__(self, schema: dict[str, Any], *, knows_all: bool = False) -> None:
        """With `knows_all`, a plan holds what an apply would make up, so that wires can be followed."""
        self._schema = schema
        self._knows_all = knows_all
        self._schemas = wire_schemas(schema)

    def answer(self, path: str, request: wire.Message) -> wire.Message:
        """Return the answer to the call of that path."""
        call = path.rpartition("/")[2]
        response = wire.message(wire.CALLS[path][1])
        method = getattr(self, f"_{call}", None)
        return response() if method is None else method(request, response)

    def _GetSchema(self, request: wire.Message, response: Any) -> wire.Message:
        return self._schemas

    def _Check(self, request: wire.Message, response: Any) -> wire.Message:
        return response(status=wire.SERVING)

    def _PrepareProviderConfig(self, request: wire.Message, response: Any) -> wire.Message:
        return response(prepared_config=request.config)

    def _ValidateResourceTypeConfig(self, request: wire.Message, response: Any) -> wire.Message:
        return response(diagnostics=_diagnostics(self._resource(request), request))

    def _ValidateDataSourceConfig(self, request: wire.Message, response: Any) -> wire.Message:
        return response(diagnostics=_diagnostics(self._schema["data_sources"][request.type_name], request))

    def _UpgradeResourceState(self, request: wire.Message, response: Any) -> wire.Message:
        return response(upgraded_state=_value(json.loads(request.raw_state.json)))

    def _ReadResource(self, request: wire.Message, response: Any) -> wire.Message:
        return response(new_state=request.current_state)

    def _PlanResourceChange(self, request: wire.Message, response: Any) -> wire.Message:
        proposed = values.unpack(request.proposed_new_state.msgpack)

        def decide(path: tuple[str, ...], kind: Any) -> Any:
            if not self._knows_all:
                return values.UNKNOWN
            return made_up.made_up(request.type_name, proposed, path, kind)

        planned = values.fill(self._resource(request), proposed, decide)
        return response(planned_state=_value(planned), legacy_types=True)

    def _ApplyResourceChange(self, request: wire.Message, response: Any) -> wire.Message:
        planned = values.unpack(request.planned_state.msgpack)
        made = self._made(self._resource(request), request.type_name, planned)
        return response(new_state=_value(made), legacy_types=True)

    def _ReadDataSource(self, request: wire.Message, response: Any) -> wire.Message:
        block = self._schema["data_sources"][request.type_name]
        asked = values.unpack(request.config.msgpack)
        planned = values.fill(block, asked, lambda path, kind: values.UNKNOWN)
        return response(state=_value(self._made(block, request.type_name, planned)))

    def _resource(self, request: wire.Message) -> Block:
        block: Block = self._schema["resources"][request.type_name]
        return block

    def _made(self, block: Block, type_name: str, planned: Any) -> Any:
        def decide(path: tuple[str, ...], kind: Any) -> Any:
            return made_up.made_up(type_name, planned, path, kind)

        return values.settle_block(block, planned, decide)


def _value(value: Any) -> wire.Message:
    return wire.message("Value")(msgpack=values.pack(value))


def _diagnostics(block: Block, request: wire.Message) -> list[wire.Message]:
    found = []
    for path, text in values.faults(block, values.unpack(request.config.msgpack)):
        diagnostic = wire.message("Diagnostic")(severity=wire.ERROR, summary=text)
        for step in path:
            key = "attribute_name" if isinstance(step, str) else "element_key_int"
            diagnostic.attribute.steps.add(**{key: step})
        found.append(diagnostic)
    return found

"""Writes a card as TOML, the way people read it: plain values first, tables after."""

import json

import msgspec

from audobon.models.card import Card


def card_text(card: Card) -> str:
    """Return a card as TOML; `card.parse_card` reads it."""
    lines: list[str] = []
    _write_table(lines, (), msgspec.to_builtins(msgspec.structs.replace(card, file=None), str_keys=True))
    return "\n".join(lines).lstrip("\n") + "\n"


def _write_table(lines: list[str], path: tuple[str, ...], table: dict[str, object]) -> None:
    if path:
        lines += ["", f"[{'.'.join(path)}]"]
    for key, value in table.items():
        if value is not None and not isinstance(value, dict):
            lines.append(f"{_key(key)} = {_value(value)}")
    for key, value in table.items():
        if isinstance(value, dict) and value:
            _write_table(lines, (*path, key), value)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], dict):
            rows = (", ".join(f"{k} = {_value(v)}" for k, v in row.items()) for row in value)
            return "[\n" + "".join(f"    {{ {row} }},\n" for row in rows) + "]"
        return "[" + ", ".join(_value(item) for item in value) + "]"
    # JSON leaves DEL as it is, which TOML does not allow.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

"""What a change of schema takes from code that was written for the one before."""

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

Shape = dict[str, dict[str, Any]]
"""By table: columns (type, nullable, has a default), what is unique, checks, foreign keys."""


def shape(connection: Connection) -> Shape:
    """Return the tables of a database as code of a release relies on them."""
    inspector = sa.inspect(connection)
    found: Shape = {}
    for table in inspector.get_table_names():
        if table == "alembic_version":
            continue
        key = tuple(inspector.get_pk_constraint(table)["constrained_columns"])
        found[table] = {
            "columns": {
                column["name"]: (
                    str(column["type"]),
                    bool(column["nullable"]),
                    # A single key of whole numbers is counted by the database.
                    column["default"] is not None
                    or (key == (column["name"],) and "INT" in str(column["type"])),
                )
                for column in inspector.get_columns(table)
            },
            "unique": {tuple(each["column_names"]) for each in inspector.get_unique_constraints(table)}
            | {tuple(each["column_names"]) for each in inspector.get_indexes(table) if each["unique"]},
            "checks": {each["name"]: str(each["sqltext"]) for each in inspector.get_check_constraints(table)},
            "foreign": {tuple(each["constrained_columns"]) for each in inspector.get_foreign_keys(table)},
        }
    return found


def contractions(before: Shape, after: Shape) -> list[str]:
    """Return, in words, what code written for one schema can no longer do with the next."""
    found = []
    for table, old in before.items():
        new = after.get(table)
        if new is None:
            found.append(f"{table} is gone")
            continue
        for name, (kind, nullable, has_default) in old["columns"].items():
            if name not in new["columns"]:
                found.append(f"{table}.{name} is gone")
                continue
            new_kind, new_nullable, new_default = new["columns"][name]
            if new_kind != kind and (kind, new_kind) != ("INTEGER", "BIGINT"):
                found.append(f"{table}.{name} was {kind} and is {new_kind}")
            if nullable and not new_nullable:
                found.append(f"{table}.{name} may no longer be NULL")
            if has_default and not (new_default or new_nullable):
                found.append(f"{table}.{name} has no default any more")
        for name, (_, nullable, has_default) in new["columns"].items():
            if name not in old["columns"] and not nullable and not has_default:
                found.append(f"{table}.{name} is new, and rows need it")
        found += [f"{table} is unique by {', '.join(each)}" for each in sorted(new["unique"] - old["unique"])]
        found += [
            f"{table} refers elsewhere by {', '.join(each)}"
            for each in sorted(new["foreign"] - old["foreign"])
        ]
        for name, text in new["checks"].items():
            known = old["checks"].get(name)
            if known is None or not _words(known) <= _words(text):
                found.append(f"{table} is checked by {name}")
    return found


def _words(check: str) -> set[str]:
    """Return what a check of the kind `state IN ('a', 'b')` lets pass."""
    return set(re.findall(r"'([^']*)'", check))

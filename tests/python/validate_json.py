"""Validates JSON texts by JSON Schemas, in one process, since the validator takes seconds to load.

usage: validate_json.py SCHEMA.json...

Each line of standard input is the number of a schema, a space and a JSON text. Prints `valid` or the
first error.
"""
import json
import sys

from jsonschema.validators import validator_for


def read_validator(path):
    with open(path, encoding="utf-8") as file:
        schema = json.load(file)
    kind = validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


validators = [read_validator(path) for path in sys.argv[1:]]
for line in sys.stdin:
    number, text = line.split(" ", 1)
    error = next(validators[int(number)].iter_errors(json.loads(text)), None)
    print(f"{error.json_path}: {error.message}" if error else "valid")

"""Validates each line of standard input, a JSON text, by a JSON Schema. Prints `valid` or the error.

usage: validate_json.py SCHEMA.json
"""
import json
import sys

from jsonschema.validators import validator_for

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
kind = validator_for(schema)
kind.check_schema(schema)
validator = kind(schema)
for line in sys.stdin:
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(json.loads(line))]
    print(errors[0] if errors else "valid")

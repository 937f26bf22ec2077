"""Checks a bill of materials against the official schema of CycloneDX 1.6.

usage: check_sbom.py BILL.json
"""
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

bill = Path(sys.argv[1]).read_text(encoding="utf-8")
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill)
if error is not None:
    sys.exit(f"{sys.argv[1]}: {error}")

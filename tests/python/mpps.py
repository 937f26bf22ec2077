#!/usr/bin/env python3
"""Receives reports of performed examinations (MPPS) with pynetdicom, and prints each as a line of JSON:
the message, the UID of the step, and its attributes by keyword. Unknown attributes are an error.

Usage: mpps.py PORT
"""

import json
import sys

import pydicom
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityPerformedProcedureStep


def plain(dataset):
    """Values of a data set as JSON, by keyword."""
    attributes = {}
    for element in dataset:
        assert element.keyword, f"unknown attribute {element.tag}"
        is_sequence = element.VR == "SQ"
        value = element.value
        attributes[element.keyword] = [plain(item) for item in value] if is_sequence else str(value)
    return attributes


steps = {}


def say(message, uid, dataset):
    print(json.dumps({"message": message, "uid": str(uid), "attributes": plain(dataset)}), flush=True)


def create(event):
    uid = event.request.AffectedSOPInstanceUID
    if uid in steps:
        return 0x0111, None
    steps[uid] = event.attribute_list
    say("N-CREATE", uid, event.attribute_list)
    return 0x0000, event.attribute_list


def change(event):
    uid = event.request.RequestedSOPInstanceUID
    if uid not in steps:
        return 0x0112, None
    say("N-SET", uid, event.modification_list)
    return 0x0000, pydicom.Dataset()


server = AE(ae_title="RIS")
server.add_supported_context(ModalityPerformedProcedureStep)
handlers = [(evt.EVT_N_CREATE, create), (evt.EVT_N_SET, change)]
server.start_server(("127.0.0.1", int(sys.argv[1])), evt_handlers=handlers)

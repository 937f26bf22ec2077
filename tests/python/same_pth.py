"""Compares the state dicts of two checkpoints of PyTorch: names, types, shapes and values, bit by bit.
Prints the number of tensors. It reads the format by itself and needs only numpy.

usage: same_pth.py FIRST.pth SECOND.pth
"""
import pickle
import sys
import zipfile
from collections import OrderedDict

import numpy

TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def rebuild(storage, offset, shape, strides, needs_gradient, hooks):
    assert not needs_gradient and not hooks
    bytes_of = storage.itemsize
    strides = [stride * bytes_of for stride in strides]
    view = numpy.lib.stride_tricks.as_strided(storage[offset:], shape, strides)
    assert view.size <= storage.size - offset
    return view


class Unpickler(pickle.Unpickler):
    def __init__(self, archive, folder):
        super().__init__(archive.open(f"{folder}/data.pkl"))
        self.archive, self.folder = archive, folder

    def find_class(self, module, name):
        found = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): rebuild,
        }
        if module == "torch" and name in TYPES:
            return TYPES[name]
        return found[module, name]

    def persistent_load(self, identity):
        kind, type_of, key, _, count = identity
        assert kind == "storage"
        values = numpy.frombuffer(self.archive.read(f"{self.folder}/data/{key}"), type_of)
        assert values.size == count, key
        return values


def state_dict(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        (folder,) = {name.split("/")[0] for name in archive.namelist()}
        content = Unpickler(archive, folder).load()
    assert {"epoch", "best_tol", "path_helper"} <= content.keys()
    return content["state_dict"]


first, second = map(state_dict, sys.argv[1:])
assert first.keys() == second.keys(), first.keys() ^ second.keys()
for name, value in first.items():
    other = second[name]
    assert (value.dtype, value.shape) == (other.dtype, other.shape), name
    assert value.tobytes() == other.tobytes(), name
print(len(first))

"""Writes a checkpoint as the released Med-SA code's training script does with torch.save: the
state dict together with the optimizer's state, a loss on the GPU, and paths. It does not need PyTorch.

usage: write_pth.py STATE_DICT.safetensors CHECKPOINT.pth
"""
import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import numpy
from safetensors.numpy import load_file


def global_of(module, name, kind):
    """A class or function that pickle knows by the name that it has in PyTorch."""
    sys.modules.setdefault(module, types.ModuleType(module))
    kind.__module__, kind.__name__, kind.__qualname__ = module, name, name
    setattr(sys.modules[module], name, kind)
    return kind


STORAGES = {
    numpy.dtype(kind): global_of("torch", name, type(name, (), {}))
    for kind, name in [(numpy.float32, "FloatStorage"), (numpy.int64, "LongStorage")]
}
rebuild_tensor = global_of("torch._utils", "_rebuild_tensor_v2", lambda *_: None)


class Storage:
    def __init__(self, values):
        self.values = values


class Tensor:
    def __init__(self, array, kind=numpy.float32):
        self.array = numpy.asarray(array, kind, order="C")

    def __reduce__(self):
        shape = self.array.shape
        strides = tuple(step // self.array.itemsize for step in self.array.strides)
        args = (Storage(self.array), 0, shape, strides, False, OrderedDict())
        return rebuild_tensor, args


class Pickler(pickle.Pickler):
    def __init__(self, archive, file):
        super().__init__(file, protocol=2)
        self.archive, self.count = archive, 0

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key, self.count = str(self.count), self.count + 1
        self.archive.writestr(f"archive/data/{key}", value.values.tobytes())
        return "storage", STORAGES[value.values.dtype], key, "cuda:0", value.values.size


state_dict, checkpoint = sys.argv[1:]
# Batch norms count batches in integers.
state_dict = OrderedDict(
    (name, Tensor(a, numpy.int64 if name.endswith(".num_batches_tracked") else numpy.float32))
    for name, a in load_file(state_dict).items()
)
step = Tensor(numpy.float32(7))
content = {
    "epoch": 5,
    "model": "sam",
    "state_dict": state_dict,
    "optimizer": {"state": {0: {"step": step, "exp_avg": step}}, "param_groups": [{"lr": 1e-4}]},
    "best_tol": Tensor(numpy.float32(0.5)),
    "path_helper": {"prefix": "logs/msa", "ckpt_path": "logs/msa/Model"},
}
with zipfile.ZipFile(checkpoint, "w") as archive:
    data = io.BytesIO()
    Pickler(archive, data).dump(content)
    archive.writestr("archive/data.pkl", data.getvalue())
    archive.writestr("archive/version", "3\n")

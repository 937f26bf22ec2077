"""Checks ONNX files, loads them in onnxruntime, inlines them with ONNX's own inliner and checks the
results, too. Prints a line for each file: the names of its local functions.

usage: onnx_functions.py MODEL.onnx...
"""
import sys

import onnx
import onnx.inliner
import onnxruntime

options = onnxruntime.SessionOptions()
# Its threads wait actively, at the cost of tests that run beside it.
options.intra_op_num_threads = 1
for path in sys.argv[1:]:
    onnx.checker.check_model(path, full_check=True)
    onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    model = onnx.load(path)
    inlined = onnx.inliner.inline_local_functions(model)
    onnx.checker.check_model(inlined, full_check=True)
    assert not inlined.functions, "functions are left"
    print(*sorted(function.name for function in model.functions))

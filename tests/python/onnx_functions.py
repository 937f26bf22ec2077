"""Checks an ONNX file, loads it in onnxruntime, inlines it with ONNX's own inliner and checks
the result, too. Prints the names of its local functions, one per line.

usage: onnx_functions.py MODEL.onnx
"""
import sys

import onnx
import onnx.inliner
import onnxruntime

path = sys.argv[1]
onnx.checker.check_model(path, full_check=True)
onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
model = onnx.load(path)
inlined = onnx.inliner.inline_local_functions(model)
onnx.checker.check_model(inlined, full_check=True)
assert not inlined.functions, "functions are left"
for function in sorted(model.functions, key=lambda function: function.name):
    print(function.name)

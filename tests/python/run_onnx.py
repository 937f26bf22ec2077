"""Checks an ONNX file, loads it in onnxruntime and runs it once for each pair of files.

usage: run_onnx.py MODEL.onnx [INPUTS.safetensors OUTPUTS.safetensors]...
"""
import sys

import onnx
import onnxruntime
from safetensors.numpy import load_file, save_file

model, *files = sys.argv[1:]
onnx.checker.check_model(model, full_check=True)
options = onnxruntime.SessionOptions()
# Its threads wait actively, at the cost of tests that run beside it.
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
for inputs, outputs in zip(files[::2], files[1::2]):
    save_file(dict(zip(names, session.run(names, load_file(inputs)))), outputs)

"""Checks an ONNX file, loads it in onnxruntime and, if there are inputs, runs it.

usage: run_onnx.py MODEL.onnx [INPUTS.safetensors OUTPUTS.safetensors]
"""
import sys

import onnx
import onnxruntime
from safetensors.numpy import load_file, save_file

model, *files = sys.argv[1:]
onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
if files:
    inputs, outputs = files
    names = [output.name for output in session.get_outputs()]
    save_file(dict(zip(names, session.run(names, load_file(inputs)))), outputs)

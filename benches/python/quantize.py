"""Int8 quantization of the f32 files with the tools of other runtimes.

    python quantize.py ENCODER DECODER CLIP SIZE OUT

Writes files without local functions to OUT: `dynamic/` by onnxruntime's `quantize_dynamic`, and `qdq/`
by its `quantize_static`, with one scale for each output channel of the weights, calibrated on a few
frames of the clip (DICOM). OpenVINO reads the latter form.
"""

import os
import sys

import numpy as np
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from PIL import Image
from pydicom.pixels import pixel_array

from runtimes import a_box

FRAMES = 4
PARTS = ("encoder", "decoder")


class Inputs(CalibrationDataReader):
    def __init__(self, inputs):
        self.inputs = iter(inputs)

    def get_next(self):
        return next(self.inputs, None)


def images(clip, side):
    """Frames scaled to the side and to 0..1, padded at the bottom or right."""
    for index in range(FRAMES):
        image = Image.fromarray(pixel_array(clip, index=index * 7))
        scale = side / max(image.size)
        width, height = (round(scale * length) for length in image.size)
        values = np.asarray(image.convert("RGB").resize((width, height)), np.float32)
        values = (values - values.min()) / max(np.ptp(values), 1)
        padded = np.zeros((1, 3, side, side), np.float32)
        padded[0, :, :height, :width] = values.transpose(2, 0, 1)
        yield padded


def main():
    encoder, decoder, clip, side, out = sys.argv[1:]
    side = int(side)
    frames = [{"image": image} for image in images(clip, side)]
    session = onnxruntime.InferenceSession(encoder, providers=["CPUExecutionProvider"])
    embeddings = [{"embedding": session.run(None, f)[0]} | a_box(side) for f in frames]
    del session
    for part, source, inputs in zip(PARTS, (encoder, decoder), (frames, embeddings)):
        for form in ("dynamic", "qdq"):
            os.makedirs(f"{out}/{form}", exist_ok=True)
        quantize_dynamic(
            source, f"{out}/dynamic/{part}.onnx", per_channel=True, weight_type=QuantType.QInt8
        )
        quantize_static(
            source,
            f"{out}/qdq/{part}.onnx",
            Inputs(inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Conv"],
        )


if __name__ == "__main__":
    main()

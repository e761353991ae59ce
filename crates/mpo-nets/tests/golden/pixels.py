"""Output and gradient of a small convolutional network by JAX, in double precision, as pixels.json beside this file.

    python pixels.py        # JAX 0.10.2, CPU

Parameters and frames are the formulas below, which the test repeats; the gradient is that of sum(out * d_out).
"""
import json
import os
import pathlib

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

ROWS, STACK, HEIGHT, WIDTH = 2, 3, 47, 42
CHANNELS, UNITS, OUT = (3, 5, 4), 6, 3
KERNELS = ((8, 4), (4, 2), (3, 1))


def whole(count, seed):
    """`count` numbers from 0 to 1022 that look random and are the same in any language."""
    word = np.uint64(0xFFFF_FFFF)
    x = (np.arange(count, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(seed * 40503)) & word
    x = ((x ^ (x >> np.uint64(15))) * np.uint64(2246822519)) & word
    return ((x ^ (x >> np.uint64(13))) % np.uint64(1023)).astype(np.float64)


def parameters():
    tensors, inputs, sides = [], STACK, np.array([HEIGHT, WIDTH])
    for index, ((kernel, stride), outputs) in enumerate(zip(KERNELS, CHANNELS)):
        tensors += [(kernel, kernel, inputs, outputs), (outputs,)]
        inputs, sides = outputs, (sides - kernel) // stride + 1
    tensors += [(int(sides.prod()) * inputs, UNITS), (UNITS,), (OUT, UNITS), (OUT,)]
    return [
        (whole(int(np.prod(shape)), 3 + 2 * index) / 511.0 - 1.0).reshape(shape) * (0.3 if len(shape) > 1 else 0.1)
        for index, shape in enumerate(tensors)
    ]


def forward(tensors, frames):
    x = jnp.transpose(frames, (0, 2, 3, 1)) / 255.0
    for layer, (_, stride) in enumerate(KERNELS):
        weight, bias = tensors[2 * layer : 2 * layer + 2]
        x = jax.lax.conv_general_dilated(
            x, weight, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x + bias)
    x = jax.nn.relu(x.reshape(x.shape[0], -1) @ tensors[6] + tensors[7])
    return x @ tensors[8].T + tensors[9]


def main():
    tensors = parameters()
    frames = np.floor(whole(ROWS * STACK * HEIGHT * WIDTH, 11) / 4.0).reshape(ROWS, STACK, HEIGHT, WIDTH)
    d_out = (whole(ROWS * OUT, 17) / 511.0 - 1.0).reshape(ROWS, OUT)
    out = forward(tensors, frames)
    gradient = jax.grad(lambda tensors: (forward(tensors, frames) * d_out).sum())(tensors)
    found = {
        "jax": jax.__version__,
        "out": np.asarray(out).ravel().tolist(),
        "gradient": [float(f"{x:.9g}") for tensor in gradient for x in np.asarray(tensor).ravel()],
    }
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(found) + "\n")
    print(len(found["gradient"]), out)


main()

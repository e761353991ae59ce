"""The deep Q-network forward, or forward and back, in jitted JAX: an opponent of `cargo xtask bench conv`.

    python jax_convolution.py forward|training [threads]

A batch of 32 stacks of 84x84 bytes, here with the channels last, as JAX likes them best, and six outputs; the gradient is that
by all parameters. Answers each line on standard input with the rate of the next seconds on standard output, so that programs
can take turns.
"""
import json
import os
import sys
import time

mode, threads = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
if threads == 1:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

ROWS, OUTPUTS = 32, 6
KERNELS = ((8, 4, 4, 32), (4, 2, 32, 64), (3, 1, 64, 64))


def initial(rng):
    shapes = [(kernel, kernel, inputs, outputs) for kernel, _, inputs, outputs in KERNELS]
    shapes += [(3136, 512), (512, OUTPUTS)]
    return [
        {
            "w": jnp.asarray(rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1])), jnp.float32),
            "b": jnp.zeros(shape[-1]),
        }
        for shape in shapes
    ]


def network(layers, frames):
    x = frames.astype(jnp.float32) / 255.0
    for layer, (_, stride, _, _) in zip(layers, KERNELS):
        x = jax.lax.conv_general_dilated(
            x, layer["w"], (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x + layer["b"])
    x = x.reshape(ROWS, -1)
    x = jax.nn.relu(x @ layers[3]["w"] + layers[3]["b"])
    return x @ layers[4]["w"] + layers[4]["b"]


def main():
    rng = np.random.default_rng(0)
    layers = initial(rng)
    frames = jnp.asarray(rng.integers(0, 256, size=(ROWS, 84, 84, 4)), jnp.uint8)
    d_out = jnp.asarray(rng.normal(size=(ROWS, OUTPUTS)), jnp.float32)
    if mode == "training":
        run = jax.jit(jax.grad(lambda layers, frames: (network(layers, frames) * d_out).sum()))
    else:
        run = jax.jit(network)
    for _ in range(3):
        jax.block_until_ready(run(layers, frames))
    print(json.dumps({"ready": f"jax {jax.__version__}"}), flush=True)
    for line in sys.stdin:
        seconds, passes, start, cpu = float(line), 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - start < seconds:
            jax.block_until_ready(run(layers, frames))
            passes += 1
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(json.dumps({"per_second": passes / wall, "per_cpu_second": passes / cpu}), flush=True)


main()

"""The peers of `cargo xtask bench replay`: `replay_peer.py numpy|cpprb|flashbax|reverb windows|inserts`.

Transitions of 24 observations, 6 actions, reward, discount and log-probability, all f32; 10^6 of them stored (Reverb: 10^5, as
it takes 25 thousand inserts a second). `windows` samples batches of 256 windows of 8 transitions, hence 9 observations;
`inserts` inserts one transition at a time. Each peer does it the fastest way that its interface has:

numpy     all numbers of a step in one row of one array; windows by one `take` into a fixed output. Knows no episodes.
cpprb     windows: sequences that were cut when they were stored, without overlap, so that a draw copies one row of each array;
          inserts: `add` of one transition.
flashbax  the trajectory buffer, jitted, with the state donated; sequences of 9 steps.
reverb    windows: a trajectory dataset from a server in this process; inserts: one step appended, one item of 9 steps created.

Answers each line on standard input with the rate of the next seconds on standard output, so that programs can take turns.
"""
import json
import os
import sys
import time

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np  # noqa: E402

OBSERVATION, ACTION = 24, 6
STEPS, WINDOWS = 8, 256
CAPACITY = 1_000_000
ROW = OBSERVATION + ACTION + 3
rng = np.random.default_rng(1)


def step_of(shape=()):
    """Arrays of one transition, each with `shape` in front."""
    return {
        "obs": rng.random((*shape, OBSERVATION), np.float32),
        "act": rng.random((*shape, ACTION), np.float32),
        "reward": rng.random(shape, np.float32),
        "discount": rng.random(shape, np.float32),
        "log_prob": rng.random(shape, np.float32),
    }


def numpy_ring(work):
    rows = np.zeros((CAPACITY, ROW), np.float32)
    rows[:] = rng.random(ROW, np.float32)
    if work == "inserts":
        inputs, place = rng.random((64, ROW), np.float32), 0

        def insert():
            nonlocal place
            for row in inputs:
                rows[place] = row
                place = place + 1 if place + 1 < CAPACITY else 0
            return len(inputs)

        return insert, f"numpy {np.__version__}"
    out = np.empty((WINDOWS, STEPS + 1, ROW), np.float32)
    ahead = np.arange(STEPS + 1)

    def sample():
        starts = rng.integers(0, CAPACITY - STEPS, WINDOWS)
        # Without `clip` NumPy would copy into an array of its own first.
        np.take(rows, starts[:, None] + ahead, axis=0, out=out, mode="clip")
        return WINDOWS

    return sample, f"numpy {np.__version__}"


def cpprb_buffer(work):
    import importlib.metadata

    import cpprb

    name = f"cpprb {importlib.metadata.version('cpprb')}"
    if work == "inserts":
        step = step_of()
        shapes = {key: {"shape": value.shape or 1} for key, value in step.items()}
        buffer = cpprb.ReplayBuffer(CAPACITY, shapes)

        def insert():
            for _ in range(64):
                buffer.add(**step)
            return 64

        return insert, name
    lengths = {"obs": STEPS + 1, "act": STEPS, "reward": STEPS, "discount": STEPS, "log_prob": STEPS}
    count = CAPACITY // STEPS
    block = 1000
    shapes = {key: {"shape": (length, *value.shape)} for (key, value), length in zip(step_of().items(), lengths.values())}
    buffer = cpprb.ReplayBuffer(count, shapes)
    sequences = {key: rng.random((block, *shape["shape"]), np.float32) for key, shape in shapes.items()}
    for _ in range(count // block):
        buffer.add(**sequences)

    def sample():
        buffer.sample(WINDOWS)
        return WINDOWS

    return sample, name


def flashbax_buffer(work):
    import importlib.metadata

    import flashbax
    import jax

    buffer = flashbax.make_trajectory_buffer(
        add_batch_size=1,
        sample_batch_size=WINDOWS,
        sample_sequence_length=STEPS + 1,
        period=1,
        min_length_time_axis=STEPS + 1,
        max_length_time_axis=CAPACITY,
    )
    state = buffer.init(jax.tree.map(lambda x: jax.numpy.asarray(x), step_of()))
    add = jax.jit(buffer.add, donate_argnums=0)
    for _ in range(CAPACITY // 100_000):
        state = add(state, step_of((1, 100_000)))
    one = jax.tree.map(jax.numpy.asarray, step_of((1, 1)))
    name = f"flashbax {importlib.metadata.version('flashbax')} (jax {jax.__version__})"
    key = jax.random.key(0)
    draw = jax.jit(lambda state, key: buffer.sample(state, key))
    split = jax.jit(lambda key: jax.random.split(key))

    def sample():
        nonlocal key
        key, mine = split(key)
        jax.block_until_ready(draw(state, mine))
        return WINDOWS

    def insert():
        nonlocal state
        for _ in range(16):
            state = add(state, one)
        jax.block_until_ready(state)
        return 16

    return (insert if work == "inserts" else sample), name


def reverb_server(work):
    import importlib.metadata

    import reverb
    import tensorflow as tf

    capacity = CAPACITY // 10
    signature = {key: tf.TensorSpec((STEPS + 1, *value.shape), tf.float32) for key, value in step_of().items()}
    server = reverb.Server(
        tables=[
            reverb.Table(
                "windows",
                sampler=reverb.selectors.Uniform(),
                remover=reverb.selectors.Fifo(),
                max_size=capacity,
                rate_limiter=reverb.rate_limiters.MinSize(1),
                signature=signature,
            )
        ]
    )
    client = reverb.Client(f"localhost:{server.port}")
    writer = client.trajectory_writer(num_keep_alive_refs=STEPS + 1)
    step = step_of()

    def append(count):
        for _ in range(count):
            writer.append(step)
            if writer.episode_steps > STEPS:
                writer.create_item(
                    "windows", 1.0, tf.nest.map_structure(lambda column: column[-STEPS - 1 :], writer.history)
                )
            if writer.episode_steps % 250 == 0:
                writer.flush(block_until_num_items=20)
            if writer.episode_steps == 1000:
                writer.end_episode()
        return count

    keep = (server, client)
    if work == "inserts":
        append(5_000)
        return lambda: append(256), f"dm-reverb {importlib.metadata.version('dm-reverb')}", keep
    append(capacity)
    writer.flush()
    dataset = reverb.TrajectoryDataset.from_table_signature(
        client.server_address, "windows", max_in_flight_samples_per_worker=2 * WINDOWS
    )
    batches = iter(dataset.batch(WINDOWS).prefetch(2))

    def sample():
        next(batches)
        return WINDOWS

    return sample, f"dm-reverb {importlib.metadata.version('dm-reverb')}", keep


def main():
    peers = {"numpy": numpy_ring, "cpprb": cpprb_buffer, "flashbax": flashbax_buffer, "reverb": reverb_server}
    work, name, *keep = peers[sys.argv[1]](sys.argv[2])
    work()
    print(json.dumps({"ready": name}), flush=True)
    for line in sys.stdin:
        seconds = float(line)
        start, cpu, done = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - start < seconds:
            done += work()
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(json.dumps({"per_second": done / wall, "per_cpu_second": done / max(cpu, 1e-9)}), flush=True)
    del keep


main()

"""Atari frames of ALE's own vector environment or of EnvPool: the opponents of `cargo xtask bench atari`.

    atari_frames.py ale GAME ENVIRONMENTS
    atari_frames.py envpool GAME ENVIRONMENTS

On one thread, with all of DQN's preprocessing: four frames a step, the maximum of the last two, grey, 84 x 84 over areas, stacks
of four, up to 30 no-ops at the start. Random actions made beforehand, resets included. Answers each line on standard input with
the rate of emulated frames in the next seconds on standard output, so that programs can take turns.
"""

import json
import sys
import time

import numpy as np

ROWS = 997
SKIP = 4


def ale(game, count):
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    environments = ale_py.AtariVectorEnv(
        game, count, num_threads=1, use_fire_reset=False, reward_clipping=False, noop_max=30, frameskip=SKIP
    )
    actions = environments.single_action_space.n
    environments.reset(seed=0)
    return f"ale_py {ale_py.__version__} vector, {count} environments", environments.step, actions


def envpool(game, count):
    import envpool

    name = "".join(word.capitalize() for word in game.split("_")) + "-v5"
    environments = envpool.make_gymnasium(
        name, num_envs=count, num_threads=1, seed=0, use_fire_reset=False, reward_clip=False, noop_max=30, frame_skip=SKIP
    )
    actions = environments.action_space.n
    environments.reset()
    return f"EnvPool {envpool.__version__}, {count} environments", environments.step, actions


def main():
    peer, game, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    name, step, number = (ale if peer == "ale" else envpool)(game, count)
    actions = np.random.RandomState(1).randint(0, number, (ROWS, count))
    row = 0
    for row in range(20):
        step(actions[row])
    print(json.dumps({"ready": name}), flush=True)
    for line in sys.stdin:
        seconds, frames, start, cpu = float(line), 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - start < seconds:
            for _ in range(20):
                step(actions[row])
                row = (row + 1) % ROWS
            frames += 20 * count * SKIP
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(json.dumps({"per_second": frames / wall, "per_cpu_second": frames / cpu}), flush=True)


main()

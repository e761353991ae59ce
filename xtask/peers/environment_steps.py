"""Steps of dm_control or EnvPool: the opponents of `cargo xtask bench envs`.

    environment_steps.py dm_control TASK
    environment_steps.py envpool TASK ENVIRONMENTS    (on one thread)

Random actions made beforehand, resets included, observations left as they come. Answers each line on standard input with
the rate of the next seconds on standard output, so that programs can take turns.
"""

import json
import os
import sys
import time

os.environ.setdefault("MUJOCO_GL", "disable")

import numpy as np  # noqa: E402

ROWS = 997


def dm_control(task):
    from dm_control import suite

    domain, name = task.split("-")
    environment = suite.load(domain, name, task_kwargs={"random": 0})
    spec = environment.action_spec()
    actions = np.random.RandomState(1).uniform(spec.minimum, spec.maximum, (ROWS, *spec.shape))
    environment.reset()
    # A step after the last of an episode resets.
    return "dm_control 1.0.50", environment.step, actions, 1


def envpool(task, count):
    import envpool

    name = "".join(word.capitalize() for word in task.replace("-", "_").split("_")) + "-v1"
    environments = envpool.make_dm(name, num_envs=count, num_threads=1, seed=0)
    spec = environments.action_spec()
    actions = np.random.RandomState(1).uniform(-1.0, 1.0, (ROWS, count, *spec.shape))
    environments.reset()
    # Environments whose episode has ended are reset by themselves.
    return f"EnvPool {envpool.__version__}, {count} environments", environments.step, actions, count


def main():
    peer, task = sys.argv[1:3]
    if peer == "dm_control":
        name, step, actions, count = dm_control(task)
    else:
        name, step, actions, count = envpool(task, int(sys.argv[3]))
    row = 0
    for row in range(100):
        step(actions[row])
    print(json.dumps({"ready": name}), flush=True)
    for line in sys.stdin:
        seconds, steps, start, cpu = float(line), 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - start < seconds:
            for _ in range(10):
                step(actions[row])
                row = (row + 1) % ROWS
            steps += 10 * count
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(json.dumps({"per_second": steps / wall, "per_cpu_second": steps / cpu}), flush=True)


main()

#!/usr/bin/env python3
"""Records trajectories of dm_control, against which `tests/alignment.rs` holds this crate's environments.

Needs `dm-control==1.0.50` with `mujoco==3.17.0`:

    python record.py                          # the committed files beside this script
    python record.py --out DIR --every 1 --seeds 0 1 2 -- cheetah-run   # every step, to be replayed by
    MPO_ALIGNMENT=DIR cargo test -p mpo-envs --test alignment -- --nocapture

`cargo xtask align control-suite` does both, for every task.

Actions come from SplitMix64 (Steele, Lea and Flood 2014) seeded with the file's `action_seed`: the top 53 bits of each
number, scaled to the bounds of the action's components in turn. Numbers are stored as the hexadecimal of their 64 bits,
16 digits each.
"""

import argparse
import json
import pathlib
import struct

import numpy as np
from dm_control import suite

# Seeds under which random actions earn something, or start states differ in kind; 0 for all other tasks.
SEEDS = {
    "acrobot-swingup_sparse": 63,
    "cartpole-swingup_sparse": 28,
    "finger-spin": 141,
    "finger-turn_easy": 6,
    "finger-turn_hard": 54,
    "manipulator-bring_ball": 54,
    "pendulum-swingup": 14,
    "reacher-easy": 2,
    "reacher-hard": 2,
}

MASK = (1 << 64) - 1


class SplitMix64:
    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ((z ^ (z >> 31)) >> 11) / (1 << 53)


def bits(values):
    return "".join(struct.pack(">d", value).hex() for value in values)


def flatten(observation):
    return np.concatenate([np.ravel(part) for part in observation.values()])


def record(domain, task, seed, count_of_episodes, reward_every, observation_every):
    environment = suite.load(domain, task, task_kwargs={"random": seed})
    spec = environment.action_spec()
    action_seed = 1000 + seed
    generator = SplitMix64(action_seed)
    episodes = []
    for _ in range(count_of_episodes):
        step = environment.reset()
        parts = [[name, int(np.size(part))] for name, part in step.observation.items()]
        total, count, rewards, observations = 0.0, 0, [], [flatten(step.observation)]
        while not step.last():
            action = [low + (high - low) * generator.uniform() for low, high in zip(spec.minimum, spec.maximum)]
            step = environment.step(action)
            count += 1
            total += step.reward
            if count % reward_every == 0:
                rewards.append(step.reward)
            if count % observation_every == 0:
                observations.append(flatten(step.observation))
        episodes.append({
            "steps": count,
            "discount": step.discount,
            "return": bits([total]),
            "rewards": bits(rewards),
            "observations": bits(np.concatenate(observations)),
        })
    return {
        "task": f"{domain}-{task}",
        "seed": seed,
        "action_seed": action_seed,
        "reward_every": reward_every,
        "observation_every": observation_every,
        "control_timestep": bits([environment.control_timestep()]),
        "action_minimum": bits(spec.minimum),
        "action_maximum": bits(spec.maximum),
        "parts": parts,
        "episodes": episodes,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("--every", type=int, help="store every n-th reward and observation (default: 5 and 100)")
    parser.add_argument("--episodes", type=int, default=2, help="episodes per file (default: 2)")
    parser.add_argument("--seeds", type=int, nargs="+", help="one file per task and seed")
    parser.add_argument("tasks", nargs="*", help="domain-task (default: all 28 benchmarking tasks)")
    options = parser.parse_args()
    tasks = [name.split("-") for name in options.tasks] or suite.BENCHMARKING
    options.out.mkdir(parents=True, exist_ok=True)
    for domain, task in tasks:
        for seed in options.seeds or [SEEDS.get(f"{domain}-{task}", 0)]:
            trajectory = record(domain, task, seed, options.episodes, options.every or 5, options.every or 100)
            suffix = f".{seed}" if options.seeds else ""
            path = options.out / f"{domain}-{task}{suffix}.json"
            path.write_text(json.dumps(trajectory, indent=1) + "\n")
            print(path, flush=True)


if __name__ == "__main__":
    main()

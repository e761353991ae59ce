#!/usr/bin/env python3
"""Records games played by ale_py, against which `tests/atari.rs` holds this crate's Atari environments.

Needs `ale-py==0.12.1` and `pillow`:

    python record.py                             # the committed files beside this script
    python record.py --out DIR --every 1 --game pong --seed 3

`cargo xtask align atari` does the second and compares. Every game is played twice for 2000 steps of four frames, by random
actions: once through `ALEInterface`, once through ALE's own vector environment. Of everything that is seen, a CRC-32 is kept
that runs from the first step on, at every `--every` steps:

    rewards   sum of each step's four rewards, 4 bytes little-endian
    lives     1 byte a step
    over      1 byte a step
    screens   each step's last screen as palette values
    memory    the console's 128 bytes
    frames    84 x 84 bytes as DQN Zoo makes them of the step's last two screens: the colours' maximum, luma, Pillow's filter
    vector_rewards, vector_lives
    stacks    the vector environment's 4 x 84 x 84 bytes, resized over areas; but for steps that end a game

A step after the end of a game starts the next one and plays nothing: reward 0, and its first screen. At such a step the frame
is made of that screen alone; at a step that ends a game, of the last screen alone unless all four frames were played.

Action i is `floor(u n)`, with u from SplitMix64 (Steele, Lea and Flood 2014) seeded with the seed.
"""

import argparse
import json
import pathlib
import zlib

import ale_py
import numpy as np
from PIL import Image

GAMES = ["pong", "breakout", "qbert", "tennis", "boxing"]
STEPS = 2000
MASK = (1 << 64) - 1


def actions(seed, count):
    state, out = seed, []
    for _ in range(STEPS):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        out.append(int(((z ^ (z >> 31)) >> 11) / (1 << 53) * count))
    return out


class Digests:
    """Running checksums, kept at every so many steps."""

    def __init__(self, names, every):
        self.every, self.steps = every, 0
        self.running = dict.fromkeys(names, 0)
        self.kept = {name: [] for name in names}

    def add(self, **seen):
        for name, data in seen.items():
            self.running[name] = zlib.crc32(data, self.running[name])
        self.steps += 1
        if self.steps % self.every == 0:
            for name, value in self.running.items():
                self.kept[name].append(value)


def luma(screens):
    # As numpy.tensordot of all three weights, but in an order that does not depend on the machine.
    red, green, blue = np.moveaxis(screens.max(axis=0).astype(np.float64), -1, 0)
    return (0.299 * red + 0.587 * green + (1 - (0.299 + 0.587)) * blue).astype(np.uint8)


def frame(screens):
    # Rows first, as Pillow always did at DQN Zoo's time: today it begins with the columns of a tall picture.
    image = Image.fromarray(luma(np.stack(screens)))
    rows = image.resize((84, image.height), Image.BILINEAR)
    return np.asarray(rows.resize((84, 84), Image.BILINEAR)).tobytes()


def by_interface(game, seed, sticky, every):
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setFloat("repeat_action_probability", sticky)
    ale.loadROM(ale_py.roms.get_rom_path(game))
    available = ale.getMinimalActionSet()
    digests = Digests(["rewards", "lives", "over", "screens", "memory", "frames"], every)
    total, ended, over = 0, 0, True
    for action in [None, *actions(seed, len(available))]:
        reward, screens = 0, []
        if over:
            ale.reset_game()
            screens = [ale.getScreenRGB()]
        else:
            for played in range(1, 5):
                reward += ale.act(available[action])
                if played == 3 and not ale.game_over():
                    screens.append(ale.getScreenRGB())
                if ale.game_over():
                    break
            screens.append(ale.getScreenRGB())
        over = ale.game_over()
        total, ended = total + reward, ended + over
        if action is None:
            continue
        digests.add(
            rewards=int(reward).to_bytes(4, "little", signed=True),
            lives=bytes([ale.lives()]),
            over=bytes([over]),
            screens=ale.getScreen().tobytes(),
            memory=ale.getRAM().tobytes(),
            frames=frame(screens),
        )
    return {"reward": int(total), "games": int(ended)}, digests.kept


def by_vector(game, seed, sticky, every):
    environment = ale_py.AtariVectorEnv(
        game,
        1,
        num_threads=1,
        repeat_action_probability=sticky,
        noop_max=1,
        use_fire_reset=False,
        reward_clipping=False,
    )
    count = environment.single_action_space.n
    environment.reset(seed=seed)
    digests = Digests(["vector_rewards", "vector_lives", "stacks"], every)
    for action in actions(seed, count):
        stacks, rewards, terminations, truncations, info = environment.step(np.array([action]))
        assert not truncations[0]
        digests.add(
            vector_rewards=int(rewards[0]).to_bytes(4, "little", signed=True),
            vector_lives=bytes([info["lives"][0]]),
            stacks=b"" if terminations[0] else stacks.tobytes(),
        )
    return digests.kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("--every", type=int, default=200)
    parser.add_argument("--game", nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sticky", type=float, nargs="*", default=[0.0, 0.25])
    options = parser.parse_args()
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    for game in options.game or GAMES:
        for sticky in options.sticky:
            totals, digests = by_interface(game, options.seed, sticky, options.every)
            digests |= by_vector(game, options.seed, sticky, options.every)
            record = {
                "ale": ale_py.__version__,
                "game": game,
                "seed": options.seed,
                "sticky": sticky,
                "steps": STEPS,
                "every": options.every,
                "totals": totals,
                "digests": digests,
            }
            file = options.out / f"{game}-{sticky:.2f}.json"
            lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in record.items() if key != "digests"]
            kept = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in digests.items())
            file.write_text("{\n" + ",\n".join(lines) + ',\n"digests": {\n' + kept + "\n}\n}\n")
            print(file, flush=True)


main()

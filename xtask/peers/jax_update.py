"""One MPO update in jitted JAX: the opponent of `cargo xtask bench learner`.

Does the work of one update of `mpo-nets` on the same shapes and nothing else: 32 windows of 8 transitions, M = 20 actions
for each of the 288 states from the target policy, the target critic on all of them with its first layer split so that the
state's part is computed once, Retrace, the critic's regression, the E-step's weights and dual, the M-step with its decoupled
bounds on a diagonal Gaussian, Adam on both networks and the dual variables, and the target copy every 100 updates. With a third
argument `bf16`, the target critic's second layer multiplies numbers rounded to bfloat16 and sums in single precision.

Answers each line on standard input with the rate of the next seconds on standard output, so that two programs can take turns.
"""
import json
import os
import sys
import time

setting, threads, half = sys.argv[1], int(sys.argv[2]), sys.argv[3:] == ["bf16"]
if threads == 1:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

SHAPES = {
    "walker": (24, 6, (100, 100), (200, 200)),
    "humanoid": (67, 21, (200, 200), (300, 300)),
}
N_OBS, N_ACT, POLICY, CRITIC = SHAPES[setting]
WINDOWS, STEPS, SAMPLES, GAMMA = 32, 8, 20, 0.99
EPSILON, EPSILON_MEAN, EPSILON_COVARIANCE = 0.1, 0.1, 1e-4
LOG_2PI = float(np.log(2 * np.pi))


def initial(rng, widths):
    return [
        {"w": jnp.asarray(rng.normal(size=(m, n)) / np.sqrt(m), jnp.float32), "b": jnp.zeros(n)}
        for m, n in zip(widths, widths[1:])
    ]


def after_first(layers, x):
    for layer in layers:
        x = jax.nn.elu(x) @ layer["w"] + layer["b"]
    return x


def head(layers, obs):
    raw = after_first(layers[1:], obs @ layers[0]["w"] + layers[0]["b"])
    mean, scale = jnp.split(raw, 2, axis=-1)
    return mean, jax.nn.softplus(scale) + 1e-4


def value(layers, obs, act, half=False):
    """`obs` [S, N_OBS]; `act` [..., S, N_ACT]."""
    first, second = layers[:2]
    x = obs @ first["w"][:N_OBS] + first["b"] + act @ first["w"][N_OBS:]
    if not half:
        return after_first(layers[1:], x)[..., 0]
    x, w = jax.nn.elu(x).astype(jnp.bfloat16), second["w"].astype(jnp.bfloat16)
    x = jnp.matmul(x, w, preferred_element_type=jnp.float32) + second["b"]
    return after_first(layers[2:], x)[..., 0]


def log_density(act, mean, scale):
    z = (act - mean) / scale
    return -0.5 * (z * z + LOG_2PI).sum(-1) - jnp.log(scale).sum(-1)


def retrace(q, v_next, reward, discount, coefficient):
    """All [WINDOWS, STEPS]; the recursion of paper eq. 13, from the last step back."""

    def step(carry, x):
        delta, into_previous = x
        correction = delta + carry
        return into_previous * correction, correction

    delta = reward + discount * v_next - q
    # What flows from step t + 1 into step t is multiplied by gamma d_t c_{t+1}.
    shifted = jnp.concatenate([jnp.zeros_like(coefficient[:, :1]), discount[:, :-1] * coefficient[:, 1:]], axis=1)
    _, corrections = jax.lax.scan(step, jnp.zeros(WINDOWS), (delta.T, shifted.T), reverse=True)
    return q + corrections.T


networks_optimiser = optax.adam(5e-4)
dual_optimiser = optax.adam(1e-2)


@jax.jit
def update(state, batch):
    key, sample_key = jax.random.split(state["key"])
    target = state["target"]
    flat = batch["obs"].reshape(-1, N_OBS)
    mean_all, scale_all = head(target["policy"], flat)
    sampled = mean_all + scale_all * jax.random.normal(sample_key, (SAMPLES, *mean_all.shape))
    q_all = value(target["critic"], flat, sampled, half)
    v = q_all.mean(0).reshape(WINDOWS, STEPS + 1)

    def firsts(x):
        x = x.reshape(*x.shape[:-2], WINDOWS, STEPS + 1, x.shape[-1])[..., :-1, :]
        return x.reshape(*x.shape[:-3], WINDOWS * STEPS, x.shape[-1])

    obs, mean, scale, actions = firsts(flat), firsts(mean_all), firsts(scale_all), firsts(sampled)
    q = firsts(q_all[..., None])[..., 0]
    taken = batch["act"].reshape(-1, N_ACT)
    q_taken = value(target["critic"], obs, taken, half).reshape(WINDOWS, STEPS)
    log_rho = log_density(taken, mean, scale).reshape(WINDOWS, STEPS) - batch["log_prob"]
    goals = retrace(q_taken, v[:, 1:], batch["reward"], GAMMA * batch["discount"], jnp.minimum(1.0, jnp.exp(log_rho)))

    def loss(networks, raw_duals):
        eta, alpha_mean, alpha_covariance = jax.nn.softplus(raw_duals) + 1e-8
        regression = jnp.square(value(networks["critic"], obs, taken) - goals.reshape(-1)).mean()
        dual = eta * EPSILON + eta * (jax.nn.logsumexp(q / eta, axis=0) - np.log(SAMPLES)).mean()
        weights = jax.lax.stop_gradient(jax.nn.softmax(q / eta, axis=0))
        new_mean, new_scale = head(networks["policy"], obs)
        fit = log_density(actions, new_mean, scale) + log_density(actions, mean, new_scale)
        kl_mean = (0.5 * jnp.square((new_mean - mean) / scale)).sum(-1).mean()
        ratio = scale / new_scale
        kl_covariance = (0.5 * (ratio * ratio - 1.0) - jnp.log(ratio)).sum(-1).mean()
        fixed = jax.lax.stop_gradient
        policy = -(weights * fit).sum(0).mean() + fixed(alpha_mean) * kl_mean + fixed(alpha_covariance) * kl_covariance
        multipliers = alpha_mean * (EPSILON_MEAN - fixed(kl_mean))
        multipliers += alpha_covariance * (EPSILON_COVARIANCE - fixed(kl_covariance))
        return regression + dual + policy + multipliers

    d_networks, d_duals = jax.grad(loss, argnums=(0, 1))(state["networks"], state["duals"])
    step, networks_state = networks_optimiser.update(d_networks, state["networks_state"])
    dual_step, dual_state = dual_optimiser.update(d_duals, state["dual_state"])
    networks = optax.apply_updates(state["networks"], step)
    count = state["count"] + 1
    return {
        "key": key,
        "count": count,
        "networks": networks,
        "networks_state": networks_state,
        "duals": optax.apply_updates(state["duals"], dual_step),
        "dual_state": dual_state,
        "target": optax.periodic_update(networks, target, count, 100),
    }


def main():
    rng = np.random.default_rng(0)
    networks = {
        "policy": initial(rng, (N_OBS, *POLICY, 2 * N_ACT)),
        "critic": initial(rng, (N_OBS + N_ACT, *CRITIC, 1)),
    }
    duals = jnp.array([1.0, 1.0, 10.0])
    state = {
        "key": jax.random.PRNGKey(0),
        "count": jnp.int32(0),
        "networks": networks,
        "networks_state": networks_optimiser.init(networks),
        "duals": duals,
        "dual_state": dual_optimiser.init(duals),
        "target": jax.tree.map(jnp.copy, networks),
    }

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    batch = {
        "obs": normal(WINDOWS, STEPS + 1, N_OBS),
        "act": normal(WINDOWS, STEPS, N_ACT),
        "reward": normal(WINDOWS, STEPS),
        "discount": jnp.ones((WINDOWS, STEPS)),
        "log_prob": normal(WINDOWS, STEPS) - 5.0,
    }
    for _ in range(5):
        state = jax.block_until_ready(update(state, batch))
    print(json.dumps({"ready": f"jax {jax.__version__}" + ", bf16" * half}), flush=True)
    for line in sys.stdin:
        seconds, updates, start, cpu = float(line), 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - start < seconds:
            state = jax.block_until_ready(update(state, batch))
            updates += 1
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        finite = all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(state["networks"]))
        assert finite, "the parameters are no longer finite"
        print(json.dumps({"updates_per_second": updates / wall, "updates_per_cpu_second": updates / cpu}), flush=True)


main()

// The target policy in all states: its head, M sampled actions of each state, and the log-ratios of the taken actions.
// A warp for each state. The oracles are Network::forward_fixed, GaussianHead::forward, Noise::fill and Gaussian::sample,
// Gaussian::log_prob.

// A policy's raw row of one state, from `x` [widest] in shared memory, which holds the observation and is overwritten.
__device__ inline void policy_row(const float* w, float* x, float* raw) {
    float first[1][COLUMNS(POLICY_1)];
    spread<1, POLICY_1>(first, w + POLICY_BIAS);
    add_product<1, MAIN, POLICY_1>(first, x, w);
    torso<1, POLICY_1, false>(first, w + POLICY_SCALE, w + POLICY_SHIFT, 0, 0);
#if PART
    float beside[1][COLUMNS(POLICY_1)];
    spread<1, POLICY_1>(beside, w + POLICY_BRANCH_BIAS);
    add_product<1, PART, POLICY_1>(beside, x + MAIN, w + POLICY_BRANCH);
    torso<1, POLICY_1, false>(beside, w + POLICY_BRANCH_SCALE, w + POLICY_BRANCH_SHIFT, 0, 0);
#endif
    share<1, POLICY_1>(first, x);
    float second[1][COLUMNS(POLICY_2)];
    spread<1, POLICY_2>(second, w + POLICY_SECOND_BIAS);
    add_product<1, POLICY_1, POLICY_2>(second, x, w + POLICY_SECOND);
#if PART
    share<1, POLICY_1>(beside, x);
    add_product<1, POLICY_1, POLICY_2>(second, x, w + POLICY_BRANCH_SECOND);
#endif
    elu_rows<1, POLICY_2>(second);
    share<1, POLICY_2>(second, x);
    float out[1][COLUMNS(RAW)];
    spread<1, RAW>(out, w + POLICY_HEAD_BIAS);
    add_product<1, POLICY_2, RAW>(out, x, w + POLICY_HEAD);
    share<1, RAW>(out, raw);
}

extern "C" __global__ void act(const unsigned* control, const unsigned* head_words, const float* states,
                               const float* taken, const float* log_probs, const float* target, float* mean,
                               float* factor, float* actions, float* log_rho, unsigned stride,
                               unsigned batch_stride, unsigned slot) {
    SHARED_FLOATS(shared);
    RUN(control);
    BATCH(head_words);
    unsigned transitions = head_words[TRANSITIONS], count = transitions + head_words[WINDOWS];
    if (blockIdx.x * WARPS >= count) return;
    BATCH(states);
    BATCH(taken);
    BATCH(log_probs);
    RUN(target);
    RUN(mean);
    RUN(factor);
    RUN(actions);
    RUN(log_rho);
    unsigned row = blockIdx.x * WARPS + WARP_INDEX;
    bool inside = row < count;
    row = inside ? row : count - 1;
    float* x = shared + WARP_INDEX * ACT_SHARED;
    float *raw = x + POLICY_WIDEST, *mu = raw + RAW, *deviations = mu + ACTIONS, *z = raw + 2 * RAW;
    for (int i = LANE; i < OBSERVATION; i += WARP) x[i] = states[row * OBSERVATION + i];
    __syncwarp();
    policy_row(target, x, raw);
    head(raw, mu, deviations);
    if (inside) {
        for (int i = LANE; i < ACTIONS; i += WARP) mean[row * ACTIONS + i] = mu[i];
        for (int i = LANE; i < FACTOR; i += WARP) factor[row * FACTOR + i] = deviations[i];
    }

    unsigned first = row * SAMPLES * ACTIONS;
    for (int i = LANE; i < SAMPLES * ACTIONS; i += WARP) z[i] = normal_number(control, first + i);
    __syncwarp();
    for (int i = LANE; i < SAMPLES * ACTIONS; i += WARP) {
        int d = i % ACTIONS;
#if FULL_COVARIANCE
        float step = 0.0f;
        for (int k = 0; k <= d; k++) step += deviations[AT(d, k)] * z[i - d + k];
#else
        float step = deviations[d] * z[i];
#endif
        if (inside) actions[first + i] = mu[d] + step;
    }

    // The taken action's log-ratio; states that end a window have none.
    unsigned t = row < transitions ? row : transitions - 1;
    for (int i = LANE; i < ACTIONS; i += WARP) x[i] = taken[t * ACTIONS + i] - mu[i];
    solve(deviations, x);
    float square = 0.0f;
    for (int i = LANE; i < ACTIONS; i += WARP) square += x[i] * x[i];
    float log_prob = -0.5f * warp_sum(square) - log_normaliser(deviations);
    if (inside && row < transitions && LANE == 0) log_rho[row] = log_prob - log_probs[row];
}

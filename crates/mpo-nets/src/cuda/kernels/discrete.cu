// Policies over discrete actions: the critic's targets, the E-step that keeps the prior in, and the M-step. Sums over the actions are
// exact. The oracles are mpo_core::Categorical, categorical_e_step, categorical_m_step and retrace_windows.

__device__ inline float largest(const float* x) {
    float max = x[0];
    for (int a = 1; a < ACTIONS; a++) max = x[a] > max || x[a] != x[a] ? x[a] : max;
    return max;
}

__device__ inline float log_sum_exp(const float* logits) {
    float max = largest(logits), total = 0.0f;
    for (int a = 0; a < ACTIONS; a++) total += expf(logits[a] - max);
    return max + logf(total);
}

// One block. `v` [S], `picked` [T] the online values of the taken actions, `d_q` [T, ACTIONS].
extern "C" __global__ void retrace_discrete(const unsigned* control, const unsigned* head_words, const unsigned* starts,
                                            const unsigned* taken, const float* rewards, const float* discounts,
                                            const float* log_probs, const float* logits, const float* q,
                                            const float* q_online, float* v, float* targets, float* picked, float* d_q,
                                            unsigned stride, unsigned batch_stride, unsigned slot) {
    RUN(control);
    BATCH(head_words);
    unsigned transitions = head_words[TRANSITIONS], windows = head_words[WINDOWS];
    if (transitions == 0) return;
    BATCH(starts);
    BATCH(taken);
    BATCH(rewards);
    BATCH(discounts);
    BATCH(log_probs);
    RUN(logits);
    RUN(q);
    RUN(q_online);
    RUN(v);
    RUN(targets);
    RUN(picked);
    RUN(d_q);
    for (unsigned state = threadIdx.x; state < transitions + windows; state += blockDim.x) {
        const float *row = logits + state * ACTIONS, *values = q + state * ACTIONS;
        float log_z = log_sum_exp(row), sum = 0.0f;
        for (int a = 0; a < ACTIONS; a++) sum += expf(row[a] - log_z) * values[a];
        v[state] = sum;
    }
    __syncthreads();
    for (unsigned w = threadIdx.x; w < windows; w += blockDim.x) {
        auto place = [&](unsigned t) { return t * ACTIONS + taken[t]; };
        retrace_window(
            starts[w], starts[w + 1], transitions + w, DISCOUNT, RETRACE_LAMBDA, rewards, discounts, v,
            [&](unsigned t) { return logits[place(t)] - log_sum_exp(logits + t * ACTIONS) - log_probs[t]; },
            [&](unsigned t) { return q[place(t)]; },
            [&](unsigned t, float target) {
                targets[t] = target;
                picked[t] = q_online[place(t)];
                for (int a = 0; a < ACTIONS; a++) d_q[t * ACTIONS + a] = 0.0f;
                d_q[place(t)] = 2.0f * (q_online[place(t)] - target) / (float)transitions;
            });
    }
}

// p (e^x - 1 - x), without the loss of figures where x is small.
__device__ inline float divergence(float p, float log_new, float x) {
    if (fabsf(x) < 0.1f) {
        float series = 1.0f;
        for (int k = 10; k >= 3; k--) series = 1.0f + x * series / (float)k;
        return p * (0.5f * x * x * series);
    }
    return p == 0.0f ? expf(log_new) : expf(log_new) - p - p * x;
}

// A thread for each state with a transition. `terms` [5, capacity]: KL(q || prior), policy loss, KL(pi' || pi), nothing, entropy.
extern "C" __global__ void improve_discrete(const unsigned* control, const unsigned* head_words, const float* duals,
                                            const float* logits_target, const float* q, const float* logits,
                                            float* d_logits, float* terms, unsigned capacity, unsigned stride,
                                            unsigned batch_stride, unsigned slot) {
    RUN(control);
    BATCH(head_words);
    unsigned count = head_words[TRANSITIONS], t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= count) return;
    RUN(duals);
    RUN(logits_target);
    RUN(q);
    RUN(logits);
    RUN(d_logits);
    RUN(terms);
    const float *old = logits_target + t * ACTIONS, *online = logits + t * ACTIONS, *values = q + t * ACTIONS;
    float eta = dual_value(duals[0]), alpha = dual_value(duals[1]);
    float log_z_old = log_sum_exp(old), log_z = log_sum_exp(online), max_q = largest(values);
    float w[ACTIONS];
    for (int a = 0; a < ACTIONS; a++) w[a] = old[a] - log_z_old + (values[a] - max_q) / eta;
    float peak = largest(w), total = 0.0f, mean = 0.0f;
    for (int a = 0; a < ACTIONS; a++) {
        w[a] = expf(w[a] - peak);
        total += w[a];
        mean += w[a] * (values[a] - max_q);
    }
    float weight = 1.0f / total, sum = 0.0f, loss = 0.0f, kl = 0.0f, entropy = 0.0f;
    for (int a = 0; a < ACTIONS; a++) {
        w[a] *= weight;
        sum += w[a];
    }
    for (int a = 0; a < ACTIONS; a++) {
        float log_p = online[a] - log_z, log_old = old[a] - log_z_old, p = expf(log_p), p_old = expf(log_old);
        // A weight of zero asks nothing of an action, however impossible it has become.
        if (w[a] != 0.0f) loss -= w[a] * log_p;
        if (p != 0.0f) entropy -= p * log_p;
        kl += divergence(p_old, log_p, log_p - log_old);
        d_logits[t * ACTIONS + a] = (sum * p - w[a] + alpha * (p - p_old)) / (float)count;
    }
    terms[t] = mean / total / eta - (peak + logf(total));
    terms[capacity + t] = loss;
    terms[2 * capacity + t] = kl;
    terms[3 * capacity + t] = 0.0f;
    terms[4 * capacity + t] = entropy;
}

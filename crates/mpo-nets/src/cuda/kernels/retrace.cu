// The critic's targets and the gradient of its squared error by its outputs. One block; a thread for each window.
//
// `starts` holds each window's first transition, then the number of transitions.
extern "C" __global__ void retrace(const unsigned* control, const unsigned* head_words, const unsigned* starts,
                                   const float* rewards, const float* discounts, const float* q, const float* q_taken,
                                   const float* log_rho, const float* q_online, float* v, float* targets, float* d_q,
                                   unsigned stride, unsigned batch_stride, unsigned slot) {
    RUN(control);
    BATCH(head_words);
    unsigned transitions = head_words[TRANSITIONS], windows = head_words[WINDOWS];
    if (transitions == 0) return;
    BATCH(starts);
    BATCH(rewards);
    BATCH(discounts);
    RUN(q);
    RUN(q_taken);
    RUN(log_rho);
    RUN(q_online);
    RUN(v);
    RUN(targets);
    RUN(d_q);
    for (unsigned state = threadIdx.x; state < transitions + windows; state += blockDim.x) {
        float sum = 0.0f;
        for (int j = 0; j < SAMPLES; j++) sum += q[state * SAMPLES + j];
        v[state] = sum / SAMPLES;
    }
    __syncthreads();
    for (unsigned w = threadIdx.x; w < windows; w += blockDim.x) {
        retrace_window(
            starts[w], starts[w + 1], transitions + w, DISCOUNT, RETRACE_LAMBDA, rewards, discounts, v,
            [&](unsigned t) { return log_rho[t]; }, [&](unsigned t) { return q_taken[t]; },
            [&](unsigned t, float target) {
                targets[t] = target;
                d_q[t] = 2.0f * (q_online[t] - target) / (float)transitions;
            });
    }
}

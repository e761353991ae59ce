// The critic's targets (paper eq. 13) and the gradient of its squared error by its outputs. One block; a thread for each
// window, whose steps it takes backwards. The oracle is mpo_core::retrace_windows.
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
        float trace = 0.0f;
        unsigned start = starts[w], end = starts[w + 1];
        for (unsigned t = end; t-- > start;) {
            float after = v[t + 1 < end ? t + 1 : transitions + w];
            float discount = DISCOUNT * discounts[t];
            // Nothing beyond a termination is looked at, not even a value that is not finite.
            float target = rewards[t] + (discount == 0.0f ? 0.0f : discount * (after + trace));
            float c = log_rho[t] >= 0.0f ? RETRACE_LAMBDA : RETRACE_LAMBDA * expf(log_rho[t]);
            trace = c * (target - q_taken[t]);
            targets[t] = target;
            d_q[t] = 2.0f * (q_online[t] - target) / (float)transitions;
        }
    }
}

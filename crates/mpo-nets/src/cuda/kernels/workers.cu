// Several workers' update: what travels between them before the decision to step. The oracle is learner/reduction.rs.
//
// travel = policy's gradient, critic's gradient, 8 sums over the batch, transitions: this worker's means times its transitions,
// so that the workers' mean, divided by its last number, is the mean over all of their transitions.

#define TRAVELLING_SUMS 8

// A thread for each parameter; the last block sums over the batch.
extern "C" __global__ void weigh(const unsigned* control, const unsigned* head_words, const float* policy_gradient,
                                 const float* critic_gradient, const float* targets, const float* q_online,
                                 const float* terms, float* travel, unsigned policy_count, unsigned critic_count,
                                 unsigned capacity, unsigned stride, unsigned batch_stride, unsigned slot) {
    SHARED_FLOATS(shared);
    RUN(control);
    BATCH(head_words);
    unsigned count = head_words[TRANSITIONS], parameters = policy_count + critic_count;
    RUN(travel);
    if (blockIdx.x + 1 < gridDim.x) {
        unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= parameters) return;
        RUN(policy_gradient);
        RUN(critic_gradient);
        float g = i < policy_count ? policy_gradient[i] : critic_gradient[i - policy_count];
        // Without a batch the gradient is whatever was there before.
        travel[i] = count == 0 ? 0.0f : (float)count * g;
        return;
    }
    RUN(targets);
    RUN(q_online);
    RUN(terms);
    float sums[TRAVELLING_SUMS] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    add_terms(sums, count, targets, q_online, terms, capacity);
    sum_block(sums, TRAVELLING_SUMS, shared);
    if (threadIdx.x != 0) return;
    for (int k = 0; k < TRAVELLING_SUMS; k++) travel[parameters + k] = sums[k];
    travel[parameters + TRAVELLING_SUMS] = (float)count;
}

// Gradients from what came back, and their squares, a part for each block: the policy's blocks, then the critic's.
extern "C" __global__ void unweigh(const unsigned* control, const float* travel, float* policy_gradient,
                                   float* critic_gradient, float* policy_partial, float* critic_partial,
                                   unsigned policy_count, unsigned critic_count, unsigned policy_blocks,
                                   unsigned stride) {
    SHARED_FLOATS(shared);
    RUN(control);
    RUN(travel);
    RUN(policy_gradient);
    RUN(critic_gradient);
    RUN(policy_partial);
    RUN(critic_partial);
    float transitions = travel[policy_count + critic_count + TRAVELLING_SUMS];
    bool critic = blockIdx.x >= policy_blocks;
    unsigned block = critic ? blockIdx.x - policy_blocks : blockIdx.x;
    unsigned blocks = critic ? gridDim.x - policy_blocks : policy_blocks;
    unsigned count = critic ? critic_count : policy_count;
    const float* from = travel + (critic ? policy_count : 0);
    float* gradient = critic ? critic_gradient : policy_gradient;
    float square[1] = {0.0f};
    for (unsigned i = block * blockDim.x + threadIdx.x; i < count; i += blocks * blockDim.x) {
        float g = from[i] / transitions;
        gradient[i] = g;
        square[0] += g * g;
    }
    sum_block(square, 1, shared);
    if (threadIdx.x == 0) (critic ? critic_partial : policy_partial)[block] = square[0];
}

// `finish` on the means over all workers. One block.
extern "C" __global__ void finish_together(unsigned* control, const unsigned* head_words, const float* travel,
                                           const float* policy_partial, const float* critic_partial, float* duals,
                                           float* duals_first, float* duals_second, float* stats, unsigned parameters,
                                           unsigned policy_blocks, unsigned critic_blocks, unsigned stride,
                                           unsigned batch_stride, unsigned slot) {
    SHARED_FLOATS(shared);
    RUN(control);
    BATCH(head_words);
    RUN(travel);
    RUN(policy_partial);
    RUN(critic_partial);
    RUN(duals);
    RUN(duals_first);
    RUN(duals_second);
    RUN(stats);
    float squares[2] = {0.0f, 0.0f};
    for (unsigned i = threadIdx.x; i < policy_blocks; i += blockDim.x) squares[0] += policy_partial[i];
    for (unsigned i = threadIdx.x; i < critic_blocks; i += blockDim.x) squares[1] += critic_partial[i];
    sum_block(squares, 2, shared);
    if (threadIdx.x != 0) return;
    unsigned numbers = (head_words[TRANSITIONS] + head_words[WINDOWS]) * SAMPLES * ACTIONS;
    begin_step(control);
    float transitions = travel[parameters + TRAVELLING_SUMS];
    if (transitions == 0.0f || control[HALTED] != 0) return;
    float sums[SUMS];
    for (int k = 0; k < TRAVELLING_SUMS; k++) sums[k] = travel[parameters + k] / transitions;
    sums[8] = squares[0];
    sums[9] = squares[1];
    conclude(control, sums, numbers, duals, duals_first, duals_second, stats);
}

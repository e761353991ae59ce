// The online networks in the states with a transition, forward, keeping what the way back needs. A warp for each row.
// The oracle is Network::forward.

struct PolicyNet {
    enum { INPUT = MAIN, H1 = POLICY_1, H2 = POLICY_2, OUT = RAW, BIAS = POLICY_BIAS, SCALE = POLICY_SCALE,
           SHIFT = POLICY_SHIFT, SECOND = POLICY_SECOND, SECOND_BIAS = POLICY_SECOND_BIAS, HEAD = POLICY_HEAD,
           HEAD_BIAS = POLICY_HEAD_BIAS, WIDEST = POLICY_WIDEST, BRANCH = POLICY_BRANCH, BRANCH_BIAS = POLICY_BRANCH_BIAS,
           BRANCH_SCALE = POLICY_BRANCH_SCALE, BRANCH_SHIFT = POLICY_BRANCH_SHIFT, BRANCH_SECOND = POLICY_BRANCH_SECOND };
};

struct CriticNet {
    enum { INPUT = MAIN + ACTIONS, H1 = CRITIC_1, H2 = CRITIC_2, OUT = 1, BIAS = CRITIC_BIAS, SCALE = CRITIC_SCALE,
           SHIFT = CRITIC_SHIFT, SECOND = CRITIC_SECOND, SECOND_BIAS = CRITIC_SECOND_BIAS, HEAD = CRITIC_HEAD,
           HEAD_BIAS = CRITIC_HEAD_BIAS, WIDEST = CRITIC_WIDEST, BRANCH = CRITIC_BRANCH, BRANCH_BIAS = CRITIC_BRANCH_BIAS,
           BRANCH_SCALE = CRITIC_BRANCH_SCALE, BRANCH_SHIFT = CRITIC_BRANCH_SHIFT, BRANCH_SECOND = CRITIC_BRANCH_SECOND };
};

template <int N>
__device__ inline void keep(bool inside, const float (&acc)[1][COLUMNS(N)], float* out) {
#pragma unroll
    for (int j = 0; j < COLUMNS(N); j++) {
        int column = LANE + WARP * j;
        if (inside && column < N) out[column] = acc[0][j];
    }
}

// One torso of a row, the `K`-th, kept for the way back: `acc` holds its first layer before the activation.
template <class N, int K>
__device__ inline void forward_torso(bool inside, unsigned row, float (&acc)[1][COLUMNS(N::H1)], const float* scale,
                                     const float* shift, float* first, float* normal, float* inverse) {
    float kept[1][COLUMNS(N::H1)], narrow[1];
    unsigned at = row * TORSOS + K;
    torso<1, N::H1, true>(acc, scale, shift, kept, narrow);
    keep<N::H1>(inside, acc, first + at * N::H1);
#if LAYER_NORM
    keep<N::H1>(inside, kept, normal + at * N::H1);
    if (inside && LANE == 0) inverse[at] = narrow[0];
#endif
}

// `x` [widest] in shared memory holds the row's input, what the second torso sees last, and is overwritten.
template <class N>
__device__ inline void forward_row(bool inside, unsigned row, float* x, const float* w, float* first, float* normal,
                                   float* inverse, float* second, float* out) {
    float acc[1][COLUMNS(N::H1)];
    spread<1, N::H1>(acc, w + N::BIAS);
    add_product<1, N::INPUT, N::H1>(acc, x, w);
    forward_torso<N, 0>(inside, row, acc, w + N::SCALE, w + N::SHIFT, first, normal, inverse);
#if PART
    float beside[1][COLUMNS(N::H1)];
    spread<1, N::H1>(beside, w + N::BRANCH_BIAS);
    add_product<1, PART, N::H1>(beside, x + N::INPUT, w + N::BRANCH);
    forward_torso<N, 1>(inside, row, beside, w + N::BRANCH_SCALE, w + N::BRANCH_SHIFT, first, normal, inverse);
#endif
    share<1, N::H1>(acc, x);
    float next[1][COLUMNS(N::H2)];
    spread<1, N::H2>(next, w + N::SECOND_BIAS);
    add_product<1, N::H1, N::H2>(next, x, w + N::SECOND);
#if PART
    share<1, N::H1>(beside, x);
    add_product<1, N::H1, N::H2>(next, x, w + N::BRANCH_SECOND);
#endif
    elu_rows<1, N::H2>(next);
    keep<N::H2>(inside, next, second + row * N::H2);
    if (N::OUT == 1) {
        float sum = 0.0f;
#pragma unroll
        for (int j = 0; j < COLUMNS(N::H2); j++) {
            int column = LANE + WARP * j;
            if (column < N::H2) sum += next[0][j] * w[N::HEAD + column];
        }
        float value = warp_sum(sum) + w[N::HEAD_BIAS];
        if (inside && LANE == 0) out[row] = value;
    } else {
        share<1, N::H2>(next, x);
        float last[1][COLUMNS(N::OUT)];
        spread<1, N::OUT>(last, w + N::HEAD_BIAS);
        add_product<1, N::H2, N::OUT>(last, x, w + N::HEAD);
        keep<N::OUT>(inside, last, out + row * N::OUT);
    }
}

extern "C" __global__ void forward_policy(const unsigned* control, const unsigned* head_words, const float* states,
                                          const float* online, float* first, float* normal, float* inverse,
                                          float* second, float* out, unsigned stride, unsigned batch_stride,
                                          unsigned slot) {
    SHARED_FLOATS(shared);
    RUN(control);
    BATCH(head_words);
    unsigned count = head_words[TRANSITIONS];
    if (blockIdx.x * WARPS >= count) return;
    BATCH(states);
    RUN(online);
    RUN(first);
    RUN(normal);
    RUN(inverse);
    RUN(second);
    RUN(out);
    unsigned row = blockIdx.x * WARPS + WARP_INDEX;
    bool inside = row < count;
    row = inside ? row : count - 1;
    float* x = shared + WARP_INDEX * POLICY_WIDEST;
    for (int i = LANE; i < OBSERVATION; i += WARP) x[i] = states[row * OBSERVATION + i];
    __syncwarp();
    forward_row<PolicyNet>(inside, row, x, online, first, normal, inverse, second, out);
}

// `seen_taken` [T, ACTIONS] receives the taken actions as the critic sees them, of which its gradient is made.
extern "C" __global__ void forward_critic(const unsigned* control, const unsigned* head_words, const float* states,
                                          const float* taken, const float* online, float* seen_taken, float* first,
                                          float* normal, float* inverse, float* second, float* out, unsigned stride,
                                          unsigned batch_stride, unsigned slot) {
    SHARED_FLOATS(shared);
    RUN(control);
    BATCH(head_words);
    unsigned count = head_words[TRANSITIONS];
    if (blockIdx.x * WARPS >= count) return;
    BATCH(states);
    BATCH(taken);
    RUN(online);
    RUN(seen_taken);
    RUN(first);
    RUN(normal);
    RUN(inverse);
    RUN(second);
    RUN(out);
    unsigned row = blockIdx.x * WARPS + WARP_INDEX;
    bool inside = row < count;
    row = inside ? row : count - 1;
    float* x = shared + WARP_INDEX * CRITIC_WIDEST;
    // Actions stand between the torsos' parts of the state.
    for (int i = LANE; i < OBSERVATION; i += WARP) x[i < MAIN ? i : i + ACTIONS] = states[row * OBSERVATION + i];
    for (int i = LANE; i < ACTIONS; i += WARP) {
        float action = seen(taken[row * ACTIONS + i]);
        x[MAIN + i] = action;
        if (inside) seen_taken[row * ACTIONS + i] = action;
    }
    __syncwarp();
    forward_row<CriticNet>(inside, row, x, online, first, normal, inverse, second, out);
}

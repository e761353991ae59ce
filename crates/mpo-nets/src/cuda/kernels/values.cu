// The target critic's values: of every state's sampled actions and of the taken ones, where an update spends most of its time.
// What does not depend on the action is computed once per state. The oracle is Network::evaluate_actions.

// A warp for each state: W_s s + b of the first layer, and with two torsos what the second adds to the second layer with its
// bias, [S, CRITIC_1 (+ CRITIC_2)].
extern "C" __global__ void value_states(const unsigned* control, const unsigned* head_words, const float* states,
                                        const float* target, float* base, unsigned stride,
                                        unsigned batch_stride, unsigned slot) {
    SHARED_FLOATS(shared);
    RUN(control);
    BATCH(head_words);
    unsigned count = head_words[TRANSITIONS] + head_words[WINDOWS];
    if (blockIdx.x * WARPS >= count) return;
    BATCH(states);
    RUN(target);
    RUN(base);
    unsigned row = blockIdx.x * WARPS + WARP_INDEX;
    bool inside = row < count;
    row = inside ? row : count - 1;
    float* x = shared + WARP_INDEX * STATES_SHARED;
    for (int i = LANE; i < OBSERVATION; i += WARP) x[i] = states[row * OBSERVATION + i];
    __syncwarp();
    float acc[1][COLUMNS(CRITIC_1)];
    spread<1, CRITIC_1>(acc, target + CRITIC_BIAS);
    add_product<1, MAIN, CRITIC_1>(acc, x, target);
#pragma unroll
    for (int j = 0; j < COLUMNS(CRITIC_1); j++) {
        int column = LANE + WARP * j;
        if (inside && column < CRITIC_1) base[row * BASE_WIDTH + column] = acc[0][j];
    }
#if PART
    float beside[1][COLUMNS(CRITIC_1)], joined[1][COLUMNS(CRITIC_2)];
    spread<1, CRITIC_1>(beside, target + CRITIC_BRANCH_BIAS);
    add_product<1, PART, CRITIC_1>(beside, x + MAIN, target + CRITIC_BRANCH);
    torso<1, CRITIC_1, false>(beside, target + CRITIC_BRANCH_SCALE, target + CRITIC_BRANCH_SHIFT, 0, 0);
    share<1, CRITIC_1>(beside, x);
    spread<1, CRITIC_2>(joined, target + CRITIC_SECOND_BIAS);
    add_product<1, CRITIC_1, CRITIC_2>(joined, x, target + CRITIC_BRANCH_SECOND);
#pragma unroll
    for (int j = 0; j < COLUMNS(CRITIC_2); j++) {
        int column = LANE + WARP * j;
        if (inside && column < CRITIC_2) base[row * BASE_WIDTH + CRITIC_1 + column] = joined[0][j];
    }
#endif
}

#if TF32
// A number's place where four neighbouring columns of eight neighbouring rows lie in banks of their own.
#define SWIZZLED(column, r) ((column) * 16 + ((r) ^ (((column) & 2) * 4)))
// Tiles of 8 columns that share what is loaded of `x`.
#define TILES 4

// The second layer and the head of a warp's 16 rows on tensor cores; `x` [CRITIC_1 to a multiple of 8][16] in shared memory. Lanes
// whose number leaves 0 when divided by 4 return the value of row lane / 4, those that leave 1 that of row 8 + lane / 4.
__device__ inline float values_of_tiles(const float (&first)[16][COLUMNS(CRITIC_1)], float* x,
                                        const float* __restrict__ target) {
    const int depth = (CRITIC_1 + 7) / 8 * 8, group = LANE / 4, quad = LANE % 4;
    __syncwarp();
#pragma unroll
    for (int j = 0; j < (depth + WARP - 1) / WARP; j++) {
        int column = LANE + WARP * j;
        if (column < depth) {
#pragma unroll
            for (int r = 0; r < 16; r++) x[SWIZZLED(column, r)] = column < CRITIC_1 ? tf32(first[r][j]) : 0.0f;
        }
    }
    __syncwarp();
    float sums[2] = {0.0f, 0.0f};
    for (int start = 0; start < CRITIC_2; start += 8 * TILES) {
        float c[TILES][4];
#pragma unroll
        for (int i = 0; i < TILES; i++) {
#pragma unroll
            for (int k = 0; k < 4; k++) {
                int column = start + 8 * i + 2 * quad + k % 2;
                c[i][k] = column < CRITIC_2 ? target[CRITIC_SECOND_BIAS + column] : 0.0f;
            }
        }
        for (int step = 0; step < depth; step += 8) {
            float a[4];
#pragma unroll
            for (int k = 0; k < 4; k++) a[k] = x[SWIZZLED(step + quad + k / 2 * 4, group + k % 2 * 8)];
#pragma unroll
            for (int i = 0; i < TILES; i++) {
                float b[2];
                int column = start + 8 * i + group;
#pragma unroll
                for (int k = 0; k < 2; k++) {
                    int line = step + quad + 4 * k;
                    bool inside = line < CRITIC_1 && column < CRITIC_2;
                    b[k] = inside ? tf32(target[CRITIC_SECOND + line * CRITIC_2 + column]) : 0.0f;
                }
                multiply_tiles(c[i], a, b);
            }
        }
#pragma unroll
        for (int i = 0; i < TILES; i++) {
#pragma unroll
            for (int k = 0; k < 4; k++) {
                int column = start + 8 * i + 2 * quad + k % 2;
                if (column < CRITIC_2) sums[k / 2] += elu(c[i][k]) * target[CRITIC_HEAD + column];
            }
        }
    }
#pragma unroll
    for (int k = 0; k < 2; k++)
        for (int lanes = 1; lanes < 4; lanes *= 2) sums[k] += __shfl_xor_sync(0xffffffffu, sums[k], lanes);
    return sums[quad % 2] + target[CRITIC_HEAD_BIAS];
}
#endif

// VALUE_ROWS actions for each warp: S M sampled ones, then the T taken ones.
extern "C" __global__ void values(const unsigned* control, const unsigned* head_words, const float* taken,
                                  const float* actions, const float* target, const float* base, float* q, float* q_taken,
                                  unsigned stride, unsigned batch_stride, unsigned slot) {
    SHARED_FLOATS(shared);
    RUN(control);
    BATCH(head_words);
    unsigned transitions = head_words[TRANSITIONS], sampled = (transitions + head_words[WINDOWS]) * SAMPLES;
    unsigned count = transitions > 0 ? sampled + transitions : 0;
    if (blockIdx.x * WARPS * VALUE_ROWS >= count) return;
    BATCH(taken);
    RUN(actions);
    RUN(target);
    RUN(base);
    RUN(q);
    RUN(q_taken);
    unsigned start = (blockIdx.x * WARPS + WARP_INDEX) * VALUE_ROWS;
    float* x = shared + WARP_INDEX * VALUES_SHARED;
    float first[VALUE_ROWS][COLUMNS(CRITIC_1)];
#if !TF32
    float second[VALUE_ROWS][COLUMNS(CRITIC_2)];
    spread<VALUE_ROWS, CRITIC_2>(second, target + CRITIC_SECOND_BIAS);
#endif
#pragma unroll
    for (int r = 0; r < VALUE_ROWS; r++) {
        unsigned row = start + r < count ? start + r : count - 1;
        unsigned state = row < sampled ? row / SAMPLES : row - sampled;
        const float* action = row < sampled ? actions + row * ACTIONS : taken + (row - sampled) * ACTIONS;
        for (int i = LANE; i < ACTIONS; i += WARP) x[i * VALUE_ROWS + r] = seen(action[i]);
#pragma unroll
        for (int j = 0; j < COLUMNS(CRITIC_1); j++) {
            int column = LANE + WARP * j;
            first[r][j] = column < CRITIC_1 ? base[state * BASE_WIDTH + column] : 0.0f;
        }
#if PART
#pragma unroll
        for (int j = 0; j < COLUMNS(CRITIC_2); j++) {
            int column = LANE + WARP * j;
            if (column < CRITIC_2) second[r][j] = base[state * BASE_WIDTH + CRITIC_1 + column];
        }
#endif
    }
    __syncwarp();
    add_product<VALUE_ROWS, ACTIONS, CRITIC_1>(first, x, target + CRITIC_ACTION);
    torso<VALUE_ROWS, CRITIC_1, false>(first, target + CRITIC_SCALE, target + CRITIC_SHIFT, 0, 0);
#if TF32
    float value = values_of_tiles(first, x, target);
    // A lane of each four has a row's value, and another that of the eighth row after it.
    unsigned row = start + LANE / 4 + 8 * (LANE % 4);
    if (LANE % 4 < 2 && row < count) {
        if (row < sampled) q[row] = value;
        else q_taken[row - sampled] = value;
    }
#else
    share<VALUE_ROWS, CRITIC_1>(first, x);
    add_product<VALUE_ROWS, CRITIC_1, CRITIC_2>(second, x, target + CRITIC_SECOND);
#pragma unroll
    for (int r = 0; r < VALUE_ROWS; r++) {
        float sum = 0.0f;
#pragma unroll
        for (int j = 0; j < COLUMNS(CRITIC_2); j++) {
            int column = LANE + WARP * j;
            if (column < CRITIC_2) sum += elu(second[r][j]) * target[CRITIC_HEAD + column];
        }
        float value = warp_sum(sum) + target[CRITIC_HEAD_BIAS];
        unsigned row = start + r;
        if (LANE == 0 && row < count) {
            if (row < sampled) q[row] = value;
            else q_taken[row - sampled] = value;
        }
    }
#endif
}

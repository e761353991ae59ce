// The end of an update but for Adam on the networks: means over the batch, norms and clipping, the step on the dual variables,
// the decision whether to step at all, counters and statistics. One block. The oracles are OffPolicyLearner::update,
// clip_by_global_norm, check_finite and src/adam.rs.

// Words of the statistics, as UpdateStats has them.
enum {
    CRITIC_LOSS, POLICY_LOSS, TEMPERATURE, ALPHA_MEAN, ALPHA_COVARIANCE, KL_Q, KL_MEAN, KL_COVARIANCE, Q_MEAN,
    TARGET_MEAN, POLICY_NORM, CRITIC_NORM, STDDEV_MEAN, ENTROPY
};

#define SUMS 10

__device__ inline bool finite(float x) { return fabsf(x) < __uint_as_float(0x7f800000u); }

// 1 - beta^step, in double precision: at the first step it is a thousandth.
__device__ inline double correction(float beta, unsigned step) {
    double power = 1.0, square = (double)beta;
    for (unsigned rest = step; rest > 0; rest /= 2) {
        if (rest % 2) power *= square;
        square *= square;
    }
    return 1.0 - power;
}

// Nothing is stepped or copied unless what follows says so.
__device__ inline void begin_step(unsigned* control) {
    control[LAUNCHES] += 1;
    control[GO] = 0;
    control[COPY] = 0;
}

// Adds this thread's part of the sums over the batch: squared errors, values, targets, and the terms of `improve`.
__device__ inline void add_terms(float* sums, unsigned count, const float* targets, const float* q_online,
                                 const float* terms, unsigned capacity) {
    for (unsigned t = threadIdx.x; t < count; t += blockDim.x) {
        float q = q_online[t], y = targets[t];
        sums[0] += (q - y) * (q - y);
        sums[1] += q;
        sums[2] += y;
        for (int k = 0; k < 5; k++) sums[3 + k] += terms[k * capacity + t];
    }
}

// The block's sums, in its first thread.
__device__ inline void sum_block(float* sums, unsigned many, float* shared) {
    for (unsigned k = 0; k < many; k++) {
        float sum = warp_sum(sums[k]);
        if (LANE == 0) shared[WARP_INDEX * many + k] = sum;
    }
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (unsigned k = 0; k < many; k++) {
        sums[k] = 0.0f;
        for (unsigned i = 0; i < WARPS; i++) sums[k] += shared[i * many + k];
    }
}

// By one thread, from means over the batch, sums[0] to [7], and the gradients' squares, sums[8] and [9].
__device__ inline void conclude(unsigned* control, const float* sums, unsigned numbers, float* duals,
                                float* duals_first, float* duals_second, float* stats) {
    float policy_norm = sqrtf(sums[8]), critic_norm = sqrtf(sums[9]);

    float gradient[3], eta = dual_value(duals[0]);
    gradient[0] = (EPSILON - sums[3]) * sigmoid(duals[0]);
#if DISCRETE
    gradient[1] = (EPSILON_MEAN - sums[5]) * sigmoid(duals[1]);
#elif JOINT
    gradient[1] = (EPSILON_JOINT - (sums[5] + sums[6])) * sigmoid(duals[1]);
#else
    gradient[1] = (EPSILON_MEAN - sums[5]) * sigmoid(duals[1]);
    gradient[2] = (EPSILON_COVARIANCE - sums[6]) * sigmoid(duals[2]);
#endif
    float dual_sum = 0.0f;
    for (int i = 0; i < DUALS; i++) dual_sum += gradient[i];

    stats[CRITIC_LOSS] = sums[0];
    stats[POLICY_LOSS] = sums[4];
    stats[TEMPERATURE] = eta;
    stats[ALPHA_MEAN] = dual_value(duals[1]);
    stats[ALPHA_COVARIANCE] = DISCRETE ? 0.0f : dual_value(duals[DUALS - 1]);
    stats[KL_Q] = sums[3];
    stats[KL_MEAN] = sums[5];
    stats[KL_COVARIANCE] = sums[6];
    stats[Q_MEAN] = sums[1];
    stats[TARGET_MEAN] = sums[2];
    stats[POLICY_NORM] = policy_norm;
    stats[CRITIC_NORM] = critic_norm;
    stats[STDDEV_MEAN] = DISCRETE ? 0.0f : sums[7];
    stats[ENTROPY] = DISCRETE ? sums[7] : 0.0f;

    // In the order in which the host's learner looks.
    float checked[7] = {sums[2], sums[0], sums[3], sums[4], policy_norm, critic_norm, dual_sum};
    for (int i = 0; i < 7; i++)
        if (!finite(checked[i])) {
            control[HALTED] = 1 + i;
            control[HALTED_VALUE] = __float_as_uint(checked[i]);
            return;
        }

    unsigned step = control[UPDATES] + 1;
    double c1 = correction(0.9f, step), c2 = correction(0.999f, step), root = sqrt(c2);
    float floor = (float)((double)1e-8f * root);
    float rate = (float)((double)DUAL_RATE * root / c1);
    for (int i = 0; i < DUALS; i++) {
        float g = gradient[i];
        float m = 0.9f * duals_first[i] + (1.0f - 0.9f) * g;
        float v = 0.999f * duals_second[i] + (1.0f - 0.999f) * g * g;
        duals_first[i] = m;
        duals_second[i] = v;
        duals[i] -= rate * m / (sqrtf(v) + floor);
    }
    control[UPDATES] = step;
    control[GO] = 1;
    control[COPY] = step % TARGET_PERIOD == 0;
    control[POLICY_FACTOR] = __float_as_uint(policy_norm > GRADIENT_CLIP ? GRADIENT_CLIP / policy_norm : 1.0f);
    control[CRITIC_FACTOR] = __float_as_uint(critic_norm > GRADIENT_CLIP ? GRADIENT_CLIP / critic_norm : 1.0f);
    control[POLICY_RATE] = __float_as_uint((float)((double)POLICY_LEARNING_RATE * root / c1));
    control[CRITIC_RATE] = __float_as_uint((float)((double)CRITIC_LEARNING_RATE * root / c1));
    control[ADAM_FLOOR] = __float_as_uint(floor);
    // The stream goes on behind the numbers of this update: 16 counters for every 64 of them.
    unsigned long long position = (unsigned long long)control[NOISE_HIGH] << 32 | control[NOISE_LOW];
    position += (unsigned long long)((numbers + 63) / 64) * 16;
    control[NOISE_LOW] = (unsigned)position;
    control[NOISE_HIGH] = (unsigned)(position >> 32);
}

extern "C" __global__ void finish(unsigned* control, const unsigned* head_words, const float* targets,
                                  const float* q_online, const float* terms, const float* policy_partial,
                                  const float* critic_partial, float* duals, float* duals_first, float* duals_second,
                                  float* stats, unsigned capacity, unsigned policy_tiles, unsigned critic_tiles,
                                  unsigned stride, unsigned batch_stride, unsigned slot) {
    SHARED_FLOATS(shared);
    RUN(control);
    BATCH(head_words);
    unsigned count = head_words[TRANSITIONS], windows = head_words[WINDOWS];
    RUN(targets);
    RUN(q_online);
    RUN(terms);
    RUN(policy_partial);
    RUN(critic_partial);
    RUN(duals);
    RUN(duals_first);
    RUN(duals_second);
    RUN(stats);
    float sums[SUMS] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    add_terms(sums, count, targets, q_online, terms, capacity);
    for (unsigned i = threadIdx.x; i < policy_tiles; i += blockDim.x) sums[8] += policy_partial[i];
    for (unsigned i = threadIdx.x; i < critic_tiles; i += blockDim.x) sums[9] += critic_partial[i];
    sum_block(sums, SUMS, shared);
    if (threadIdx.x != 0) return;
    begin_step(control);
    if (count == 0 || control[HALTED] != 0) return;
    for (int k = 0; k < 8; k++) sums[k] /= (float)count;
    conclude(control, sums, (count + windows) * SAMPLES * ACTIONS, duals, duals_first, duals_second, stats);
}

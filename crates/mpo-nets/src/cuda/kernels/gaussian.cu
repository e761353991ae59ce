// The Gaussian head and one state's algebra, by the lanes of one warp. The oracles are src/head.rs and mpo-core's `gaussian`.

#define HALF_LOG_TWO_PI 0.91893853f

#if FULL_COVARIANCE
#define FACTOR (ACTIONS * (ACTIONS + 1) / 2)
#define DIAGONAL_PLACE(i) ((i) * ((i) + 3) / 2)
#else
#define FACTOR ACTIONS
#define DIAGONAL_PLACE(i) (i)
#endif
#define RAW (ACTIONS + FACTOR)

// Entry (i, k), k <= i, of a packed lower-triangular matrix.
#define AT(i, k) ((i) * ((i) + 1) / 2 + (k))

__device__ inline float deviation(float raw) {
    float u = HEAD_SCALE * softplus(raw);
    return u / (1.0f + u * HEAD_SQUASH) + 1e-4f;
}

// d deviation / d raw.
__device__ inline float deviation_slope(float raw) {
    float damping = 1.0f + HEAD_SCALE * softplus(raw) * HEAD_SQUASH;
    return HEAD_SCALE * sigmoid(raw) / (damping * damping);
}

// Mean and factor from a raw row; the arrays lie in shared or global memory.
__device__ inline void head(const float* raw, float* mean, float* factor) {
    for (int i = LANE; i < ACTIONS; i += WARP) mean[i] = raw[i];
    for (int i = LANE; i < FACTOR; i += WARP) factor[i] = raw[ACTIONS + i];
    __syncwarp();
    for (int i = LANE; i < ACTIONS; i += WARP) {
        int place = DIAGONAL_PLACE(i);
        factor[place] = deviation(raw[ACTIONS + place]);
    }
    __syncwarp();
}

// log of the density at the mean, negated; the same on all lanes.
__device__ inline float log_normaliser(const float* factor) {
    float sum = 0.0f;
    for (int i = LANE; i < ACTIONS; i += WARP) sum += logf(factor[DIAGONAL_PLACE(i)]);
    return warp_sum(sum) + HALF_LOG_TWO_PI * ACTIONS;
}

// The standard deviations' mean over dimensions; the same on all lanes.
__device__ inline float mean_deviation(const float* factor) {
    float sum = 0.0f;
    for (int i = LANE; i < ACTIONS; i += WARP) {
#if FULL_COVARIANCE
        float square = 0.0f;
        for (int k = 0; k <= i; k++) square += factor[AT(i, k)] * factor[AT(i, k)];
        sum += sqrtf(square);
#else
        sum += factor[i];
#endif
    }
    return warp_sum(sum) / ACTIONS;
}

// L x = b in place of b, by all lanes.
__device__ inline void solve(const float* factor, float* x) {
    for (int i = 0; i < ACTIONS; i++) {
        __syncwarp();
#if FULL_COVARIANCE
        float found = x[i] / factor[AT(i, i)];
        __syncwarp();
        for (int k = i + 1 + LANE; k < ACTIONS; k += WARP) x[k] -= factor[AT(k, i)] * found;
#else
        float found = x[i] / factor[i];
        __syncwarp();
#endif
        if (LANE == 0) x[i] = found;
    }
    __syncwarp();
}

// L^T x = b in place of b, by all lanes.
__device__ inline void solve_transposed(const float* factor, float* x) {
    for (int i = ACTIONS - 1; i >= 0; i--) {
        __syncwarp();
#if FULL_COVARIANCE
        float found = x[i] / factor[AT(i, i)];
        __syncwarp();
        for (int k = LANE; k < i; k += WARP) x[k] -= factor[AT(i, k)] * found;
#else
        float found = x[i] / factor[i];
        __syncwarp();
#endif
        if (LANE == 0) x[i] = found;
    }
    __syncwarp();
}

// 1/2 (x^2 + ...) + x - log(1 + x) of a dimension's deviations before and now: its part of the covariance's divergence.
__device__ inline float relative_log_gap(float before, float now) {
    float x = (before - now) / now, gap;
    if (fabsf(x) < 0.015625f) {
        float series = 0.0f;
        for (int k = 9; k >= 2; k--) series = 1.0f / (float)k - x * series;
        gap = x * x * series;
    } else {
        gap = x - log1pf(x);
    }
    return 0.5f * x * x + gap;
}

// E-step and M-step: the samples' weights by the temperature, then the gradient of the policy's loss by the online head's raw
// outputs (paper eqs. 7-12). A warp for each state with a transition. The oracles are mpo_core's e_step and m_step, and
// GaussianHead::backward.
//
// `terms` [5, capacity] receives each state's KL of the weights, negative log-likelihood, the two divergences and deviation.

#define PER_LANE ((SAMPLES + WARP - 1) / WARP)

// w_j = softmax_j(q_j / eta) into shared memory; returns KL(w || 1 / M).
__device__ inline float weigh(const float* q, float eta, float* weights) {
    float highest = -__uint_as_float(0x7f800000u);
#pragma unroll
    for (int k = 0; k < PER_LANE; k++) {
        int j = LANE + WARP * k;
        float value = j < SAMPLES ? q[j] : highest;
        highest = value > highest || value != value ? value : highest;
    }
    highest = warp_max(highest);
    float sum = 0.0f, dot = 0.0f;
#pragma unroll
    for (int k = 0; k < PER_LANE; k++) {
        int j = LANE + WARP * k;
        if (j < SAMPLES) {
            float gap = q[j] - highest, w = expf(gap / eta);
            weights[j] = w;
            sum += w;
            dot += w * gap;
        }
    }
    float total = warp_sum(sum), mean = warp_sum(dot) / total;
    __syncwarp();
    for (int j = LANE; j < SAMPLES; j += WARP) weights[j] /= total;
    __syncwarp();
    return mean / eta - logf(total / SAMPLES);
}

struct Terms {
    float nll, kl_mean, kl_covariance;
};

#if FULL_COVARIANCE

// Column j of y: L^-1 (a_j - centre), [ACTIONS, SAMPLES].
__device__ inline void whiten(const float* factor, const float* centre, const float* actions, float* y) {
    for (int j = LANE; j < SAMPLES; j += WARP)
        for (int i = 0; i < ACTIONS; i++) {
            float rest = actions[j * ACTIONS + i] - centre[i];
            for (int k = 0; k < i; k++) rest -= factor[AT(i, k)] * y[k * SAMPLES + j];
            y[i * SAMPLES + j] = rest / factor[AT(i, i)];
        }
    __syncwarp();
}

__device__ inline Terms m_step(const float* mean0, const float* factor0, const float* mean, const float* factor,
                               const float* actions, const float* weights, float total, float alpha_mean,
                               float alpha_covariance, float* shift, float* d_mean, float* d_factor, float* y) {
    float *ratio = y + ACTIONS * SAMPLES, *gram = ratio + ACTIONS * ACTIONS;
    Terms terms;
    for (int i = LANE; i < ACTIONS; i += WARP) shift[i] = mean[i] - mean0[i];
    const float* metric = EXACT_SPLIT ? factor : factor0;
    solve(metric, shift);
    float square = 0.0f;
    for (int i = LANE; i < ACTIONS; i += WARP) square += shift[i] * shift[i];
    square = warp_sum(square);
    terms.kl_mean = 0.5f * square;
    terms.nll = 0.0f;

    // The mean's fit, in its own metric.
    whiten(metric, EXACT_SPLIT ? mean : mean0, actions, y);
    float fit = 0.0f;
    for (int i = LANE; i < ACTIONS; i += WARP) {
        float first = 0.0f, second = 0.0f;
        for (int j = 0; j < SAMPLES; j++) {
            float weighted = weights[j] * y[i * SAMPLES + j];
            first += weighted;
            second += weighted * y[i * SAMPLES + j];
        }
        fit += 0.5f * second - shift[i] * first;
        d_mean[i] = (EXACT_SPLIT ? alpha_mean : total + alpha_mean) * shift[i] - first;
    }
    fit = warp_sum(fit);
    if (!EXACT_SPLIT) {
        terms.nll += fit + 0.5f * total * square + total * log_normaliser(factor0);
        __syncwarp();
        whiten(factor, mean0, actions, y);
    }
    solve_transposed(metric, d_mean);

    // ratio = L^-1 L0, lower-triangular; a lane for each column.
    for (int c = LANE; c < ACTIONS; c += WARP)
        for (int i = c; i < ACTIONS; i++) {
            float rest = factor0[AT(i, c)];
            for (int k = c; k < i; k++) rest -= factor[AT(i, k)] * ratio[k * ACTIONS + c];
            ratio[i * ACTIONS + c] = rest / factor[AT(i, i)];
        }
    __syncwarp();
    // The samples' second moment and the divergence's share of the factor's gradient, lower half.
    float likelihood = 0.0f, gap = 0.0f;
    for (int i = 0; i < ACTIONS; i++)
        for (int k = LANE; k <= i; k += WARP) {
            float moment = 0.0f, product = 0.0f;
            for (int j = 0; j < SAMPLES; j++) moment += weights[j] * y[i * SAMPLES + j] * y[k * SAMPLES + j];
            for (int l = 0; l <= k; l++) product += ratio[i * ACTIONS + l] * ratio[k * ACTIONS + l];
            float entry = moment + alpha_covariance * product;
            if (EXACT_SPLIT) entry += alpha_mean * shift[i] * shift[k];
            gram[i * ACTIONS + k] = entry;
            if (i == k) {
                likelihood += 0.5f * moment;
                gap += relative_log_gap(factor0[AT(i, i)], factor[AT(i, i)]);
            } else {
                gap += 0.5f * ratio[i * ACTIONS + k] * ratio[i * ACTIONS + k];
            }
        }
    terms.nll += warp_sum(likelihood) + total * log_normaliser(factor);
    terms.kl_covariance = warp_sum(gap);
    __syncwarp();
    // L^-T times it, column by column.
    for (int c = LANE; c < ACTIONS; c += WARP)
        for (int i = ACTIONS - 1; i >= c; i--) {
            float rest = gram[i * ACTIONS + c];
            for (int k = i + 1; k < ACTIONS; k++) rest -= factor[AT(k, i)] * gram[k * ACTIONS + c];
            rest /= factor[AT(i, i)];
            gram[i * ACTIONS + c] = rest;
            d_factor[AT(i, c)] = (i == c ? (total + alpha_covariance) / factor[AT(i, i)] : 0.0f) - rest;
        }
    __syncwarp();
    return terms;
}

#else

__device__ inline Terms m_step(const float* mean0, const float* factor0, const float* mean, const float* factor,
                               const float* actions, const float* weights, float total, float alpha_mean,
                               float alpha_covariance, float* shift, float* d_mean, float* d_factor, float* y) {
    Terms terms = {0.0f, 0.0f, 0.0f};
    for (int d = LANE; d < ACTIONS; d += WARP) {
        float centre = EXACT_SPLIT ? mean[d] : mean0[d], first = 0.0f, second = 0.0f;
        for (int j = 0; j < SAMPLES; j++) {
            float difference = actions[j * ACTIONS + d] - centre, weighted = weights[j] * difference;
            first += weighted;
            second += weighted * difference;
        }
        float before = factor0[d], now = factor[d], inverse = 1.0f / now, moved = mean[d] - mean0[d];
        float scale = EXACT_SPLIT ? now : before, off = mean[d] - centre;
        // The likelihood is of N(mu, Sigma) at once, or of N(mu, Sigma_i) and N(mu_i, Sigma).
        terms.nll += 0.5f * second * inverse * inverse + total * (logf(now) + HALF_LOG_TWO_PI);
        if (!EXACT_SPLIT)
            terms.nll += 0.5f * (second - 2.0f * off * first + total * off * off) / (before * before) +
                         total * (logf(before) + HALF_LOG_TWO_PI);
        float z = moved / scale, ratio = before * inverse;
        terms.kl_mean += 0.5f * z * z;
        terms.kl_covariance += relative_log_gap(before, now);
        d_mean[d] = (total * off - first) / (scale * scale) + alpha_mean * moved / (scale * scale);
        float slope = inverse * (total - second * inverse * inverse) +
                      alpha_covariance * inverse * (1.0f - ratio * ratio);
        if (EXACT_SPLIT) slope -= alpha_mean * z * z * inverse;
        d_factor[d] = slope;
    }
    terms.nll = warp_sum(terms.nll);
    terms.kl_mean = warp_sum(terms.kl_mean);
    terms.kl_covariance = warp_sum(terms.kl_covariance);
    __syncwarp();
    return terms;
}

#endif

extern "C" __global__ void improve(const unsigned* control, const unsigned* head_words, const float* duals,
                                   const float* q, const float* actions, const float* mean_target,
                                   const float* factor_target, const float* raw_online, float* weights, float* d_raw,
                                   float* terms, unsigned capacity, unsigned stride, unsigned batch_stride,
                                   unsigned slot) {
    SHARED_FLOATS(shared);
    RUN(control);
    BATCH(head_words);
    unsigned count = head_words[TRANSITIONS];
    if (blockIdx.x * WARPS >= count) return;
    RUN(duals);
    RUN(q);
    RUN(actions);
    RUN(mean_target);
    RUN(factor_target);
    RUN(raw_online);
    RUN(weights);
    RUN(d_raw);
    RUN(terms);
    unsigned row = blockIdx.x * WARPS + WARP_INDEX;
    bool inside = row < count;
    row = inside ? row : count - 1;
    float* raw = shared + WARP_INDEX * IMPROVE_SHARED;
    float *mean0 = raw + RAW, *factor0 = mean0 + ACTIONS, *mean = factor0 + FACTOR, *factor = mean + ACTIONS;
    float *w = factor + FACTOR, *shift = w + SAMPLES, *d_mean = shift + ACTIONS, *d_factor = d_mean + ACTIONS;
    for (int i = LANE; i < RAW; i += WARP) raw[i] = raw_online[row * RAW + i];
    for (int i = LANE; i < ACTIONS; i += WARP) mean0[i] = mean_target[row * ACTIONS + i];
    for (int i = LANE; i < FACTOR; i += WARP) factor0[i] = factor_target[row * FACTOR + i];
    __syncwarp();
    head(raw, mean, factor);

    float kl_weights = weigh(q + row * SAMPLES, dual_value(duals[0]), w), total = 0.0f;
    for (int j = LANE; j < SAMPLES; j += WARP) {
        total += w[j];
        if (inside) weights[row * SAMPLES + j] = w[j];
    }
    total = warp_sum(total);
    float alpha_mean = dual_value(duals[1]);
#if JOINT
    float alpha_covariance = alpha_mean;
#else
    float alpha_covariance = dual_value(duals[2]);
#endif
    Terms found = m_step(mean0, factor0, mean, factor, actions + row * SAMPLES * ACTIONS, w, total, alpha_mean,
                         alpha_covariance, shift, d_mean, d_factor, d_factor + FACTOR);
    float spread_out = mean_deviation(factor), share = 1.0f / (float)count;
    if (!inside) return;
    for (int i = LANE; i < ACTIONS; i += WARP) d_raw[row * RAW + i] = share * d_mean[i];
    for (int i = LANE; i < FACTOR; i += WARP) d_raw[row * RAW + ACTIONS + i] = share * d_factor[i];
    __syncwarp();
    for (int i = LANE; i < ACTIONS; i += WARP) {
        int place = DIAGONAL_PLACE(i);
        d_raw[row * RAW + ACTIONS + place] = share * d_factor[place] * deviation_slope(raw[ACTIONS + place]);
    }
    if (LANE == 0) {
        terms[row] = kl_weights;
        terms[capacity + row] = found.nll;
        terms[2 * capacity + row] = found.kl_mean;
        terms[3 * capacity + row] = found.kl_covariance;
        terms[4 * capacity + row] = spread_out;
    }
}

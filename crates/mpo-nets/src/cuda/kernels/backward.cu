// The way back through the activations, a warp for each row: from the loss's gradient by the outputs to what the parameters'
// gradients are products of. Weights stand here as the parameters do, [outputs, inputs]. The oracle is Network::backward.
//
// `d_shift` and `d_scale` are a row's share of the gradients of the normalisation's shift and scale.

// Of one torso of a row, the `K`-th, from the gradient by the second layer in `x`; `second` is the torso's weight there.
template <class N, int K>
__device__ inline void backward_torso(bool inside, unsigned row, const float* x, const float* second, const float* scale,
                                      const float* first, const float* normal, const float* inverse, float* d_scale,
                                      float* d_shift, float* d_first) {
    unsigned at = row * TORSOS + K;
    float d[1][COLUMNS(N::H1)];
#pragma unroll
    for (int j = 0; j < COLUMNS(N::H1); j++) d[0][j] = 0.0f;
    add_product<1, N::H2, N::H1>(d, x, second);
#if LAYER_NORM
    float along[COLUMNS(N::H1)], sum = 0.0f, dot = 0.0f;
#pragma unroll
    for (int j = 0; j < COLUMNS(N::H1); j++) {
        int column = LANE + WARP * j;
        along[j] = 0.0f;
        if (column < N::H1) {
            unsigned place = at * N::H1 + column;
            float y = first[place], g = d[0][j] * (1.0f - y * y);
            along[j] = normal[place];
            if (inside) d_shift[place] = g;
            if (inside) d_scale[place] = g * along[j];
            d[0][j] = g * scale[column];
            sum += d[0][j];
            dot += d[0][j] * along[j];
        }
    }
    float mean = warp_sum(sum) / N::H1, slope = warp_sum(dot) / N::H1, narrow = inverse[at];
#pragma unroll
    for (int j = 0; j < COLUMNS(N::H1); j++) d[0][j] = narrow * (d[0][j] - mean - along[j] * slope);
#else
#pragma unroll
    for (int j = 0; j < COLUMNS(N::H1); j++) {
        int column = LANE + WARP * j;
        if (column < N::H1) d[0][j] *= elu_slope(first[at * N::H1 + column]);
    }
#endif
    keep<N::H1>(inside, d, d_first + at * N::H1);
}

template <class N>
__device__ inline void backward_row(bool inside, unsigned row, float* x, const float* w, const float* first,
                                    const float* normal, const float* inverse, const float* second, const float* d_out,
                                    float* d_second, float* d_scale, float* d_shift, float* d_first) {
    float acc[1][COLUMNS(N::H2)];
#pragma unroll
    for (int j = 0; j < COLUMNS(N::H2); j++) acc[0][j] = 0.0f;
    for (int i = LANE; i < N::OUT; i += WARP) x[i] = d_out[row * N::OUT + i];
    __syncwarp();
    add_product<1, N::OUT, N::H2>(acc, x, w + N::HEAD);
#pragma unroll
    for (int j = 0; j < COLUMNS(N::H2); j++) {
        int column = LANE + WARP * j;
        if (column < N::H2) acc[0][j] *= elu_slope(second[row * N::H2 + column]);
    }
    keep<N::H2>(inside, acc, d_second + row * N::H2);
    share<1, N::H2>(acc, x);
    backward_torso<N, 0>(inside, row, x, w + N::SECOND, w + N::SCALE, first, normal, inverse, d_scale, d_shift, d_first);
#if PART
    backward_torso<N, 1>(inside, row, x, w + N::BRANCH_SECOND, w + N::BRANCH_SCALE, first, normal, inverse, d_scale, d_shift,
                         d_first);
#endif
}

#define BACKWARD(name, Net)                                                                                              \
    extern "C" __global__ void name(const unsigned* control, const unsigned* head_words, const float* online,            \
                                    const float* first, const float* normal, const float* inverse, const float* second, \
                                    const float* d_out, float* d_second, float* d_scale, float* d_shift, float* d_first, \
                                    unsigned stride, unsigned batch_stride, unsigned slot) {                                                    \
        SHARED_FLOATS(shared);                                                                                           \
        RUN(control);                                                                                                    \
        BATCH(head_words);                                                                                               \
        unsigned count = head_words[TRANSITIONS];                                                                        \
        if (blockIdx.x * WARPS >= count) return;                                                                         \
        RUN(online);                                                                                                     \
        RUN(first);                                                                                                      \
        RUN(normal);                                                                                                     \
        RUN(inverse);                                                                                                    \
        RUN(second);                                                                                                     \
        RUN(d_out);                                                                                                      \
        RUN(d_second);                                                                                                   \
        RUN(d_scale);                                                                                                    \
        RUN(d_shift);                                                                                                    \
        RUN(d_first);                                                                                                    \
        unsigned row = blockIdx.x * WARPS + WARP_INDEX;                                                                  \
        bool inside = row < count;                                                                                       \
        row = inside ? row : count - 1;                                                                                  \
        float* x = shared + WARP_INDEX * Net::WIDEST                       ;                                             \
        backward_row<Net>(inside, row, x, online, first, normal, inverse, second, d_out, d_second, d_scale, d_shift,     \
                          d_first);                                                                                      \
    }

BACKWARD(backward_policy, PolicyNet)
BACKWARD(backward_critic, CriticNet)

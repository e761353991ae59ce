// Networks over stacks of frames: convolutions, the dense layer and the head, forward and backward, as products that read their factors
// where they are. The oracle is PixelNetwork.
//
// Maps stand [rows, height, width, channels], frames as bytes [rows, stack, height, width]; a convolution's weight
// [kernel, kernel, channels in, channels out], the dense layer's [features, units], the head's [actions, units], each with its bias
// behind it.

// A block's tile of a product, 16 by 16 threads of 4 rows and 2 columns each, and how deep its factors are loaded at a time.
#define TILE_ROWS 64
#define TILE_COLUMNS 32
#define TILE_DEPTH 32
// Rows of a tile in shared memory, one more than there are: neighbours in depth lie in banks of their own.
#define TILE_STRIDE 65

// Sizes of a convolution and its parameters' places.
struct First {
    enum { H = FRAME_HEIGHT, W = FRAME_WIDTH, C = STACK, OH = HEIGHT_1, OW = WIDTH_1, F = CHANNELS_1, K = 8, S = 4,
           WEIGHT = WEIGHT_1, BIAS = BIAS_1 };
};
struct Second {
    enum { H = HEIGHT_1, W = WIDTH_1, C = CHANNELS_1, OH = HEIGHT_2, OW = WIDTH_2, F = CHANNELS_2, K = 4, S = 2,
           WEIGHT = WEIGHT_2, BIAS = BIAS_2 };
};
struct Third {
    enum { H = HEIGHT_2, W = WIDTH_2, C = CHANNELS_2, OH = HEIGHT_3, OW = WIDTH_3, F = CHANNELS_3, K = 3, S = 1,
           WEIGHT = WEIGHT_3, BIAS = BIAS_3 };
};

// What a convolution reads: frames, as numbers from 0 to 1, or maps.
struct Bytes {
    const unsigned char* p;
    __device__ inline float at(unsigned n, unsigned y, unsigned x, unsigned c) const {
        return p[((n * STACK + c) * FRAME_HEIGHT + y) * FRAME_WIDTH + x] * (1.0f / 255.0f);
    }
};
template <class G>
struct Maps {
    const float* p;
    __device__ inline float at(unsigned n, unsigned y, unsigned x, unsigned c) const {
        return p[((n * G::H + y) * G::W + x) * G::C + c];
    }
};

__device__ inline float positive(float x) { return x > 0.0f ? x : 0.0f; }

// The tile of `tile_row` and `tile_column` of a product of `rows` by `columns`, summed over the steps `from` to `to` in their order.
// `p` says what stands in the factors, a(row, k) and b(k, column), which of a's and b's places are neighbours in memory, and where a
// sum goes.
template <class P>
__device__ inline void product(const P& p, unsigned tile_row, unsigned tile_column, unsigned rows, unsigned columns,
                               unsigned from, unsigned to, float* shared) {
    float *a = shared, *b = shared + TILE_DEPTH * TILE_STRIDE;
    unsigned row0 = tile_row * TILE_ROWS, column0 = tile_column * TILE_COLUMNS;
    unsigned line = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 2;
    float sum[4][2];
#pragma unroll
    for (int r = 0; r < 4; r++) sum[r][0] = sum[r][1] = 0.0f;
    for (unsigned start = from; start < to; start += TILE_DEPTH) {
        for (unsigned i = threadIdx.x; i < TILE_ROWS * TILE_DEPTH; i += 256) {
            unsigned m = P::A_BY_ROW ? i % TILE_ROWS : i / TILE_DEPTH, k = P::A_BY_ROW ? i / TILE_ROWS : i % TILE_DEPTH;
            bool inside = row0 + m < rows && start + k < to;
            a[k * TILE_STRIDE + m] = inside ? p.a(row0 + m, start + k) : 0.0f;
        }
        for (unsigned i = threadIdx.x; i < TILE_COLUMNS * TILE_DEPTH; i += 256) {
            unsigned n = P::B_BY_COLUMN ? i % TILE_COLUMNS : i / TILE_DEPTH;
            unsigned k = P::B_BY_COLUMN ? i / TILE_COLUMNS : i % TILE_DEPTH;
            bool inside = column0 + n < columns && start + k < to;
            b[k * (TILE_COLUMNS + 1) + n] = inside ? p.b(start + k, column0 + n) : 0.0f;
        }
        __syncthreads();
#pragma unroll 8
        for (int k = 0; k < TILE_DEPTH; k++) {
            float left = b[k * (TILE_COLUMNS + 1) + column], right = b[k * (TILE_COLUMNS + 1) + column + 1];
#pragma unroll
            for (int r = 0; r < 4; r++) {
                float x = a[k * TILE_STRIDE + line + r];
                sum[r][0] += x * left;
                sum[r][1] += x * right;
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < 4; r++)
#pragma unroll
        for (int c = 0; c < 2; c++) {
            unsigned row = row0 + line + r, place = column0 + column + c;
            if (row < rows && place < columns) p.out(row, place, sum[r][c]);
        }
}

// Forward.

template <class G, class From>
struct Convolve {
    enum { A_BY_ROW = 0, B_BY_COLUMN = 1 };
    From from;
    const float* w;
    float* to;
    __device__ inline float a(unsigned row, unsigned k) const {
        unsigned y = row / G::OW % G::OH * G::S + k / (G::K * G::C), x = row % G::OW * G::S + k / G::C % G::K;
        return from.at(row / (G::OH * G::OW), y, x, k % G::C);
    }
    __device__ inline float b(unsigned k, unsigned filter) const { return w[G::WEIGHT + k * G::F + filter]; }
    __device__ inline void out(unsigned row, unsigned filter, float sum) const {
        to[row * G::F + filter] = positive(sum + w[G::BIAS + filter]);
    }
};

struct DenseForward {
    enum { A_BY_ROW = 0, B_BY_COLUMN = 1 };
    const float *map, *w;
    float* to;
    __device__ inline float a(unsigned row, unsigned k) const { return map[row * FEATURES + k]; }
    __device__ inline float b(unsigned k, unsigned unit) const { return w[DENSE + k * UNITS + unit]; }
    __device__ inline void out(unsigned row, unsigned unit, float sum) const {
        to[row * UNITS + unit] = positive(sum + w[DENSE_BIAS + unit]);
    }
};

struct HeadForward {
    enum { A_BY_ROW = 0, B_BY_COLUMN = 0 };
    const float *dense, *w;
    float* to;
    __device__ inline float a(unsigned row, unsigned k) const { return dense[row * UNITS + k]; }
    __device__ inline float b(unsigned k, unsigned action) const { return w[HEAD + action * UNITS + k]; }
    __device__ inline void out(unsigned row, unsigned action, float sum) const {
        to[row * ACTIONS + action] = sum + w[HEAD_BIAS + action];
    }
};

// States of a pass: those with a transition, or all of them.
__device__ inline unsigned states_of(const unsigned* head_words, unsigned all) {
    if (head_words[TRANSITIONS] == 0) return 0;
    return head_words[TRANSITIONS] + (all ? head_words[WINDOWS] : 0);
}

#define PASS                                                   \
    SHARED_FLOATS(shared);                                     \
    RUN(control);                                              \
    BATCH(head_words);                                         \
    unsigned rows = states_of(head_words, all);

extern "C" __global__ void convolve_1(const unsigned* control, const unsigned* head_words, const unsigned* states,
                                      const float* w, float* to, unsigned all, unsigned stride, unsigned batch_stride,
                                      unsigned slot) {
    PASS
    rows *= First::OH * First::OW;
    if (blockIdx.x * TILE_ROWS >= rows) return;
    BATCH(states);
    RUN(w);
    RUN(to);
    Convolve<First, Bytes> p = {{(const unsigned char*)states}, w, to};
    product(p, blockIdx.x, blockIdx.y, rows, First::F, 0, First::K * First::K * First::C, shared);
}

#define FORWARD(name, Problem, ROWS, COLUMNS_OF, DEPTH, FROM)                                                          \
    extern "C" __global__ void name(const unsigned* control, const unsigned* head_words, const float* from,            \
                                    const float* w, float* to, unsigned all, unsigned stride, unsigned batch_stride,   \
                                    unsigned slot) {                                                                   \
        PASS                                                                                                           \
        rows *= ROWS;                                                                                                  \
        if (blockIdx.x * TILE_ROWS >= rows) return;                                                                    \
        RUN(from);                                                                                                     \
        RUN(w);                                                                                                        \
        RUN(to);                                                                                                       \
        Problem p = {FROM, w, to};                                                                                     \
        product(p, blockIdx.x, blockIdx.y, rows, COLUMNS_OF, 0, DEPTH, shared);                                        \
    }

typedef Convolve<Second, Maps<Second> > ConvolveSecond;
typedef Convolve<Third, Maps<Third> > ConvolveThird;
FORWARD(convolve_2, ConvolveSecond, Second::OH * Second::OW, Second::F, Second::K * Second::K * Second::C, {from})
FORWARD(convolve_3, ConvolveThird, Third::OH * Third::OW, Third::F, Third::K * Third::K * Third::C, {from})
FORWARD(forward_dense, DenseForward, 1, UNITS, FEATURES, from)
FORWARD(forward_head, HeadForward, 1, ACTIONS, UNITS, from)

// Backward: from the loss's gradient by what a layer leaves, before its relu, to that by what it sees, before the relu of that.

struct HeadBackward {
    enum { A_BY_ROW = 0, B_BY_COLUMN = 1 };
    const float *d_out, *seen, *w;
    float* to;
    __device__ inline float a(unsigned row, unsigned action) const { return d_out[row * ACTIONS + action]; }
    __device__ inline float b(unsigned action, unsigned unit) const { return w[HEAD + action * UNITS + unit]; }
    __device__ inline void out(unsigned row, unsigned unit, float sum) const {
        unsigned place = row * UNITS + unit;
        to[place] = seen[place] > 0.0f ? sum : 0.0f;
    }
};

struct DenseBackward {
    enum { A_BY_ROW = 0, B_BY_COLUMN = 0 };
    const float *d_out, *seen, *w;
    float* to;
    __device__ inline float a(unsigned row, unsigned unit) const { return d_out[row * UNITS + unit]; }
    __device__ inline float b(unsigned unit, unsigned feature) const { return w[DENSE + feature * UNITS + unit]; }
    __device__ inline void out(unsigned row, unsigned feature, float sum) const {
        unsigned place = row * FEATURES + feature;
        to[place] = seen[place] > 0.0f ? sum : 0.0f;
    }
};

// Inputs whose row and column leave `py` and `px` when divided by the stride, [rows, height, width] of them, are seen under the same
// steps of the kernel.
template <class G>
struct ConvolveBackward {
    enum { A_BY_ROW = 0, B_BY_COLUMN = 0, STEPS = G::K / G::S, DEPTH = STEPS * STEPS * G::F };
    const float *d_out, *seen, *w;
    float* to;
    unsigned py, px;
    __device__ inline unsigned height() const { return (G::H - py + G::S - 1) / G::S; }
    __device__ inline unsigned width() const { return (G::W - px + G::S - 1) / G::S; }
    __device__ inline float a(unsigned row, unsigned k) const {
        int y = (int)(row / width() % height()) - (int)(k / (STEPS * G::F));
        int x = (int)(row % width()) - (int)(k / G::F % STEPS);
        if (y < 0 || x < 0 || y >= (int)G::OH || x >= (int)G::OW) return 0.0f;
        return d_out[((row / (height() * width()) * G::OH + y) * G::OW + x) * G::F + k % G::F];
    }
    __device__ inline float b(unsigned k, unsigned channel) const {
        unsigned ky = py + G::S * (k / (STEPS * G::F)), kx = px + G::S * (k / G::F % STEPS);
        return w[G::WEIGHT + ((ky * G::K + kx) * G::C + channel) * G::F + k % G::F];
    }
    __device__ inline void out(unsigned row, unsigned channel, float sum) const {
        unsigned y = py + G::S * (row / width() % height()), x = px + G::S * (row % width());
        unsigned place = ((row / (height() * width()) * G::H + y) * G::W + x) * G::C + channel;
        to[place] = seen[place] > 0.0f ? sum : 0.0f;
    }
};

#define BACKWARD_PASS                                          \
    SHARED_FLOATS(shared);                                     \
    RUN(control);                                              \
    BATCH(head_words);                                         \
    unsigned rows = head_words[TRANSITIONS];                   \
    RUN(d_out);                                                \
    RUN(seen);                                                 \
    RUN(w);                                                    \
    RUN(to);

#define BACKWARD_DENSE(name, Problem, COLUMNS_OF, DEPTH)                                                               \
    extern "C" __global__ void name(const unsigned* control, const unsigned* head_words, const float* d_out,           \
                                    const float* seen, const float* w, float* to, unsigned stride,                     \
                                    unsigned batch_stride, unsigned slot) {                                            \
        BACKWARD_PASS                                                                                                  \
        if (blockIdx.x * TILE_ROWS >= rows) return;                                                                    \
        Problem p = {d_out, seen, w, to};                                                                              \
        product(p, blockIdx.x, blockIdx.y, rows, COLUMNS_OF, 0, DEPTH, shared);                                        \
    }

BACKWARD_DENSE(back_head, HeadBackward, UNITS, ACTIONS)
BACKWARD_DENSE(back_dense, DenseBackward, FEATURES, UNITS)

// blockIdx.y counts the tiles of columns of each pair of remainders.
#define BACKWARD_CONVOLUTION(name, G)                                                                                  \
    extern "C" __global__ void name(const unsigned* control, const unsigned* head_words, const float* d_out,           \
                                    const float* seen, const float* w, float* to, unsigned stride,                     \
                                    unsigned batch_stride, unsigned slot) {                                            \
        BACKWARD_PASS                                                                                                  \
        const unsigned tiles = (G::C + TILE_COLUMNS - 1) / TILE_COLUMNS;                                               \
        unsigned remainders = blockIdx.y / tiles;                                                                      \
        ConvolveBackward<G> p = {d_out, seen, w, to, remainders / G::S, remainders % G::S};                            \
        rows *= p.height() * p.width();                                                                                \
        if (blockIdx.x * TILE_ROWS >= rows) return;                                                                    \
        product(p, blockIdx.x, blockIdx.y % tiles, rows, G::C, 0, ConvolveBackward<G>::DEPTH, shared);                 \
    }

BACKWARD_CONVOLUTION(back_2, Second)
BACKWARD_CONVOLUTION(back_3, Third)

// The parameters' gradients. A bias is the weight of an input that is always one.

struct HeadGradient {
    enum { A_BY_ROW = 1, B_BY_COLUMN = 1 };
    const float *d_out, *dense;
    float* gradient;
    __device__ inline float a(unsigned action, unsigned row) const { return d_out[row * ACTIONS + action]; }
    __device__ inline float b(unsigned row, unsigned unit) const { return unit == UNITS ? 1.0f : dense[row * UNITS + unit]; }
    __device__ inline void out(unsigned action, unsigned unit, float sum) const {
        gradient[unit == UNITS ? HEAD_BIAS + action : HEAD + action * UNITS + unit] = sum;
    }
};

struct DenseGradient {
    enum { A_BY_ROW = 1, B_BY_COLUMN = 1 };
    const float *d_out, *map;
    float* gradient;
    __device__ inline float a(unsigned feature, unsigned row) const {
        return feature == FEATURES ? 1.0f : map[row * FEATURES + feature];
    }
    __device__ inline float b(unsigned row, unsigned unit) const { return d_out[row * UNITS + unit]; }
    __device__ inline void out(unsigned feature, unsigned unit, float sum) const {
        gradient[(feature == FEATURES ? DENSE_BIAS : DENSE + feature * UNITS) + unit] = sum;
    }
};

#define GRADIENT(name, Problem, ROWS, COLUMNS_OF)                                                                      \
    extern "C" __global__ void name(const unsigned* control, const unsigned* head_words, const float* d_out,           \
                                    const float* seen, float* gradient, unsigned stride, unsigned batch_stride,        \
                                    unsigned slot) {                                                                   \
        SHARED_FLOATS(shared);                                                                                         \
        RUN(control);                                                                                                  \
        BATCH(head_words);                                                                                             \
        unsigned depth = head_words[TRANSITIONS];                                                                      \
        if (depth == 0) return;                                                                                        \
        RUN(d_out);                                                                                                    \
        RUN(seen);                                                                                                     \
        RUN(gradient);                                                                                                 \
        Problem p = {d_out, seen, gradient};                                                                           \
        product(p, blockIdx.x, blockIdx.y, ROWS, COLUMNS_OF, 0, depth, shared);                                        \
    }

GRADIENT(gradient_head, HeadGradient, ACTIONS, UNITS + 1)
GRADIENT(gradient_dense, DenseGradient, FEATURES + 1, UNITS)

// A convolution's sums run over all places of all maps, so that their length is cut into SPLITS; parts [SPLITS, weight and bias].
template <class G, class From>
struct ConvolveGradient {
    enum { A_BY_ROW = 1, B_BY_COLUMN = 1, PATCH = G::K * G::K * G::C };
    From from;
    const float* d_out;
    float* part;
    __device__ inline float a(unsigned k, unsigned place) const {
        if (k == PATCH) return 1.0f;
        unsigned y = place / G::OW % G::OH * G::S + k / (G::K * G::C), x = place % G::OW * G::S + k / G::C % G::K;
        return from.at(place / (G::OH * G::OW), y, x, k % G::C);
    }
    __device__ inline float b(unsigned place, unsigned filter) const { return d_out[place * G::F + filter]; }
    __device__ inline void out(unsigned k, unsigned filter, float sum) const { part[k * G::F + filter] = sum; }
};

template <class G, class From>
__device__ inline void convolution_gradient(unsigned rows, From from, const float* d_out, float* parts, float* shared) {
    const unsigned tiles = (G::F + TILE_COLUMNS - 1) / TILE_COLUMNS, patch = ConvolveGradient<G, From>::PATCH;
    unsigned split = blockIdx.y / tiles, depth = rows * G::OH * G::OW;
    // Whole steps of depth, so that all parts but the last are as long.
    unsigned length = (depth + SPLITS * TILE_DEPTH - 1) / (SPLITS * TILE_DEPTH) * TILE_DEPTH;
    unsigned begin = split * length < depth ? split * length : depth;
    unsigned end = begin + length < depth ? begin + length : depth;
    ConvolveGradient<G, From> p = {from, d_out, parts + split * (patch + 1) * G::F};
    product(p, blockIdx.x, blockIdx.y % tiles, patch + 1, G::F, begin, end, shared);
}

#define CONVOLUTION_GRADIENT(name, G, Pointer, PLACE, FROM)                                                            \
    extern "C" __global__ void name(const unsigned* control, const unsigned* head_words, const float* d_out,           \
                                    const Pointer* seen, float* parts, unsigned stride, unsigned batch_stride,         \
                                    unsigned slot) {                                                                   \
        SHARED_FLOATS(shared);                                                                                         \
        RUN(control);                                                                                                  \
        BATCH(head_words);                                                                                             \
        unsigned rows = head_words[TRANSITIONS];                                                                       \
        if (rows == 0) return;                                                                                         \
        RUN(d_out);                                                                                                    \
        PLACE(seen);                                                                                                   \
        RUN(parts);                                                                                                    \
        convolution_gradient<G>(rows, FROM, d_out, parts, shared);                                                     \
    }

CONVOLUTION_GRADIENT(gradient_1, First, unsigned, BATCH, Bytes{(const unsigned char*)seen})
CONVOLUTION_GRADIENT(gradient_2, Second, float, RUN, Maps<Second>{seen})
CONVOLUTION_GRADIENT(gradient_3, Third, float, RUN, Maps<Third>{seen})

// The sum of a parameter's parts.
__device__ inline float sum_parts(const float* parts, unsigned place, unsigned count) {
    float sum = 0.0f;
    for (unsigned split = 0; split < SPLITS; split++) sum += parts[split * count + place];
    return sum;
}

// A thread for each parameter: convolutions' from their parts, and the squares of all, a sum for each block.
extern "C" __global__ void collect(const unsigned* control, const unsigned* head_words, const float* parts_1,
                                   const float* parts_2, const float* parts_3, float* gradient, float* partial,
                                   unsigned count, unsigned stride, unsigned batch_stride, unsigned slot) {
    SHARED_FLOATS(shared);
    RUN(control);
    BATCH(head_words);
    if (head_words[TRANSITIONS] == 0) return;
    RUN(parts_1);
    RUN(parts_2);
    RUN(parts_3);
    RUN(gradient);
    RUN(partial);
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    float square[1] = {0.0f};
    if (i < count) {
        float g;
        if (i < WEIGHT_2) g = sum_parts(parts_1, i - WEIGHT_1, WEIGHT_2 - WEIGHT_1);
        else if (i < WEIGHT_3) g = sum_parts(parts_2, i - WEIGHT_2, WEIGHT_3 - WEIGHT_2);
        else if (i < DENSE) g = sum_parts(parts_3, i - WEIGHT_3, DENSE - WEIGHT_3);
        else g = gradient[i];
        gradient[i] = g;
        square[0] = g * g;
    }
    sum_block(square, 1, shared);
    if (threadIdx.x == 0) partial[blockIdx.x] = square[0];
}

// What all kernels share: places in the control block, a warp's sums and products, activations, normal numbers.
//
// The sources use a subset of CUDA C++ that a plain C++ compiler takes as well (see ../emulation/emulation.h): no header, no
// library, dynamic shared memory only. Sizes of the networks are macros that stand before this text. A run of a population is
// blockIdx.z, its numbers lie `stride` words after the run's before it, and nothing of one run enters another's sums. Batches
// have two slots of `slot` words, in each of which a run's batch lies `batch_stride` words after the run's before it.

#ifndef MPO_EMULATION
#define SHARED_FLOATS(name) extern __shared__ float name[]
#endif

#define WARP 32
#define LANE (threadIdx.x % WARP)
#define WARP_INDEX (threadIdx.x / WARP)
#define WARPS (blockDim.x / WARP)

// Words of the control block; the host knows them by the same names.
#define LAUNCHES 0      // launches of the whole list, of which each reads the batch in the slot of its parity
#define UPDATES 1       // steps of the optimisers
#define HALTED 2        // 0, or 1 + the index of what was not finite; then nothing moves any more
#define HALTED_VALUE 3  // its value
#define NOISE_LOW 4     // position in the stream of noise, 64 bits
#define NOISE_HIGH 5
#define KEY_LOW 6       // the stream's key, 64 bits
#define KEY_HIGH 7
#define GO 8            // whether this launch steps
#define COPY 9          // whether it also copies online networks into target networks
#define POLICY_FACTOR 10
#define CRITIC_FACTOR 11
#define POLICY_RATE 12
#define CRITIC_RATE 13
#define ADAM_FLOOR 14
// From word 16 on: the run's settings, whose names (EPSILON, DISCOUNT, ...) are macros before this text.

// Torsos of each network. With two, the last PART numbers of a state have one of their own. What a row's torsos leave stands side
// by side.
#define TORSOS (1 + (PART > 0))
#define MAIN (OBSERVATION - PART)

// Words of a batch's head.
#define TRANSITIONS 0
#define WINDOWS 1

// Moves a pointer to this run's numbers, or to those of this launch's batch.
#define RUN(pointer) pointer += (unsigned long long)blockIdx.z * stride
#define BATCH(pointer) \
    pointer += (unsigned long long)blockIdx.z * batch_stride + (unsigned long long)(control[LAUNCHES] & 1u) * slot

__device__ inline float number(unsigned bits) { return __uint_as_float(bits); }

__device__ inline float warp_sum(float x) {
    for (int step = WARP / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

// Of numbers; what is not one stays, as in mpo-core's maximum.
__device__ inline float warp_max(float x) {
    for (int step = WARP / 2; step > 0; step /= 2) {
        float y = __shfl_xor_sync(0xffffffffu, x, step);
        x = y > x || y != y ? y : x;
    }
    return x;
}

__device__ inline float softplus(float x) {
    float tail = log1pf(expf(-fabsf(x)));
    return x > 0.0f ? x + tail : tail;
}

__device__ inline float sigmoid(float x) {
    float e = expf(-fabsf(x));
    return x >= 0.0f ? 1.0f / (1.0f + e) : e / (1.0f + e);
}

// A dual variable's value from the number that its optimiser steps on.
__device__ inline float dual_value(float raw) { return softplus(raw) + 1e-8f; }

__device__ inline float elu(float x) { return x > 0.0f ? x : expm1f(x); }

// elu'(x) from elu(x).
__device__ inline float elu_slope(float y) { return y > 0.0f ? 1.0f : 1.0f + y; }

// What the critic sees of an action.
__device__ inline float seen(float action) {
#if CLIP_ACTIONS
    return fminf(fmaxf(action, -1.0f), 1.0f);
#else
    return action;
#endif
}

#define COLUMNS(width) (((width) + WARP - 1) / WARP)

// acc[r][j] += sum_k x[k][r] w[k][lane + 32 j] for a warp's R rows: x [K][R] in shared memory, w [K][N]. Every number of x is
// read by all lanes at once, every row of w by neighbouring lanes side by side.
template <int R, int K, int N>
__device__ inline void add_product(float (&acc)[R][COLUMNS(N)], const float* x, const float* __restrict__ w) {
#pragma unroll 4
    for (int k = 0; k < K; k++) {
        float row[R];
#pragma unroll
        for (int r = 0; r < R; r++) row[r] = x[k * R + r];
#pragma unroll
        for (int j = 0; j < COLUMNS(N); j++) {
            int column = LANE + WARP * j;
            if (column < N) {
                float weight = w[k * N + column];
#pragma unroll
                for (int r = 0; r < R; r++) acc[r][j] += row[r] * weight;
            }
        }
    }
}

// acc[r][j] = values[lane + 32 j], or 0 beyond them.
template <int R, int N>
__device__ inline void spread(float (&acc)[R][COLUMNS(N)], const float* __restrict__ values) {
#pragma unroll
    for (int j = 0; j < COLUMNS(N); j++) {
        int column = LANE + WARP * j;
        float value = column < N ? values[column] : 0.0f;
#pragma unroll
        for (int r = 0; r < R; r++) acc[r][j] = value;
    }
}

// Writes a warp's rows as the next product reads them, [N][R].
template <int R, int N>
__device__ inline void share(const float (&acc)[R][COLUMNS(N)], float* x) {
    __syncwarp();
#pragma unroll
    for (int j = 0; j < COLUMNS(N); j++) {
        int column = LANE + WARP * j;
        if (column < N) {
#pragma unroll
            for (int r = 0; r < R; r++) x[column * R + r] = acc[r][j];
        }
    }
    __syncwarp();
}

// What follows the first linear layer, in place: tanh(scale * normalise(z) + shift), or elu(z). `normal` and `inverse`, where
// they are wanted, receive normalise(z) and 1 / deviation.
template <int R, int N, bool KEEP>
__device__ inline void torso(float (&z)[R][COLUMNS(N)], const float* __restrict__ scale, const float* __restrict__ shift,
                             float (*normal)[COLUMNS(N)], float* inverse) {
#if LAYER_NORM
#pragma unroll
    for (int r = 0; r < R; r++) {
        float sum = 0.0f;
#pragma unroll
        for (int j = 0; j < COLUMNS(N); j++) sum += LANE + WARP * j < N ? z[r][j] : 0.0f;
        float mean = warp_sum(sum) / N;
        float square = 0.0f;
#pragma unroll
        for (int j = 0; j < COLUMNS(N); j++) {
            float d = z[r][j] - mean;
            square += LANE + WARP * j < N ? d * d : 0.0f;
        }
        float narrow = 1.0f / sqrtf(warp_sum(square) / N + 1e-5f);
        if (KEEP) inverse[r] = narrow;
#pragma unroll
        for (int j = 0; j < COLUMNS(N); j++) {
            int column = LANE + WARP * j;
            if (column < N) {
                float x = (z[r][j] - mean) * narrow;
                if (KEEP) normal[r][j] = x;
                z[r][j] = tanhf(scale[column] * x + shift[column]);
            }
        }
    }
#else
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int j = 0; j < COLUMNS(N); j++) z[r][j] = elu(z[r][j]);
#endif
}

template <int R, int N>
__device__ inline void elu_rows(float (&z)[R][COLUMNS(N)]) {
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int j = 0; j < COLUMNS(N); j++) z[r][j] = elu(z[r][j]);
}

// The nearest number of 10 bits of mantissa behind the point, which tensor cores take as it is.
__device__ inline float tf32(float x) { return __uint_as_float((__float_as_uint(x) + 0x1000u) & 0xffffe000u); }

// c += a b of a warp's fragments, [16, 8] [8, 8]: with group = lane / 4 and quad = lane % 4, a holds the rows group and group + 8 of
// column quad, then of column quad + 4; b the rows quad and quad + 4 of column group; c the columns 2 quad and 2 quad + 1 of row group,
// then of row group + 8.
#ifndef MPO_EMULATION
__device__ inline void multiply_tiles(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
          "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}
#endif

// Standard-normal numbers by position: Philox4x32-10 and Box-Muller, the stream of src/noise.rs to the last polynomial. The
// host's generator makes 64 numbers of 16 counters at a time; `index` is a number's place in the whole fill.

__device__ inline void philox(unsigned (&x)[4], unsigned k0, unsigned k1) {
    for (int round = 0; round < 10; round++) {
        unsigned long long p0 = 0xD2511F53ull * x[0], p1 = 0xCD9E8D57ull * x[2];
        unsigned x1 = x[1], x3 = x[3];
        x[0] = (unsigned)(p1 >> 32) ^ x1 ^ k0;
        x[1] = (unsigned)p1;
        x[2] = (unsigned)(p0 >> 32) ^ x3 ^ k1;
        x[3] = (unsigned)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

__device__ inline float ln_unit(float u) {
    unsigned shifted = __float_as_uint(u) - 0x3f3504f3u;
    int exponent = (int)shifted >> 23;
    float m = __uint_as_float((shifted & 0x007fffffu) + 0x3f3504f3u);
    float s = (m - 1.0f) / (m + 1.0f);
    float s2 = s * s;
    float p = 0.22222222f;
    p = p * s2 + 0.2857143f;
    p = p * s2 + 0.4f;
    p = p * s2 + 0.6666667f;
    p = p * s2 + 2.0f;
    return (float)exponent * 0.69314718f + p * s;
}

__device__ inline float sin_turn(float w) {
    w = w > 0.5f ? w - 1.0f : w;
    w = fabsf(w) > 0.25f ? copysignf(0.5f, w) - w : w;
    float x = 6.2831853f * w;
    float x2 = x * x;
    float p = -2.5052108e-8f;
    p = p * x2 + 2.7557319e-6f;
    p = p * x2 - 1.984127e-4f;
    p = p * x2 + 8.333333e-3f;
    p = p * x2 - 0.16666667f;
    return (p * x2) * x + x;
}

__device__ inline float normal_number(const unsigned* control, unsigned index) {
    unsigned within = index % 64;
    unsigned long long position = ((unsigned long long)control[NOISE_HIGH] << 32 | control[NOISE_LOW]);
    unsigned long long counter = position + (unsigned long long)(index / 64) * 16 + within % 16;
    unsigned x[4] = {(unsigned)counter, (unsigned)(counter >> 32), 0u, 0u};
    philox(x, control[KEY_LOW], control[KEY_HIGH]);
    unsigned pair = within / 32;
    float u = ((float)(int)(x[2 * pair] >> 8) + 1.0f) * (1.0f / 16777216.0f);
    float turn = (float)(int)(x[2 * pair + 1] >> 8) * (1.0f / 16777216.0f) - 0.5f;
    float radius = sqrtf(fmaxf(-2.0f * ln_unit(u), 0.0f));
    return radius * sin_turn(within / 16 % 2 == 0 ? turn : turn + 0.25f);
}

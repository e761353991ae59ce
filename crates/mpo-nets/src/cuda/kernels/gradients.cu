// The parameters' gradients: tiles of products a^T b over the rows with a transition, each an entry of a table; a column sum is
// the product with ones. A block for each tile of TILE outputs by TILE inputs, summing over the rows in their order whatever
// else runs. The oracle is Network::backward.

#define TILE 32

// An entry of the table: places relative to the run's first word.
struct Tile {
    unsigned a, a_stride, a_width, a_from;  // [rows, a_width] in rows of a_stride, columns from a_from
    unsigned b, b_stride, b_width, b_from;  // likewise; b_width 0 stands for ones
    unsigned out;                           // [a_width, b_width], or [a_width]
    unsigned in_batch;                      // whether b is relative to the batch's first word instead
};

extern "C" __global__ void gradients(const unsigned* control, const unsigned* head_words, float* words,
                                     const float* batch, const unsigned* table, float* partial,
                                     unsigned stride, unsigned batch_stride, unsigned slot) {
    SHARED_FLOATS(shared);
    RUN(control);
    BATCH(head_words);
    unsigned count = head_words[TRANSITIONS];
    if (count == 0) return;
    BATCH(batch);
    RUN(words);
    RUN(table);
    RUN(partial);
    const Tile tile = ((const Tile*)table)[blockIdx.x];
    const float* a = words + tile.a;
    const float* b = (tile.in_batch ? batch : words) + tile.b;
    float *a_part = shared, *b_part = shared + TILE * TILE;
    // A thread's column of b, and its first of 4 columns of a.
    unsigned column = LANE, line = WARP_INDEX * 4;
    bool ones = tile.b_width == 0;
    unsigned b_columns = ones ? 1 : tile.b_width;
    float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (unsigned start = 0; start < count; start += TILE) {
        for (unsigned i = WARP_INDEX; i < TILE; i += WARPS) {
            unsigned row = start + i, a_column = tile.a_from + LANE, b_column = tile.b_from + LANE;
            a_part[i * TILE + LANE] = row < count && a_column < tile.a_width ? a[row * tile.a_stride + a_column] : 0.0f;
            float x = 0.0f;
            if (row < count && b_column < b_columns) x = ones ? 1.0f : b[row * tile.b_stride + b_column];
            b_part[i * TILE + LANE] = x;
        }
        __syncthreads();
#pragma unroll 8
        for (int i = 0; i < TILE; i++) {
            float x = b_part[i * TILE + column];
#pragma unroll
            for (int k = 0; k < 4; k++) sum[k] += a_part[i * TILE + line + k] * x;
        }
        __syncthreads();
    }
    float square = 0.0f;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        unsigned output = tile.a_from + line + k, input = tile.b_from + column;
        if (output < tile.a_width && input < b_columns) {
            words[tile.out + output * b_columns + input] = sum[k];
            square += sum[k] * sum[k];
        }
    }
    square = warp_sum(square);
    if (LANE == 0) shared[WARP_INDEX] = square;
    __syncthreads();
    if (threadIdx.x == 0) {
        float total = 0.0f;
        for (unsigned i = 0; i < WARPS; i++) total += shared[i];
        partial[blockIdx.x] = total;
    }
}

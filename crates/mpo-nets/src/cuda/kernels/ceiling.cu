// What the card can do at best, to hold the kernels' times against: words copied from memory to memory, and multiply-adds that
// wait for nothing.

extern "C" __global__ void copy_words(const float* from, float* to, unsigned count) {
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) to[i] = from[i];
}

// `rounds` times 16 multiply-adds of each thread, in 16 chains.
extern "C" __global__ void multiply_adds(const float* from, float* to, unsigned rounds) {
    unsigned place = blockIdx.x * blockDim.x + threadIdx.x;
    float x[16], a = from[0], b = from[1];
    for (int k = 0; k < 16; k++) x[k] = (float)place + (float)k;
    for (unsigned round = 0; round < rounds; round++)
#pragma unroll
        for (int k = 0; k < 16; k++) x[k] = x[k] * a + b;
    float sum = 0.0f;
    for (int k = 0; k < 16; k++) sum += x[k];
    to[place] = sum;
}

// CUDA's words for a plain C++ compiler on a Unix: the kernels' oracle on machines without a card. A block's threads are
// fibres of one thread of the system, switched at barriers and shuffles only; blocks run one after another. That is slow and
// deterministic, and a barrier that not all threads of a warp or block reach is found instead of hanging.

#include <csetjmp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>
#include <ucontext.h>

#define MPO_EMULATION 1
#define __global__
#define __device__
#define __restrict__

struct Index {
    unsigned x, y, z;
};

static thread_local Index threadIdx, blockIdx, blockDim, gridDim;

static inline float __uint_as_float(unsigned x) {
    float y;
    std::memcpy(&y, &x, 4);
    return y;
}

static inline unsigned __float_as_uint(float x) {
    unsigned y;
    std::memcpy(&y, &x, 4);
    return y;
}

namespace emulation {

constexpr unsigned WARP_THREADS = 32;
constexpr unsigned MOST_THREADS = 256;
constexpr size_t STACK = 1 << 16;

struct Fibre {
    ucontext_t context;
    jmp_buf place;
    std::vector<char> stack;
    bool begun = false, done = false;
    unsigned waits;  // 0 runs, 1 at the warp's barrier, 2 at the block's
    float given[2];  // in the last two shuffles: a lane may be one ahead of its neighbours
    unsigned shuffles;
    float a[4], b[2];  // of tiles that are being multiplied
};

struct Block {
    std::vector<Fibre> fibres;
    std::vector<float> shared;
    jmp_buf scheduler;
    unsigned current = 0, count = 0;
    void (*body)(void*) = nullptr;
    void* argument = nullptr;
};

// A plain pointer: reaching it costs less than an object that has to be made.
static thread_local Block* here = nullptr;

static void leave(unsigned waits) {
    Block& block = *here;
    Fibre& fibre = block.fibres[block.current];
    fibre.waits = waits;
    if (_setjmp(fibre.place) == 0) _longjmp(block.scheduler, 1);
}

// A fibre's whole life: a thread of one block after another.
static void entry() {
    for (;;) {
        Block& block = *here;
        block.body(block.argument);
        Fibre& fibre = block.fibres[block.current];
        fibre.done = true;
        if (_setjmp(fibre.place) == 0) _longjmp(block.scheduler, 1);
    }
}

// Lets fibre `i` run until it waits or ends.
static void resume(Block& block, unsigned i) {
    Fibre& fibre = block.fibres[i];
    block.current = i;
    threadIdx = {i, 0, 0};
    if (_setjmp(block.scheduler) == 0) {
        if (fibre.begun) _longjmp(fibre.place, 1);
        fibre.begun = true;
        getcontext(&fibre.context);
        fibre.context.uc_stack.ss_sp = fibre.stack.data();
        fibre.context.uc_stack.ss_size = fibre.stack.size();
        fibre.context.uc_link = nullptr;
        makecontext(&fibre.context, entry, 0);
        setcontext(&fibre.context);
    }
}

// Threads from..to that have not ended all wait at `barrier`; none of them runs.
static bool arrived(const Block& block, unsigned from, unsigned to, unsigned barrier) {
    bool any = false;
    for (unsigned i = from; i < to; i++) {
        if (block.fibres[i].done) continue;
        if (block.fibres[i].waits != barrier) return false;
        any = true;
    }
    return any;
}

static void release(Block& block, unsigned from, unsigned to) {
    for (unsigned i = from; i < to; i++) block.fibres[i].waits = 0;
}

// Runs a block's threads to their ends; false where they wait for each other at different barriers.
static bool run_block(Block& block) {
    for (unsigned i = 0; i < block.count; i++) {
        Fibre& fibre = block.fibres[i];
        fibre.done = false;
        fibre.waits = 0;
        fibre.shuffles = 0;
    }
    for (;;) {
        bool alive = false, moved = false;
        for (unsigned from = 0; from < block.count; from += WARP_THREADS) {
            unsigned to = from + WARP_THREADS < block.count ? from + WARP_THREADS : block.count;
            for (unsigned i = from; i < to; i++) {
                if (block.fibres[i].done || block.fibres[i].waits != 0) continue;
                resume(block, i);
                moved = true;
            }
            for (unsigned i = from; i < to; i++) alive |= !block.fibres[i].done;
            if (arrived(block, from, to, 1)) {
                release(block, from, to);
                moved = true;
            }
        }
        if (!alive) return true;
        if (arrived(block, 0, block.count, 2)) {
            release(block, 0, block.count);
            moved = true;
        }
        if (!moved) return false;
    }
}

template <class... A, size_t... I>
void call_with(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<A*>(arguments[I])...);
}

template <class... A>
void call(void (*kernel)(A...), void** arguments) {
    call_with(kernel, arguments, std::index_sequence_for<A...>());
}

// This thread's block, whose fibres are of a fixed number: one that has begun must not move.
static Block& own_block() {
    static thread_local Block block;
    here = &block;
    if (block.fibres.empty()) {
        block.fibres.resize(MOST_THREADS);
        for (Fibre& fibre : block.fibres) fibre.stack.resize(STACK);
    }
    return block;
}

template <class F>
int launch(const unsigned* grid, unsigned threads, unsigned shared_bytes, F body) {
    if (threads > MOST_THREADS) return 2;
    Block& block = own_block();
    block.count = threads;
    block.body = [](void* f) { (*static_cast<F*>(f))(); };
    block.argument = &body;
    blockDim = {threads, 1, 1};
    gridDim = {grid[0], grid[1], grid[2]};
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                blockIdx = {x, y, z};
                // What a block leaves uninitialised is not zero, as on the card.
                block.shared.assign(shared_bytes / 4, NAN);
                if (!run_block(block)) {
                    block.fibres.clear();
                    return 1;
                }
            }
    return 0;
}

}  // namespace emulation

#define SHARED_FLOATS(name) float* name = emulation::here->shared.data()

static inline void __syncwarp() { emulation::leave(1); }
static inline void __syncthreads() { emulation::leave(2); }

static inline float __shfl_xor_sync(unsigned, float x, int mask) {
    emulation::Block& block = *emulation::here;
    unsigned lane = block.current, turn = block.fibres[lane].shuffles++ % 2;
    block.fibres[lane].given[turn] = x;
    emulation::leave(1);
    return block.fibres[lane ^ (unsigned)mask].given[turn];
}

// As kernels/prelude.cu has it.
static inline void multiply_tiles(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
    emulation::Block& block = *emulation::here;
    unsigned own = block.current, lane = own % emulation::WARP_THREADS;
    emulation::Fibre* warp = &block.fibres[own - lane];
    std::memcpy(warp[lane].a, a, sizeof(a));
    std::memcpy(warp[lane].b, b, sizeof(b));
    emulation::leave(1);
    for (unsigned k = 0; k < 4; k++) {
        unsigned row = lane / 4 + k / 2 * 8, column = 2 * (lane % 4) + k % 2;
        for (unsigned step = 0; step < 8; step++) {
            float left = warp[row % 8 * 4 + step % 4].a[row / 8 + step / 4 * 2];
            c[k] += left * warp[column * 4 + step % 4].b[step / 4];
        }
    }
    // Nobody goes on to other tiles before all have read these.
    emulation::leave(1);
}

// The entry through which the host launches a kernel: as cuLaunchKernel, pointers to the arguments.
#define EMULATED(name)                                                                                            \
    extern "C" int emulated_##name(const unsigned* grid, unsigned threads, unsigned shared_bytes, void** arguments) { \
        return emulation::launch(grid, threads, shared_bytes, [=] { emulation::call(name, arguments); });         \
    }

// Adam's step on both networks, and at its period the copy into the targets. The oracle is src/adam.rs.
//
// Beside the parameters as the checkpoint has them, `turned` holds each weight [inputs, outputs], as products forward read
// it; the targets, which only go forward, exist in this form alone.

// The place of parameter `i` in the turned form: the entries of `shapes` are the weights' first place, outputs and inputs.
__device__ inline unsigned turned_place(unsigned i, const unsigned* shapes, unsigned count) {
    for (unsigned k = 0; k < count; k++) {
        unsigned from = shapes[3 * k], outputs = shapes[3 * k + 1], inputs = shapes[3 * k + 2];
        if (i >= from && i < from + outputs * inputs) {
            unsigned at = i - from;
            return from + (at % inputs) * outputs + at / inputs;
        }
    }
    return i;
}

// A thread for each parameter of one network, of `count`; `critic` says whose factor and rate to take.
extern "C" __global__ void adam(const unsigned* control, const unsigned* shapes, const float* gradient, float* online,
                                float* turned, float* target, float* first, float* second, unsigned count,
                                unsigned weights, unsigned critic, unsigned stride) {
    RUN(control);
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count || control[GO] == 0) return;
    RUN(shapes);
    RUN(gradient);
    RUN(online);
    RUN(turned);
    RUN(target);
    RUN(first);
    RUN(second);
    float factor = number(control[critic ? CRITIC_FACTOR : POLICY_FACTOR]);
    float rate = number(control[critic ? CRITIC_RATE : POLICY_RATE]), floor = number(control[ADAM_FLOOR]);
    float g = factor * gradient[i];
    float m = 0.9f * first[i] + (1.0f - 0.9f) * g, v = 0.999f * second[i] + (1.0f - 0.999f) * g * g;
    first[i] = m;
    second[i] = v;
    float moved = online[i] - rate * m / (sqrtf(v) + floor);
    online[i] = moved;
    unsigned place = turned_place(i, shapes, weights);
    turned[place] = moved;
    if (control[COPY]) target[place] = moved;
}

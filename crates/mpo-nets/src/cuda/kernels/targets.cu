// The critic's targets (paper eq. 13), the same whatever the actions are. The oracle is mpo_core::retrace_windows.

// One window, backwards, by one thread: `log_rho(t)` is a transition's log-ratio, `taken(t)` the target value of its action, and
// `found(t, target)` takes what comes out.
template <class LogRho, class Taken, class Found>
__device__ inline void retrace_window(unsigned start, unsigned end, unsigned beyond, float gamma, float lambda,
                                      const float* rewards, const float* discounts, const float* v, LogRho log_rho,
                                      Taken taken, Found found) {
    float trace = 0.0f;
    for (unsigned t = end; t-- > start;) {
        float after = v[t + 1 < end ? t + 1 : beyond];
        float discount = gamma * discounts[t];
        // Nothing beyond a termination is looked at, not even a value that is not finite.
        float target = rewards[t] + (discount == 0.0f ? 0.0f : discount * (after + trace));
        float ratio = log_rho(t);
        trace = (ratio >= 0.0f ? lambda : lambda * expf(ratio)) * (target - taken(t));
        found(t, target);
    }
}

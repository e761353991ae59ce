//! Random actions that `alignment/record.py` makes too.

/// `SplitMix64`, the generator (Steele, Lea and Flood 2014).
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    /// Uniform in [0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Fills an action uniformly within its bounds.
    pub(crate) fn action(&mut self, spec: &mpo_envs::Spec, action: &mut [f64]) {
        for ((slot, low), high) in action.iter_mut().zip(&spec.action_minimum).zip(&spec.action_maximum) {
            *slot = low + (high - low) * self.uniform();
        }
    }
}

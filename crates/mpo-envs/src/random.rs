//! NumPy's legacy random stream, so that a seed means the same episodes here as in `dm_control`.

const N: usize = 624;
const M: usize = 397;

/// `numpy.random.RandomState`: the Mersenne Twister MT19937 with 53-bit uniforms and polar Gaussians.
///
/// ```
/// let mut random = mpo_envs::RandomState::new(0);
/// assert_eq!(random.random_sample(), 0.5488135039273248); // numpy.random.RandomState(0).random_sample()
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RandomState {
    key: [u32; N],
    position: usize,
    /// The second of a pair of Gaussians, kept for the next call.
    gauss: Option<f64>,
}

impl RandomState {
    /// Length of [`to_bytes`](Self::to_bytes).
    pub const BYTES: usize = N * 4 + 4 + 1 + 8;

    /// `RandomState(seed)`: Knuth's initialisation of the key.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        let mut key = [0; N];
        let mut word = seed;
        for (i, slot) in key.iter_mut().enumerate() {
            *slot = word;
            word = 1_812_433_253_u32.wrapping_mul(word ^ (word >> 30)).wrapping_add(i as u32 + 1);
        }
        Self { key, position: N, gauss: None }
    }

    fn refill(&mut self) {
        for i in 0..N {
            let y = (self.key[i] & 0x8000_0000) | (self.key[(i + 1) % N] & 0x7fff_ffff);
            let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.key[i] = self.key[(i + M) % N] ^ (y >> 1) ^ twist;
        }
        self.position = 0;
    }

    /// The next 32 bits of the twister.
    pub fn next_u32(&mut self) -> u32 {
        if self.position == N {
            self.refill();
        }
        let mut y = self.key[self.position];
        self.position += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// `random_sample()` and `rand()`: uniform in [0, 1) with 53 bits.
    pub fn random_sample(&mut self) -> f64 {
        let high = f64::from(self.next_u32() >> 5);
        let low = f64::from(self.next_u32() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// `uniform(low, high)`: uniform in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.random_sample()
    }

    /// `randn()`: a standard normal by Marsaglia's polar method; every second call uses up the pair's other half.
    pub fn randn(&mut self) -> f64 {
        if let Some(value) = self.gauss.take() {
            return value;
        }
        loop {
            let x1 = 2.0 * self.random_sample() - 1.0;
            let x2 = 2.0 * self.random_sample() - 1.0;
            let r2 = x1 * x1 + x2 * x2;
            if r2 < 1.0 && r2 > 0.0 {
                let factor = (-2.0 * r2.ln() / r2).sqrt();
                self.gauss = Some(factor * x1);
                return factor * x2;
            }
        }
    }

    /// `choice(len(probabilities), p=probabilities)`: an index drawn by inverting the cumulative distribution.
    pub fn choice(&mut self, probabilities: &[f64]) -> usize {
        let total: f64 = probabilities.iter().sum();
        let sample = self.random_sample();
        let mut cumulative = 0.0;
        let below = |p: &&f64| {
            cumulative += **p;
            cumulative / total <= sample
        };
        probabilities.iter().take_while(below).count()
    }

    /// The whole stream's state, [`BYTES`](Self::BYTES) bytes, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        for word in self.key {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&(self.position as u32).to_le_bytes());
        bytes.push(u8::from(self.gauss.is_some()));
        bytes.extend_from_slice(&self.gauss.unwrap_or(0.0).to_le_bytes());
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote; `None` when the bytes cannot be a state.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.split_at_checked(N * 4)?;
        let (position, rest) = rest.split_first_chunk::<4>()?;
        let (has_gauss, rest) = rest.split_first()?;
        let gauss = f64::from_le_bytes(rest.try_into().ok()?);
        let mut key = [0; N];
        for (slot, word) in key.iter_mut().zip(words.as_chunks::<4>().0) {
            *slot = u32::from_le_bytes(*word);
        }
        let position = u32::from_le_bytes(*position) as usize;
        (position <= N && *has_gauss <= 1).then_some(Self { key, position, gauss: (*has_gauss == 1).then_some(gauss) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What NumPy 2.4's `RandomState(12345)` returns for the same calls in the same order.
    #[test]
    fn the_stream_is_numpys() {
        let mut random = RandomState::new(12_345);
        let mut values = vec![random.uniform(-2.0, 3.0), random.randn(), random.randn(), random.randn()];
        values.push(random.choice(&[0.1, 0.1, 0.8]) as f64);
        for _ in 0..2000 {
            values.push(random.random_sample());
        }
        let expected = [
            2.648_080_464_085_739,
            -0.967_838_182_841_118_7,
            -0.562_256_648_431_784_4,
            0.316_160_008_356_214_8,
            2.0,
            0.234_537_779_167_597_22,
        ];
        assert_eq!([&values[..5], &values[2004..]].concat(), expected);
    }

    #[test]
    fn choice_inverts_the_cumulative_distribution() {
        let mut random = RandomState::new(1);
        let mut counts = [0_i32; 3];
        for _ in 0..10_000 {
            counts[random.choice(&[0.1, 0.2, 0.7])] += 1;
        }
        for (count, expected) in counts.iter().zip([1000, 2000, 7000]) {
            assert!((count - expected).abs() < 200, "{counts:?}");
        }
    }

    #[test]
    fn bytes_keep_the_place_in_the_stream_and_the_spare_gaussian() {
        let mut random = RandomState::new(5);
        for _ in 0..1000 {
            random.random_sample();
        }
        random.randn();
        let bytes = random.to_bytes();
        assert_eq!(bytes.len(), RandomState::BYTES);
        let mut copy = RandomState::from_bytes(&bytes).expect("a state");
        assert_eq!(copy, random);
        for _ in 0..700 {
            assert_eq!(copy.randn().to_bits(), random.randn().to_bits());
        }
        assert!(RandomState::from_bytes(&bytes[1..]).is_none());
        assert!(RandomState::from_bytes(&[0xff; RandomState::BYTES]).is_none(), "a position beyond the key");
    }
}

//! From bytes of pictures to numbers.

/// `out` `[pixels, stack]` from `frames` `[stack, pixels]`, 0..=255 to 0..=1.
pub(crate) fn unpack(frames: &[u8], stack: usize, out: &mut [f32]) {
    match stack {
        1 => interleave::<1>(frames, out),
        2 => interleave::<2>(frames, out),
        3 => interleave::<3>(frames, out),
        4 => interleave::<4>(frames, out),
        _ => {
            for (c, frame) in frames.chunks_exact(frames.len() / stack).enumerate() {
                for (out, &x) in out[c..].iter_mut().step_by(stack).zip(frame) {
                    *out = unit(x);
                }
            }
        }
    }
}

fn unit(x: u8) -> f32 {
    f32::from(x) * (1.0 / 255.0)
}

/// With the number of planes known, the compiler shuffles registers. Its code for wider vectors was slower, not faster.
fn interleave<const N: usize>(frames: &[u8], out: &mut [f32]) {
    let pixels = frames.len() / N;
    let planes: [&[u8]; N] = std::array::from_fn(|c| &frames[c * pixels..(c + 1) * pixels]);
    let (out, _) = out.as_chunks_mut::<N>();
    for (i, out) in out.iter_mut().enumerate().take(pixels) {
        for c in 0..N {
            out[c] = unit(planes[c][i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_goes_to_its_place() {
        for stack in 1..7 {
            for pixels in [1, 15, 16, 17, 50] {
                let frames: Vec<u8> = (0..stack * pixels).map(|i| (i * 31 % 256) as u8).collect();
                let mut out = vec![f32::NAN; stack * pixels];
                unpack(&frames, stack, &mut out);
                for (i, out) in out.iter().enumerate() {
                    let byte = frames[i % stack * pixels + i / stack];
                    assert!((out - f32::from(byte) / 255.0).abs() < 1e-7, "{stack} frames of {pixels}, number {i}");
                }
            }
        }
    }
}

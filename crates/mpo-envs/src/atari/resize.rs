//! Making pictures smaller, to the last bit as Pillow and `OpenCV` do it. Both filter along rows, then along columns.

/// How a screen is brought to the size that the agent sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resize {
    /// As in DQN Zoo: the two screens' maximum in each colour, luma .299/.587/.114 rounded down, then Pillow's bilinear
    /// filter, which is a triangle as wide as the reduction asks for. The default, because the published figures that
    /// stand beside ours were trained on such frames.
    #[default]
    Bilinear,
    /// As in ALE's own vector environment: luma .2989/.587/.114 rounded to the nearest, the two screens' maximum in it, then
    /// the mean over each pixel's area as `OpenCV` takes it.
    Area,
}

/// Fractional bits of a fixed-point weight.
const BITS: u32 = 22;
const HALF: i32 = 1 << (BITS - 1);

/// Weighted inputs of one output pixel: consecutive ones, from `first`.
#[derive(Debug)]
struct Taps<W> {
    first: usize,
    weights: Vec<W>,
}

/// What makes a picture smaller, row by row: every input row is given once, and again when it has changed.
#[derive(Debug)]
pub(super) struct Resizer {
    width: usize,
    to_width: usize,
    passes: Passes,
}

/// The filters along rows and columns, the rows filtered so far, `[height, to_width]`, and one output row's sums.
#[derive(Debug)]
enum Passes {
    /// Fixed-point weights; rows are rounded to bytes between the passes.
    Bilinear { across: Vec<Taps<i32>>, down: Vec<Taps<i32>>, rows: Vec<u8>, sums: Vec<i32> },
    /// Rows stay sums until the end.
    Area { across: Vec<Taps<f32>>, down: Vec<Taps<f32>>, rows: Vec<f32>, sums: Vec<f32> },
}

impl Resizer {
    /// From `height` x `width` to `to_height` x `to_width`.
    pub(super) fn new(resize: Resize, [height, width]: [usize; 2], [to_height, to_width]: [usize; 2]) -> Self {
        let passes = match resize {
            Resize::Bilinear => Passes::Bilinear {
                across: triangle(width, to_width),
                down: triangle(height, to_height),
                rows: vec![0; height * to_width],
                sums: vec![0; to_width],
            },
            Resize::Area => Passes::Area {
                across: area(width, to_width),
                down: area(height, to_height),
                rows: vec![0.0; height * to_width],
                sums: vec![0.0; to_width],
            },
        };
        Self { width, to_width, passes }
    }

    /// Takes input row `row`.
    pub(super) fn take(&mut self, row: usize, greys: &[u8]) {
        assert_eq!(greys.len(), self.width, "pixels in a row");
        let place = row * self.to_width..(row + 1) * self.to_width;
        match &mut self.passes {
            Passes::Bilinear { across, rows, .. } => {
                for (pixel, Taps { first, weights }) in rows[place].iter_mut().zip(across.iter()) {
                    let inputs = greys[*first..].iter().zip(weights);
                    let sum = inputs.fold(HALF, |sum, (&grey, weight)| sum + i32::from(grey) * weight);
                    *pixel = byte(sum);
                }
            }
            Passes::Area { across, rows, .. } => {
                for (pixel, Taps { first, weights }) in rows[place].iter_mut().zip(across.iter()) {
                    let inputs = greys[*first..].iter().zip(weights);
                    *pixel = inputs.fold(0.0, |sum, (&grey, weight)| sum + f32::from(grey) * weight);
                }
            }
        }
    }

    /// The input rows that output row `row` is made from.
    pub(super) fn sources(&self, row: usize) -> std::ops::Range<usize> {
        match &self.passes {
            Passes::Bilinear { down, .. } => down[row].first..down[row].first + down[row].weights.len(),
            Passes::Area { down, .. } => down[row].first..down[row].first + down[row].weights.len(),
        }
    }

    /// Makes output row `row` of the rows taken.
    pub(super) fn give(&mut self, row: usize, into: &mut [u8]) {
        match &mut self.passes {
            Passes::Bilinear { down, rows, sums, .. } => {
                let Taps { first, weights } = &down[row];
                sums.fill(HALF);
                for (inputs, weight) in rows[first * self.to_width..].chunks_exact(self.to_width).zip(weights) {
                    sums.iter_mut().zip(inputs).for_each(|(sum, &grey)| *sum += i32::from(grey) * weight);
                }
                into.iter_mut().zip(sums).for_each(|(pixel, sum)| *pixel = byte(*sum));
            }
            Passes::Area { down, rows, sums, .. } => {
                let Taps { first, weights } = &down[row];
                sums.fill(0.0);
                for (inputs, weight) in rows[first * self.to_width..].chunks_exact(self.to_width).zip(weights) {
                    sums.iter_mut().zip(inputs).for_each(|(sum, &grey)| *sum += grey * weight);
                }
                into.iter_mut().zip(sums).for_each(|(pixel, sum)| *pixel = sum.round_ties_even() as u8);
            }
        }
    }
}

/// A fixed-point sum that began at [`HALF`], as the nearest byte.
fn byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// A triangle around each output pixel's centre, of a half-width of one output pixel or one input pixel, whichever is wider.
fn triangle(from: usize, to: usize) -> Vec<Taps<i32>> {
    let scale = from as f64 / to as f64;
    let half_width = scale.max(1.0);
    let taps = |pixel: usize| {
        let centre = (pixel as f64 + 0.5) * scale;
        // Rounded towards zero, as an integer cast does.
        let first = (centre - half_width + 0.5).max(0.0) as usize;
        let end = ((centre + half_width + 0.5) as usize).min(from);
        let weights: Vec<f64> = (first..end)
            .map(|input| (1.0 - ((input as f64 - centre + 0.5) * (1.0 / half_width)).abs()).max(0.0))
            .collect();
        let total: f64 = weights.iter().sum();
        let unit = f64::from(1_u32 << BITS);
        Taps { first, weights: weights.iter().map(|weight| (0.5 + weight / total * unit) as i32).collect() }
    };
    (0..to).map(taps).collect()
}

/// What share each input pixel has of an output pixel's area.
fn area(from: usize, to: usize) -> Vec<Taps<f32>> {
    const NOTHING: f64 = 1e-3;
    let scale = 1.0 / (to as f64 / from as f64);
    let taps = |pixel: usize| {
        let (start, end) = (pixel as f64 * scale, pixel as f64 * scale + scale);
        let size = scale.min(from as f64 - start);
        let last = (end.floor() as usize).min(from - 1);
        let whole = (start.ceil() as usize).min(last);
        let mut taps = Taps { first: whole, weights: Vec::new() };
        if whole as f64 - start > NOTHING {
            taps.first = whole - 1;
            taps.weights.push(((whole as f64 - start) / size) as f32);
        }
        taps.weights.extend((whole..last).map(|_| (1.0 / size) as f32));
        if end - last as f64 > NOTHING {
            taps.weights.push(((end - last as f64).min(1.0).min(size) / size) as f32);
        }
        taps
    };
    (0..to).map(taps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pass of a picture through a new resizer.
    fn resized(resize: Resize, from: [usize; 2], to: [usize; 2], pixel: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        let mut resizer = Resizer::new(resize, from, to);
        for row in 0..from[0] {
            let greys: Vec<u8> = (0..from[1]).map(|column| pixel(row, column)).collect();
            resizer.take(row, &greys);
        }
        let mut out = vec![0; to[0] * to[1]];
        for (row, into) in out.chunks_exact_mut(to[1]).enumerate() {
            resizer.give(row, into);
        }
        out
    }

    // That real screens come out as from Pillow and `OpenCV` is what `tests/atari.rs` shows.

    #[test]
    fn the_same_size_changes_nothing() {
        let pixel = |row: usize, column: usize| (row * 31 + column * 7) as u8;
        for resize in [Resize::Bilinear, Resize::Area] {
            let same = resized(resize, [9, 6], [9, 6], pixel);
            assert!(same.iter().enumerate().all(|(at, &grey)| grey == pixel(at / 6, at % 6)), "{resize:?}");
        }
    }

    #[test]
    fn a_single_grey_stays_at_every_size() {
        for resize in [Resize::Bilinear, Resize::Area] {
            for (from, to) in [([210, 160], [84, 84]), ([250, 160], [84, 84]), ([7, 5], [3, 2]), ([214, 160], [1, 1])] {
                for grey in [0, 1, 77, 254, 255] {
                    assert!(
                        resized(resize, from, to, |_, _| grey).iter().all(|&out| out == grey),
                        "{resize:?} {from:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn halves_are_means_over_areas_and_triangles_reach_further() {
        let pixel = |_: usize, column: usize| [0, 100, 200, 40][column];
        assert_eq!(resized(Resize::Area, [2, 4], [1, 2], pixel), [50, 120]);
        // Weights 3, 3 and 1 of 7 beside the edge: (0 * 3 + 100 * 3 + 200) / 7 and (100 + 200 * 3 + 40 * 3) / 7.
        assert_eq!(resized(Resize::Bilinear, [2, 4], [1, 2], pixel), [71, 117]);
    }

    #[test]
    fn an_output_row_depends_on_its_sources_alone() {
        for resize in [Resize::Bilinear, Resize::Area] {
            let resizer = Resizer::new(resize, [210, 160], [84, 84]);
            let picture =
                |bright: usize| resized(resize, [210, 160], [84, 84], |row, _| if row == bright { 255 } else { 0 });
            for bright in [0, 1, 104, 208, 209] {
                for (row, out) in picture(bright).chunks_exact(84).enumerate() {
                    let lit = out.iter().any(|&grey| grey > 0);
                    assert!(!lit || resizer.sources(row).contains(&bright), "{resize:?}: row {row} sees {bright}");
                }
            }
        }
    }
}

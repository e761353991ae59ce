//! From two screens of palette values to the small grey frame that the agent sees.

use super::resize::{Resize, Resizer};

/// What makes frames, and what it remembers of the last one: most rows of most screens stay as they are from step to step,
/// and only those that changed are filtered again.
pub(super) struct Frames {
    resizer: Resizer,
    /// Grey of a pixel that had the values a and b in the two screens, at `256 a + b`.
    greys: Box<[u8]>,
    width: usize,
    to_width: usize,
    /// The screens to come, written from outside: the newest one and the one a frame before it.
    pub(super) before: Vec<u8>,
    pub(super) newest: Vec<u8>,
    /// The screens that the rows below are made from.
    seen_before: Vec<u8>,
    seen_newest: Vec<u8>,
    /// Whether they are made from any.
    seen: bool,
    changed: Vec<bool>,
    grey_row: Vec<u8>,
    frame: Vec<u8>,
}

impl Frames {
    /// `palette` holds 0xRRGGBB of each value, `grey` ALE's own grey of it.
    pub(super) fn new(
        resize: Resize,
        palette: &[u32; 256],
        grey: &[u8; 256],
        from: [usize; 2],
        to: [usize; 2],
    ) -> Self {
        let ([height, width], [to_height, to_width]) = (from, to);
        let pixel = |index: usize| {
            let (a, b) = (index / 256, index % 256);
            match resize {
                Resize::Bilinear => luma(palette[a], palette[b]),
                Resize::Area => grey[a].max(grey[b]),
            }
        };
        let screen = || vec![0; height * width];
        Self {
            resizer: Resizer::new(resize, from, to),
            greys: (0..256 * 256).map(pixel).collect(),
            width,
            to_width,
            before: screen(),
            newest: screen(),
            seen_before: screen(),
            seen_newest: screen(),
            seen: false,
            changed: vec![false; height],
            grey_row: vec![0; width],
            frame: vec![0; to_height * to_width],
        }
    }

    /// Makes the frame of the newest screen and, if `both`, the one before it.
    pub(super) fn make(&mut self, both: bool) {
        if !both {
            self.before.copy_from_slice(&self.newest);
        }
        for row in 0..self.changed.len() {
            let line = row * self.width..(row + 1) * self.width;
            let (a, b) = (&self.before[line.clone()], &self.newest[line.clone()]);
            let changed = !self.seen || a != &self.seen_before[line.clone()] || b != &self.seen_newest[line];
            self.changed[row] = changed;
            if changed {
                for ((grey, &a), &b) in self.grey_row.iter_mut().zip(a).zip(b) {
                    *grey = self.greys[256 * usize::from(a) + usize::from(b)];
                }
                self.resizer.take(row, &self.grey_row);
            }
        }
        for (row, into) in self.frame.chunks_exact_mut(self.to_width).enumerate() {
            if self.changed[self.resizer.sources(row)].contains(&true) {
                self.resizer.give(row, into);
            }
        }
        std::mem::swap(&mut self.before, &mut self.seen_before);
        std::mem::swap(&mut self.newest, &mut self.seen_newest);
        self.seen = true;
    }

    /// The frame made last, row by row.
    pub(super) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// The newest screen of that frame.
    pub(super) fn screen(&self) -> &[u8] {
        &self.seen_newest
    }
}

/// Luma of the greater red, green and blue of two colours, rounded down.
fn luma(a: u32, b: u32) -> u8 {
    let greater = |shift: u32| f64::from((a >> shift & 255).max(b >> shift & 255));
    let (red, green) = (0.299, 0.587);
    (red * greater(16) + green * greater(8) + (1.0 - (red + green)) * greater(0)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RandomState;

    #[test]
    fn luma_is_of_the_greater_of_each_colour_rounded_down() {
        assert_eq!(luma(0x00ff_ffff, 0), 255);
        assert_eq!(luma(0x00ff_0000, 0x0000_ff00), (0.299 * 255.0 + 0.587 * 255.0) as u8);
        assert_eq!(luma(0x0000_0001, 0), 0);
        assert_eq!(luma(0x0012_3456, 0x0065_4321), luma(0x0065_4356, 0x0065_4356));
    }

    #[test]
    fn what_is_kept_of_the_last_frame_does_not_show() {
        let mut random = RandomState::new(0);
        let mut below = |count: f64| (random.random_sample() * count) as usize;
        let palette: [u32; 256] = std::array::from_fn(|value| (value * 0x0001_0305) as u32);
        let grey: [u8; 256] = std::array::from_fn(|value| (value * 37) as u8);
        for resize in [Resize::Bilinear, Resize::Area] {
            let fresh = || Frames::new(resize, &palette, &grey, [50, 40], [21, 17]);
            let mut kept = fresh();
            let mut screens = [vec![0; 2000], vec![0; 2000]];
            for _ in 0..60 {
                // A few pixels change, in either screen or none.
                for _ in 0..below(6.0) {
                    screens[below(2.0)][below(2000.0)] = below(256.0) as u8;
                }
                let both = below(4.0) > 0;
                let mut new = fresh();
                for frames in [&mut kept, &mut new] {
                    frames.before.copy_from_slice(&screens[0]);
                    frames.newest.copy_from_slice(&screens[1]);
                    frames.make(both);
                }
                assert!(kept.frame() == new.frame() && kept.screen() == screens[1], "{resize:?}");
            }
        }
    }
}

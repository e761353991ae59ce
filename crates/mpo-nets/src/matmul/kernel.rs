//! The register tiles of a matrix product, over raw pointers: the unsafe half of [`matmul`](super).
//!
//! A tile holds `R` rows of `V` vectors of the product in registers while it walks the inner dimension: per step it loads `V`
//! vectors of `b` and broadcasts one number of each of the `R` rows of `a`, so that nothing of `a` is ever copied. On
//! AVX-512, 14 rows of 2 vectors fill 28 of 32 registers and ask for 16 loads per 28 multiply-adds. What is left of the
//! columns is taken by one vector, or by half of one: with 200 columns, eight of them would waste half of a vector.
#![allow(clippy::inline_always, reason = "all of a tile is one function, compiled for one instruction set")]
#![allow(clippy::needless_range_loop, reason = "rows and vectors of a tile are indices into several arrays")]

use pulp::{MemMask, Simd};

/// What the registers of the product hold before the first step.
#[derive(Clone, Copy)]
pub(super) enum Seed {
    /// Zeros.
    Zero,
    /// The same `cols` numbers for every row.
    Row(*const f32),
    /// What stands in the destination.
    Destination,
}

/// How the right-hand factor lies in memory.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Row-major, with this distance between rows.
    Rows(usize),
    /// In panels of [`panel_width`], each of `height` rows, of which the product begins at row `first`.
    Panels { first: usize, height: usize },
}

/// A product `c = seed + a_1 b_1 + a_2 b_2 + ...` of matrices in memory, one term per segment.
///
/// Every address that its shape and strides make must be in bounds, for reading in `a`, `b` and the seed, and for reading and
/// writing in `c`, which must not overlap the others.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// Inner dimension of a segment.
    pub(super) depth: usize,
    pub(super) segments: usize,
    pub(super) a: *const f32,
    /// Distance between rows of `a`; its other stride is 1. With `a_transposed`, the other way round.
    pub(super) a_stride: usize,
    pub(super) a_transposed: bool,
    /// Distance between segments of `a`; those of `b` follow one another.
    pub(super) a_segment: usize,
    pub(super) b: *const f32,
    pub(super) b_form: Form,
    pub(super) c: *mut f32,
    pub(super) seed: Seed,
}

/// Numbers in the processor's vectors, and in those that the last columns use.
pub(super) fn lanes() -> (usize, usize) {
    match pulp::Arch::new() {
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V4(_) => (16, 8),
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V3(_) => (8, 8),
        arch => {
            struct Lanes;
            impl pulp::WithSimd for Lanes {
                type Output = usize;
                #[inline(always)]
                fn with_simd<S: Simd>(self, _: S) -> usize {
                    S::F32_LANES
                }
            }
            let lanes = arch.dispatch(Lanes);
            (lanes, lanes)
        }
    }
}

/// Columns of the panel that begins where `left` columns are left: two vectors, one, or half of one.
#[inline(always)]
pub(super) fn panel_width(left: usize, lanes: usize, half: usize) -> usize {
    let two = if half < lanes { lanes + half } else { lanes };
    if left > two {
        2 * lanes
    } else if left > half {
        lanes
    } else {
        half
    }
}

/// Computes a product on the processor's widest vectors.
///
/// # Safety
/// As [`Product`] demands.
pub(super) unsafe fn run(product: Product) {
    // SAFETY: promised by the caller.
    unsafe { run_on(pulp::Arch::new(), product) }
}

/// The instruction sets below the widest, which other machines would use.
#[cfg(test)]
pub(super) fn slower_sets() -> Vec<pulp::Arch> {
    let mut sets = vec![pulp::Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    sets.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
    sets
}

/// As [`run`], on one instruction set.
///
/// # Safety
/// As [`Product`] demands.
pub(super) unsafe fn run_on(arch: pulp::Arch, product: Product) {
    struct Call(Product);
    impl pulp::WithSimd for Call {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            // SAFETY: the caller of `run_on` has promised that all addresses are in bounds.
            unsafe { panels::<S, S, 6, 6>(simd, simd, &self.0) }
        }
    }
    match arch {
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V4(v4) => {
            struct Wide(pulp::x86::V4, Product);
            impl pulp::NullaryFnOnce for Wide {
                type Output = ();
                #[inline(always)]
                fn call(self) {
                    // SAFETY: as above.
                    unsafe { panels::<pulp::x86::V4, pulp::x86::V3, 14, 7>(self.0, *self.0, &self.1) }
                }
            }
            v4.vectorize(Wide(v4, product));
        }
        arch => arch.dispatch(Call(product)),
    }
}

/// All panels of columns, from left to right.
#[inline(always)]
unsafe fn panels<S: Simd, H: Simd, const TALL: usize, const HALF: usize>(simd: S, half: H, p: &Product) {
    let (mut col, mut packed) = (0, 0);
    while col < p.cols {
        let left = p.cols - col;
        let width = panel_width(left, S::F32_LANES, H::F32_LANES);
        let (offset, b_stride) = match p.b_form {
            Form::Rows(stride) => (col, stride),
            Form::Panels { first, .. } => (packed + first * width, width),
        };
        // SAFETY: a row-major panel starts at its first column, a packed one after those before it.
        let b = unsafe { p.b.add(offset) };
        let valid = width.min(left);
        // SAFETY: `valid` columns from `col` on are inside the product.
        unsafe {
            if width == 2 * S::F32_LANES {
                if valid == width {
                    panel::<S, TALL, HALF, 2, false>(simd, p, col, S::F32_LANES, b, b_stride);
                } else {
                    panel::<S, TALL, HALF, 2, true>(simd, p, col, valid - S::F32_LANES, b, b_stride);
                }
            } else if width == S::F32_LANES {
                panel::<S, TALL, HALF, 1, true>(simd, p, col, valid, b, b_stride);
            } else {
                panel::<H, TALL, HALF, 1, true>(half, p, col, valid, b, b_stride);
            }
        }
        col += valid;
        if let Form::Panels { height, .. } = p.b_form {
            packed += width * height;
        }
    }
}

/// All rows of the `V` vectors of columns from `col` on, the last of which has `valid` numbers; `M` if these are to be masked.
#[inline(always)]
unsafe fn panel<S: Simd, const TALL: usize, const HALF: usize, const V: usize, const M: bool>(
    simd: S,
    p: &Product,
    col: usize,
    valid: usize,
    b: *const f32,
    b_stride: usize,
) {
    // SAFETY: the rows from `row` on are inside the product.
    unsafe {
        if p.a_transposed {
            rows::<S, TALL, HALF, V, M, true>(simd, p, col, valid, b, b_stride);
        } else {
            rows::<S, TALL, HALF, V, M, false>(simd, p, col, valid, b, b_stride);
        }
    }
}

#[inline(always)]
unsafe fn rows<S: Simd, const TALL: usize, const HALF: usize, const V: usize, const M: bool, const T: bool>(
    simd: S,
    p: &Product,
    col: usize,
    valid: usize,
    b: *const f32,
    b_stride: usize,
) {
    let mut row = 0;
    macro_rules! tiles {
        ($($height:expr),*) => {$(
            while p.rows - row >= $height {
                // SAFETY: these rows are inside the product.
                unsafe { tile::<S, { $height }, V, M, T>(simd, p, row, col, valid, b, b_stride) };
                row += $height;
            }
        )*};
    }
    tiles!(TALL, HALF, 6, 4, 2, 1);
}

#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const V: usize, const M: bool, const T: bool>(
    simd: S,
    p: &Product,
    row: usize,
    col: usize,
    valid: usize,
    b: *const f32,
    b_stride: usize,
) {
    let lanes = S::F32_LANES;
    // Without the function pointers that `mask_between_m32s` adds: a masked instruction is cheaper than a call.
    let last = MemMask::new(simd.mask_between_m32s(0, valid as u32).mask());
    macro_rules! load {
        ($v:expr, $at:expr) => {{
            let at: *const f32 = $at;
            if M && $v + 1 == V { simd.mask_load_ptr_f32s(last, at) } else { at.cast::<S::f32s>().read_unaligned() }
        }};
    }
    // SAFETY: rows row..row + R, columns col..col + (V - 1) lanes + valid and all steps are inside the product; the last
    // vector of these columns is masked to `valid` numbers if it is not full.
    unsafe {
        let mut sum = [[simd.splat_f32s(0.0); V]; R];
        match p.seed {
            Seed::Zero => {}
            Seed::Row(seed) => {
                for v in 0..V {
                    let x = load!(v, seed.add(col + v * lanes));
                    for sum in &mut sum {
                        sum[v] = x;
                    }
                }
            }
            Seed::Destination => {
                for (r, sum) in sum.iter_mut().enumerate() {
                    for v in 0..V {
                        sum[v] = load!(v, p.c.add((row + r) * p.cols + col + v * lanes));
                    }
                }
            }
        }
        let (mut a, mut b) = (if T { p.a.add(row) } else { p.a.add(row * p.a_stride) }, b);
        for _ in 0..p.segments {
            // One step at a time: unrolled, the loads of later steps would push sums out of the registers.
            for k in 0..p.depth {
                let mut x = [simd.splat_f32s(0.0); V];
                for (v, x) in x.iter_mut().enumerate() {
                    *x = load!(v, b.add(k * b_stride + v * lanes));
                }
                for (r, sum) in sum.iter_mut().enumerate() {
                    let y = simd.splat_f32s(if T { *a.add(k * p.a_stride + r) } else { *a.add(r * p.a_stride + k) });
                    for v in 0..V {
                        sum[v] = simd.mul_add_e_f32s(y, x[v], sum[v]);
                    }
                }
            }
            // Beyond the last segment they may point anywhere; nothing is read there.
            (a, b) = (a.wrapping_add(p.a_segment), b.wrapping_add(p.depth * b_stride));
        }
        for (r, sum) in sum.iter().enumerate() {
            for v in 0..V {
                let at = p.c.add((row + r) * p.cols + col + v * lanes);
                if M && v + 1 == V {
                    simd.mask_store_ptr_f32s(last, at, sum[v]);
                } else {
                    at.cast::<S::f32s>().write_unaligned(sum[v]);
                }
            }
        }
    }
}

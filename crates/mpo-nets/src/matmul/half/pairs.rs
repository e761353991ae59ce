//! Products on AVX-512's pairs of bfloat16: a register takes 16 sums of two products each.
//!
//! AMD's processors (since Zen 4) begin as many of these as of the `f32` products, which are half as much work. Intel's were measured
//! to be at half the rate of the `f32` product here, and have the tiles.

use std::arch::x86_64::{
    __cpuid, __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_storeu_ps,
};
use std::mem::transmute;

use super::{BLOCK, COLS, Product, ROWS, STEPS};

/// Rows of a group, of which [`ROWS`] is a multiple.
const GROUP: usize = 8;

/// Whether the processor has the instructions.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
}

/// Whether they are faster than the `f32` product: on processors whose maker signs in the second register of leaf 0 as AMD does.
pub(super) fn worthwhile() -> bool {
    __cpuid(0).ebx == u32::from_le_bytes(*b"Auth")
}

/// Computes `product` into `out`.
///
/// # Panics
/// If a slice is not of its shape.
pub(super) fn run(product: Product<'_>, out: &mut [f32]) {
    let Product { a, b, bias, rows, blocks, tiles } = product;
    let width = tiles * COLS;
    assert!(rows.is_multiple_of(ROWS), "{rows} rows");
    assert!(a.len() >= rows * blocks * STEPS && b.len() >= tiles * blocks * BLOCK, "factors of a product of pairs");
    assert!(bias.len() >= width && out.len() >= rows * width, "bias and destination of a product of pairs");
    // SAFETY: the instructions are there, or this unit would not have been chosen; the assertions hold every group in bounds.
    unsafe {
        let mut tile = 0;
        while tile < tiles {
            let left = tiles - tile;
            for row in (0..rows).step_by(GROUP) {
                match left {
                    1 => group::<1>(product, row, tile, out.as_mut_ptr()),
                    2 => group::<2>(product, row, tile, out.as_mut_ptr()),
                    _ => group::<3>(product, row, tile, out.as_mut_ptr()),
                }
            }
            tile += left.min(3);
        }
    }
}

/// The sums of [`GROUP`] rows and `V` tiles of columns.
///
/// # Safety
/// They must be in bounds, and the instructions there.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn group<const V: usize>(product: Product<'_>, row: usize, tile: usize, out: *mut f32) {
    let Product { a, b, bias, blocks, tiles, .. } = product;
    let width = tiles * COLS;
    // SAFETY: promised by the caller; a pair is read as the 32 bits that it is.
    unsafe {
        let mut sums = [[transmute::<[f32; 16], __m512>([0.0; 16]); V]; GROUP];
        for v in 0..V {
            let bias = _mm512_loadu_ps(bias.as_ptr().add((tile + v) * COLS));
            for sum in &mut sums {
                sum[v] = bias;
            }
        }
        let a = a.as_ptr().add(row * blocks * STEPS);
        let b = b.as_ptr().add(tile * blocks * BLOCK);
        for pair in 0..blocks * STEPS / 2 {
            let mut y = [transmute::<[u16; 32], __m512bh>([0; 32]); V];
            for (v, y) in y.iter_mut().enumerate() {
                *y = transmute::<__m512i, __m512bh>(_mm512_loadu_si512(
                    b.add(v * blocks * BLOCK + pair * 2 * COLS).cast(),
                ));
            }
            for (r, sum) in sums.iter_mut().enumerate() {
                let x = a.add(r * blocks * STEPS + 2 * pair).cast::<i32>().read_unaligned();
                let x = transmute::<__m512i, __m512bh>(_mm512_set1_epi32(x));
                for v in 0..V {
                    sum[v] = _mm512_dpbf16_ps(sum[v], x, y[v]);
                }
            }
        }
        for (r, sum) in sums.iter().enumerate() {
            for (v, &sum) in sum.iter().enumerate() {
                _mm512_storeu_ps(out.add((row + r) * width + (tile + v) * COLS), sum);
            }
        }
    }
}

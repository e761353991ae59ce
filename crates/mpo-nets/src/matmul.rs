//! Matrix products on slices: the one place where this crate calls `gemm`, and its only unsafe code.
#![expect(unsafe_code, reason = "gemm's interface is raw pointers and strides; the views below prove them in bounds")]

/// A read-only matrix inside a slice, with a stride for each direction, so that a transpose is free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// The row-major matrix `[rows, cols]` at the start of `data`.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * cols`.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert!(data.len() >= rows * cols, "a {rows}x{cols} matrix in a slice of {}", data.len());
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// The transposed matrix, without moving a number.
    pub(crate) fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }
}

/// `dst = a b`, or `dst += a b` when `accumulate`; `dst` is row-major `[a.rows, b.cols]`.
///
/// # Panics
/// If the inner sizes differ or `dst` is too short.
pub(crate) fn matmul(dst: &mut [f32], a: View<'_>, b: View<'_>, accumulate: bool) {
    assert_eq!(a.cols, b.rows, "inner sizes of a matrix product");
    assert!(dst.len() >= a.rows * b.cols, "a {}x{} product into a slice of {}", a.rows, b.cols, dst.len());
    // SAFETY: `View::new` asserted that its slice holds rows * cols numbers, and its strides address no
    // others (transposing swaps both); the assertion above does the same for `dst`, which is borrowed
    // mutably and so overlaps neither.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            dst.as_mut_ptr(),
            1,
            b.cols as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0_f32,
            1.0_f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_transposes_match_the_definition() {
        let a: Vec<f32> = (0..6).map(|x| x as f32).collect(); // [2, 3]
        let b: Vec<f32> = (0..12).map(|x| 0.5 * x as f32 - 2.0).collect(); // [3, 4]
        let mut c = vec![1.0; 8];
        matmul(&mut c, View::new(&a, 2, 3), View::new(&b, 3, 4), true);
        let mut d = vec![f32::NAN; 8];
        matmul(&mut d, View::new(&b, 3, 4).t(), View::new(&a, 2, 3).t(), false); // (a b)^T
        for i in 0..2 {
            for j in 0..4 {
                let want: f32 = (0..3).map(|k| a[i * 3 + k] * b[k * 4 + j]).sum();
                assert!((c[i * 4 + j] - want - 1.0).abs() < 1e-5);
                assert!((d[j * 2 + i] - want).abs() < 1e-5);
            }
        }
    }

    #[test]
    #[should_panic(expected = "inner sizes")]
    fn mismatched_products_panic() {
        matmul(&mut [0.0; 4], View::new(&[0.0; 4], 2, 2), View::new(&[0.0; 6], 3, 2), false);
    }
}

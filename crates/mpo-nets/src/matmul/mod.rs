//! Matrix products on slices, with bounds checked once per product; what they allocate, the caller has lent.
//!
//! `a` is read where it lies, transposed or not. `b` is read where it lies if it is row-major; a layer's weight, stored
//! `[outputs, inputs]` and needed the other way round, is [`pack`]ed once per pass into panels whose rows are vectors.
#![expect(unsafe_code, reason = "bounds are checked once per product, here, and not once per number")]

mod half;
mod kernel;

pub(crate) use half::HalfLayer;
use kernel::{Form, Product, Seed, lanes, panel_width};

/// A read-only matrix inside a slice, or its transpose; or several of them side by side, the segments of a sum of products.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    data: &'a [f32],
    rows: usize,
    /// Columns of a segment.
    cols: usize,
    stride: usize,
    transposed: bool,
    segments: usize,
    segment: usize,
}

impl<'a> View<'a> {
    /// The row-major matrix `[rows, cols]` at the start of `data`.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * cols`.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert!(data.len() >= rows * cols, "a {rows}x{cols} matrix in a slice of {}", data.len());
        Self { data, rows, cols, stride: cols, transposed: false, segments: 1, segment: 0 }
    }

    /// The matrix `[rows, cols]` at the start of `data` whose rows begin `stride` numbers apart; they may overlap.
    ///
    /// # Panics
    /// If `data` is too short, or the matrix is empty.
    pub(crate) fn strided(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(rows > 0 && cols > 0, "an empty {rows}x{cols} matrix");
        let view = Self { data, rows, cols, stride, transposed: false, segments: 1, segment: 0 };
        view.assert_inside();
        view
    }

    /// The transposed matrix, without moving a number.
    ///
    /// # Panics
    /// If it has several segments.
    pub(crate) fn t(self) -> Self {
        assert_eq!(self.segments, 1, "a transpose has one segment; make them after it");
        Self { rows: self.cols, cols: self.rows, transposed: !self.transposed, ..self }
    }

    /// `count` such matrices side by side, each `distance` numbers behind the one before: `[rows, count * cols]`.
    ///
    /// # Panics
    /// If the data are too short, or there is none.
    pub(crate) fn segments(self, count: usize, distance: usize) -> Self {
        assert!(count > 0, "a product of no segments");
        let view = Self { segments: count, segment: distance, ..self };
        view.assert_inside();
        view
    }

    fn assert_inside(&self) {
        let (outer, inner) = if self.transposed { (self.cols, self.rows) } else { (self.rows, self.cols) };
        let last = (self.segments - 1) * self.segment + (outer - 1) * self.stride + inner - 1;
        assert!(last < self.data.len(), "number {last} of a matrix in a slice of {}", self.data.len());
    }
}

/// The right-hand factor of a product.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Factor<'a> {
    /// A row-major matrix.
    Rows(View<'a>),
    /// The transpose of what was given to [`pack`].
    Packed(Packed<'a>),
}

/// A weight's transpose `[inputs, outputs]` in panels; arranged by [`pack`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Packed<'a> {
    panels: &'a [f32],
    inputs: usize,
    outputs: usize,
    first: usize,
    used: usize,
}

impl<'a> Packed<'a> {
    /// What [`pack`] has written to `panels`, of [`packed_len`] numbers.
    pub(crate) fn new(panels: &'a [f32], outputs: usize, inputs: usize) -> Self {
        Self { panels, inputs, outputs, first: 0, used: inputs }
    }

    /// `count` of the rows that a product sees, from `first` on.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn rows(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.used, "rows {first}..{} of {}", first + count, self.used);
        Self { first: self.first + first, used: count, ..self }
    }
}

/// To what a product is added.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start<'a> {
    /// To nothing.
    Zero,
    /// To this row, in every row: a bias.
    Row(&'a [f32]),
    /// To what stands in the destination.
    Destination,
}

/// Numbers that [`pack`] writes for a weight `[outputs, inputs]`.
pub(crate) fn packed_len(outputs: usize, inputs: usize) -> usize {
    let (lanes, half) = lanes();
    let (mut column, mut len) = (0, 0);
    while column < outputs {
        let width = panel_width(outputs - column, lanes, half);
        column += width;
        len += width * inputs;
    }
    len
}

/// Arranges the transpose of a row-major `weight` `[outputs, inputs]` for [`Factor::Packed`], in `panels`, of
/// [`packed_len`] numbers.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn pack(weight: &[f32], outputs: usize, inputs: usize, panels: &mut [f32]) {
    let (lanes, half) = lanes();
    let (mut column, mut start) = (0, 0);
    while column < outputs {
        let width = panel_width(outputs - column, lanes, half);
        let valid = width.min(outputs - column);
        let panel = &mut panels[start..start + width * inputs];
        transpose(&weight[column * inputs..(column + valid) * inputs], inputs, width, panel);
        column += valid;
        start += width * inputs;
    }
}

/// `panel[k, j] = rows[j, k]`, zero where there is no row; `rows` `[<= width, inputs]`, `panel` `[inputs, width]`.
fn transpose(rows: &[f32], inputs: usize, width: usize, panel: &mut [f32]) {
    const BLOCK: usize = 8;
    let count = rows.len() / inputs;
    let mut first = 0;
    // Blocks of 8 by 8 stay in registers, where rows become columns by shuffles.
    while first + BLOCK <= count {
        let mut k = 0;
        while k + BLOCK <= inputs {
            let mut block = [[0.0_f32; BLOCK]; BLOCK];
            for (j, row) in block.iter_mut().enumerate() {
                let at = (first + j) * inputs + k;
                row.copy_from_slice(&rows[at..at + BLOCK]);
            }
            for (i, line) in panel[k * width..].chunks_mut(width).take(BLOCK).enumerate() {
                let column: [f32; BLOCK] = std::array::from_fn(|j| block[j][i]);
                line[first..first + BLOCK].copy_from_slice(&column);
            }
            k += BLOCK;
        }
        for k in k..inputs {
            for j in first..first + BLOCK {
                panel[k * width + j] = rows[j * inputs + k];
            }
        }
        first += BLOCK;
    }
    if first < width {
        for (k, line) in panel.chunks_exact_mut(width).enumerate() {
            for (j, x) in line.iter_mut().enumerate().skip(first) {
                *x = if j < count { rows[j * inputs + k] } else { 0.0 };
            }
        }
    }
}

/// `dst = start + a b`; `dst` is row-major `[a.rows, b.cols]`.
///
/// # Panics
/// If the inner sizes differ, a slice is too short, or a right-hand factor is a transposed view.
pub(crate) fn matmul(dst: &mut [f32], a: View<'_>, b: Factor<'_>, start: Start<'_>) {
    let (depth, cols, b_data, b_form) = match b {
        Factor::Rows(view) => {
            assert!(!view.transposed && view.segments == 1, "a right-hand factor is row-major or packed");
            (view.rows, view.cols, view.data, Form::Rows(view.stride))
        }
        Factor::Packed(packed) => {
            assert!(packed.panels.len() >= packed_len(packed.outputs, packed.inputs), "length of packed panels");
            let form = Form::Panels { first: packed.first, height: packed.inputs };
            (packed.used, packed.outputs, packed.panels, form)
        }
    };
    assert_eq!(a.cols * a.segments, depth, "inner sizes of a matrix product");
    assert!(dst.len() >= a.rows * cols, "a {}x{cols} product into a slice of {}", a.rows, dst.len());
    let seed = match start {
        Start::Zero => Seed::Zero,
        Start::Row(row) => {
            assert!(row.len() >= cols, "a row of {cols} numbers to start from");
            Seed::Row(row.as_ptr())
        }
        Start::Destination => Seed::Destination,
    };
    let product = Product {
        rows: a.rows,
        cols,
        depth: a.cols,
        segments: a.segments,
        a: a.data.as_ptr(),
        a_stride: a.stride,
        a_transposed: a.transposed,
        a_segment: a.segment,
        b: b_data.as_ptr(),
        b_form,
        c: dst.as_mut_ptr(),
        seed,
    };
    // SAFETY: the views' constructors and the assertions above hold every row and column of the four matrices inside their slices; a view
    // and its transpose address the same numbers. `dst` is borrowed mutably, and so overlaps none of the others.
    unsafe { kernel::run(product) }
}

/// `out = a b` for row-major `a` `[rows, depth]`, `b` `[depth, cols]` and `out` `[rows, cols]`: the product of which the
/// networks are made, on the caller's thread, for whoever wants to know how fast it is.
///
/// ```
/// let (a, b, mut out) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0], [0.0; 2]);
/// mpo_nets::matrix_product(&a, &b, [2, 2, 1], &mut out);
/// assert_eq!(out, [17.0, 39.0]);
/// ```
///
/// # Panics
/// If a slice is shorter than its shape.
pub fn matrix_product(a: &[f32], b: &[f32], [rows, depth, cols]: [usize; 3], out: &mut [f32]) {
    matmul(out, View::new(a, rows, depth), Factor::Rows(View::new(b, depth, cols)), Start::Zero);
}

#[cfg(test)]
mod tests;

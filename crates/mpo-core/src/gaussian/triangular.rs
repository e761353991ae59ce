//! Packed lower-triangular matrices: row `i` holds its `i + 1` entries, rows one after another.
//!
//! Everything about a covariance is done by triangular solves with its Cholesky factor; no inverse and no determinant is
//! ever formed. What a factor is applied to (a state's samples, another factor's columns) stands in blocks of [`LANES`] columns,
//! padded with zeros, so that the inner loop is always one vector operation of known length.

use crate::Real;
use crate::real::{LANES, axpy, dot, reduce};

/// [`LANES`] neighbouring columns of one row.
pub(crate) type Block<T> = [T; LANES];

/// Entries of a packed lower-triangular matrix of `n` rows: `n (n + 1) / 2`.
#[must_use]
pub const fn packed_len(n: usize) -> usize {
    n * (n + 1) / 2
}

/// Blocks that hold `columns` columns.
pub(crate) const fn blocks(columns: usize) -> usize {
    columns.div_ceil(LANES)
}

/// Row `i`: its entries in columns `0..=i`.
#[inline]
pub(crate) fn row<T>(factor: &[T], i: usize) -> &[T] {
    &factor[packed_len(i)..packed_len(i + 1)]
}

/// The diagonal, `n` entries.
#[inline]
pub(crate) fn diagonal<T: Copy>(factor: &[T], n: usize) -> impl Iterator<Item = T> + '_ {
    (0..n).map(|i| factor[packed_len(i + 1) - 1])
}

/// Solves `L y = x` in place.
#[inline]
pub(crate) fn solve<T: Real>(factor: &[T], x: &mut [T]) {
    for i in 0..x.len() {
        let (left, pivot) = row(factor, i).split_at(i);
        let (done, rest) = x.split_at_mut(i);
        rest[0] = (rest[0] - dot(left, done)) / pivot[0];
    }
}

/// Solves `L^T y = x` in place.
#[inline]
pub(crate) fn solve_transposed<T: Real>(factor: &[T], x: &mut [T]) {
    for i in (0..x.len()).rev() {
        let (left, pivot) = row(factor, i).split_at(i);
        let (above, rest) = x.split_at_mut(i);
        rest[0] /= pivot[0];
        axpy(-rest[0], left, above);
    }
}

/// Writes the rows `x` `[m, n]`, less `centre`, as columns into blocks `[n, blocks(m)]`; the padding is zero.
#[inline]
pub(crate) fn load_columns<T: Real>(x: &[T], centre: impl Fn(usize) -> T, n: usize, out: &mut [Block<T>]) {
    let width = out.len() / n;
    for b in 0..width {
        let vectors = &x[(b * LANES * n).min(x.len())..((b + 1) * LANES * n).min(x.len())];
        for d in 0..n {
            let mut block = [T::zero(); LANES];
            let c = centre(d);
            for (entry, vector) in block.iter_mut().zip(vectors.chunks_exact(n)) {
                *entry = vector[d] - c;
            }
            out[d * width + b] = block;
        }
    }
}

/// Writes a packed factor as blocks `[n, blocks(n)]`; what is above the diagonal is zero.
#[inline]
pub(crate) fn load_factor<T: Real>(factor: &[T], n: usize, out: &mut [Block<T>]) {
    let width = blocks(n);
    for (i, out) in out.chunks_exact_mut(width).enumerate() {
        let out = out.as_flattened_mut();
        let (lower, upper) = out.split_at_mut(i + 1);
        lower.copy_from_slice(row(factor, i));
        upper.fill(T::zero());
    }
}

#[inline]
fn subtract_scaled<T: Real>(a: T, x: &Block<T>, y: &mut Block<T>) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y -= a * x;
    }
}

/// Solves `L Y = X` in place for `W` blocks of columns from block `b` on; rows before `from` are known to be zero. The blocks are
/// chains of subtractions that do not wait for each other.
#[inline]
fn solve_blocks<T: Real, const W: usize>(factor: &[T], x: &mut [Block<T>], width: usize, b: usize, from: usize) {
    let n = x.len() / width;
    for i in from..n {
        let (left, pivot) = row(factor, i).split_at(i);
        let mut sums: [Block<T>; W] = std::array::from_fn(|g| x[i * width + b + g]);
        for (&l, y) in left[from..].iter().zip(x[from * width..].chunks_exact(width)) {
            for (sum, y) in sums.iter_mut().zip(&y[b..b + W]) {
                subtract_scaled(l, y, sum);
            }
        }
        let inverse = pivot[0].recip();
        for (g, sum) in sums.into_iter().enumerate() {
            x[i * width + b + g] = sum.map(|s| s * inverse);
        }
    }
}

/// Solves `L Y = X` in place for any columns `x` `[n, width]`.
#[inline]
pub(crate) fn solve_columns<T: Real>(factor: &[T], x: &mut [Block<T>], n: usize) {
    let width = x.len() / n;
    let mut b = 0;
    while b + 3 <= width {
        solve_blocks::<T, 3>(factor, x, width, b, 0);
        b += 3;
    }
    match width - b {
        1 => solve_blocks::<T, 1>(factor, x, width, b, 0),
        2 => solve_blocks::<T, 2>(factor, x, width, b, 0),
        _ => {}
    }
}

/// `out = L^-1 L0` for two factors of `n` rows, blocks `[n, blocks(n)]`; lower-triangular like them.
#[inline]
pub(crate) fn relative<T: Real>(factor: &[T], other: &[T], n: usize, out: &mut [Block<T>]) {
    load_factor(other, n, out);
    let width = blocks(n);
    for b in 0..width {
        solve_blocks::<T, 1>(factor, out, width, b, b * LANES);
    }
}

/// `X <- L X` in place for columns `x` `[n, width]`. A row of the product needs only the rows up to its own, so going upwards
/// from the last row the product replaces its operand.
#[inline]
pub(crate) fn multiply_columns<T: Real>(factor: &[T], x: &mut [Block<T>], n: usize) {
    let width = x.len() / n;
    for b in 0..width {
        for i in (0..n).rev() {
            let (left, pivot) = row(factor, i).split_at(i);
            let mut sum = x[i * width + b].map(|x| x * pivot[0]);
            for (&l, x) in left.iter().zip(x.chunks_exact(width)) {
                subtract_scaled(-l, &x[b], &mut sum);
            }
            x[i * width + b] = sum;
        }
    }
}

/// `P += a R R^T`, lower half, for lower-triangular blocks `r` `[n, blocks(n)]`; `p` likewise.
#[inline]
pub(crate) fn add_gram<T: Real>(a: T, r: &[Block<T>], n: usize, p: &mut [Block<T>]) {
    let width = blocks(n);
    for (i, (p, r_i)) in p.chunks_exact_mut(width).zip(r.chunks_exact(width)).enumerate() {
        for (k, (p, r_k)) in p.as_flattened_mut()[..=i].iter_mut().zip(r.chunks_exact(width)).enumerate() {
            // Row k ends in block k / LANES.
            let last = k / LANES;
            *p += a * dot_blocks(&r_i[..=last], &r_k[..=last]);
        }
    }
}

/// `P += a u u^T`, lower half.
#[inline]
pub(crate) fn add_outer<T: Real>(a: T, u: &[T], p: &mut [Block<T>]) {
    let width = blocks(u.len());
    for (i, (&u_i, p)) in u.iter().zip(p.chunks_exact_mut(width)).enumerate() {
        axpy(a * u_i, &u[..=i], &mut p.as_flattened_mut()[..=i]);
    }
}

/// `P += sum_j w_j y_j y_j^T`, lower half, for the columns `y` `[n, width]` weighted by `w` `[width]`; `line` is `[width]` of
/// scratch.
#[inline]
pub(crate) fn add_moment<T: Real>(w: &[Block<T>], y: &[Block<T>], line: &mut [Block<T>], p: &mut [Block<T>]) {
    let width = w.len();
    if width == 0 {
        return;
    }
    let n = y.len() / width;
    for (i, (p, y_i)) in p.chunks_exact_mut(blocks(n)).zip(y.chunks_exact(width)).enumerate() {
        weigh(w, y_i, line);
        for (p, y_k) in p.as_flattened_mut()[..=i].iter_mut().zip(y.chunks_exact(width)) {
            *p += dot_blocks(line, y_k);
        }
    }
}

/// `out = w * y`, entry by entry.
#[inline]
pub(crate) fn weigh<T: Real>(w: &[Block<T>], y: &[Block<T>], out: &mut [Block<T>]) {
    for ((out, w), y) in out.iter_mut().zip(w).zip(y) {
        for ((out, &w), &y) in out.iter_mut().zip(w).zip(y) {
            *out = w * y;
        }
    }
}

/// `sum_k x_k y_k` over blocks.
#[inline]
pub(crate) fn dot_blocks<T: Real>(x: &[Block<T>], y: &[Block<T>]) -> T {
    let mut sum = [T::zero(); LANES];
    for (x, y) in x.iter().zip(y) {
        for ((sum, &x), &y) in sum.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    reduce(sum, |a, b| a + b)
}

/// `P <- L^-T P`, lower half, for a symmetric `P` given by its lower half; what is above the diagonal is meaningless.
#[inline]
pub(crate) fn solve_transposed_lower<T: Real>(factor: &[T], n: usize, p: &mut [Block<T>]) {
    let width = blocks(n);
    for i in (0..n).rev() {
        let inverse = factor[packed_len(i + 1) - 1].recip();
        for b in 0..=i / LANES {
            let mut sum = p[i * width + b];
            for k in i + 1..n {
                subtract_scaled(factor[packed_len(k) + i], &p[k * width + b], &mut sum);
            }
            p[i * width + b] = sum.map(|s| s * inverse);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A well-conditioned factor and its dense form.
    fn factor(n: usize, seed: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
        let mut packed = Vec::new();
        let mut dense = vec![vec![0.0; n]; n];
        for (i, line) in dense.iter_mut().enumerate() {
            for (k, entry) in line[..=i].iter_mut().enumerate() {
                let bump = (((i * 13 + k * 7 + seed) % 10) as f64 - 4.5) / 10.0;
                *entry = if i == k { 1.5 + bump } else { bump };
                packed.push(*entry);
            }
        }
        (packed, dense)
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9 * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn solves_undo_products() {
        for n in [1, 2, 6, 8, 21] {
            let (packed, dense) = factor(n, 0);
            let x: Vec<f64> = (0..n).map(|i| i as f64 - 2.5).collect();
            let product: Vec<f64> = dense.iter().map(|l| dot(l, &x)).collect();
            let mut y = product.clone();
            solve(&packed, &mut y);
            y.iter().zip(&x).for_each(|(&y, &x)| close(y, x));
            // Eleven columns: one block and a padded one.
            let many: Vec<f64> = (0..11).flat_map(|j| product.iter().map(move |p| f64::from(j) * p + 1.0)).collect();
            let mut columns = vec![[0.0; LANES]; n * blocks(11)];
            load_columns(&many, |_| 1.0, n, &mut columns);
            let loaded = columns.clone();
            solve_columns(&packed, &mut columns, n);
            for (line, &x) in columns.chunks_exact(2).zip(&x) {
                for (j, &y) in line.as_flattened().iter().enumerate() {
                    close(y, if j < 11 { j as f64 * x } else { 0.0 });
                }
            }
            multiply_columns(&packed, &mut columns, n);
            let pairs = columns.as_flattened().iter().zip(loaded.as_flattened());
            pairs.for_each(|(&a, &b)| close(a, b));
            let mut transposed: Vec<f64> = (0..n).map(|k| dense.iter().zip(&x).map(|(l, x)| l[k] * x).sum()).collect();
            solve_transposed(&packed, &mut transposed);
            transposed.iter().zip(&x).for_each(|(&y, &x)| close(y, x));
        }
    }

    #[test]
    fn relative_factor_and_accumulations_match_dense_algebra() {
        for n in [1, 6, 8, 19] {
            let (l, dense) = factor(n, 0);
            let (l0, dense0) = factor(n, 3);
            let width = blocks(n);
            let mut r = vec![[f64::NAN; LANES]; n * width];
            relative(&l, &l0, n, &mut r);
            let r_at = |i: usize, k: usize| r[i * width + k / LANES][k % LANES];
            // L R = L0.
            for (line, line0) in dense.iter().zip(&dense0) {
                for (k, &want) in line0.iter().enumerate() {
                    let product: f64 = line.iter().enumerate().map(|(m, l)| l * r_at(m, k)).sum();
                    close(product, want);
                }
            }
            let w = [0.2, 0.5, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0];
            let y: Vec<[f64; LANES]> =
                (0..n).map(|i| std::array::from_fn(|j| ((i * 3 + j * 5) % 7) as f64 - 3.0)).collect();
            let u: Vec<f64> = (0..n).map(|i| i as f64).collect();
            let mut p = vec![[0.0; LANES]; n * width];
            add_moment(&[w], &y, &mut [[0.0; LANES]], &mut p);
            add_outer(0.5, &u, &mut p);
            add_gram(2.0, &r, n, &mut p);
            let symmetric = |i: usize, k: usize| {
                let moment: f64 = (0..3).map(|j| w[j] * y[i][j] * y[k][j]).sum();
                let gram: f64 = (0..n).map(|m| r_at(i, m) * r_at(k, m)).sum();
                moment + 0.5 * u[i] * u[k] + 2.0 * gram
            };
            let lower = |p: &[[f64; LANES]], i: usize, k: usize| p[i * width + k / LANES][k % LANES];
            for i in 0..n {
                for k in 0..=i {
                    close(lower(&p, i, k), symmetric(i, k));
                }
            }
            // L^T X = P, column by column, of which the lower half is kept.
            solve_transposed_lower(&l, n, &mut p);
            for k in 0..n {
                let mut column: Vec<f64> = (0..n).map(|i| symmetric(i, k)).collect();
                solve_transposed(&l, &mut column);
                for (i, &x) in column.iter().enumerate().skip(k) {
                    close(lower(&p, i, k), x);
                }
            }
        }
    }
}

use proptest::prelude::*;

use super::*;

/// Small whole numbers, whose products and sums are exact in any order.
fn whole(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7 + seed * 13 + i / 5) % 9) as f32 - 4.0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Every panel width and tile height, with depths around what is unrolled; equality, because the sums are exact.
    #[test]
    fn products_are_their_definition(
        rows in 1_usize..40, cols in 1_usize..90, depth in 1_usize..40, a_transposed: bool, packed: bool, start in 0_usize..3,
    ) {
        let (a, b) = (whole(rows * depth, 1), whole(depth * cols, 2));
        let (bias, before) = (whole(cols, 3), whole(rows * cols, 4));
        // Stored the other way round where the product reads a transpose.
        let a_stored: Vec<f32> = (0..rows * depth).map(|i| if a_transposed { a[i % rows * depth + i / rows] } else { a[i] }).collect();
        let b_stored: Vec<f32> = (0..cols * depth).map(|i| b[i % depth * cols + i / depth]).collect();
        let mut panels = vec![f32::NAN; packed_len(cols, depth)];
        let right = if packed {
            pack(&b_stored, cols, depth, &mut panels);
            Factor::Packed(Packed::new(&panels, cols, depth))
        } else {
            Factor::Rows(View::new(&b, depth, cols))
        };
        let left = if a_transposed { View::new(&a_stored, depth, rows).t() } else { View::new(&a_stored, rows, depth) };
        let from = [Start::Zero, Start::Row(&bias), Start::Destination][start];
        // Numbers behind the product must stay as they are.
        let mut c = [before.clone(), vec![77.0; 40]].concat();
        matmul(&mut c, left, right, from);
        for i in 0..rows {
            for j in 0..cols {
                let sum: f32 = (0..depth).map(|k| a[i * depth + k] * b[k * cols + j]).sum();
                let first = [0.0, bias[j], before[i * cols + j]][start];
                prop_assert!((c[i * cols + j] - sum - first).abs() < 1e-6, "{i} {j}");
            }
        }
        prop_assert!(c[rows * cols..].iter().all(|x| x.to_bits() == 77.0_f32.to_bits()));
    }

    /// Rows that overlap, several segments of them, and a part of the rows of packed panels: what convolutions ask for.
    #[test]
    fn segments_are_a_sum_of_products(
        rows in 1_usize..25, cols in 1_usize..70, depth in 1_usize..20, count in 1_usize..5, stride in 1_usize..24,
        distance in 0_usize..30, first in 0_usize..10, behind in 0_usize..10, a_transposed: bool, packed: bool,
    ) {
        let inner = depth * count;
        let (outer_count, inner_count) = if a_transposed { (depth, rows) } else { (rows, depth) };
        let a = whole((count - 1) * distance + (outer_count - 1) * stride + inner_count, 1);
        let view = View::strided(&a, outer_count, inner_count, stride);
        let view = if a_transposed { view.t() } else { view }.segments(count, distance);
        let b = whole((first + inner + behind) * cols, 2);
        let height = first + inner + behind;
        let b_stored: Vec<f32> = (0..height * cols).map(|i| b[i % height * cols + i / height]).collect();
        let mut panels = vec![f32::NAN; packed_len(cols, height)];
        let right = if packed {
            pack(&b_stored, cols, height, &mut panels);
            Factor::Packed(Packed::new(&panels, cols, height).rows(first, inner))
        } else {
            Factor::Rows(View::new(&b[first * cols..], inner, cols))
        };
        let mut c = vec![f32::NAN; rows * cols];
        matmul(&mut c, view, right, Start::Zero);
        for i in 0..rows {
            for j in 0..cols {
                let term = |s: usize, k: usize| {
                    let at = s * distance + if a_transposed { k * stride + i } else { i * stride + k };
                    a[at] * b[(first + s * depth + k) * cols + j]
                };
                let sum: f32 = (0..inner).map(|k| term(k / depth, k % depth)).sum();
                prop_assert!((c[i * cols + j] - sum).abs() < 1e-6, "{i} {j}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "of a matrix in a slice of")]
fn a_segment_beyond_the_slice_is_refused() {
    let _ = View::strided(&[0.0; 20], 3, 4, 5).segments(2, 7);
}

#[test]
fn every_instruction_set_gives_the_same_product() {
    let (rows, cols, depth) = (31, 75, 19);
    let (a, b) = (whole(rows * depth, 1), whole(depth * cols, 2));
    let mut expected = vec![0.0; rows * cols];
    matmul(&mut expected, View::new(&a, rows, depth), Factor::Rows(View::new(&b, depth, cols)), Start::Zero);
    for slower in kernel::slower_sets() {
        let mut c = vec![0.0; rows * cols];
        let product = Product {
            rows,
            cols,
            depth,
            segments: 1,
            a: a.as_ptr(),
            a_stride: depth,
            a_transposed: false,
            a_segment: 0,
            b: b.as_ptr(),
            b_form: kernel::Form::Rows(cols),
            c: c.as_mut_ptr(),
            seed: Seed::Zero,
        };
        // SAFETY: the three matrices have these shapes.
        unsafe { kernel::run_on(slower, product) };
        assert_eq!(c, expected, "{slower:?}");
    }
}

#[test]
#[should_panic(expected = "inner sizes")]
fn mismatched_products_panic() {
    let b = Factor::Rows(View::new(&[0.0; 6], 3, 2));
    matmul(&mut [0.0; 4], View::new(&[0.0; 4], 2, 2), b, Start::Zero);
}

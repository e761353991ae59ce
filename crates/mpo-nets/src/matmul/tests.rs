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
            a: a.as_ptr(),
            a_stride: depth,
            a_transposed: false,
            b: b.as_ptr(),
            b_stride: Some(cols),
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

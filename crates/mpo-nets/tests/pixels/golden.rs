//! The passes against JAX's convolution (`tests/golden/pixels.py`).

use mpo_nets::PixelActivations;
use serde_json::Value;

use crate::naive::Sizes;

const ROWS: usize = 2;
const SIZES: Sizes = Sizes { stack: 3, height: 47, width: 42, channels: [3, 5, 4], units: 6, output: 3 };

/// The script's formula.
fn whole(count: usize, seed: u32) -> impl Iterator<Item = f64> {
    (0..count as u32).map(move |i| {
        let x = i.wrapping_mul(2_654_435_761).wrapping_add(seed * 40_503);
        let x = (x ^ (x >> 15)).wrapping_mul(2_246_822_519);
        f64::from((x ^ (x >> 13)) % 1023)
    })
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn close(found: &[f32], wanted: &[f64]) {
    let scale = wanted.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    assert_eq!(found.len(), wanted.len());
    for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        // A few thousand terms in single precision.
        assert!((f64::from(*found) - wanted).abs() < 3e-6 * scale, "number {i}: {found}, JAX {wanted}");
    }
}

#[test]
fn output_and_gradient_are_those_of_jax() {
    let golden: Value = serde_json::from_str(include_str!("../golden/pixels.json")).expect("valid JSON");
    let layout = SIZES.layout();
    let mut p = Vec::new();
    for (index, entry) in layout.entries().iter().enumerate() {
        let scale = if entry.shape.len() > 1 { 0.3 } else { 0.1 };
        p.extend(whole(entry.range.len(), 3 + 2 * index as u32).map(|x| ((x / 511.0 - 1.0) * scale) as f32));
    }
    let states: Vec<u8> = whole(ROWS * SIZES.state_len(), 11).map(|x| (x / 4.0) as u8).collect();
    let d_out: Vec<f32> = whole(ROWS * SIZES.output, 17).map(|x| (x / 511.0 - 1.0) as f32).collect();
    let (network, mut activations) = (SIZES.network(), PixelActivations::default());
    let (mut out, mut gradient) = (vec![f32::NAN; d_out.len()], vec![f32::NAN; p.len()]);
    network.forward(&p, &states, ROWS, &mut activations, &mut out);
    close(&out, &numbers(&golden["out"]));
    network.backward(&p, &states, ROWS, &mut activations, &d_out, &mut gradient);
    let wanted = numbers(&golden["gradient"]);
    // Every tensor on its own scale.
    for entry in layout.entries() {
        close(&gradient[entry.range.clone()], &wanted[entry.range.clone()]);
    }
}

//! The deep Q-network forward, or forward and back, in candle: an opponent of `cargo xtask bench conv`.
//!
//! As `jax_convolution.py`, with candle's own order of channels first. One thread: `RAYON_NUM_THREADS=1`.

use std::{error::Error, time::Instant};

use candle_core::{DType, Device, Result, Tensor, Var};

const ROWS: usize = 32;
const OUTPUTS: usize = 6;
const KERNELS: [(usize, usize, usize, usize); 3] = [(8, 4, 4, 32), (4, 2, 32, 64), (3, 1, 64, 64)];

fn network(layers: &[(Var, Var)], frames: &Tensor) -> Result<Tensor> {
    let mut x = (frames.to_dtype(DType::F32)? / 255.0)?;
    for ((weight, bias), (_, stride, _, _)) in layers.iter().zip(KERNELS) {
        let channels = bias.dim(0)?;
        x = x.conv2d(weight, 0, stride, 1, 1)?.broadcast_add(&bias.reshape((1, channels, 1, 1))?)?.relu()?;
    }
    let x = x.flatten_from(1)?;
    let x = x.matmul(&layers[3].0.t()?)?.broadcast_add(&layers[3].1)?.relu()?;
    x.matmul(&layers[4].0.t()?)?.broadcast_add(&layers[4].1)
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let training = std::env::args().nth(1).as_deref() == Some("training");
    let device = Device::Cpu;
    let mut shapes: Vec<Vec<usize>> = KERNELS.iter().map(|&(k, _, i, o)| vec![o, i, k, k]).collect();
    shapes.extend([vec![512, 3136], vec![OUTPUTS, 512]]);
    let mut layers = Vec::new();
    for shape in shapes {
        let inputs: usize = shape[1..].iter().product();
        let deviation = (2.0 / inputs as f64).sqrt() as f32;
        let bias = Var::zeros(shape[0], DType::F32, &device)?;
        layers.push((Var::randn(0.0_f32, deviation, shape, &device)?, bias));
    }
    let bytes: Vec<u8> = (0..ROWS * 4 * 84 * 84).map(|i| (i * 7919 % 256) as u8).collect();
    let frames = Tensor::from_vec(bytes, (ROWS, 4, 84, 84), &device)?;
    let d_out = Tensor::randn(0.0_f32, 1.0, (ROWS, OUTPUTS), &device)?;
    let pass = || -> Result<()> {
        let out = network(&layers, &frames)?;
        if training {
            std::hint::black_box((out * &d_out)?.sum_all()?.backward()?);
        } else {
            std::hint::black_box(out);
        }
        Ok(())
    };
    for _ in 0..3 {
        pass()?;
    }
    println!("{{\"ready\": \"candle 0.11.1\"}}");
    for line in std::io::stdin().lines() {
        let seconds: f64 = line?.trim().parse()?;
        let (start, cpu, mut passes) = (Instant::now(), cpu_seconds()?, 0_u32);
        while start.elapsed().as_secs_f64() < seconds {
            pass()?;
            passes += 1;
        }
        let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
        let passes = f64::from(passes);
        println!("{{\"per_second\": {:.3}, \"per_cpu_second\": {:.3}}}", passes / wall, passes / cpu);
    }
    Ok(())
}

/// Time that this process's threads spent on a processor, from Linux's own account, in ticks of 10 ms.
fn cpu_seconds() -> std::result::Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

//! Passes per second of the deep Q-network on stacks of 84x84 pixels, six outputs.
//!
//! ```text
//! echo 5 | cargo run --release -p mpo-nets --example convolution -- forward|training|acting|update|product [rows N] [threads N]
//! ```
//! Answers each line on standard input, a number of seconds, with the rate of the next seconds as a line of JSON, so that
//! programs can take turns (`cargo xtask bench conv`). `forward` is a batch of 32 stacks of bytes to outputs; `training` the
//! same and back to the parameters' gradient, without an optimiser; `acting` one stack to an action; `update` a whole update of
//! MPO on windows of 8 transitions, `rows` in all; `product` matrices that stay in a core's cache, the ceiling of all this.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::{error::Error, time::Instant};

use mpo_nets::{
    BatchView, Cpu, DqnNetwork, LearnerConfig, NetworkConfig, PixelActingPolicy, PixelActivations, PixelNetwork,
    PixelShape, Threads, initial_parameters, matrix_product, noise::Noise, pixel_learner,
};

const SHAPE: PixelShape = PixelShape { stack: 4, height: 84, width: 84, actions: 6 };
const STEPS: usize = 8;

/// What is repeated, and the floating-point operations of its products.
type Pass = (Box<dyn FnMut()>, usize);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |word: &str, default: usize| match arguments.iter().position(|a| a == word) {
        Some(at) => Ok(arguments.get(at + 1).ok_or(format!("{word} needs a number"))?.parse::<usize>()?),
        None => Ok::<usize, Box<dyn Error>>(default),
    };
    let threads = number("threads", 1)?;
    let (mut pass, flops) = match arguments.first().map(String::as_str) {
        Some("forward") => network(number("rows", 32)?, threads, false),
        Some("training") => network(number("rows", 32)?, threads, true),
        Some("acting") => acting()?,
        Some("update") => update(number("rows", 256)?, threads)?,
        Some("product") => product(),
        _ => return Err("one of: forward, training, acting, update, product".into()),
    };
    for _ in 0..3 {
        pass();
    }
    println!("{{\"ready\": \"mpo-nets {}\", \"mflop\": {:.1}}}", env!("CARGO_PKG_VERSION"), flops as f64 / 1e6);
    for line in std::io::stdin().lines() {
        let seconds: f64 = line?.trim().parse()?;
        let (start, cpu, mut passes) = (Instant::now(), cpu_seconds()?, 0_u32);
        while start.elapsed().as_secs_f64() < seconds {
            pass();
            passes += 1;
        }
        let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
        let passes = f64::from(passes);
        println!("{{\"per_second\": {:.3}, \"per_cpu_second\": {:.3}}}", passes / wall, passes / cpu);
    }
    Ok(())
}

/// Random stacks of frames.
fn states(count: usize) -> Vec<u8> {
    draw(1, count * SHAPE.state_len()).iter().map(|x| (128.0 + 60.0 * x).clamp(0.0, 255.0) as u8).collect()
}

fn draw(stream: u64, len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    Noise::new(stream).fill(&mut values);
    values
}

fn network(rows: usize, threads: usize, training: bool) -> Pass {
    let (layout, parameters) = initial_parameters::<DqnNetwork<4, 84, 84, 3136, { SHAPE.actions }, f32, Cpu>>(0);
    let network = PixelNetwork::from_layout(&layout, SHAPE.height, SHAPE.width);
    let (states, d_out) = (states(rows), draw(2, rows * SHAPE.actions));
    let mut activations = PixelActivations::new(&Threads::new(threads));
    let (mut out, mut gradient) = (vec![0.0; rows * SHAPE.actions], vec![0.0; parameters.len()]);
    let flops = if training { network.training_flops(rows) } else { network.forward_flops(rows) };
    let pass = move || {
        network.forward(&parameters, &states, rows, &mut activations, &mut out);
        if training {
            network.backward(&parameters, &states, rows, &mut activations, &d_out, &mut gradient);
        }
        std::hint::black_box((&out, &gradient));
    };
    (Box::new(pass), flops)
}

fn acting() -> Result<Pass, Box<dyn Error>> {
    let learner = pixel_learner(&SHAPE, &NetworkConfig::default(), &LearnerConfig::default(), 0)?;
    let mut policy = PixelActingPolicy::new(&SHAPE, &NetworkConfig::default())?;
    policy.load(learner.policy_parameters());
    let state = states(1);
    let pass = move || {
        std::hint::black_box(policy.sample(std::hint::black_box(&state), 0.4));
    };
    // One state's forward pass of each network, of two.
    Ok((Box::new(pass), (learner.flops(1, 1) - learner.flops(1, 0)) / 2))
}

fn update(rows: usize, threads: usize) -> Result<Pass, Box<dyn Error>> {
    let config = LearnerConfig { threads, ..LearnerConfig::default() };
    let mut learner = pixel_learner(&SHAPE, &NetworkConfig::default(), &config, 0)?;
    let windows = rows / STEPS;
    let transitions = windows * STEPS;
    let (states, rewards) = (states(transitions + windows), draw(3, transitions));
    let actions: Vec<u32> = (0..transitions as u32).map(|t| t * 5 % SHAPE.actions as u32).collect();
    let flops = learner.flops(transitions, windows);
    let pass = move || {
        let batch = BatchView {
            lengths: &vec![STEPS as u32; windows],
            rewards: &rewards,
            discounts: &vec![1.0; transitions],
            log_probs: &vec![-1.8; transitions],
            frames: &states,
            discrete_actions: &actions,
            ..BatchView::default()
        };
        learner.update(&batch).expect("finite");
    };
    Ok((Box::new(pass), flops))
}

/// As many as take about a millisecond.
fn product() -> Pass {
    const SHAPE: [usize; 3] = [126, 256, 256];
    const TIMES: usize = 8;
    let [rows, depth, cols] = SHAPE;
    let (a, b, mut c) = (vec![0.5; rows * depth], vec![0.25; depth * cols], vec![0.0; rows * cols]);
    let pass = move || {
        for _ in 0..TIMES {
            matrix_product(&a, &b, SHAPE, std::hint::black_box(&mut c));
        }
    };
    (Box::new(pass), 2 * TIMES * rows * depth * cols)
}

/// Time that this process's threads spent on a processor, from Linux's own account, in ticks of 10 ms.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

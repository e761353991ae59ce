use mpo_core::*; use std::time::Instant; use std::hint::black_box;
fn noise(n: usize) -> Vec<f32> { let mut s=12345u64; (0..n).map(|_|{ let mut t=0.0; for _ in 0..4 { s=s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); t+= (s>>40) as f32/16777216.0-0.5;} t*1.7}).collect() }
fn main() {
  for n in [21usize] { for cov in [Covariance::Full] {
    let (b,m)=(256,20); let f=cov.factor_len(n);
    let mean0=noise(b*n); let mut fac0=vec![0.0f32;b*f];
    let nz=noise(b*f);
    for s in 0..b { for k in 0..f { fac0[s*f+k]=0.1*nz[s*f+k]; } for i in 0..n { let at= if cov==Covariance::Diagonal {i} else {packed_len(i+1)-1}; fac0[s*f+at]=0.5+0.1*nz[s*f+at].abs(); } }
    let mean:Vec<f32>=mean0.iter().map(|x|x+0.01).collect(); let fac:Vec<f32>=fac0.iter().map(|x|x*1.01).collect();
    let t=Gaussian::new(cov,n,&mean0,&fac0); let o=Gaussian::new(cov,n,&mean,&fac);
    let z=noise(b*m*n); let mut a=z.clone(); let mut ws=Workspace::new(n,m);
    let q=noise(b*m); let mut w=q.clone(); let mut lp=q.clone();
    let (mut dm,mut df)=(mean.clone(),fac.clone());
    let time=|f:&mut dyn FnMut()|{ let mut best=f64::INFINITY; for _ in 0..1500 { let t=Instant::now(); f(); best=best.min(t.elapsed().as_secs_f64()*1e6);} best };
    let s1=time(&mut||{t.sample(black_box(&z),&mut a,&mut ws)});
    let s2=time(&mut||{t.log_prob(black_box(&a),&mut lp,&mut ws)});
    let s3=time(&mut||{black_box(e_step(black_box(&q),m,1.0,0.1,&mut w));});
    let mut r=vec![];
    for split in [KlSplit::Decoupled,KlSplit::Exact]{
    r.push(time(&mut||{black_box(m_step(Constraint::Split{split,alpha_mean:1.0,alpha_covariance:10.0},&t,&o,WeightedActions{actions:black_box(&a),weights:&w},HeadGradient{mean:&mut dm,factor:&mut df},&mut ws));}));}
    let s5=0.0;
    let s6=0.0;
    println!("n={n} {cov:?}: sample {s1:.0} log_prob {s2:.0} e_step {s3:.0} m_step decoupled {:.0} exact {:.0} solve {s5:.0} warm {s6:.0} us",r[0],r[1]);
  }}
}

//! Properties that hold for every input, tried on random ones; and the theory of the paper's Appendix A on random tabular
//! Markov decision processes.

#![allow(clippy::expect_used, reason = "a test that cannot be set up is a failed test")]

#[path = "properties/appendix_a.rs"]
mod appendix_a;
#[path = "properties/categorical.rs"]
mod categorical;
#[path = "properties/e_step.rs"]
mod e_step;
#[path = "properties/gaussian.rs"]
mod gaussian;
#[path = "properties/learners.rs"]
mod learners;
#[path = "properties/m_step.rs"]
mod m_step;
#[path = "properties/retrace.rs"]
mod retrace;
#[path = "properties/support.rs"]
mod support;

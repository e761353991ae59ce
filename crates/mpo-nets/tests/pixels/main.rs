//! Networks and learners over pixels.

mod golden;
mod gradients;
mod learner;
mod naive;
mod network;

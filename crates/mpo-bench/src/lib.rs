//! The parts of the program `mpo`: one file per subcommand, and what they share.
//!
//! [`cli`] says what the command line accepts. [`train`], [`experiment`], [`eval`], [`play`], [`plot`], [`table`], [`tasks`],
//! [`random`] and [`gpu_check`] each run one subcommand. Training goes through [`pool`], by the [`crew`] that this process belongs to; [`progress`] watches
//! it, [`interrupt`] stops it, and [`supervise`] starts it again. Tables and figures are made from [`records`] of run directories,
//! grouped into [`series`], beside [`anchors`] and, of games, [`atari`], of parkour, [`courses`]; [`catalogue`] knows all tasks, and
//! [`report`] holds figures against what the paper says.

#![forbid(unsafe_code)]

pub mod anchors;
pub mod atari;
pub mod catalogue;
pub mod cli;
pub mod courses;
pub mod crew;
pub mod eval;
pub mod experiment;
pub mod gpu_check;
pub mod interrupt;
pub mod output;
pub mod pictures;
pub mod play;
pub mod plot;
pub mod pool;
pub mod progress;
pub mod random;
pub mod records;
pub mod report;
pub mod series;
pub mod summary;
pub mod supervise;
pub mod table;
pub mod tasks;
pub mod train;

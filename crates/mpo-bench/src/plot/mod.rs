//! Learning curves: one small panel per task, drawn from run directories. One exporter per file.

mod canvas;
mod command;
mod draw;
mod figure;
mod layout;
mod png;
mod svg;

pub(crate) use self::canvas::register_fonts;

pub use self::{
    command::{command, export},
    figure::{Curve, Figure, Learner, Panel, Point, Reference, Star, points},
    png::png,
    svg::svg,
};

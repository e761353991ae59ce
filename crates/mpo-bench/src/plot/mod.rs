//! Learning curves: one small panel per task, drawn from run directories. One exporter per file.

mod canvas;
mod command;
mod draw;
mod figure;
mod layout;
mod png;
mod svg;

pub use self::{
    command::{command, export},
    figure::{Figure, Panel, Point, Reference},
    png::png,
    svg::svg,
};

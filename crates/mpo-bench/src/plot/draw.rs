//! Draws a figure on a canvas.

use plotters::prelude::*;

use super::{
    canvas::{Align, Canvas, Font},
    figure::{Figure, Panel},
    layout::{
        FAINT, FOOTER, GAP, GRID, HEADING, INK, LABELS, LEGEND, MARGIN, OURS, PANEL, PUBLISHED, RANDOM, STEPS, TITLE,
        WHITE, grid, tick_distance,
    },
};
use crate::output;

const SMALL: Font = Font { size: 11.0, bold: false, colour: FAINT };
const NOTE: Font = Font { size: 12.0, bold: false, colour: INK };
const NAME: Font = Font { size: 12.5, bold: true, colour: INK };
const FIGURE: Font = Font { size: 16.0, bold: true, colour: INK };

/// Width and height of `figure` in points.
pub(super) fn size(figure: &Figure) -> (f64, f64) {
    let (columns, rows) = grid(figure.panels.len());
    let (columns, rows) = (columns as f64, rows as f64);
    let width = 2.0 * MARGIN.0 + LABELS + columns * PANEL.0 + (columns - 1.0) * GAP.0;
    let heading = if figure.title.is_some() { HEADING } else { 0.0 };
    let legend = legend_rows(figure, width).len() as f64 * LEGEND;
    let height = 2.0 * MARGIN.1 + heading + legend + rows * PANEL.1 + (rows - 1.0) * GAP.1 + FOOTER;
    (width, height)
}

/// Draws the whole figure.
pub(super) fn draw<DB: DrawingBackend>(canvas: &Canvas<'_, DB>, figure: &Figure) -> anyhow::Result<()> {
    canvas.clear(WHITE)?;
    let (width, height) = size(figure);
    let left = MARGIN.0 + LABELS;
    let mut top = MARGIN.1;
    if let Some(title) = &figure.title {
        canvas.text(title, (left, top + FIGURE.size), Align::Left, FIGURE)?;
        top += HEADING;
    }
    for row in legend_rows(figure, width) {
        let mut x = left;
        for (key, words) in row {
            draw_key(canvas, key, x, top + 0.5 * LEGEND - 2.0)?;
            canvas.text(&words, (x + KEY, top + 0.5 * LEGEND + 2.0), Align::Left, NOTE)?;
            x += KEY + canvas.width(&words, NOTE) + SPACE;
        }
        top += LEGEND;
    }
    let (columns, _) = grid(figure.panels.len());
    for (index, panel) in figure.panels.iter().enumerate() {
        let (column, row) = (index % columns, index / columns);
        let corner = (left + column as f64 * (PANEL.0 + GAP.0), top + row as f64 * (PANEL.1 + GAP.1));
        draw_panel(canvas, panel, corner, column == 0)?;
    }
    let corner = (width - MARGIN.0, height - MARGIN.1);
    canvas.text("return of an episode against environment steps", corner, Align::Right, SMALL)
}

/// Width of a legend's key with the space after it, and space between entries.
const KEY: f64 = 30.0;
const SPACE: f64 = 22.0;

#[derive(Clone, Copy)]
enum Key {
    Ours { band: bool },
    Published,
    Random,
}

/// The legend's entries, broken into rows that fit `width`.
fn legend_rows(figure: &Figure, width: f64) -> Vec<Vec<(Key, String)>> {
    let band = figure.panels.iter().any(|panel| panel.seeds > 1);
    let mut entries = vec![(Key::Ours { band }, figure.ours())];
    entries.extend(figure.published().map(|words| (Key::Published, words)));
    entries.extend(figure.random().then(|| (Key::Random, "random policy".to_owned())));
    let room = width - 2.0 * MARGIN.0 - LABELS;
    let mut rows: Vec<Vec<(Key, String)>> = Vec::new();
    let mut used = f64::INFINITY;
    for entry in entries {
        // A generous estimate is enough to break rows: the letters of a sans-serif face are about half an em wide.
        let needed = KEY + 0.56 * NOTE.size * entry.1.chars().count() as f64 + SPACE;
        if used + needed > room + SPACE {
            rows.push(Vec::new());
            used = 0.0;
        }
        used += needed;
        rows.last_mut().expect("a row was begun").push(entry);
    }
    rows
}

fn draw_key<DB: DrawingBackend>(canvas: &Canvas<'_, DB>, key: Key, x: f64, y: f64) -> anyhow::Result<()> {
    let (from, to) = (x, x + KEY - 7.0);
    match key {
        Key::Ours { band } => {
            if band {
                let corners = [(from, y - 5.0), (to, y - 5.0), (to, y + 5.0), (from, y + 5.0)];
                canvas.area(&corners, OURS.mix(0.2))?;
            }
            canvas.line(&[(from, y), (to, y)], 2.0, OURS)
        }
        Key::Published => canvas.dashes((from, to), y, (5.0, 4.0), 1.5, PUBLISHED),
        Key::Random => canvas.dashes((from, to), y, (1.5, 3.0), 1.5, RANDOM),
    }
}

/// The data area of a panel and its axes.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    last_step: f64,
    lowest: f64,
    highest: f64,
}

impl Frame {
    fn x(&self, step: u64) -> f64 {
        self.left + step as f64 / self.last_step * (self.right - self.left)
    }

    fn y(&self, value: f64) -> f64 {
        let part = (value - self.lowest) / (self.highest - self.lowest);
        self.bottom - part.clamp(0.0, 1.0) * (self.bottom - self.top)
    }
}

fn draw_panel<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    panel: &Panel,
    (left, top): (f64, f64),
    labelled: bool,
) -> anyhow::Result<()> {
    let frame = Frame {
        left,
        right: left + PANEL.0,
        top: top + TITLE,
        bottom: top + PANEL.1 - STEPS,
        last_step: (panel.last_step() as f64).max(1.0),
        lowest: panel.lowest(),
        highest: panel.highest(),
    };
    canvas.text(&panel.task, (left, top + 13.0), Align::Left, NAME)?;
    if let Some(last) = panel.curve.last() {
        let score = format!("{:.0}", last.spread.median);
        canvas.text(&score, (frame.right, top + 13.0), Align::Right, Font { colour: OURS, ..NAME })?;
    }
    draw_axes(canvas, &frame, labelled)?;
    if let Some(random) = panel.random {
        canvas.dashes((frame.left, frame.right), frame.y(random), (1.5, 3.0), 1.25, RANDOM)?;
    }
    if let Some(level) = panel.level {
        let y = frame.y(panel.published[level].mean);
        canvas.dashes((frame.left, frame.right), y, (5.0, 4.0), 1.25, PUBLISHED)?;
    }
    draw_curve(canvas, panel, &frame)?;
    for reference in &panel.published {
        if reference.step <= panel.last_step() {
            let x = frame.x(reference.step);
            let (low, high) = (reference.mean - reference.std, reference.mean + reference.std);
            canvas.line(&[(x, frame.y(low)), (x, frame.y(high))], 1.25, PUBLISHED)?;
            canvas.disc((x, frame.y(reference.mean)), 4.2, WHITE)?;
            canvas.disc((x, frame.y(reference.mean)), 3.2, PUBLISHED)?;
        }
    }
    Ok(())
}

fn draw_axes<DB: DrawingBackend>(canvas: &Canvas<'_, DB>, frame: &Frame, labelled: bool) -> anyhow::Result<()> {
    let distance = tick_distance(frame.highest - frame.lowest, 4.0);
    let mut value = (frame.lowest / distance).ceil() * distance;
    while value <= frame.highest {
        let y = frame.y(value);
        canvas.line(&[(frame.left, y), (frame.right, y)], 1.0, GRID)?;
        if labelled {
            canvas.text(&format!("{value:.0}"), (frame.left - 6.0, y + 4.0), Align::Right, SMALL)?;
        }
        value += distance;
    }
    let distance = tick_distance(frame.last_step, 5.0).max(1.0) as u64;
    let mut step = 0;
    while step as f64 <= frame.last_step {
        let x = frame.x(step);
        canvas.line(&[(x, frame.top), (x, frame.bottom)], 1.0, GRID)?;
        // The first and the last label must not run into the neighbours' panels.
        let (x, align) = match step {
            0 => (x, Align::Left),
            _ if x > frame.right - 6.0 => (x + 7.0, Align::Right),
            _ => (x, Align::Centre),
        };
        canvas.text(&output::steps(step), (x, frame.bottom + 14.0), align, SMALL)?;
        step += distance;
    }
    canvas.line(&[(frame.left, frame.bottom), (frame.right, frame.bottom)], 1.0, RANDOM)
}

fn draw_curve<DB: DrawingBackend>(canvas: &Canvas<'_, DB>, panel: &Panel, frame: &Frame) -> anyhow::Result<()> {
    let line = |value: fn(&super::Point) -> f64| -> Vec<(f64, f64)> {
        panel.curve.iter().map(|point| (frame.x(point.step), frame.y(value(point)))).collect()
    };
    if panel.seeds > 1 {
        let mut band = line(|point| point.spread.upper);
        band.extend(line(|point| point.spread.lower).into_iter().rev());
        canvas.area(&band, OURS.mix(0.2))?;
    }
    let median = line(|point| point.spread.median);
    match median[..] {
        [only] => canvas.disc(only, 2.5, OURS),
        _ => canvas.line(&median, 2.0, OURS),
    }
}

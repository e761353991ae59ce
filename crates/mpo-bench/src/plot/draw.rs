//! Draws a figure on a canvas.

use plotters::prelude::*;

use super::{
    canvas::{Align, Canvas, Font},
    figure::{Curve, Figure, Panel},
    layout::{
        FAINT, FOOTER, GAP, GRID, HEADING, HUMAN, INK, LABELS, LEGEND, MARGIN, PANEL, PUBLISHED, RANDOM, STEPS, TITLE,
        WHITE, grid, style, tick_distance,
    },
};
use crate::{catalogue, output};

const SMALL: Font = Font { size: 11.0, bold: false, colour: FAINT };
const NOTE: Font = Font { size: 12.0, bold: false, colour: INK };
const NAME: Font = Font { size: 12.5, bold: true, colour: INK };
const FIGURE: Font = Font { size: 16.0, bold: true, colour: INK };

/// Width and height of `figure` in points.
pub(super) fn size(figure: &Figure) -> (f64, f64) {
    let (columns, rows) = grid(figure.panels.len());
    // Several learners' names and the words under them need some room, and so do those on several seeds and on the paper's walker.
    let narrow = figure.single().is_some() && figure.seeds() < 2 && figure.marked().is_none();
    let columns = if narrow { columns } else { columns.max(2) };
    let (columns, rows) = (columns as f64, rows as f64);
    let width = 2.0 * MARGIN.0 + LABELS + columns * PANEL.0 + (columns - 1.0) * gap(figure);
    let heading = if figure.title.is_some() { HEADING } else { 0.0 };
    let legend = legend_rows(figure, width).len() as f64 * LEGEND;
    let height = 2.0 * MARGIN.1 + heading + legend + rows * PANEL.1 + (rows - 1.0) * GAP.1 + FOOTER;
    (width, height)
}

/// Space between two panels of a row, in which the second may have labels of its own.
fn gap(figure: &Figure) -> f64 {
    if figure.one_scale() { GAP.0 } else { GAP.0 + LABELS }
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
        let corner = (left + column as f64 * (PANEL.0 + gap(figure)), top + row as f64 * (PANEL.1 + GAP.1));
        draw_panel(canvas, figure, panel, corner, column == 0 || !figure.one_scale())?;
    }
    let corner = (width - MARGIN.0, height - MARGIN.1);
    canvas.text(&figure.footer(), corner, Align::Right, SMALL)
}

/// Dashes of the lines that mark how long the paper's learners took, and gaps between them.
const MARK: (f64, f64) = (4.0, 2.5);

/// Width of a legend's key with the space after it, and space between entries.
const KEY: f64 = 30.0;
const SPACE: f64 = 22.0;

#[derive(Clone, Copy)]
enum Key {
    Learner { style: usize, band: bool },
    Star,
    Published,
    Mark,
    Human,
    Random,
}

/// The legend's entries, broken into rows that fit `width`.
fn legend_rows(figure: &Figure, width: f64) -> Vec<Vec<(Key, String)>> {
    let band = figure.seeds() > 1;
    let single = figure.single().is_some();
    let learners = figure.learners.iter().map(|learner| {
        let words = if single { figure.ours(&learner.name) } else { learner.name.clone() };
        (Key::Learner { style: learner.style, band }, words)
    });
    let mut entries: Vec<(Key, String)> = learners.collect();
    entries.extend(figure.stars().map(|words| (Key::Star, words)));
    entries.extend(figure.published().map(|words| (Key::Published, words)));
    entries.extend(figure.marked().map(|words| (Key::Mark, words)));
    entries.extend(figure.human().then(|| (Key::Human, "human".to_owned())));
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
        Key::Learner { style: place, band } => {
            let (colour, dashes) = style(place);
            if band {
                let corners = [(from, y - 5.0), (to, y - 5.0), (to, y + 5.0), (from, y + 5.0)];
                canvas.area(&corners, colour.mix(0.2))?;
            }
            path(canvas, &[(from, y), (to, y)], colour, dashes)
        }
        Key::Star => canvas.star((0.5 * (from + to), y), 6.0, INK),
        Key::Published => canvas.dashes((from, to), y, (5.0, 4.0), 1.5, PUBLISHED),
        Key::Mark => {
            let x = 0.5 * (from + to);
            canvas.dashed_line(&[(x, y - 7.0), (x, y + 7.0)], MARK, 1.5, PUBLISHED)
        }
        Key::Human => canvas.dashes((from, to), y, (8.0, 2.5), 1.5, HUMAN),
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
    /// Where a logarithmic axis begins.
    first_step: Option<f64>,
    lowest: f64,
    highest: f64,
}

impl Frame {
    fn x(&self, step: u64) -> f64 {
        let step = step as f64;
        let part = match self.first_step {
            None => step / self.last_step,
            // What comes before the first decade, as the untrained policy does, is drawn at its beginning.
            Some(first) => (step.max(first) / first).ln() / (self.last_step / first).ln(),
        };
        self.left + part * (self.right - self.left)
    }

    /// The steps that have a line and a label, rising.
    fn ticks(&self) -> Vec<u64> {
        match self.first_step {
            None => {
                let distance = tick_distance(self.last_step, 5.0).max(1.0) as usize;
                (0..=self.last_step as u64).step_by(distance).collect()
            }
            Some(first) => {
                let decades = std::iter::successors(Some(first as u64), |step| step.checked_mul(10));
                decades.take_while(|&step| step as f64 <= self.last_step).collect()
            }
        }
    }

    fn y(&self, value: f64) -> f64 {
        let part = (value - self.lowest) / (self.highest - self.lowest);
        self.bottom - part.clamp(0.0, 1.0) * (self.bottom - self.top)
    }
}

fn draw_panel<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    figure: &Figure,
    panel: &Panel,
    (left, top): (f64, f64),
    labelled: bool,
) -> anyhow::Result<()> {
    let decades = panel.decades();
    let frame = Frame {
        left,
        right: left + PANEL.0,
        top: top + TITLE,
        bottom: top + PANEL.1 - STEPS,
        last_step: decades.map_or((panel.last_step() as f64).max(1.0), |(_, last)| last),
        first_step: decades.map(|(first, _)| first),
        lowest: panel.lowest(),
        highest: panel.highest(),
    };
    canvas.text(&panel.task, (left, top + 13.0), Align::Left, NAME)?;
    if let (Some(only), Some(last)) = (figure.single(), panel.curves.first().and_then(|curve| curve.points.last())) {
        let score = format!("{:.*}", catalogue::decimals(&panel.task), last.spread.median);
        let font = Font { colour: style(only.style).0, ..NAME };
        canvas.text(&score, (frame.right, top + 13.0), Align::Right, font)?;
    }
    draw_axes(canvas, &frame, labelled)?;
    if let Some(random) = panel.random {
        canvas.dashes((frame.left, frame.right), frame.y(random), (1.5, 3.0), 1.25, RANDOM)?;
    }
    if let Some(human) = panel.human.filter(|&human| human <= frame.highest) {
        canvas.dashes((frame.left, frame.right), frame.y(human), (8.0, 2.5), 1.25, HUMAN)?;
    }
    if let Some(level) = panel.level.filter(|&level| panel.published[level].mean <= frame.highest) {
        let y = frame.y(panel.published[level].mean);
        canvas.dashes((frame.left, frame.right), y, (5.0, 4.0), 1.25, PUBLISHED)?;
    }
    for mark in &panel.marks {
        let x = frame.x(mark.at);
        canvas.dashed_line(&[(x, frame.top), (x, frame.bottom)], MARK, 1.25, PUBLISHED)?;
        canvas.text(mark.algorithm.title(), (x - 3.0, frame.top + 10.0), Align::Right, SMALL)?;
    }
    if let Some(words) = panel.beyond() {
        canvas.text(&words, (frame.right - 3.0, frame.top + 11.0), Align::Right, SMALL)?;
    }
    draw_curves(canvas, figure, panel, &frame)?;
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
    let places = usize::from(distance < 1.0);
    let ticks = (frame.lowest / distance).ceil() as i64..=(frame.highest / distance).floor() as i64;
    for value in ticks.map(|tick| tick as f64 * distance) {
        let y = frame.y(value);
        canvas.line(&[(frame.left, y), (frame.right, y)], 1.0, GRID)?;
        if labelled {
            canvas.text(&format!("{value:.places$}"), (frame.left - 6.0, y + 4.0), Align::Right, SMALL)?;
        }
    }
    let ticks = frame.ticks();
    for &step in &ticks {
        let x = frame.x(step);
        canvas.line(&[(x, frame.top), (x, frame.bottom)], 1.0, GRID)?;
        // The first and the last label must not run into the neighbours' panels.
        let (x, align) = match step {
            _ if step == ticks[0] => (x, Align::Left),
            _ if x > frame.right - 6.0 => (x + 7.0, Align::Right),
            _ => (x, Align::Centre),
        };
        canvas.text(&output::steps(step), (x, frame.bottom + 14.0), align, SMALL)?;
    }
    canvas.line(&[(frame.left, frame.bottom), (frame.right, frame.bottom)], 1.0, RANDOM)
}

/// Bands first, then lines, then stars; the first learner's on top of the others'.
fn draw_curves<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    figure: &Figure,
    panel: &Panel,
    frame: &Frame,
) -> anyhow::Result<()> {
    let line = |curve: &Curve, value: fn(&super::Point) -> f64| -> Vec<(f64, f64)> {
        curve.points.iter().map(|point| (frame.x(point.step), frame.y(value(point)))).collect()
    };
    let look = |curve: &Curve| style(figure.learners[curve.learner].style);
    // Many bands over each other must not hide the lines.
    let opacity = if panel.curves.len() > 2 { 0.12 } else { 0.2 };
    for curve in panel.curves.iter().rev().filter(|curve| curve.seeds > 1) {
        let mut band = line(curve, |point| point.spread.upper);
        band.extend(line(curve, |point| point.spread.lower).into_iter().rev());
        canvas.area(&band, look(curve).0.mix(opacity))?;
    }
    for curve in panel.curves.iter().rev() {
        let (colour, dashes) = look(curve);
        match line(curve, |point| point.spread.median)[..] {
            [only] => canvas.disc(only, 2.5, colour)?,
            ref median => path(canvas, median, colour, dashes)?,
        }
    }
    for curve in panel.curves.iter().rev() {
        if let Some(star) = curve.star {
            let place = (frame.right, frame.y(star.level));
            canvas.star(place, 7.0, WHITE)?;
            canvas.star(place, 5.5, look(curve).0)?;
        }
    }
    Ok(())
}

fn path<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    points: &[(f64, f64)],
    colour: RGBColor,
    dashes: Option<(f64, f64)>,
) -> anyhow::Result<()> {
    match dashes {
        Some(dashes) => canvas.dashed_line(points, dashes, 2.0, colour),
        None => canvas.line(points, 2.0, colour),
    }
}

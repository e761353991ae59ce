//! Lines, areas and text in points, on any backend.
//!
//! Plotters places everything on whole pixels and its backends disagree on where text stands. So figures are drawn
//! enlarged (the SVG's view box and the PNG's supersampling take the factor out again), and text is placed by its
//! baseline with the backend's own offsets.

use std::sync::Once;

use anyhow::anyhow;
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// Where a backend puts text: plotters' font size per em, and ems from its "top" down to the baseline.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextPlacement {
    pub(super) size_per_em: f64,
    pub(super) top_to_baseline: f64,
}

/// Side of its point at which a text stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Font {
    /// Size of the em in points.
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) colour: RGBColor,
}

/// A drawing surface measured in points.
pub(super) struct Canvas<'a, DB: DrawingBackend> {
    area: &'a DrawingArea<DB, Shift>,
    scale: f64,
    placement: TextPlacement,
}

impl<'a, DB: DrawingBackend> Canvas<'a, DB> {
    /// A canvas on `area` with `scale` pixels to the point.
    pub(super) fn new(area: &'a DrawingArea<DB, Shift>, scale: f64, placement: TextPlacement) -> Self {
        register_fonts();
        Self { area, scale, placement }
    }

    fn pixel(&self, (x, y): (f64, f64)) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn draw<E>(&self, element: &E) -> anyhow::Result<()>
    where
        for<'e> &'e E: plotters::element::PointCollection<'e, (i32, i32)>,
        E: plotters::element::Drawable<DB>,
    {
        self.area.draw(element).map_err(|error| anyhow!("cannot draw the figure: {error}"))
    }

    /// Fills the whole surface.
    pub(super) fn clear(&self, colour: RGBColor) -> anyhow::Result<()> {
        self.area.fill(&colour).map_err(|error| anyhow!("cannot draw the figure: {error}"))
    }

    /// Fills a polygon.
    pub(super) fn area(&self, corners: &[(f64, f64)], colour: RGBAColor) -> anyhow::Result<()> {
        let corners: Vec<_> = corners.iter().map(|&corner| self.pixel(corner)).collect();
        self.draw(&Polygon::new(corners, colour.filled()))
    }

    /// Draws an open path.
    pub(super) fn line(&self, points: &[(f64, f64)], width: f64, colour: RGBColor) -> anyhow::Result<()> {
        let points: Vec<_> = points.iter().map(|&point| self.pixel(point)).collect();
        let width = (width * self.scale).round().max(1.0) as u32;
        self.draw(&PathElement::new(points, colour.stroke_width(width)))
    }

    /// Draws a horizontal line of dashes `on` long with gaps of `off`.
    pub(super) fn dashes(
        &self,
        (from, to): (f64, f64),
        y: f64,
        (on, off): (f64, f64),
        width: f64,
        colour: RGBColor,
    ) -> anyhow::Result<()> {
        let mut x = from;
        while x < to {
            self.line(&[(x, y), ((x + on).min(to), y)], width, colour)?;
            x += on + off;
        }
        Ok(())
    }

    /// Draws an open path in dashes `on` long with gaps of `off`, which run on around its corners.
    pub(super) fn dashed_line(
        &self,
        points: &[(f64, f64)],
        (on, off): (f64, f64),
        width: f64,
        colour: RGBColor,
    ) -> anyhow::Result<()> {
        let mut dash: Vec<(f64, f64)> = points.first().copied().into_iter().collect();
        let (mut drawing, mut room) = (true, on);
        for pair in points.windows(2) {
            let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
            let length = (x1 - x0).hypot(y1 - y0);
            let mut at = 0.0;
            while length - at > room {
                at += room;
                let turn = (x0 + (x1 - x0) * at / length, y0 + (y1 - y0) * at / length);
                if drawing {
                    dash.push(turn);
                    self.line(&dash, width, colour)?;
                }
                dash = vec![turn];
                drawing = !drawing;
                room = if drawing { on } else { off };
            }
            room -= length - at;
            if drawing {
                dash.push((x1, y1));
            }
        }
        if drawing && dash.len() > 1 { self.line(&dash, width, colour) } else { Ok(()) }
    }

    /// Fills a five-pointed star of this outer radius.
    pub(super) fn star(&self, (x, y): (f64, f64), radius: f64, colour: RGBColor) -> anyhow::Result<()> {
        let corners: Vec<(f64, f64)> = (0..10)
            .map(|corner| {
                let angle = std::f64::consts::PI * (f64::from(corner) / 5.0 - 0.5);
                let length = if corner % 2 == 0 { radius } else { 0.45 * radius };
                (x + length * angle.cos(), y + length * angle.sin())
            })
            .collect();
        self.area(&corners, colour.to_rgba())
    }

    /// Draws a filled disc.
    pub(super) fn disc(&self, centre: (f64, f64), radius: f64, colour: RGBColor) -> anyhow::Result<()> {
        let radius = (radius * self.scale).round() as i32;
        self.draw(&Circle::new(self.pixel(centre), radius, colour.filled()))
    }

    /// Writes `text` with its baseline at `y`.
    pub(super) fn text(&self, text: &str, (x, y): (f64, f64), align: Align, font: Font) -> anyhow::Result<()> {
        let top = y - self.placement.top_to_baseline * font.size;
        let anchor = match align {
            Align::Left => HPos::Left,
            Align::Centre => HPos::Center,
            Align::Right => HPos::Right,
        };
        let style = TextStyle::from(self.font(font)).color(&font.colour).pos(Pos::new(anchor, VPos::Top));
        self.draw(&Text::new(text.to_owned(), self.pixel((x, top)), style))
    }

    /// Width of `text` in points, as the embedded font sets it.
    pub(super) fn width(&self, text: &str, font: Font) -> f64 {
        // Measured by the embedded font, whose plotters size is that of the bitmap backend.
        let size = font.size * self.scale * super::png::PLACEMENT.size_per_em;
        let description = FontDesc::new(FontFamily::SansSerif, size, style_of(font));
        description.layout_box(text).map_or(0.0, |(_, (right, _))| f64::from(right) / self.scale)
    }

    fn font(&self, font: Font) -> FontDesc<'static> {
        let size = font.size * self.scale * self.placement.size_per_em;
        FontDesc::new(FontFamily::SansSerif, size, style_of(font))
    }
}

fn style_of(font: Font) -> FontStyle {
    if font.bold { FontStyle::Bold } else { FontStyle::Normal }
}

/// Makes Noto Sans (SIL Open Font Licence) plotters' `sans-serif`: figures must not depend on the fonts of the
/// machine.
pub(crate) fn register_fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for (style, bytes) in [(FontStyle::Normal, notosans::REGULAR_TTF), (FontStyle::Bold, notosans::BOLD_TTF)] {
            let registered = plotters::style::register_font("sans-serif", style, bytes);
            assert!(registered.is_ok(), "the embedded font is a valid one");
        }
    });
}

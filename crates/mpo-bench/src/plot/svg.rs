//! The figure as SVG, with its text as text.

use anyhow::anyhow;
use plotters::prelude::*;

use super::{
    canvas::{Canvas, TextPlacement},
    draw,
    figure::Figure,
};

/// Units of the view box per point: plotters' coordinates are whole numbers, and a tenth of a point is fine enough.
const UNITS: f64 = 10.0;

/// plotters-svg divides sizes by 1.24 and hangs top-aligned text 0.76 em below its point.
const PLACEMENT: TextPlacement = TextPlacement { size_per_em: 1.24, top_to_baseline: 0.76 };

/// Renders `figure` as an SVG document.
///
/// # Errors
/// If plotters refuses an element.
pub fn svg(figure: &Figure) -> anyhow::Result<String> {
    let (width, height) = draw::size(figure);
    let units = |length: f64| (length * UNITS).round() as u32;
    let mut document = String::new();
    {
        let size = (units(width), units(height));
        let area = SVGBackend::with_string(&mut document, size).into_drawing_area();
        draw::draw(&Canvas::new(&area, UNITS, PLACEMENT), figure)?;
        area.present().map_err(|error| anyhow!("cannot write the figure: {error}"))?;
    }
    // The view box keeps the fine units, the document gets its natural size.
    let fine = format!("width=\"{}\" height=\"{}\"", units(width), units(height));
    let natural = format!("width=\"{width:.0}\" height=\"{height:.0}\"");
    Ok(document.replacen(&fine, &natural, 1))
}

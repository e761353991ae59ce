//! The figure as PNG, at twice its natural size for sharp screens.

use anyhow::{Context as _, anyhow};
use plotters::prelude::*;

use super::{
    canvas::{Canvas, TextPlacement},
    draw,
    figure::Figure,
};

/// Pixels of the picture per point.
const PIXELS: usize = 2;
/// Drawn pixels per pixel of the picture and axis: plotters does not smooth the edges of areas and wide lines.
const SUPERSAMPLING: usize = 2;

/// The font's size is the height of its line, 1.362 em for Noto Sans; plotters' glyph drawing puts the baseline half
/// a size below the top.
pub(super) const PLACEMENT: TextPlacement = TextPlacement { size_per_em: 1.362, top_to_baseline: 0.681 };

/// Renders `figure` as a PNG file.
///
/// # Errors
/// If plotters refuses an element.
pub fn png(figure: &Figure) -> anyhow::Result<Vec<u8>> {
    let (width, height) = draw::size(figure);
    let pixels = |length: f64| (length * PIXELS as f64).round() as usize;
    let (width, height) = (pixels(width), pixels(height));
    let (wide, high) = (width * SUPERSAMPLING, height * SUPERSAMPLING);
    let mut fine = vec![0; wide * high * 3];
    {
        let backend = BitMapBackend::with_buffer(&mut fine, (wide as u32, high as u32));
        let area = backend.into_drawing_area();
        draw::draw(&Canvas::new(&area, (PIXELS * SUPERSAMPLING) as f64, PLACEMENT), figure)?;
        area.present().map_err(|error| anyhow!("cannot draw the figure: {error}"))?;
    }
    encode(&shrink(&fine, width, height), width, height)
}

/// Averages squares of `SUPERSAMPLING` by `SUPERSAMPLING` RGB pixels.
fn shrink(fine: &[u8], width: usize, height: usize) -> Vec<u8> {
    let stride = width * SUPERSAMPLING * 3;
    let mut picture = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                let mut sum = 0;
                for row in 0..SUPERSAMPLING {
                    let start = (y * SUPERSAMPLING + row) * stride + x * SUPERSAMPLING * 3 + channel;
                    sum += (0..SUPERSAMPLING).map(|i| u32::from(fine[start + 3 * i])).sum::<u32>();
                }
                picture.push((sum / (SUPERSAMPLING * SUPERSAMPLING) as u32) as u8);
            }
        }
    }
    picture
}

fn encode(picture: &[u8], width: usize, height: usize) -> anyhow::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header().context("cannot encode the figure")?;
    writer.write_image_data(picture).context("cannot encode the figure")?;
    writer.finish().context("cannot encode the figure")?;
    Ok(file)
}

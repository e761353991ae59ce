//! Sizes, colours and axes of a figure. All lengths are points.

use plotters::style::RGBColor;

/// Panels side by side, at most.
pub(super) const COLUMNS: usize = 4;
/// Panel with its title and labels, without the space between panels.
pub(super) const PANEL: (f64, f64) = (206.0, 172.0);
/// Space between panels, besides labels.
pub(super) const GAP: (f64, f64) = (18.0, 14.0);
/// Space around everything; the left one holds the labels of the return axis.
pub(super) const MARGIN: (f64, f64) = (14.0, 12.0);
/// Width of the return axis' labels, left of the first column.
pub(super) const LABELS: f64 = 32.0;
/// Height of a panel's title, and of its step labels.
pub(super) const TITLE: f64 = 20.0;
/// Height of the step labels below a panel.
pub(super) const STEPS: f64 = 18.0;
/// Height of the figure's title, where it has one.
pub(super) const HEADING: f64 = 30.0;
/// Height of the line under the panels that names the axes.
pub(super) const FOOTER: f64 = 14.0;
/// Height of one row of the legend.
pub(super) const LEGEND: f64 = 24.0;

pub(super) const WHITE: RGBColor = RGBColor(255, 255, 255);
pub(super) const INK: RGBColor = RGBColor(40, 44, 52);
pub(super) const FAINT: RGBColor = RGBColor(110, 116, 126);
pub(super) const GRID: RGBColor = RGBColor(230, 233, 238);
/// Okabe and Ito's palette, told apart with any colour vision; its yellow is left out, which is too pale for a line.
pub(super) const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(213, 94, 0),
];
pub(super) const PUBLISHED: RGBColor = RGBColor(213, 94, 0);
pub(super) const RANDOM: RGBColor = RGBColor(140, 146, 156);
pub(super) const HUMAN: RGBColor = RGBColor(0, 158, 115);

/// Colour of a learner's curve, and its dashes (length, gap) where the palette has been used up.
pub(super) fn style(place: usize) -> (RGBColor, Option<(f64, f64)>) {
    let dashes = match place / PALETTE.len() {
        0 => None,
        1 => Some((6.0, 3.0)),
        _ => Some((2.0, 2.5)),
    };
    (PALETTE[place % PALETTE.len()], dashes)
}

/// Columns and rows for a number of panels.
pub(super) fn grid(panels: usize) -> (usize, usize) {
    let columns = panels.clamp(1, COLUMNS);
    (columns, panels.div_ceil(columns).max(1))
}

/// The distance between ticks: 1, 2, 2.5 or 5 times a power of ten, so that at most `most` of them fit into `length`.
pub(super) fn tick_distance(length: f64, most: f64) -> f64 {
    let power = 10f64.powf((length / most).log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|distance| length / distance <= most)
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for (length, distance) in
            [(60_000.0, 20_000.0), (250_000.0, 100_000.0), (1e6, 250_000.0), (1000.0, 250.0), (5.0, 2.0)]
        {
            assert!((tick_distance(length, 4.0) - distance).abs() < 1e-9, "{length}");
        }
    }

    #[test]
    fn twenty_one_curves_look_different() {
        let looks: std::collections::BTreeSet<String> = (0..21).map(|place| format!("{:?}", style(place))).collect();
        assert_eq!(looks.len(), 21);
        assert_eq!(style(0).1, None);
    }

    #[test]
    fn panels_fill_rows_of_four() {
        assert_eq!(grid(0), (1, 1));
        assert_eq!(grid(3), (3, 1));
        assert_eq!(grid(12), (4, 3));
        assert_eq!(grid(28), (4, 7));
    }
}

//! Training curves: panels below each other, with a common range of x.

use std::ops::Range;
use std::path::Path;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Colour;
use super::page::{self, Page};
use super::plot::Plot;
use crate::Error;

/// One quantity over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Name in the legend.
    pub name: String,
    /// Points (x, y), sorted by x. Points that are not finite are skipped.
    pub points: Vec<(f64, f64)>,
}

/// Curves with common axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Title, such as "Training loss over steps".
    pub title: String,
    /// Name of the quantity, with its unit.
    pub y_label: String,
    /// Curves; the first eight have distinct colours.
    pub curves: Vec<Curve>,
}

/// Draws the panels to a PNG file, [`WIDTH_PX`] wide.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written.
pub fn draw(path: &Path, panels: &[Panel]) -> Result<(), Error> {
    let heights: Vec<u32> = panels.iter().map(height).collect();
    let mut page = Page::new(WIDTH_PX, heights.iter().sum::<u32>().max(PANEL_PX), PAPER);
    let all = panels.iter().flat_map(|panel| &panel.curves).flat_map(|curve| &curve.points);
    let x = range(all.filter(|p| finite(p)).map(|p| p.0), 0.5);
    let mut top = 0;
    for (panel, height) in panels.iter().zip(heights) {
        draw_panel(&mut page, panel, top..top + height, x.clone())
            .map_err(|error| Error::format(path, error))?;
        top += height;
    }
    page.save(path)
}

/// Width of the image, in pixels.
pub const WIDTH_PX: u32 = 1600;

const PANEL_PX: u32 = 530;
const HEADER_PX: u32 = 98;
const FOOTER_PX: u32 = 60;
const LEFT_PX: u32 = 130;
const LEGEND_PX: u32 = 330;
const LEGEND_LINE_PX: u32 = 38;
const TITLE: f32 = 34.0;
const TEXT: f32 = 25.0;
const PAPER: Colour = [255; 3];
const INK: Colour = [35, 40, 48];
const PALE_INK: Colour = [95, 102, 112];
const GRID: RGBColor = RGBColor(226, 229, 233);
const AXIS: RGBColor = RGBColor(150, 156, 164);

const X_TICKS: usize = 10;
const Y_TICKS: usize = 6;

/// Largest number of points that are marked individually; curves with more points are thinner.
const MARKED_POINTS: usize = 60;

/// Okabe and Ito's colours, which most people can distinguish; the pale ones are darkened for white
/// paper.
const COLOURS: [Colour; 8] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 140, 104],
    [204, 121, 167],
    [216, 150, 0],
    [70, 165, 220],
    [90, 60, 140],
    [70, 70, 70],
];

type PlotError = DrawingAreaErrorKind<std::convert::Infallible>;

/// Height of a panel, in pixels, with enough room for its legend.
fn height(panel: &Panel) -> u32 {
    PANEL_PX.max(HEADER_PX + FOOTER_PX + panel.curves.len() as u32 * LEGEND_LINE_PX)
}

fn draw_panel(
    page: &mut Page,
    panel: &Panel,
    rows: Range<u32>,
    x: Range<f64>,
) -> Result<(), PlotError> {
    let top = rows.start as f32;
    let title = page::shortened(&panel.title, TITLE, (WIDTH_PX - LEFT_PX) as f32);
    page.write(&title, [24.0, top + 44.0], TITLE, INK);
    let unit_at = [24.0, top + 44.0 + 1.2 * TEXT];
    page.write(&panel.y_label, unit_at, TEXT, PALE_INK);

    let curves: Vec<Vec<(f64, f64)>> = panel
        .curves
        .iter()
        .map(|curve| curve.points.iter().copied().filter(finite).collect())
        .collect();
    let y = range(curves.iter().flatten().map(|p| p.1), 0.1);
    let digits = Digits::new(&y, Y_TICKS).finer();
    draw_curves(page, &curves, rows.clone(), x, y)?;

    for (index, (curve, points)) in panel.curves.iter().zip(&curves).enumerate() {
        let left = (WIDTH_PX - LEGEND_PX + 30) as f32;
        let middle = (rows.start + HEADER_PX + 18 + index as u32 * LEGEND_LINE_PX) as f32;
        page.stroke(&[[left, middle], [left + 30.0, middle]], 2.5, colour(index));
        let last = points.last().map_or("-".to_owned(), |p| digits.label(p.1));
        let last_left = WIDTH_PX as f32 - 20.0 - page::text_width(&last, TEXT);
        let baseline = middle + page::capital_height(TEXT) / 2.0;
        let name = page::shortened(&curve.name, TEXT, last_left - left - 58.0);
        page.write(&name, [left + 44.0, baseline], TEXT, INK);
        page.write(&last, [last_left, baseline], TEXT, PALE_INK);
    }
    Ok(())
}

fn draw_curves(
    page: &mut Page,
    curves: &[Vec<(f64, f64)>],
    rows: Range<u32>,
    x: Range<f64>,
    y: Range<f64>,
) -> Result<(), PlotError> {
    let (x_digits, y_digits) = (Digits::new(&x, X_TICKS), Digits::new(&y, Y_TICKS));
    let area = Plot(page).into_drawing_area();
    let size = (WIDTH_PX - LEGEND_PX, rows.end - rows.start - HEADER_PX);
    let area = area.shrink((0, rows.start + HEADER_PX), size);
    let mut chart = ChartBuilder::on(&area)
        .x_label_area_size(FOOTER_PX)
        .y_label_area_size(LEFT_PX)
        .build_cartesian_2d(x, y)?;
    let text = ("", TEXT).into_font().color(&rgb(PALE_INK));
    chart
        .configure_mesh()
        .x_labels(X_TICKS)
        .y_labels(Y_TICKS)
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .set_all_tick_mark_size(8)
        .x_label_style(text.clone().pos(Pos::new(HPos::Center, VPos::Top)))
        .y_label_style(text)
        .x_label_formatter(&|value| x_digits.label(*value))
        .y_label_formatter(&|value| y_digits.label(*value))
        .draw()?;
    for (index, points) in curves.iter().enumerate() {
        let (width, mark) = if points.len() <= MARKED_POINTS { (4, 5) } else { (3, 0) };
        let style = rgb(colour(index)).filled().stroke_width(width);
        chart.draw_series(LineSeries::new(points.iter().copied(), style).point_size(mark))?;
    }
    Ok(())
}

fn finite(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

fn colour(index: usize) -> Colour {
    COLOURS[index % COLOURS.len()]
}

fn rgb([red, green, blue]: Colour) -> RGBColor {
    RGBColor(red, green, blue)
}

/// Range of the values with a small margin; never empty. A single value gets a margin of `share` of
/// itself.
fn range(values: impl Iterator<Item = f64> + Clone, share: f64) -> Range<f64> {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return 0.0..1.0;
    }
    let margin = (high - low) * 0.04;
    // A smaller margin could not be shown on an axis.
    let margin = if margin > low.abs().max(high.abs()) * 1e-9 {
        margin
    } else if high == 0.0 {
        1.0
    } else {
        high.abs() * share
    };
    low - margin..high + margin
}

/// Format of the numbers along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Digits {
    Decimals(usize),
    Scientific,
}

impl Digits {
    /// The smallest number of digits that distinguishes the ticks.
    fn new(range: &Range<f64>, ticks: usize) -> Self {
        let largest = range.start.abs().max(range.end.abs());
        if !(1e-2..1e6).contains(&largest) {
            return Self::Scientific;
        }
        let values = RangedCoordf64::from(range.clone()).key_points(ticks);
        let tolerance = 1e-3 * (range.end - range.start);
        let tells = |&decimals: &usize| {
            let rounded = |value: f64| Self::Decimals(decimals).label(value).parse::<f64>();
            values.iter().all(|&value| {
                rounded(value).is_ok_and(|rounded| (rounded - value).abs() <= tolerance)
            })
        };
        Self::Decimals((0..12).find(tells).unwrap_or(12))
    }

    fn label(self, value: f64) -> String {
        match self {
            // Adding 0 turns -0 into 0.
            Self::Decimals(decimals) => {
                let shift = 10f64.powi(decimals as i32);
                format!("{:.decimals$}", (value * shift).round() / shift + 0.0)
            }
            Self::Scientific => {
                let text = format!("{value:.3e}");
                let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
                // Rounding residue of 0, and of sums that should be 0.
                if value.abs() < 1e-15 { "0".to_owned() } else { format!("{mantissa}e{exponent}") }
            }
        }
    }

    /// Format with more digits, for values that are not ticks.
    fn finer(self) -> Self {
        match self {
            Self::Decimals(decimals) => Self::Decimals(decimals + 2),
            Self::Scientific => Self::Scientific,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(panels: &[Panel]) -> image::RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.png");
        draw(&path, panels).unwrap();
        image::open(path).unwrap().to_rgb8()
    }

    fn panel(curves: &[&[(f64, f64)]]) -> Panel {
        let curve = |points: &&[(f64, f64)]| Curve { name: "c".into(), points: points.to_vec() };
        Panel { title: "t".into(), y_label: "y".into(), curves: curves.iter().map(curve).collect() }
    }

    /// Pixels of a curve left of the legend.
    fn pixels(image: &image::RgbImage, index: usize) -> Vec<(u32, u32)> {
        let plot = |x: u32| x < WIDTH_PX - LEGEND_PX;
        let of_curve = |p: &(u32, u32, &image::Rgb<u8>)| plot(p.0) && p.2.0 == colour(index);
        image.enumerate_pixels().filter(of_curve).map(|(x, y, _)| (x, y)).collect()
    }

    #[test]
    fn rising_curve_rises_from_left_to_right() {
        let image = drawn(&[panel(&[&[(0.0, 1.0), (10.0, 2.0)]])]);
        assert_eq!(image.dimensions(), (WIDTH_PX, PANEL_PX));
        let pixels = pixels(&image, 0);
        let first = pixels.iter().min().unwrap();
        let last = pixels.iter().max().unwrap();
        assert!(last.0 - first.0 > 900 && first.1 - last.1 > 280, "{first:?} {last:?}");
    }

    #[test]
    fn one_point_and_constant_values_are_visible() {
        let image = drawn(&[panel(&[&[(3.0, 0.7)]]), panel(&[&[(0.0, 1e-4), (9.0, 1e-4)]])]);
        assert_eq!(image.dimensions(), (WIDTH_PX, 2 * PANEL_PX));
        let pixels = pixels(&image, 0);
        let (above, below): (Vec<_>, Vec<_>) = pixels.into_iter().partition(|p| p.1 < PANEL_PX);
        assert!((60..110).contains(&above.len()), "{}", above.len());
        assert!(below.len() > 3000, "{}", below.len());
    }

    #[test]
    fn values_that_are_not_finite_are_skipped() {
        let with: &[_] = &[(0.0, 1.0), (1.0, f64::NAN), (2.0, f64::INFINITY), (3.0, 2.0)];
        let without: &[_] = &[(0.0, 1.0), (3.0, 2.0)];
        assert_eq!(drawn(&[panel(&[with])]), drawn(&[panel(&[without])]));
        assert!(pixels(&drawn(&[panel(&[&[(0.0, f64::NAN)], &[]])]), 0).is_empty());
        drawn(&[]);
    }

    #[test]
    fn panel_has_room_for_every_legend_line() {
        let curves = vec![&[(0.0, 1.0)][..]; 20];
        assert!(drawn(&[panel(&curves)]).height() > 20 * LEGEND_LINE_PX);
    }

    #[test]
    fn labels_have_enough_digits_to_distinguish_ticks() {
        let label = |value, range| Digits::new(&range, Y_TICKS).label(value);
        assert_eq!(label(0.8, -0.04..0.95), "0.8");
        assert_eq!(label(1000.0, 0.0..5000.0), "1000");
        assert_eq!(label(0.845, 0.84..0.861), "0.845");
        assert_eq!(label(1.05e-4, 0.9e-4..1.1e-4), "1.05e-4");
        assert_eq!(label(0.0, 0.0..1e-4), "0");
        assert_eq!(label(-1e-9, -1.0..1.0), "0.0");
    }

    #[test]
    fn no_two_ticks_have_the_same_label() {
        for span in (1..400).map(|i| f64::from(i) * 0.037) {
            let digits = Digits::new(&(0.0..span), X_TICKS);
            let ticks = RangedCoordf64::from(0.0..span).key_points(X_TICKS);
            let labels: Vec<_> = ticks.iter().map(|tick| digits.label(*tick)).collect();
            assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{labels:?}");
        }
    }
}

//! Choice of the predictions of an evaluation to draw: the worst, the median and the best.

use std::path::Path;

use medsa_sam::prompt::{BoxXyxy, Point};
use medsa_trainer::report::gallery::{self, Tile};
use medsa_trainer::train::{Prediction, Stock};
use ndarray::Array2;

/// Predictions of an evaluation. Masks are kept as runs. Images are not kept, because those of a
/// whole data set would not fit into memory.
#[derive(Default)]
pub struct Sheet<'a> {
    predictions: Vec<Kept<'a>>,
}

struct Kept<'a> {
    stock: &'a Stock,
    item: usize,
    words: String,
    dice: f64,
    size: (usize, usize),
    found: Vec<u32>,
    truth: Vec<u32>,
    points: Vec<Point>,
    bbox: Option<BoxXyxy>,
}

/// Tiles per row. There is one row each of the worst, the median and the best predictions.
const COLUMNS: usize = 4;

impl<'a> Sheet<'a> {
    /// Keeps a prediction for item `item` of `stock`.
    pub fn add(&mut self, stock: &'a Stock, item: usize, prediction: &Prediction) {
        self.predictions.push(Kept {
            stock,
            item,
            words: format!("{}, {}, {}", prediction.kind.name(), prediction.class, prediction.item),
            dice: prediction.scores.dice,
            size: prediction.found.dim(),
            found: runs(&prediction.found),
            truth: runs(&prediction.truth),
            points: prediction.prompting.points().to_vec(),
            bbox: prediction.prompting.bbox(),
        });
    }

    /// Draws up to twelve predictions to a PNG file.
    pub fn draw(&self, path: &Path) -> anyhow::Result<()> {
        let mut sorted: Vec<&Kept> = self.predictions.iter().collect();
        sorted.sort_by(|a, b| a.dice.total_cmp(&b.dice));
        let tile = |(rank, index): (&'static str, usize)| sorted[index].tile(rank);
        let tiles = chosen(sorted.len()).into_iter().map(tile).collect::<Result<Vec<_>, _>>()?;
        Ok(gallery::draw(path, &tiles, COLUMNS)?)
    }
}

impl Kept<'_> {
    fn tile(&self, rank: &str) -> anyhow::Result<Tile> {
        let image = self.stock.read(self.item, 1)?.swap_remove(0);
        Ok(Tile {
            title: format!("{rank}Dice {:.2}, {}", self.dice, self.words),
            width: image.width,
            height: image.height,
            rgb: image.rgb,
            truth: mask(&self.truth, self.size),
            found: mask(&self.found, self.size),
            points: self.points.clone(),
            bbox: self.bbox,
        })
    }
}

/// Indices of the drawn predictions among `count`, sorted by score, with their titles.
fn chosen(count: usize) -> Vec<(&'static str, usize)> {
    if count <= 3 * COLUMNS {
        return (0..count).map(|i| ("", i)).collect();
    }
    let row = |rank, first| (first..first + COLUMNS).map(move |i| (rank, i));
    row("worst: ", 0)
        .chain(row("median: ", (count - COLUMNS) / 2))
        .chain(row("best: ", count - COLUMNS))
        .collect()
}

/// Lengths of runs along the rows, alternating between outside and inside; the first is outside.
fn runs(mask: &Array2<bool>) -> Vec<u32> {
    let (mut runs, mut inside) = (vec![0], false);
    for &value in mask {
        if value != inside {
            inside = value;
            runs.push(0);
        }
        // The list has one run from the start.
        *runs.last_mut().expect("a run") += 1;
    }
    runs
}

fn mask(runs: &[u32], size: (usize, usize)) -> Array2<bool> {
    let run = |(i, &length): (usize, &u32)| std::iter::repeat_n(i % 2 == 1, length as usize);
    let values = runs.iter().enumerate().flat_map(run).collect();
    Array2::from_shape_vec(size, values).expect("the runs are of a mask of this size")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mask_is_unchanged_by_run_length_coding() {
        for modulus in [1, 2, 3, 7, 1000] {
            let before = Array2::from_shape_fn((9, 11), |(y, x)| (y * 11 + x) % modulus == 0);
            assert_eq!(mask(&runs(&before), before.dim()), before);
        }
    }

    #[test]
    fn few_predictions_are_all_drawn_and_many_give_three_rows() {
        assert_eq!(chosen(2), [("", 0), ("", 1)]);
        assert_eq!(chosen(12).len(), 12);
        let indices: Vec<usize> = chosen(100).into_iter().map(|(_, i)| i).collect();
        assert_eq!(indices, [0, 1, 2, 3, 48, 49, 50, 51, 96, 97, 98, 99]);
        assert!(chosen(13).windows(2).all(|pair| pair[0].1 < pair[1].1));
    }
}

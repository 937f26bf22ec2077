//! Which answers of an evaluation are drawn: the worst, those in the middle, and the best.

use std::path::Path;

use medsa_sam::prompt::{BoxXyxy, Point};
use medsa_trainer::report::gallery::{self, Tile};
use medsa_trainer::train::{Answer, Stock};
use ndarray::Array2;

/// Answers of an evaluation. Masks are kept as runs, pictures not at all: a data set's pictures
/// would not fit into memory.
#[derive(Default)]
pub struct Sheet<'a> {
    answers: Vec<Kept<'a>>,
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

/// Tiles in a row; there is one row of the worst, one of the middle, and one of the best.
const COLUMNS: usize = 4;

impl<'a> Sheet<'a> {
    /// Keeps an answer about item `item` of `stock`.
    pub fn add(&mut self, stock: &'a Stock, item: usize, answer: &Answer) {
        self.answers.push(Kept {
            stock,
            item,
            words: format!("{}, {}, {}", answer.kind.name(), answer.class, answer.item),
            dice: answer.scores.dice,
            size: answer.found.dim(),
            found: runs(&answer.found),
            truth: runs(&answer.truth),
            points: answer.prompting.points().to_vec(),
            bbox: answer.prompting.bbox(),
        });
    }

    /// Draws up to twelve answers to a PNG file.
    pub fn draw(&self, path: &Path) -> anyhow::Result<()> {
        let mut sorted: Vec<&Kept> = self.answers.iter().collect();
        sorted.sort_by(|a, b| a.dice.total_cmp(&b.dice));
        let tile = |(rank, index): (&'static str, usize)| sorted[index].tile(rank);
        let tiles = chosen(sorted.len()).into_iter().map(tile).collect::<Result<Vec<_>, _>>()?;
        Ok(gallery::draw(path, &tiles, COLUMNS)?)
    }
}

impl Kept<'_> {
    fn tile(&self, rank: &str) -> anyhow::Result<Tile> {
        let picture = self.stock.read(self.item, 1)?.swap_remove(0);
        Ok(Tile {
            title: format!("{rank}Dice {:.2}, {}", self.dice, self.words),
            width: picture.width,
            height: picture.height,
            rgb: picture.rgb,
            truth: mask(&self.truth, self.size),
            found: mask(&self.found, self.size),
            points: self.points.clone(),
            bbox: self.bbox,
        })
    }
}

/// Which of `count` answers, sorted by score, are drawn, and what they are called.
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

/// Lengths of runs along the rows, in turn outside and inside; the first is outside.
fn runs(mask: &Array2<bool>) -> Vec<u32> {
    let (mut runs, mut inside) = (vec![0], false);
    for &value in mask {
        if value != inside {
            inside = value;
            runs.push(0);
        }
        // There is one from the start.
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
    fn a_mask_is_the_same_after_it_was_kept() {
        for modulus in [1, 2, 3, 7, 1000] {
            let before = Array2::from_shape_fn((9, 11), |(y, x)| (y * 11 + x) % modulus == 0);
            assert_eq!(mask(&runs(&before), before.dim()), before);
        }
    }

    #[test]
    fn few_answers_are_all_drawn_and_of_many_three_rows() {
        assert_eq!(chosen(2), [("", 0), ("", 1)]);
        assert_eq!(chosen(12).len(), 12);
        let indices: Vec<usize> = chosen(100).into_iter().map(|(_, i)| i).collect();
        assert_eq!(indices, [0, 1, 2, 3, 48, 49, 50, 51, 96, 97, 98, 99]);
        assert!(chosen(13).windows(2).all(|pair| pair[0].1 < pair[1].1));
    }
}

//! Evaluation of all images of a part.

use medsa_trainer::train::{Evaluation, FeatureCache, Network, Row, Stock, Summary, evaluate};

use super::sheet::Sheet;

/// Results of an evaluation.
pub struct Measured<'a> {
    /// Means by class and prompt.
    pub rows: Vec<Row>,
    /// Mean Dice over these rows.
    pub score: f64,
    /// Predictions, some of which can be drawn.
    pub sheet: Sheet<'a>,
}

/// Evaluates one part of `stocks`; `progress` is called after each image.
pub fn measure<'a>(
    network: &Network,
    stocks: impl IntoIterator<Item = (&'a Stock, &'a FeatureCache)>,
    evaluation: &Evaluation,
    mut progress: impl FnMut(),
) -> anyhow::Result<Measured<'a>> {
    let (mut summary, mut sheet) = (Summary::default(), Sheet::default());
    let mut folders = Vec::new();
    for (stock, features) in stocks {
        // `evaluate` passes images on in this order.
        let mut items = stock.part(evaluation.part).iter();
        evaluate(network, stock, features, evaluation, |_, predictions| {
            let item = *items.next().expect("one for each item");
            for prediction in &predictions {
                summary.add(prediction);
                sheet.add(stock, item, prediction);
            }
            progress();
        })?;
        folders.push(stock.config.path.display().to_string());
    }
    let rows = summary.rows();
    if rows.is_empty() {
        anyhow::bail!(
            "{}: nothing to evaluate, expected images whose masks mark a class in \
             30 pixels or more",
            folders.join(", ")
        );
    }
    Ok(Measured { rows, score: summary.score(), sheet })
}

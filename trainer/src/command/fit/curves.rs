//! Curves of a run, made from its log.

use std::collections::BTreeMap;

use medsa_trainer::prompts::PromptKind;
use medsa_trainer::report::curves::{Curve, Panel};

use super::entries::{Entries, StepEntry};

/// Panels with loss, validation and learning rate over steps.
pub fn panels(log: &Entries) -> Vec<Panel> {
    let loss = log.smoothed_loss().map(|(step, loss)| (step as f64, loss)).collect();
    let rate = |entry: &StepEntry| ((entry.train.step + 1) as f64, entry.train.learning_rate);
    vec![
        Panel {
            title: "Training loss over steps".into(),
            y_label: "Dice loss + cross-entropy, smoothed".into(),
            curves: vec![Curve { name: "loss".into(), points: loss }],
        },
        Panel {
            title: "Validation over steps".into(),
            y_label: "Dice".into(),
            curves: validation(log),
        },
        Panel {
            title: "Learning rate over steps".into(),
            y_label: "learning rate".into(),
            curves: vec![Curve {
                name: "rate".into(),
                points: log.steps.iter().map(rate).collect(),
            }],
        },
    ]
}

/// One validation curve for each class and prompt; if there are several, their mean comes first.
fn validation(log: &Entries) -> Vec<Curve> {
    let mut curves: BTreeMap<_, Vec<(f64, f64)>> = BTreeMap::new();
    for entry in &log.validations {
        for line in &entry.validation {
            let points = curves.entry((line.class.clone(), line.prompt)).or_default();
            points.push((entry.step as f64, line.dice.mean));
        }
    }
    let mean = (curves.len() > 1).then(|| Curve {
        name: "mean".into(),
        points: log.validations.iter().map(|entry| (entry.step as f64, entry.score)).collect(),
    });
    let curve = |((class, prompt), points): ((String, PromptKind), _)| Curve {
        name: format!("{class}, {}", prompt.name()),
        points,
    };
    mean.into_iter().chain(curves.into_iter().map(curve)).collect()
}

//! Training and evaluation.

mod config;
mod distill;
mod evaluate;
mod example;
mod features;
mod fingerprint;
mod fit;
mod group;
mod learner;
mod loss;
mod network;
mod optimizer;
mod random;
mod state;
mod stock;
mod teach;

pub use config::{Config, DataConfig, FitConfig, ValidationConfig};
pub use distill::{Distill, DistillConfig, DistillError, Likeness};
pub use evaluate::{EvaluateError, Evaluation, Prediction, Row, Summary, evaluate};
pub use example::Example;
pub use features::FeatureCache;
pub use fingerprint::dataset_sha256;
pub use fit::{Fit, StepRecord};
pub use group::{Group, GroupError};
pub use learner::{Learner, LearnerError, initial_weights};
pub use loss::dice_bce;
pub use network::{Network, Previous};
pub use optimizer::{AdamW, Gradients, OptimizerConfig, clip};
pub use stock::{Stock, StockError};
pub use teach::{Lesson, TeachConfig, Teacher, label_maps};

use clap::Args;
use medsa_trainer::data::{IgnoredValue, MaskRule, ValueTable};
use medsa_trainer::train::DataConfig;

/// Options for the values in masks.
#[derive(Args)]
pub struct MaskOptions {
    /// Value of mask pixels that are not scored: auto (255, if masks have it beside classes), off,
    /// or a value
    #[arg(long, value_name = "VALUE", default_value_t = IgnoredValue::Auto)]
    ignore: IgnoredValue,
    /// Meaning of the values in masks, as 127=1,200-255=nerve,50=ignore [default: 0 is background,
    /// the others are class numbers, and a lone 255 is class 1]
    #[arg(long, value_name = "VALUE=CLASS,...", default_value = "", hide_default_value = true)]
    values: ValueTable,
}

impl MaskOptions {
    /// The rule for the values in masks.
    pub fn rule(&self) -> MaskRule {
        MaskRule { ignore: self.ignore, values: self.values.clone() }
    }

    /// The data set with these options.
    pub fn apply(&self, data: DataConfig) -> DataConfig {
        DataConfig { ignore: self.ignore, values: self.values.clone(), ..data }
    }
}

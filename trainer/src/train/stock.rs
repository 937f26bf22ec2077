//! The pictures of a data set that train or validate.

use std::path::Path;

use super::config::DataConfig;
use crate::data::{Dataset, Item, Picture, Problem, Split, SplitError};
use crate::error::Error;

/// A data set with its split.
pub struct Stock {
    /// Where it is, and its classes.
    pub config: DataConfig,
    dataset: Dataset,
    /// Items for training.
    pub train: Vec<usize>,
    /// Items for validation.
    pub validation: Vec<usize>,
}

/// A data set that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StockError {
    /// The folder's.
    #[error(transparent)]
    Folder(#[from] Error),
    /// The split's.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// A picture's.
    #[error(transparent)]
    Picture(#[from] Problem),
    /// The split's: it is not one of this data set.
    #[error("{split}, for {folder}: {source}")]
    Items {
        /// The split.
        split: String,
        /// The data set.
        folder: String,
        /// What is wrong.
        source: SplitError,
    },
    /// The split's: nothing is for this purpose.
    #[error("{split}: no picture for {purpose}")]
    Nothing {
        /// The split.
        split: String,
        /// Training or validation.
        purpose: &'static str,
    },
}

impl Stock {
    /// Opens a data set and its split.
    ///
    /// # Errors
    /// [`StockError`] names the file.
    pub fn open(config: &DataConfig) -> Result<Self, StockError> {
        let (dataset, _) = Dataset::open(&config.path)?;
        let split = Split::read(&config.split)?;
        let (train, validation) = split.indices(&dataset).map_err(|source| StockError::Items {
            split: config.split.display().to_string(),
            folder: config.path.display().to_string(),
            source,
        })?;
        for (purpose, items) in [("training", &train), ("validation", &validation)] {
            if items.is_empty() {
                let split = config.split.display().to_string();
                return Err(StockError::Nothing { split, purpose });
            }
        }
        Ok(Self { config: config.clone(), dataset, train, validation })
    }

    /// A data set that is all for validation.
    ///
    /// # Errors
    /// [`StockError`] names the folder.
    pub fn whole(path: &Path, classes: &[String]) -> Result<Self, StockError> {
        let (dataset, _) = Dataset::open(path)?;
        let validation = (0..dataset.items().len()).collect();
        let config = DataConfig::new(path, Path::new(""), classes);
        Ok(Self { config, dataset, train: Vec::new(), validation })
    }

    /// An item.
    pub fn item(&self, index: usize) -> &Item {
        &self.dataset.items()[index]
    }

    /// Name of a class.
    pub fn class(&self, class: u8) -> String {
        let names = &self.config.classes;
        let name = usize::from(class).checked_sub(1).and_then(|i| names.get(i));
        name.cloned().unwrap_or_else(|| format!("class {class}"))
    }

    /// Decodes `slices` pictures from item `first` on; what lies beyond the end of a volume or
    /// recording is its last picture again.
    ///
    /// # Errors
    /// A picture that cannot be read.
    pub fn read(&self, first: usize, slices: usize) -> Result<Vec<Picture>, Problem> {
        let longest = (1..=slices).rev().find_map(|n| self.dataset.run(first, n));
        let items = longest.unwrap_or(std::slice::from_ref(self.item(first)));
        let mut pictures = items.iter().map(Item::read).collect::<Result<Vec<_>, _>>()?;
        while let (true, Some(last)) = (pictures.len() < slices, pictures.last().cloned()) {
            pictures.push(last);
        }
        Ok(pictures)
    }
}

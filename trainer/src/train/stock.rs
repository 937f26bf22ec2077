//! A data set with its training, validation and test parts.

use std::path::Path;

use super::config::DataConfig;
use crate::data::{Dataset, Item, Part, Picture, Problem, Split, SplitError};
use crate::error::Error;

/// A data set with its split.
pub struct Stock {
    /// Configuration, with path and classes.
    pub config: DataConfig,
    dataset: Dataset,
    /// Indices of items for training.
    pub train: Vec<usize>,
    /// Indices of items for validation.
    pub validation: Vec<usize>,
    /// Indices of items for test.
    pub test: Vec<usize>,
}

/// A data set that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StockError {
    /// The folder cannot be read.
    #[error(transparent)]
    Folder(#[from] Error),
    /// The split cannot be read.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// An image cannot be read.
    #[error(transparent)]
    Picture(#[from] Problem),
    /// The split belongs to another data set.
    #[error("{split}, for {folder}: {source}")]
    Items {
        /// Path of the split.
        split: String,
        /// Folder of the data set.
        folder: String,
        /// Error.
        source: Box<SplitError>,
    },
    /// A part of the split is empty.
    #[error("{split}: no image for {part}")]
    Nothing {
        /// Path of the split.
        split: String,
        /// Name of the part.
        part: &'static str,
    },
}

impl Stock {
    /// Opens a data set and its split. Without a split, all items are for training.
    ///
    /// # Errors
    /// [`StockError`] names the file.
    pub fn open(config: &DataConfig) -> Result<Self, StockError> {
        let (dataset, _) = Dataset::open(&config.path)?;
        let Some(path) = &config.split else {
            let train = (0..dataset.items().len()).collect();
            let (validation, test) = (Vec::new(), Vec::new());
            return Ok(Self { config: config.clone(), dataset, train, validation, test });
        };
        let split = Split::read(path)?;
        let parts = split.indices(&dataset).map_err(|source| StockError::Items {
            split: path.display().to_string(),
            folder: config.path.display().to_string(),
            source: source.into(),
        })?;
        let [train, validation, test] = parts;
        let stock = Self { config: config.clone(), dataset, train, validation, test };
        stock.expect(Part::Train)?;
        stock.expect(Part::Validation)?;
        Ok(stock)
    }

    /// Opens a data set whose items are all for test.
    ///
    /// # Errors
    /// [`StockError`] names the folder.
    pub fn whole(path: &Path, classes: &[String]) -> Result<Self, StockError> {
        let (dataset, _) = Dataset::open(path)?;
        let test = (0..dataset.items().len()).collect();
        let config = DataConfig::new(path, None, classes);
        Ok(Self { config, dataset, train: Vec::new(), validation: Vec::new(), test })
    }

    /// Indices of the items of one part.
    pub fn part(&self, part: Part) -> &[usize] {
        match part {
            Part::Train => &self.train,
            Part::Validation => &self.validation,
            Part::Test => &self.test,
        }
    }

    /// Part for reports: test, or validation if there is no test part.
    pub fn reported(&self) -> Part {
        if self.test.is_empty() { Part::Validation } else { Part::Test }
    }

    /// Indices of the items of one part, which must not be empty.
    ///
    /// # Errors
    /// [`StockError::Nothing`].
    pub fn expect(&self, part: Part) -> Result<&[usize], StockError> {
        let items = self.part(part);
        if items.is_empty() {
            let split = self.config.split.as_ref().unwrap_or(&self.config.path);
            return Err(StockError::Nothing {
                split: split.display().to_string(),
                part: part.name(),
            });
        }
        Ok(items)
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

    /// Decodes `slices` images, starting with item `first`. Beyond the end of a volume or
    /// recording, its last image is repeated. Classes that the configuration ignores become
    /// background.
    ///
    /// # Errors
    /// An image cannot be read.
    pub fn read(&self, first: usize, slices: usize) -> Result<Vec<Picture>, Problem> {
        let longest = (1..=slices).rev().find_map(|n| self.dataset.run(first, n));
        let items = longest.unwrap_or(std::slice::from_ref(self.item(first)));
        let mut pictures = items.iter().map(Item::read).collect::<Result<Vec<_>, _>>()?;
        for picture in &mut pictures {
            picture.classes.mapv_inplace(|class| if self.leaves_out(class) { 0 } else { class });
        }
        while let (true, Some(last)) = (pictures.len() < slices, pictures.last().cloned()) {
            pictures.push(last);
        }
        Ok(pictures)
    }

    fn leaves_out(&self, class: u8) -> bool {
        let name = usize::from(class).checked_sub(1).and_then(|i| self.config.classes.get(i));
        name.is_some_and(String::is_empty)
    }
}

//! A data set with its training, validation and test parts.

use super::config::DataConfig;
use crate::data::{
    Dataset, IGNORED, Item, MAX_CLASS, Part, Problem, Split, SplitError, TrainingImage, ValueMap,
};
use crate::error::Error;

/// A data set with its split.
pub struct Stock {
    /// Configuration, with path and classes.
    pub config: DataConfig,
    dataset: Dataset,
    values: ValueMap,
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
    /// An image cannot be read, or the values of the masks are ambiguous.
    #[error(transparent)]
    Image(#[from] Problem),
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
    /// None of the labels of the objects is a configured class.
    #[error(
        "{folder}: objects are labelled {found}, expected at least one of the classes {expected}"
    )]
    Labels {
        /// Folder of the data set.
        folder: String,
        /// Labels of the objects.
        found: String,
        /// Names of the classes.
        expected: String,
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
    /// The classes of records and annotations are labels. Without configured classes, all labels are classes;
    /// otherwise, objects with other labels are not used.
    ///
    /// # Errors
    /// [`StockError`] names the file.
    pub fn open(config: &DataConfig) -> Result<Self, StockError> {
        let (dataset, _) = Dataset::open(&config.path)?;
        let Some(path) = &config.split else {
            let train = (0..dataset.items().len()).collect();
            return Self::new(config.clone(), dataset, [train, Vec::new(), Vec::new()]);
        };
        let split = Split::read(path)?;
        let parts = split.indices(&dataset).map_err(|source| StockError::Items {
            split: path.display().to_string(),
            folder: config.path.display().to_string(),
            source: source.into(),
        })?;
        let stock = Self::new(config.clone(), dataset, parts)?;
        stock.expect(Part::Train)?;
        stock.expect(Part::Validation)?;
        Ok(stock)
    }

    /// Opens a data set whose items are all for test; the split of `config` is not used.
    ///
    /// # Errors
    /// [`StockError`] names the file or folder.
    pub fn whole(config: &DataConfig) -> Result<Self, StockError> {
        let (dataset, _) = Dataset::open(&config.path)?;
        let test = (0..dataset.items().len()).collect();
        let config = DataConfig { split: None, ..config.clone() };
        Self::new(config, dataset, [Vec::new(), Vec::new(), test])
    }

    /// Matches labels and classes; `parts` are train, validation, test.
    fn new(
        mut config: DataConfig,
        dataset: Dataset,
        mut parts: [Vec<usize>; 3],
    ) -> Result<Self, StockError> {
        let labels = dataset.labels().to_vec();
        if config.classes.is_empty() {
            config.classes = labels;
        } else if !labels.is_empty() {
            let listed = |label: &String| config.classes.contains(label);
            if !labels.iter().any(listed) {
                return Err(StockError::Labels {
                    folder: config.path.display().to_string(),
                    found: labels.join(", "),
                    expected: config.classes.join(", "),
                });
            }
            let used = |&i: &usize| dataset.items()[i].label.as_ref().is_none_or(listed);
            parts.iter_mut().for_each(|part| part.retain(used));
        }
        let values = dataset.value_map(&config.mask_rule(), &config.classes)?;
        let [train, validation, test] = parts;
        Ok(Self { config, dataset, values, train, validation, test })
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
    /// recording, its last image is repeated. Classes are numbered as in the configuration; those
    /// without a name become background.
    ///
    /// # Errors
    /// An image cannot be read.
    pub fn read(&self, first: usize, slices: usize) -> Result<Vec<TrainingImage>, Problem> {
        let longest = (1..=slices).rev().find_map(|n| self.dataset.run(first, n));
        let items = longest.unwrap_or(std::slice::from_ref(self.item(first)));
        let mut images: Vec<TrainingImage> =
            items.iter().map(|item| item.read(&self.values)).collect::<Result<_, _>>()?;
        for (image, item) in images.iter_mut().zip(items) {
            let has_labels = item.has_labels();
            image.classes.mapv_inplace(|class| match class {
                0 | IGNORED => class,
                class if has_labels => self.labelled(class),
                class if self.leaves_out(class) => 0,
                class => class,
            });
        }
        while let (true, Some(last)) = (images.len() < slices, images.last().cloned()) {
            images.push(last);
        }
        Ok(images)
    }

    /// Configured class of a class of the labels; 0 if its label is not listed.
    fn labelled(&self, class: u8) -> u8 {
        let label = self.dataset.labels().get(usize::from(class).wrapping_sub(1));
        let at = label.and_then(|label| self.config.classes.iter().position(|c| c == label));
        at.and_then(|at| u8::try_from(at + 1).ok()).filter(|&c| c <= MAX_CLASS).unwrap_or(0)
    }

    fn leaves_out(&self, class: u8) -> bool {
        let name = usize::from(class).checked_sub(1).and_then(|i| self.config.classes.get(i));
        name.is_some_and(String::is_empty)
    }
}

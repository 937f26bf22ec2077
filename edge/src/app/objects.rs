//! Objects with prompts from the configuration.

use std::sync::Arc;

use medsa_frames::MAX_SIDE_PX;

use crate::config::Config;
use crate::error::Error;
use crate::pipeline::{Bell, Change, Objects};

/// Largest frame size, `(width, height)`.
const LARGEST_FRAME: (usize, usize) = (MAX_SIDE_PX as usize, MAX_SIDE_PX as usize);

/// Creates the configured objects, for frames of `frame_size` if it is known.
pub(super) fn objects(
    config: &Config,
    frame_size: Option<(usize, usize)>,
    bell: Arc<Bell>,
) -> Result<Objects, Error> {
    let objects = Objects::new(bell, config.following);
    // If the size is not known yet, the first frame decides which prompts fit.
    objects.fit(frame_size.unwrap_or(LARGEST_FRAME), |_, _| {});
    for prompt in &config.prompts {
        let change = Change::Set { points: prompt.points.clone(), bbox: prompt.bbox };
        let object = prompt.object.get();
        objects
            .change(prompt.object, change)
            .map_err(|source| Error::ConfiguredPrompt { object, source })?;
    }
    Ok(objects)
}

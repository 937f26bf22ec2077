//! Settings of augmentation.

use serde::{Deserialize, Serialize};

/// Probabilities and ranges of the variations; values are drawn uniformly from their ranges. The
/// default suits ultrasound and endoscopy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Probability of mirroring left and right.
    pub flip_probability: f64,
    /// Probability of rotation, scale and translation, which are applied together.
    pub move_probability: f64,
    /// Largest rotation in either direction about the centre, in degrees.
    pub rotation_deg: f32,
    /// Smallest and largest magnification.
    pub scale: [f32; 2],
    /// Largest translation along each axis, as a fraction of that side.
    pub translation: f32,
    /// Probability of a gain change.
    pub gain_probability: f64,
    /// Smallest and largest factor of pixel values.
    pub gain: [f32; 2],
    /// Probability of a gamma change.
    pub gamma_probability: f64,
    /// Smallest and largest exponent of values between 0 and 1; exponents below 1 brighten.
    pub gamma: [f32; 2],
    /// Probability of shading by depth.
    pub depth_shading_probability: f64,
    /// Largest deviation from 1 of a gain that varies smoothly over the rows, like another setting
    /// of depth compensation.
    pub depth_shading: f32,
    /// Probability of speckle.
    pub speckle_probability: f64,
    /// Largest standard deviation of the factor by which speckle multiplies a pixel.
    pub speckle: f32,
    /// Probability of a colour balance change.
    pub colour_probability: f64,
    /// Largest deviation from 1 of the gain of each channel.
    pub colour: f32,
    /// Probability of blur.
    pub blur_probability: f64,
    /// Largest standard deviation of the blur, as a fraction of the longer side.
    pub blur: f32,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            flip_probability: 0.5,
            move_probability: 0.7,
            rotation_deg: 12.0,
            scale: [0.85, 1.25],
            translation: 0.08,
            gain_probability: 0.5,
            gain: [0.75, 1.3],
            gamma_probability: 0.5,
            gamma: [0.75, 1.35],
            depth_shading_probability: 0.4,
            depth_shading: 0.25,
            speckle_probability: 0.3,
            speckle: 0.15,
            colour_probability: 0.0,
            colour: 0.15,
            blur_probability: 0.0,
            blur: 0.004,
        }
    }
}

/// An invalid setting of augmentation; the author of the configuration has to change it.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("augment.{field} is {found}, expected {expected}")]
pub struct AugmentError {
    /// Name of the field.
    pub field: &'static str,
    /// Value of the field.
    pub found: String,
    /// Accepted values.
    pub expected: &'static str,
}

impl Augment {
    /// Settings that change nothing.
    pub fn none() -> Self {
        Self {
            flip_probability: 0.0,
            move_probability: 0.0,
            gain_probability: 0.0,
            gamma_probability: 0.0,
            depth_shading_probability: 0.0,
            speckle_probability: 0.0,
            colour_probability: 0.0,
            blur_probability: 0.0,
            ..Self::default()
        }
    }

    /// Checks the settings. [`Augment::apply`] may panic on settings that do not pass.
    ///
    /// # Errors
    /// [`AugmentError`] names the field.
    pub fn check(&self) -> Result<(), AugmentError> {
        let probability = "a probability from 0 to 1";
        let share = "a number from 0 to 1";
        let factors = "two numbers from 0.1 to 10, the smaller one first";
        let unit = 0.0..=1.0;
        let range = |[low, high]: [f32; 2]| low >= 0.1 && low <= high && high <= 10.0;
        let single = |value: f32| (0.0..=1.0).contains(&value);
        let fields = [
            ("flip_probability", unit.contains(&self.flip_probability), probability),
            ("move_probability", unit.contains(&self.move_probability), probability),
            ("rotation_deg", (0.0..=180.0).contains(&self.rotation_deg), "degrees from 0 to 180"),
            ("scale", range(self.scale), factors),
            ("translation", single(self.translation), share),
            ("gain_probability", unit.contains(&self.gain_probability), probability),
            ("gain", range(self.gain), factors),
            ("gamma_probability", unit.contains(&self.gamma_probability), probability),
            ("gamma", range(self.gamma), factors),
            (
                "depth_shading_probability",
                unit.contains(&self.depth_shading_probability),
                probability,
            ),
            ("depth_shading", single(self.depth_shading), share),
            ("speckle_probability", unit.contains(&self.speckle_probability), probability),
            ("speckle", single(self.speckle), share),
            ("colour_probability", unit.contains(&self.colour_probability), probability),
            ("colour", single(self.colour), share),
            ("blur_probability", unit.contains(&self.blur_probability), probability),
            ("blur", (0.0..=0.05).contains(&self.blur), "a number from 0 to 0.05"),
        ];
        match fields.into_iter().find(|(_, fits, _)| !fits) {
            Some((field, _, expected)) => {
                // Formatted as the author of the configuration wrote it.
                let value = serde_json::to_value(self).expect("a configuration is plain data");
                Err(AugmentError { field, found: value[field].to_string(), expected })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_settings_are_named() {
        let error = |toml: &str| toml::from_str::<Augment>(toml).unwrap().check().unwrap_err();
        assert_eq!(
            error("flip_probability = 5.0").to_string(),
            "augment.flip_probability is 5.0, expected a probability from 0 to 1"
        );
        let reversed = error("gain = [1.5, 0.5]");
        assert_eq!((reversed.field, reversed.found.as_str()), ("gain", "[1.5,0.5]"));
        assert_eq!(error("rotation_deg = nan").field, "rotation_deg");
        assert_eq!(error("scale = [0.0, 1.0]").field, "scale");
        assert!(toml::from_str::<Augment>("flips = 0.5").is_err());
        Augment::default().check().unwrap();
        Augment::none().check().unwrap();
    }
}

//! Augmentation of training images with variations that occur in ultrasound and endoscopy: another
//! position of the probe (flip, rotation, scale, translation) and other settings of the machine
//! (gain, gamma, depth compensation, speckle, colour balance, focus).
//!
//! All photometric changes except blur are multiplications, so black areas, such as the
//! surroundings of an ultrasound sector, stay black.

mod config;
mod photometry;
mod warp;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub use self::config::{Augment, AugmentError};
use self::photometry::Photometry;
use self::warp::Affine;
use crate::data::TrainingImage;

impl Augment {
    /// A random variation of `image`, of the same size. The same state of `rng` gives the same
    /// variation. Colours are interpolated bilinearly, and classes are taken from the nearest
    /// pixel. Areas from outside the image are black background. With [`Augment::none`] the result
    /// is equal bit for bit.
    pub fn apply(&self, rng: &mut ChaCha8Rng, image: &TrainingImage) -> TrainingImage {
        let affine = self.draw_affine(rng, image);
        let photometry = self.draw_photometry(rng, image.width.max(image.height));
        let mut varied = affine.map_or_else(|| image.clone(), |affine| affine.apply(image));
        if let Some(photometry) = photometry {
            photometry.apply(varied.width, &mut varied.rgb);
        }
        varied
    }

    fn draw_affine(&self, rng: &mut ChaCha8Rng, image: &TrainingImage) -> Option<Affine> {
        let flip = rng.random_bool(self.flip_probability);
        let moves = rng.random_bool(self.move_probability);
        let rotation = symmetric(rng, self.rotation_deg).to_radians();
        let scale = between(rng, self.scale);
        let shift = [symmetric(rng, self.translation), symmetric(rng, self.translation)];
        if moves {
            Some(Affine::new(image, flip, rotation, scale, shift))
        } else if flip {
            Some(Affine::new(image, true, 0.0, 1.0, [0.0; 2]))
        } else {
            None
        }
    }

    fn draw_photometry(&self, rng: &mut ChaCha8Rng, side_px: usize) -> Option<Photometry> {
        let mut draws = |probability: f64| rng.random_bool(probability);
        let [gain, gamma, depth, speckle, colour, blur] = [
            draws(self.gain_probability),
            draws(self.gamma_probability),
            draws(self.depth_shading_probability),
            draws(self.speckle_probability),
            draws(self.colour_probability),
            draws(self.blur_probability),
        ];
        if !(gain || gamma || depth || speckle || colour || blur) {
            return None;
        }
        Some(Photometry {
            gain: if gain { between(rng, self.gain) } else { 1.0 },
            gamma: if gamma { between(rng, self.gamma) } else { 1.0 },
            depth: depth.then(|| std::array::from_fn(|_| 1.0 + symmetric(rng, self.depth_shading))),
            speckle: speckle.then(|| (rng.random_range(0.0..=self.speckle), rng.random())),
            colour: match colour {
                true => std::array::from_fn(|_| 1.0 + symmetric(rng, self.colour)),
                false => [1.0; 3],
            },
            blur_px: match blur {
                true => rng.random_range(0.0..=self.blur) * side_px as f32,
                false => 0.0,
            },
        })
    }
}

fn between(rng: &mut ChaCha8Rng, [low, high]: [f32; 2]) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

fn symmetric(rng: &mut ChaCha8Rng, most: f32) -> f32 {
    between(rng, [-most, most])
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::SeedableRng;

    use super::*;

    /// Grey blocks on black, some of them with a class.
    fn image(width: usize, height: usize) -> TrainingImage {
        let grey = |i: usize| {
            let (x, y) = (i % width, i / width);
            if x < width / 8 { 0 } else { (40 + (x / 7 * 31 + y / 5 * 17) % 180) as u8 }
        };
        let rgb = (0..width * height).flat_map(|i| [grey(i); 3]).collect();
        let classes = Array2::from_shape_fn((height, width), |(y, x)| {
            let inside =
                (height / 4..height / 2).contains(&y) && (width / 2..width - 9).contains(&x);
            if inside { 2 } else { 0 }
        });
        TrainingImage { width, height, rgb, classes }
    }

    const UNCHANGED: Photometry = Photometry {
        gain: 1.0,
        gamma: 1.0,
        depth: None,
        speckle: None,
        colour: [1.0; 3],
        blur_px: 0.0,
    };

    #[test]
    fn colour_balance_changes_channels_by_their_factors() {
        let mut rgb = vec![100, 100, 100, 0, 0, 0];
        Photometry { colour: [1.2, 0.9, 1.0], ..UNCHANGED }.apply(2, &mut rgb);
        assert_eq!(rgb, [120, 90, 100, 0, 0, 0]);
    }

    #[test]
    fn blur_spreads_a_point_as_a_gaussian_and_keeps_uniform_areas() {
        let (width, height, sigma) = (21, 19, 1.5f32);
        let mut even = vec![77; width * height * 3];
        Photometry { blur_px: sigma, ..UNCHANGED }.apply(width, &mut even);
        assert!(even.iter().all(|&value| value == 77));
        let mut rgb = vec![0; width * height * 3];
        let at = |x: usize, y: usize| (y * width + x) * 3;
        rgb[at(10, 9)] = 255;
        Photometry { blur_px: sigma, ..UNCHANGED }.apply(width, &mut rgb);
        let peak = 255.0 / (2.0 * std::f32::consts::PI * sigma * sigma);
        for (x, y) in [(10, 9), (11, 9), (10, 11), (12, 10)] {
            let squared = (x as f32 - 10.0).powi(2) + (y as f32 - 9.0).powi(2);
            let expected = peak * (-squared / (2.0 * sigma * sigma)).exp();
            let found = f32::from(rgb[at(x, y)]);
            assert!((found - expected).abs() < 1.5, "{found} at {x}, {y}, expected {expected}");
        }
    }

    fn only(change: impl FnOnce(&mut Augment)) -> Augment {
        let mut augment = Augment::none();
        change(&mut augment);
        augment.check().unwrap();
        augment
    }

    #[test]
    fn no_augmentation_changes_no_bit() {
        let image = image(61, 47);
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            assert_eq!(Augment::none().apply(&mut rng, &image), image);
        }
    }

    #[test]
    fn equal_seeds_give_equal_images_and_other_seeds_others() {
        let image = image(90, 70);
        let varied = |seed| Augment::default().apply(&mut ChaCha8Rng::seed_from_u64(seed), &image);
        assert_eq!(varied(1), varied(1));
        assert_ne!(varied(1), varied(2));
    }

    #[test]
    fn flip_mirrors_image_and_classes_exactly() {
        let image = image(61, 47);
        let augment = only(|a| a.flip_probability = 1.0);
        let flipped = augment.apply(&mut ChaCha8Rng::seed_from_u64(0), &image);
        for y in 0..47 {
            for x in 0..61 {
                assert_eq!(flipped.rgb[(y * 61 + x) * 3], image.rgb[(y * 61 + 60 - x) * 3]);
                assert_eq!(flipped.classes[(y, x)], image.classes[(y, 60 - x)]);
            }
        }
    }

    #[test]
    fn image_and_classes_move_together() {
        // An image that shows its own classes: bright where class 1 is.
        let classes = Array2::from_shape_fn((80, 100), |(y, x)| {
            u8::from((x as i32 - 60).pow(2) + (y as i32 - 30).pow(2) < 300)
        });
        let rgb = classes.iter().flat_map(|&class| [class * 200; 3]).collect();
        let image = TrainingImage { width: 100, height: 80, rgb, classes };
        let augment = only(|a| {
            a.flip_probability = 0.5;
            a.move_probability = 1.0;
            (a.rotation_deg, a.scale, a.translation) = (25.0, [0.8, 1.25], 0.1);
        });
        for seed in 0..10 {
            let varied = augment.apply(&mut ChaCha8Rng::seed_from_u64(seed), &image);
            assert_ne!(varied.classes, image.classes);
            let bright = varied.rgb.chunks_exact(3).map(|pixel| u8::from(pixel[0] >= 100));
            // Nearest and bilinear interpolation may differ by rounding at the very edge.
            let wrong = bright.zip(&varied.classes).filter(|(bright, class)| bright != *class);
            assert!(wrong.count() < 60);
            let area = varied.classes.iter().filter(|&&class| class == 1).count();
            assert!((550..1500).contains(&area), "{area} px of 931");
        }
    }

    #[test]
    fn gain_brightens_and_black_stays_black() {
        let image = image(120, 90);
        let brighter = only(|a| (a.gain_probability, a.gain) = (1.0, [1.2, 1.2]));
        let varied = brighter.apply(&mut ChaCha8Rng::seed_from_u64(0), &image);
        for (&before, &after) in image.rgb.iter().zip(&varied.rgb) {
            assert_eq!(after, (f32::from(before) * 1.2).round().min(255.0) as u8);
        }
        assert_eq!(varied.classes, image.classes);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let all = only(|a| {
            *a = Augment { flip_probability: 0.0, move_probability: 0.0, ..Augment::default() };
            (a.gain_probability, a.gamma_probability) = (1.0, 1.0);
            (a.depth_shading_probability, a.speckle_probability) = (1.0, 1.0);
        });
        let varied = all.apply(&mut rng, &image);
        let black = |rgb: &[u8]| rgb.iter().filter(|&&value| value == 0).count();
        assert_eq!(black(&varied.rgb), black(&image.rgb));
    }

    #[test]
    fn speckle_has_the_configured_strength_and_keeps_the_mean() {
        let (width, height) = (300, 200);
        let classes = Array2::zeros((height, width));
        let image = TrainingImage { width, height, rgb: vec![100; width * height * 3], classes };
        let speckle = Photometry { speckle: Some((0.2, 9)), ..UNCHANGED };
        let mut rgb = image.rgb.clone();
        speckle.apply(width, &mut rgb);
        let values: Vec<f64> = rgb.iter().step_by(3).map(|&value| f64::from(value)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!((mean - 100.0).abs() < 1.0, "{mean}");
        assert!((variance.sqrt() - 20.0).abs() < 1.0, "{}", variance.sqrt());
        assert!(rgb.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
    }

    #[test]
    fn depth_shading_varies_smoothly_with_depth_and_is_constant_within_a_row() {
        let (width, height) = (20, 200);
        let mut rgb = vec![100; width * height * 3];
        let depth = Some([0.7, 1.3, 1.0, 0.8]);
        Photometry { depth, ..UNCHANGED }.apply(width, &mut rgb);
        let rows: Vec<&[u8]> = rgb.chunks_exact(width * 3).collect();
        assert!(rows.iter().all(|row| row.iter().all(|value| value == &row[0])));
        assert_eq!((rows[0][0], rows[height - 1][0]), (70, 80));
        assert!(rows.windows(2).all(|pair| pair[0][0].abs_diff(pair[1][0]) <= 2));
        assert!((128..=130).contains(&rows.iter().map(|row| row[0]).max().unwrap()));
    }
}

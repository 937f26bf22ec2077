//! A network on one of two runtimes, with prompts for frames.

use std::rc::Rc;

use candle_core::Device;
use medsa_engine::Engine;
use medsa_engine::frame_view;
use medsa_frames::Frame;
use medsa_sam::image::{Geometry, RgbView};
use medsa_sam::prompt::{BoxXyxy, Point, Prompt};
use medsa_sam::{Quantization, Sam};
use medsa_trainer::CandleBackend;
use medsa_trainer::train::Network;
use ndarray::{Array2, Ix3};

use crate::error::Error;

/// A network that is ready to run.
pub enum Runner {
    /// On candle, in float or with simulated int8 arithmetic.
    Candle(Box<Network>),
    /// On the device's engine.
    Edge(Box<Engine>),
}

impl Runner {
    /// Logits `[4h, 4w]` of the single mask for each prompt on `frame`.
    ///
    /// # Errors
    /// The frame's pixels do not match its size, or the runtime failed.
    pub fn logits(&self, frame: &Frame, prompts: &[Prompt]) -> Result<Vec<Array2<f32>>, Error> {
        let (view, geometry) = self.view(frame)?;
        match self {
            Self::Candle(network) => {
                let (image, _) = network.sam().config().preprocess.run(view);
                let embedding = network.embedding(&network.features(&image, 1)?, 1)?;
                let predict = |prompt: &Prompt| {
                    let logits = network.predict(&embedding, &prompt.tokens(&geometry), None)?;
                    let logits = network.array(logits.value())?.into_dimensionality::<Ix3>();
                    let logits = logits.expect("logits have three axes");
                    Ok(logits.index_axis_move(ndarray::Axis(0), 0))
                };
                prompts.iter().map(predict).collect()
            }
            Self::Edge(engine) => {
                let (image, _) = engine.preprocess().run(view);
                let embedding = engine.encode(&image)?;
                let predict = |prompt: &Prompt| {
                    let decoded = engine.decode(&embedding, &prompt.tokens(&geometry), None)?;
                    Ok(decoded.single().0.to_owned())
                };
                prompts.iter().map(predict).collect()
            }
        }
    }

    /// Masks of the frame for each prompt.
    ///
    /// # Errors
    /// Same as [`Runner::logits`].
    pub fn masks(&self, frame: &Frame, prompts: &[Prompt]) -> Result<Vec<Array2<bool>>, Error> {
        let (_, geometry) = self.view(frame)?;
        let logits = self.logits(frame, prompts)?;
        Ok(logits.iter().map(|logits| geometry.mask_in_frame(logits.view())).collect())
    }

    fn view<'a>(&self, frame: &'a Frame) -> Result<(RgbView<'a>, Geometry), Error> {
        let size = (frame.width as usize, frame.height as usize);
        let preprocess = match self {
            Self::Candle(network) => &network.sam().config().preprocess,
            Self::Edge(engine) => engine.preprocess(),
        };
        Ok((frame_view(frame)?, preprocess.geometry(size)))
    }
}

/// `sam` on candle, with the rounding of `quantization`.
pub(crate) fn on_candle(sam: &Sam, quantization: Quantization) -> Network {
    let backend = CandleBackend::new(Device::Cpu).quantized(Rc::new(quantization));
    Network::with_backend(sam.clone(), backend)
}

/// Boxes in fractions of the frame, `[x0, y0, x1, y1]`: one in the middle and two smaller ones
/// beside it, so that more than one structure of a frame is tested.
const BOXES: [BoxXyxy; 3] = [[0.25, 0.25, 0.75, 0.75], [0.1, 0.2, 0.5, 0.6], [0.5, 0.4, 0.9, 0.9]];

/// Box prompts that fit any frame.
///
/// # Errors
/// The frame has no pixels.
pub fn boxes(frame: &Frame) -> Result<Vec<Prompt>, Error> {
    let (w, h) = (frame.width as f32, frame.height as f32);
    let prompt = |[x0, y0, x1, y1]: BoxXyxy| {
        let bbox = [x0 * w, y0 * h, x1 * w, y1 * h];
        Ok(Prompt::new(Vec::new(), Some(bbox), (frame.width as usize, frame.height as usize))?)
    };
    BOXES.into_iter().map(prompt).collect()
}

/// Click prompts on the centres of the same boxes.
///
/// # Errors
/// The frame has no pixels.
pub fn clicks(frame: &Frame) -> Result<Vec<Prompt>, Error> {
    let (w, h) = (frame.width as f32, frame.height as f32);
    let prompt = |[x0, y0, x1, y1]: BoxXyxy| {
        let point = Point { x: (x0 + x1) / 2.0 * w, y: (y0 + y1) / 2.0 * h, positive: true };
        Ok(Prompt::new(vec![point], None, (frame.width as usize, frame.height as usize))?)
    };
    BOXES.into_iter().map(prompt).collect()
}

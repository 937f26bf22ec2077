//! Layers of pseudo-random numbers.

use medsa_kernels::{Depthwise, InputScales, Isa, LinearS8, Norm, Packed};

use super::Precision;

/// A generator of pseudo-random numbers.
pub struct Noise(pub u64);

impl Noise {
    /// From -1 to 1.
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 40) as f32 / f32::from(1_u16 << 15) / 256.0 - 1.0
    }

    pub fn values(&mut self, count: usize, most: f32) -> Vec<f32> {
        (0..count).map(|_| self.next() * most).collect()
    }

    pub fn bytes(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| (self.next() * 127.4) as i8).collect()
    }

    pub fn linear(
        &mut self,
        isa: Isa,
        precision: Precision,
        inputs: usize,
        outputs: usize,
    ) -> Packed {
        let most = 1.0 / (inputs as f32).sqrt();
        if precision == Precision::Float {
            let weight = self.values(inputs * outputs, most);
            return Packed::float(&weight, &self.values(outputs, 0.1)).unwrap();
        }
        let layer = LinearS8 {
            weight: &self.bytes(inputs * outputs),
            scale: &(0..outputs)
                .map(|_| most / 127.0 / 40.0 * (1.5 + self.next()))
                .collect::<Vec<_>>(),
            bias: &self.values(outputs, 0.1),
            inverse_scale: &(0..inputs).map(|_| 40.0 + 20.0 * self.next()).collect::<Vec<_>>(),
            zero_point: &(0..inputs).map(|_| (self.next() * 90.0).round()).collect::<Vec<_>>(),
        };
        Packed::int8(isa, &layer).unwrap()
    }

    pub fn depthwise(&mut self, precision: Precision, channels: usize) -> Depthwise {
        let bias = self.values(channels, 0.1);
        let made = match precision {
            Precision::Float => Depthwise::float(&self.values(9 * channels, 0.3), &bias),
            Precision::Int8 => {
                let scale = vec![0.3 / 127.0 / 40.0; channels];
                let input = InputScales {
                    inverse_scale: &vec![40.0; channels],
                    zero_point: &vec![-90.0; channels],
                };
                Depthwise::int8(&self.bytes(9 * channels), &scale, &bias, input)
            }
        };
        made.unwrap()
    }

    pub fn norm(&mut self, channels: usize) -> Norm {
        let gamma: Vec<f32> = (0..channels).map(|_| 1.0 + 0.3 * self.next()).collect();
        Norm::new(&gamma, &self.values(channels, 0.2), 1e-5).unwrap()
    }
}

//! Decoding of a scan, row by row (T.87 annexes A and B).

use super::bits::Bits;
use super::model::{Context, Parameters, RunContext};

/// Order of the samples of several components.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Interleave {
    /// A line of each component in turn; also a single component.
    Line,
    Sample,
}

/// Bits of the lengths of runs, J.
const RUN_BITS: [u32; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13,
    14, 15,
];

/// Number of contexts: classes of three gradients, with one sign.
const CONTEXTS: usize = 365;

/// State of a scan.
pub(super) struct Scan<'a> {
    bits: Bits<'a>,
    parameters: Parameters,
    contexts: Vec<Context>,
    run_contexts: [RunContext; 2],
    lines: Vec<Lines>,
    width: usize,
}

/// The current and the previous line of a component, with one sample before and one after.
struct Lines {
    previous: Vec<u16>,
    current: Vec<u16>,
    /// Index of the length of the next run.
    run: usize,
}

/// Neighbours of a sample: left, above, above left, above right.
#[derive(Clone, Copy)]
struct Neighbours {
    a: i32,
    b: i32,
    c: i32,
    d: i32,
}

impl Lines {
    fn neighbours(&self, x: usize) -> Neighbours {
        let sample = |line: &[u16], at: usize| i32::from(line[at]);
        Neighbours {
            a: sample(&self.current, x),
            b: sample(&self.previous, x + 1),
            c: sample(&self.previous, x),
            d: sample(&self.previous, x + 2),
        }
    }

    /// Makes the current line the previous one, and sets the samples beside the lines.
    fn advance(&mut self) {
        std::mem::swap(&mut self.previous, &mut self.current);
        let width = self.previous.len() - 2;
        self.previous[width + 1] = self.previous[width];
        self.current[0] = self.previous[1];
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        data: &'a [u8],
        parameters: Parameters,
        width: usize,
        components: usize,
    ) -> Self {
        let line = || vec![0; width + 2];
        let lines = || Lines { previous: line(), current: line(), run: 0 };
        Self {
            bits: Bits::new(data),
            contexts: vec![Context::new(&parameters); CONTEXTS],
            run_contexts: [false, true].map(|similar| RunContext::new(&parameters, similar)),
            lines: (0..components).map(|_| lines()).collect(),
            parameters,
            width,
        }
    }

    /// Samples of the current row, by component.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u16]> {
        self.lines.iter().map(|lines| &lines.current[1..=self.width])
    }

    /// Decodes the next row of all components.
    pub(super) fn decode_row(&mut self, interleave: Interleave) -> Result<(), String> {
        self.lines.iter_mut().for_each(Lines::advance);
        match interleave {
            Interleave::Line => (0..self.lines.len()).try_for_each(|one| self.decode_line(one)),
            Interleave::Sample => self.decode_pixels(),
        }
    }

    /// Decodes a line of one component.
    fn decode_line(&mut self, component: usize) -> Result<(), String> {
        let mut x = 0;
        while x < self.width {
            let near = self.lines[component].neighbours(x);
            let context = self.context(near);
            if context != 0 {
                let sample = self.regular(near, context)?;
                self.lines[component].current[x + 1] = sample;
                x += 1;
                continue;
            }
            let run = self.run_length(component, self.width - x)?;
            self.lines[component].current[x + 1..][..run].fill(near.a as u16);
            x += run;
            if x < self.width {
                let near = self.lines[component].neighbours(x);
                let similar = (near.a - near.b).abs() <= self.parameters.near;
                let sample = self.run_end(near, similar, component)?;
                self.lines[component].current[x + 1] = sample;
                self.lines[component].run = self.lines[component].run.saturating_sub(1);
                x += 1;
            }
        }
        Ok(())
    }

    /// Decodes a row whose components are interleaved by sample. They share the runs.
    fn decode_pixels(&mut self) -> Result<(), String> {
        let components = self.lines.len();
        let mut x = 0;
        while x < self.width {
            let flat = (0..components).all(|one| self.context(self.lines[one].neighbours(x)) == 0);
            if !flat {
                for component in 0..components {
                    let near = self.lines[component].neighbours(x);
                    let sample = self.regular(near, self.context(near))?;
                    self.lines[component].current[x + 1] = sample;
                }
                x += 1;
                continue;
            }
            let run = self.run_length(0, self.width - x)?;
            for lines in &mut self.lines {
                let left = lines.current[x];
                lines.current[x + 1..][..run].fill(left);
            }
            x += run;
            if x < self.width {
                for component in 0..components {
                    let near = self.lines[component].neighbours(x);
                    let sample = self.run_end(near, false, 0)?;
                    self.lines[component].current[x + 1] = sample;
                }
                self.lines[0].run = self.lines[0].run.saturating_sub(1);
                x += 1;
            }
        }
        Ok(())
    }

    /// Index of the context of a sample, negative if its signs are reversed; 0 starts a run.
    fn context(&self, near: Neighbours) -> i32 {
        let class = |gradient| self.parameters.class(gradient);
        (class(near.d - near.b) * 9 + class(near.b - near.c)) * 9 + class(near.c - near.a)
    }

    /// Decodes a sample that is not part of a run.
    fn regular(&mut self, near: Neighbours, context: i32) -> Result<u16, String> {
        let Neighbours { a, b, c, .. } = near;
        let predicted = if c >= a.max(b) {
            a.min(b)
        } else if c <= a.min(b) {
            a.max(b)
        } else {
            a + b - c
        };
        let sign = if context < 0 { -1 } else { 1 };
        // Three classes from -4 to 4 give at most 364.
        let context = &mut self.contexts[context.unsigned_abs() as usize];
        let predicted = (predicted + sign * context.correction).clamp(0, self.parameters.highest);
        let error = sign * context.error(&mut self.bits, &self.parameters)?;
        Ok(self.parameters.reconstruct(predicted, error) as u16)
    }

    /// Reads the length of a run, at most `room`.
    fn run_length(&mut self, component: usize, room: usize) -> Result<usize, String> {
        let index = &mut self.lines[component].run;
        let mut run = 0;
        while run < room {
            let whole = 1 << RUN_BITS[*index];
            if self.bits.read(1)? == 0 {
                run += self.bits.read(RUN_BITS[*index])? as usize;
                if run >= room {
                    return Err("a run is longer than its row".to_owned());
                }
                break;
            }
            if whole <= room - run {
                *index = (*index + 1).min(RUN_BITS.len() - 1);
            }
            run += whole.min(room - run);
        }
        Ok(run)
    }

    /// Decodes the sample after a run that ends before its row.
    fn run_end(
        &mut self,
        near: Neighbours,
        similar: bool,
        component: usize,
    ) -> Result<u16, String> {
        let run_bits = RUN_BITS[self.lines[component].run];
        let context = &mut self.run_contexts[usize::from(similar)];
        let error = context.error(&mut self.bits, &self.parameters, run_bits)?;
        let (predicted, sign) = match similar {
            true => (near.a, 1),
            false => (near.b, if near.a > near.b { -1 } else { 1 }),
        };
        Ok(self.parameters.reconstruct(predicted, sign * error) as u16)
    }
}

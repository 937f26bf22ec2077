//! Run lengths as varints (seven bits per byte, lowest first; the high bit is set in every byte but
//! the last). Runs alternate and start with background; only the first run may be empty.

use heapless::Vec;

use super::MAX_PAYLOAD_LEN;
use crate::WireError;

/// Encodes `cells` as runs; `None` if that takes more than `max_len` bytes.
pub(super) fn encode(
    cells: impl Iterator<Item = bool>,
    max_len: usize,
) -> Option<Vec<u8, MAX_PAYLOAD_LEN>> {
    let mut payload = Vec::new();
    let mut value = false;
    let mut run = 0;
    for cell in cells {
        if cell != value {
            push_varint(&mut payload, run, max_len)?;
            value = cell;
            run = 0;
        }
        run += 1;
    }
    push_varint(&mut payload, run, max_len)?;
    Some(payload)
}

/// Checks every run and returns the number of cells.
pub(super) fn checked_sum(payload: &[u8]) -> Result<u64, WireError> {
    let mut sum = 0;
    let mut rest = payload;
    let mut index = 0;
    while !rest.is_empty() {
        let Some((run, after)) = take_varint(rest) else {
            let problem = "cut short or above 65536, expected a varint of at most 3 bytes";
            return Err(WireError::BreaksRunCode { index, problem });
        };
        if run == 0 && index > 0 {
            let problem = "is empty, which only the first may be";
            return Err(WireError::BreaksRunCode { index, problem });
        }
        // At most 8192 runs of at most 65536 cells, so the sum cannot overflow.
        sum += u64::from(run);
        rest = after;
        index += 1;
    }
    Ok(sum)
}

/// Iterator over the cells of a run-length payload.
#[derive(Clone, Debug)]
pub(super) struct Cells<'a> {
    rest: &'a [u8],
    /// Value of the current run.
    value: bool,
    /// Number of cells left in the current run.
    run: u32,
}

impl<'a> Cells<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        // As if a foreground run had just ended, since the first run is background.
        Self { rest: payload, value: true, run: 0 }
    }
}

impl Iterator for Cells<'_> {
    type Item = bool;

    fn next(&mut self) -> Option<bool> {
        while self.run == 0 {
            let (run, rest) = take_varint(self.rest)?;
            self.value = !self.value;
            self.run = run;
            self.rest = rest;
        }
        self.run -= 1;
        Some(self.value)
    }
}

/// Longest run: a mask of a single value.
const MAX_RUN: u32 = 256 * 256;

fn push_varint<const N: usize>(
    payload: &mut Vec<u8, N>,
    mut run: u32,
    max_len: usize,
) -> Option<()> {
    loop {
        if payload.len() == max_len {
            return None;
        }
        let low_bits = (run & 0x7f) as u8;
        run >>= 7;
        let more = if run == 0 { 0 } else { 0x80 };
        payload.push(low_bits | more).ok()?;
        if run == 0 {
            return Some(());
        }
    }
}

fn take_varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut run = 0;
    for (index, &byte) in bytes.iter().take(3).enumerate() {
        run |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return (run <= MAX_RUN).then_some((run, &bytes[index + 1..]));
        }
    }
    None
}

//! The end-to-end suite: one binary, because linking it is what costs.

mod candle_parity;

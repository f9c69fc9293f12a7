//! TFTP (RFC 1350, 2347, 2348, 2349, 7440): who may ask, on what terms, and the machine that carries one file over a bad network.
//!
//! A request passes [`Limits`](limits::Limits) (who may ask, how often), [`negotiate`] (on what terms) and becomes a
//! [`Transfer`]. The transfer never sees the file's bytes: it says which blocks to send, and the shell sends them from wherever
//! they lie.

pub mod limits;
mod negotiate;
mod round_trip;
mod transfer;

pub use negotiate::{Settings, Terms, WINDOW_MAX, largest_block, negotiate};
pub use transfer::{Block, Blocks, End, Input, Output, Tally, Transfer};

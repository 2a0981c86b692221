//! Foreign protocols as pure codecs: bytes in, values out. No I/O, no clock.

pub mod foreign;
pub mod scep;

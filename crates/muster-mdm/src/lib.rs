//! Foreign protocols as pure codecs: bytes in, values out. No I/O, no clock.

pub mod apple;
pub mod foreign;
pub mod scep;

//! The trust layer from outside: who is believed, and every way in which somebody else tries to be.

mod bundle;
mod tls;

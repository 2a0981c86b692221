//! The site server: configuration, listeners, HTTP, console, background work.

mod console;

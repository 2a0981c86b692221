//! The console: server-rendered pages for administrators. One file per noun: its page contexts, its sample data, its handlers.

mod escape;

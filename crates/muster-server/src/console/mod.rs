//! The console: server-rendered pages for administrators. One file per noun: its page contexts and its handlers.

#![expect(dead_code, reason = "the handlers that use the pages follow the rules of the site")]

mod application;
mod assets;
mod audit;
mod chart;
mod confirm;
mod dashboard;
mod deployment;
mod device;
mod enrolment;
mod escape;
mod format;
mod message;
mod paging;
mod problem;
mod shell;
mod sign_in;
mod site;
mod token;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

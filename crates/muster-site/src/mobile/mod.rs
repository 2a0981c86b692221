//! Devices that foreign protocols manage: who gets a certificate for what class, by SCEP or EST, and who does not.
//!
//! A computer's token lets nobody in here, and a token of here no computer: they are other secrets in other tables. The class of a
//! device stands in its certificate, and both sides look at it.

pub mod authority;
pub mod device;
pub mod est;
pub mod issue;
pub mod scep;
pub mod token;

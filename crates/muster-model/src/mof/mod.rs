//! MOF texts, as Configuration Manager exports them. One lexer; each file reads one kind of thing out of a text.

pub mod class;
pub mod collection;
pub mod instance;
mod lexer;
pub mod text;

pub use lexer::{Lexer, MofError, Token, TokenKind};

//! The bank's token, kept out of every text.

use std::fmt;

/// Longest token taken; a longer text is a wrong file, not a token.
const TOKEN_BYTES_MAX: usize = 1024;

/// An API token. Its `Debug` text does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why a text cannot be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing but white space.
    #[error("the token is empty")]
    Empty,
    /// Longer than any token.
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes: is this the right file?")]
    TooLong,
    /// Cannot stand in a header.
    #[error("the token has a space or a character outside ASCII: copy it again, without quotes")]
    NotAToken,
}

impl Token {
    /// Takes a token as it stands in a variable or file; white space around it is dropped.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::NotAToken);
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A token as it stands in a variable or flag, not judged yet.
///
/// Command lines take this type: a parser that refuses a value shows it with the error, and a token
/// with a stray line break is still a token. Its `Debug` text does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenText(String);

impl TokenText {
    /// The token, if the text can be one.
    pub(crate) fn token(&self) -> Result<Token, TokenError> {
        Token::new(&self.0)
    }
}

impl From<String> for TokenText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::{Token, TokenError, TokenText};

    #[track_caller]
    fn check(text: &str, expect: Result<&str, TokenError>) {
        let token = Token::new(text);
        assert_eq!(token.as_ref().map(Token::reveal).map_err(|error| *error), expect);
    }

    #[test]
    fn a_token_is_one_word_of_visible_ascii() {
        check("up:yeah:abc123", Ok("up:yeah:abc123"));
        check("  up:yeah:abc123\r\n", Ok("up:yeah:abc123"));
        check(" \n", Err(TokenError::Empty));
        check("up yeah", Err(TokenError::NotAToken));
        check("up:yeah:\u{e9}", Err(TokenError::NotAToken));
        check("a\nb", Err(TokenError::NotAToken));
        check(&"x".repeat(1025), Err(TokenError::TooLong));
    }

    #[test]
    fn debug_does_not_show_the_token() {
        let text = TokenText::from("up:yeah:abc123\n".to_owned());
        let token = text.token().unwrap();
        assert_eq!(format!("{text:?} {token:?}"), "TokenText(..) Token(..)");
    }

    #[test]
    fn a_text_that_is_no_token_is_refused_without_being_shown() {
        let refused = TokenText::from("up:yeah:\nabc123".to_owned()).token().unwrap_err();
        assert_eq!(refused, TokenError::NotAToken);
        assert!(!refused.to_string().contains("abc123"));
    }
}

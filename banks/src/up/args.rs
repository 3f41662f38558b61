//! The flags and variables that say where Up is and how it knows us.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::config::{UpConfig, UpConfigError};
use crate::secret::{Token, TokenError, TokenText};

/// The bank's address when none is given.
const UP_API_URL: &str = "https://api.up.com.au/api/v1";

/// Longest token file read: a longer one is not a token.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// Flags and variables of every program that asks Up.
#[derive(Clone, Debug, clap::Args)]
pub struct UpArgs {
    /// Base of the bank's API
    #[arg(
        id = "up_api_url",
        long = "up-api-url",
        env = "UP_API_URL",
        value_name = "URL",
        default_value = UP_API_URL
    )]
    url: String,

    /// The bank's token; prefer the variable, other users can see flags
    #[arg(
        id = "up_api_token",
        long = "up-api-token",
        env = "UP_API_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    token: Option<TokenText>,

    /// File with the bank's token
    #[arg(
        id = "up_api_token_file",
        long = "up-api-token-file",
        env = "UP_API_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with = "up_api_token"
    )]
    token_file: Option<PathBuf>,
}

/// Why the bank cannot be asked as configured. No text shows a token.
#[derive(Debug, thiserror::Error)]
pub enum UpArgsError {
    /// Neither a token nor a file.
    #[error("no bank token: set UP_API_TOKEN, or UP_API_TOKEN_FILE to a file that holds it")]
    NoToken,
    /// The variable or flag holds none.
    #[error("reading the bank's token from UP_API_TOKEN")]
    Variable(#[source] TokenError),
    /// The file is not there, not readable or no text.
    #[error("reading the bank's token from {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is something else.
    #[error(
        "{} has {bytes} bytes: expected a file with the bank's token and nothing else",
        file.display()
    )]
    FileTooLong {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The file holds no token.
    #[error("reading the bank's token from {}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: TokenError,
    },
    /// The address cannot be one.
    #[error("reading UP_API_URL")]
    Url(#[from] UpConfigError),
}

impl UpArgs {
    /// The bank's base and the token from the variable or the file; refuses when there is neither.
    pub fn config(&self) -> Result<UpConfig, UpArgsError> {
        Ok(UpConfig::new(&self.url, self.token()?)?)
    }

    /// The same without the token, to look at a program that will ask nobody.
    pub fn outline(&self) -> Result<UpConfig, UpArgsError> {
        let nobody = Token::new("none").map_err(UpArgsError::Variable)?;
        Ok(UpConfig::new(&self.url, nobody)?)
    }

    fn token(&self) -> Result<Token, UpArgsError> {
        match (&self.token, &self.token_file) {
            (Some(text), _) => text.token().map_err(UpArgsError::Variable),
            (None, Some(file)) => read(file),
            (None, None) => Err(UpArgsError::NoToken),
        }
    }
}

/// What the command line gives without a flag or variable: the real bank, and no token.
impl Default for UpArgs {
    fn default() -> Self {
        Self { url: UP_API_URL.to_owned(), token: None, token_file: None }
    }
}

fn read(file: &Path) -> Result<Token, UpArgsError> {
    let reading = |source| UpArgsError::Read { file: file.to_owned(), source };
    let bytes = fs::metadata(file).map_err(reading)?.len();
    if bytes > TOKEN_FILE_BYTES_MAX {
        return Err(UpArgsError::FileTooLong { file: file.to_owned(), bytes });
    }
    let text = fs::read_to_string(file).map_err(reading)?;
    Token::new(&text).map_err(|source| UpArgsError::File { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Program {
        #[command(flatten)]
        up: UpArgs,
    }

    fn with_token(text: &str) -> UpArgs {
        UpArgs { token: Some(TokenText::from(text.to_owned())), ..UpArgs::default() }
    }

    /// An error with its causes, as programs print it.
    fn told(error: &UpArgsError) -> String {
        match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn a_missing_token_names_the_variables() {
        let refused = UpArgs::default().config().unwrap_err();
        assert_eq!(
            refused.to_string(),
            "no bank token: set UP_API_TOKEN, or UP_API_TOKEN_FILE to a file that holds it"
        );
        UpArgs::default().outline().expect("needs no token");
    }

    #[test]
    fn a_token_file_is_read_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let args = UpArgs { token_file: Some(file.clone()), ..UpArgs::default() };
        let refused = |expect: &str| {
            let refused = told(&args.config().unwrap_err());
            assert!(refused.contains(&*file.to_string_lossy()), "{refused}");
            assert!(refused.contains(expect), "{refused}");
        };
        refused("No such file");
        fs::write(&file, "up:test:1\n").unwrap();
        assert_eq!(args.token().unwrap(), Token::new("up:test:1").unwrap());
        fs::write(&file, "").unwrap();
        refused("the token is empty");
        fs::write(&file, "x".repeat(5_000)).unwrap();
        refused("has 5000 bytes: expected a file with the bank's token");
    }

    #[test]
    fn a_token_and_a_file_are_one_too_many() {
        let arguments = ["app", "--up-api-token", "up:test:1", "--up-api-token-file", "token"];
        let refused = Program::try_parse_from(arguments).unwrap_err();
        assert_eq!(refused.kind(), clap::error::ErrorKind::ArgumentConflict);
        assert!(!refused.to_string().contains("up:test:1"));
    }

    /// The command line shows what it refuses, so it must take any token.
    #[test]
    fn a_token_that_is_refused_is_not_shown() {
        let arguments = ["app", "--up-api-token", "up:secret:\nword"];
        let program = Program::try_parse_from(arguments).unwrap();
        let refused = told(&program.up.config().unwrap_err());
        assert!(refused.starts_with("reading the bank's token from UP_API_TOKEN: "), "{refused}");
        assert!(!format!("{refused} {program:?}").contains("word"), "{refused}");
    }

    #[test]
    fn a_base_that_cannot_be_one_names_its_variable() {
        let args = UpArgs { url: "up".to_owned(), ..with_token("up:test:1") };
        let refused = told(&args.config().unwrap_err());
        assert!(refused.starts_with("reading UP_API_URL: `up` is not a URL"), "{refused}");
    }
}

//! The rules file: which transactions drop coins, and what a coin costs.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use schemas::condition::{Condition, Pattern, PatternError, Sign, Stage};
use serde::Deserialize;

/// Rules in one file at most: each is tried for every transaction.
const RULES_MAX: usize = 1_000;
/// Characters of a rule's name: it is part of every trigger's id and of record keys.
const NAME_CHARS_MAX: usize = 64;

/// A declared rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name: lower-case letters, digits, hyphens; the first half of the trigger's id.
    pub name: String,
    /// What a transaction must be.
    pub condition: Condition,
    /// Price of one coin, base units, above 0.
    pub price: i64,
}

/// Why a rules file is refused.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The file is not there or not readable.
    #[error("reading rules file `{}`; name another with --rules or COIN_RULES", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no TOML, or has keys or types that are not expected.
    #[error("rules file `{}`", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// Where and what was expected.
        #[source]
        source: toml::de::Error,
    },
    /// A key has a value that makes no sense.
    #[error("rules file `{}`: `{key}`: expected {expected}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// Full name of the key.
        key: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A pattern cannot be compiled.
    #[error("rules file `{}`: `{key}`: expected a regular expression", file.display())]
    Pattern {
        /// The file.
        file: PathBuf,
        /// Full name of the key.
        key: String,
        /// Why.
        #[source]
        source: PatternError,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    rules: BTreeMap<String, DeclaredRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredRule {
    currency: String,
    price: i64,
    #[serde(default = "every")]
    account: String,
    #[serde(default)]
    sign: Sign,
    #[serde(default = "smallest")]
    minimum: i64,
    text: Option<String>,
    #[serde(default)]
    on: Stage,
    #[serde(default)]
    internal_transfers: bool,
}

fn every() -> String {
    "*".to_owned()
}

const fn smallest() -> i64 {
    1
}

/// Reads and checks a rules file. Gives the rules in the order of their names.
pub(crate) fn load(file: &Path) -> Result<Vec<Rule>, RulesError> {
    let text = fs::read_to_string(file)
        .map_err(|source| RulesError::Read { file: file.to_owned(), source })?;
    parse(file, &text)
}

/// Checks the text of a rules file; `file` is only named in errors.
pub(crate) fn parse(file: &Path, text: &str) -> Result<Vec<Rule>, RulesError> {
    let declared: Declared = toml::from_str(text)
        .map_err(|source| RulesError::Parse { file: file.to_owned(), source })?;
    let count = declared.rules.len();
    if count == 0 || count > RULES_MAX {
        return Err(refused(file, "rules", "1 to 1000 tables [rules.<name>]"));
    }
    declared.rules.into_iter().map(|(name, rule)| checked(file, name, rule)).collect()
}

fn checked(file: &Path, name: String, declared: DeclaredRule) -> Result<Rule, RulesError> {
    let key = |key: &str| format!("rules.{name}.{key}");
    if !is_name(&name) {
        let expected = "a name of at most 64 lower-case letters, digits and hyphens";
        return Err(refused(file, &format!("rules.{name}"), expected));
    }
    if declared.currency.len() != 3 || !declared.currency.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(refused(file, &key("currency"), "an ISO 4217 code such as \"AUD\""));
    }
    if declared.price < 1 {
        return Err(refused(file, &key("price"), "base units (cents) of one coin, 1 or more"));
    }
    if declared.minimum < 1 {
        return Err(refused(file, &key("minimum"), "base units (cents), 1 or more"));
    }
    if declared.account.is_empty() {
        return Err(refused(file, &key("account"), "the bank's account id, or \"*\""));
    }
    let text = declared.text.as_deref().map(Pattern::parse).transpose().map_err(|source| {
        RulesError::Pattern { file: file.to_owned(), key: key("text"), source }
    })?;
    let condition = Condition {
        account: (declared.account != "*").then_some(declared.account),
        sign: declared.sign,
        minimum: declared.minimum,
        currency: Some(declared.currency),
        text,
        on: declared.on,
        internal_transfers: declared.internal_transfers,
    };
    Ok(Rule { name, condition, price: declared.price })
}

/// No colon: it ends the name in a trigger's id.
fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn refused(file: &Path, key: &str, expected: &'static str) -> RulesError {
    RulesError::Value { file: file.to_owned(), key: key.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    const SMALLEST: &str = "[rules.jar]\ncurrency = \"AUD\"\nprice = 200\n";

    #[test]
    fn the_committed_example_is_valid() {
        let rules = parse(Path::new("rules.toml"), include_str!("../rules.toml")).expect("valid");
        let names: Vec<_> = rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["coffee", "tip-jar"]);
    }

    #[test]
    fn what_is_not_said_is_money_that_arrived_on_any_account() {
        let rules = parse(Path::new("r.toml"), SMALLEST).expect("valid");
        let [rule] = rules.as_slice() else { panic!("{rules:?}") };
        let Condition { account, sign, minimum, on, text, internal_transfers, .. } =
            &rule.condition;
        assert_eq!((account, *sign, *minimum, *on), (&None, Sign::In, 1, Stage::Settled));
        assert!(text.is_none() && !internal_transfers);
    }

    fn check(text: &str, expect: &str) {
        let error = parse(Path::new("r.toml"), text).expect_err(text);
        let message = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        assert!(message.contains("r.toml"), "{message}");
        assert!(message.contains(expect), "{message}");
    }

    fn check_line(line: &str, expect: &str) {
        check(&format!("{SMALLEST}{line}\n"), expect);
    }

    #[test]
    fn errors_name_the_file_the_key_and_what_was_expected() {
        check("", "missing field `rules`");
        check("[rules]", "`rules`: expected 1 to 1000 tables");
        check("[rules.jar]\nprice = 1", "missing field `currency`");
        check("[rules.jar]\ncurrency = \"AUD\"", "missing field `price`");
        check("[rules.\"a:b\"]\ncurrency = \"AUD\"\nprice = 1", "`rules.a:b`: expected a name");
        check(
            "[rules.jar]\ncurrency = \"aud\"\nprice = 1",
            "`rules.jar.currency`: expected an ISO",
        );
        check(
            "[rules.jar]\ncurrency = \"AUD\"\nprice = 0",
            "`rules.jar.price`: expected base units",
        );
        check("[rules.jar]\ncurrency = \"AUD\"\nprice = 2.5", "expected i64");
        check_line("minimum = -1", "`rules.jar.minimum`: expected base units");
        check_line("account = \"\"", "`rules.jar.account`: expected the bank's account id");
        check_line("sign = \"both\"", "unknown variant `both`, expected `in` or `out`");
        check_line("on = \"now\"", "unknown variant `now`, expected `settled` or `held`");
        check_line("prize = 3", "unknown field `prize`, expected one of");
        check_line("text = '('", "`rules.jar.text`: expected a regular expression");
        check_line("text = '\\w{5000}'", "`rules.jar.text`: expected a regular expression");
    }

    #[test]
    fn a_missing_file_says_how_to_name_another() {
        let error = load(Path::new("nowhere/rules.toml")).expect_err("not there");
        assert!(error.to_string().contains("`nowhere/rules.toml`; name another with --rules"));
    }
}

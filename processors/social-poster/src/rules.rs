//! The rules file: which transactions are posted about, and how much a post tells.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use schemas::condition::{Condition, Pattern, PatternError, Sign, Stage};
use serde::Deserialize;

use crate::{
    foreign_text::FOREIGN_TEXT_CHARS_MAX,
    template::{Template, TemplateError, Variable},
};

/// Rules in one file at most: each is tried for every transaction.
const RULES_MAX: usize = 1_000;
/// Characters of a rule's name: it is part of every post's id and of record keys.
const NAME_CHARS_MAX: usize = 64;

/// A declared rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name: lower-case letters, digits, hyphens; the first half of the post's id.
    pub name: String,
    /// What a transaction must be.
    pub condition: Condition,
    /// How old it may be at most, milliseconds; `None` for any age.
    pub max_age_ms: Option<i64>,
    /// The text.
    pub template: Template,
    /// How the text writes the amount.
    pub amount: AmountStyle,
    /// What the text calls the account; empty when it does not name it.
    pub account_name: String,
    /// Where it is posted.
    pub network: NetworkName,
    /// Who may see it.
    pub visibility: Visibility,
}

/// How much of an amount a post tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountStyle {
    /// Nothing.
    Hidden,
    /// Its size.
    Rounded {
        /// Step in base units; `None` for the default of the currency.
        step: Option<u64>,
    },
    /// All of it.
    Exact,
}

/// Where posts can go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkName {
    /// Nowhere: the post is logged and recorded.
    #[default]
    DryRun,
    /// A Mastodon server.
    Mastodon,
}

impl NetworkName {
    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DryRun => "dry-run",
            Self::Mastodon => "mastodon",
        }
    }
}

/// Who may see a post.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody, and it is shown around.
    Public,
    /// Everybody who looks.
    #[default]
    Unlisted,
    /// Followers.
    Private,
    /// The people mentioned.
    Direct,
}

impl Visibility {
    /// The name in records, which is Mastodon's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unlisted => "unlisted",
            Self::Private => "private",
            Self::Direct => "direct",
        }
    }
}

/// Why a rules file is refused.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The file is not there or not readable.
    #[error("reading rules file `{}`; name another with --rules or SOCIAL_RULES", file.display())]
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
    /// A template cannot be rendered.
    #[error("rules file `{}`: `{key}`", file.display())]
    Template {
        /// The file.
        file: PathBuf,
        /// Full name of the key.
        key: String,
        /// Why.
        #[source]
        source: TemplateError,
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
    template: String,
    #[serde(default)]
    network: NetworkName,
    #[serde(default)]
    visibility: Visibility,
    #[serde(default)]
    amount: DeclaredAmount,
    round_to: Option<u64>,
    account_name: Option<String>,
    max_age_hours: Option<i64>,
    #[serde(default = "every")]
    account: String,
    currency: Option<String>,
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

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DeclaredAmount {
    Hidden,
    #[default]
    Rounded,
    Exact,
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
        let expected = "1 to 1000 tables [rules.<name>]";
        return Err(RulesError::Value { file: file.to_owned(), key: "rules".to_owned(), expected });
    }
    declared
        .rules
        .into_iter()
        .map(|(name, rule)| Reading { file, name: &name }.rule(rule))
        .collect()
}

/// The place in the file that is being checked.
struct Reading<'a> {
    file: &'a Path,
    name: &'a str,
}

impl Reading<'_> {
    fn rule(&self, declared: DeclaredRule) -> Result<Rule, RulesError> {
        if !is_name(self.name) {
            return Err(RulesError::Value {
                file: self.file.to_owned(),
                key: format!("rules.{}", self.name),
                expected: "a name of at most 64 lower-case letters, digits and hyphens",
            });
        }
        let template = Template::parse(&declared.template).map_err(|source| {
            RulesError::Template { file: self.file.to_owned(), key: self.key("template"), source }
        })?;
        Ok(Rule {
            name: self.name.to_owned(),
            max_age_ms: declared.max_age_hours.map(|hours| self.age(hours)).transpose()?,
            amount: self.amount(&declared, &template)?,
            account_name: self.account_name(declared.account_name.as_deref(), &template)?,
            network: declared.network,
            visibility: declared.visibility,
            condition: self.condition(declared)?,
            template,
        })
    }

    fn condition(&self, declared: DeclaredRule) -> Result<Condition, RulesError> {
        if declared.account.is_empty() {
            return Err(self.refused("account", "the bank's account id, or \"*\""));
        }
        if declared.minimum < 1 {
            return Err(self.refused("minimum", "base units (cents), 1 or more"));
        }
        let is_code =
            |code: &String| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase());
        if !declared.currency.as_ref().is_none_or(is_code) {
            return Err(self.refused("currency", "an ISO 4217 code such as \"AUD\""));
        }
        Ok(Condition {
            account: (declared.account != "*").then_some(declared.account),
            sign: declared.sign,
            minimum: declared.minimum,
            currency: declared.currency,
            text: declared.text.as_deref().map(|text| self.pattern(text)).transpose()?,
            on: declared.on,
            internal_transfers: declared.internal_transfers,
        })
    }

    fn amount(
        &self,
        declared: &DeclaredRule,
        template: &Template,
    ) -> Result<AmountStyle, RulesError> {
        if declared.round_to == Some(0) {
            return Err(self.refused("round_to", "base units (cents), 1 or more"));
        }
        match (declared.amount, declared.round_to) {
            (DeclaredAmount::Rounded, step) => Ok(AmountStyle::Rounded { step }),
            (_, Some(_)) => Err(self.refused("round_to", "only beside amount = \"rounded\"")),
            (DeclaredAmount::Hidden, None) if template.names(Variable::Amount) => {
                Err(self.refused("amount", "\"rounded\" or \"exact\": the template says {amount}"))
            }
            (DeclaredAmount::Hidden, None) => Ok(AmountStyle::Hidden),
            (DeclaredAmount::Exact, None) => Ok(AmountStyle::Exact),
        }
    }

    fn account_name(&self, name: Option<&str>, template: &Template) -> Result<String, RulesError> {
        match name {
            Some(name) if (1..=FOREIGN_TEXT_CHARS_MAX).contains(&name.chars().count()) => {
                Ok(name.to_owned())
            }
            None if !template.names(Variable::Account) => Ok(String::new()),
            _ => Err(self.refused("account_name", "1 to 60 characters, what {account} shall say")),
        }
    }

    fn age(&self, hours: i64) -> Result<i64, RulesError> {
        const HOUR_MS: i64 = 3_600_000;
        match hours.checked_mul(HOUR_MS) {
            Some(age) if age > 0 => Ok(age),
            _ => Err(self.refused("max_age_hours", "hours, 1 or more")),
        }
    }

    fn pattern(&self, text: &str) -> Result<Pattern, RulesError> {
        Pattern::parse(text).map_err(|source| RulesError::Pattern {
            file: self.file.to_owned(),
            key: self.key("text"),
            source,
        })
    }

    fn refused(&self, key: &str, expected: &'static str) -> RulesError {
        RulesError::Value { file: self.file.to_owned(), key: self.key(key), expected }
    }

    fn key(&self, key: &str) -> String {
        format!("rules.{}.{key}", self.name)
    }
}

/// No colon: it ends the name in a post's id.
fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    const SMALLEST: &str = "[rules.jar]\ntemplate = \"hello\"\n";

    #[test]
    fn the_committed_example_is_valid_and_posts_nowhere() {
        let rules = parse(Path::new("rules.toml"), include_str!("../rules.toml")).expect("valid");
        let names: Vec<_> = rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["coffee-confession", "thanks"]);
        assert!(rules.iter().all(|rule| rule.network == NetworkName::DryRun));
    }

    #[test]
    fn what_is_not_said_is_the_careful_choice() {
        let rules = parse(Path::new("r.toml"), SMALLEST).expect("valid");
        let [rule] = rules.as_slice() else { panic!("{rules:?}") };
        assert_eq!(rule.network, NetworkName::DryRun);
        assert_eq!(rule.visibility, Visibility::Unlisted);
        assert_eq!(rule.amount, AmountStyle::Rounded { step: None });
        assert_eq!((rule.condition.sign, rule.condition.on), (Sign::In, Stage::Settled));
        assert!(!rule.condition.internal_transfers);
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
        check("[rules.jar]", "missing field `template`");
        check("[rules.\"a:b\"]\ntemplate = 'a'", "`rules.a:b`: expected a name");
        check("[rules.jar]\ntemplate = '{x}'", "`rules.jar.template`: `{x}` is no variable");
        check_line("minimum = 0", "`rules.jar.minimum`: expected base units");
        check_line("account = \"\"", "`rules.jar.account`: expected the bank's account id");
        check_line("currency = \"aud\"", "`rules.jar.currency`: expected an ISO");
        check_line("round_to = 0", "`rules.jar.round_to`: expected base units");
        check_line("round_to = 5\namount = 'exact'", "`rules.jar.round_to`: expected only beside");
        check_line("max_age_hours = 0", "`rules.jar.max_age_hours`: expected hours");
        check_line("account_name = ''", "`rules.jar.account_name`: expected 1 to 60");
        check_line("network = 'x'", "unknown variant `x`, expected `dry-run` or `mastodon`");
        check_line("visibility = 'all'", "unknown variant `all`, expected one of `public`");
        check_line("amount = 'some'", "unknown variant `some`, expected one of `hidden`");
        check_line("prize = 3", "unknown field `prize`, expected one of");
        check_line("text = '('", "`rules.jar.text`: expected a regular expression");
    }

    #[test]
    fn a_template_that_contradicts_its_rule_is_refused() {
        let hidden = "[rules.jar]\namount = 'hidden'\ntemplate = '{amount}'";
        check(hidden, "`rules.jar.amount`: expected \"rounded\" or \"exact\"");
        let nameless = "[rules.jar]\ntemplate = '{account}'";
        check(nameless, "`rules.jar.account_name`: expected 1 to 60 characters");
    }
}

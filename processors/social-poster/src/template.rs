//! Templates of posts: literal text and `{variables}`.

use std::fmt;

use crate::{foreign_text::FOREIGN_TEXT_CHARS_MAX, money::AMOUNT_CHARS_MAX};

/// Characters of a post: Mastodon's limit, unless a server raised it.
pub(crate) const POST_CHARS_MAX: usize = 500;

/// What a template may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// The amount, written as the rule allows.
    Amount,
    /// ISO 4217 code.
    Currency,
    /// The bank's description of the other side, neutralised.
    Description,
    /// The name the rule gives the account.
    Account,
    /// Day of the transaction, UTC: `2026-01-31`.
    Date,
}

const VARIABLES: [(&str, Variable, usize); 5] = [
    ("amount", Variable::Amount, AMOUNT_CHARS_MAX),
    ("currency", Variable::Currency, 3),
    ("description", Variable::Description, FOREIGN_TEXT_CHARS_MAX),
    ("account", Variable::Account, FOREIGN_TEXT_CHARS_MAX),
    ("date", Variable::Date, 10),
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(Variable),
}

/// A checked template: it renders for every transaction, into a post that is not too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// Why a template is refused.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// There is no such variable.
    #[error("`{{{name}}}` is no variable; expected {}", Names)]
    UnknownVariable {
        /// As written.
        name: String,
    },
    /// A `{` without its `}`.
    #[error("`{{` without `}}`; expected a variable: {}", Names)]
    Unclosed,
    /// A foreign text would complete a mention, a tag or a link that the literal text begins.
    #[error(
        "`{{description}}` stands right behind `{behind}`; expected a blank between: whoever pays would choose the mention, tag or link"
    )]
    Glued {
        /// The character in front.
        behind: char,
    },
    /// No text at all.
    #[error("the template is empty; expected the text of a post")]
    Empty,
    /// A post could be longer than the network takes.
    #[error("a post could have {chars} characters; expected at most {POST_CHARS_MAX}")]
    TooLong {
        /// Characters of the longest post.
        chars: usize,
    },
}

/// The variables, as an error lists them.
struct Names;

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, ..)) in VARIABLES.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(f, "{separator}{{{name}}}")?;
        }
        Ok(())
    }
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}').ok_or(TemplateError::Unclosed)?;
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            let variable = variable(name)?;
            check_front(variable, literal)?;
            parts.push(Part::Variable(variable));
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        let template = Self(parts);
        template.check_length()?;
        Ok(template)
    }

    /// Whether the template names a variable.
    pub fn names(&self, variable: Variable) -> bool {
        self.0.contains(&Part::Variable(variable))
    }

    /// The post's text. `value` gives each variable's; what it gives is not read as a template.
    pub fn render<E>(
        &self,
        mut value: impl FnMut(Variable) -> Result<String, E>,
    ) -> Result<String, E> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Variable(variable) => text.push_str(&value(*variable)?),
            }
        }
        Ok(text)
    }

    /// By the longest values: a post that is cut would say something nobody wrote.
    fn check_length(&self) -> Result<(), TemplateError> {
        let longest = |part: &Part| match part {
            Part::Literal(literal) => literal.chars().count(),
            Part::Variable(variable) => VARIABLES
                .iter()
                .find(|(_, known, _)| known == variable)
                .map_or(POST_CHARS_MAX, |(.., chars)| *chars),
        };
        let chars = self.0.iter().map(longest).fold(0, usize::saturating_add);
        let is_blank = |part: &Part| matches!(part, Part::Literal(text) if text.trim().is_empty());
        if self.0.iter().all(is_blank) {
            return Err(TemplateError::Empty);
        }
        if chars > POST_CHARS_MAX {
            return Err(TemplateError::TooLong { chars });
        }
        Ok(())
    }
}

fn check_front(variable: Variable, literal: &str) -> Result<(), TemplateError> {
    match literal.chars().next_back() {
        Some(behind) if variable == Variable::Description && "@#:/.".contains(behind) => {
            Err(TemplateError::Glued { behind })
        }
        _ => Ok(()),
    }
}

fn variable(name: &str) -> Result<Variable, TemplateError> {
    VARIABLES
        .iter()
        .find(|(known, ..)| *known == name)
        .map(|(_, variable, _)| *variable)
        .ok_or_else(|| TemplateError::UnknownVariable { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let rendered = match Template::parse(text) {
            Ok(template) => template
                .render(|variable| Ok::<_, TemplateError>(format!("<{variable:?}{{date}}>")))
                .expect("rendered"),
            Err(error) => error.to_string(),
        };
        assert_eq!(rendered, expect, "{text:?}");
    }

    #[test]
    fn variables_are_replaced_once() {
        check("Nothing to see", "Nothing to see");
        check("{amount}!", "<Amount{date}>!");
        check("a {date} b {currency}", "a <Date{date}> b <Currency{date}>");
        check("} {account}{description}", "} <Account{date}><Description{date}>");
        check("@me: {description}. {date}", "@me: <Description{date}>. <Date{date}>");
    }

    #[test]
    fn what_cannot_be_rendered_is_refused_at_start() {
        let names = "{amount}, {currency}, {description}, {account}, {date}";
        check("{balance}", &format!("`{{balance}}` is no variable; expected {names}"));
        check("{ amount }", &format!("`{{ amount }}` is no variable; expected {names}"));
        check("a {amount", &format!("`{{` without `}}`; expected a variable: {names}"));
        check(
            "Thanks @{description}",
            "`{description}` stands right behind `@`; expected a blank between: whoever pays would \
             choose the mention, tag or link",
        );
        check("", "the template is empty; expected the text of a post");
        check(" \n", "the template is empty; expected the text of a post");
    }

    #[test]
    fn a_post_is_never_too_long() {
        check(&"ä".repeat(500), &"ä".repeat(500));
        check(&"ä".repeat(501), "a post could have 501 characters; expected at most 500");
        let text = format!("{}{{description}}", "a".repeat(441));
        check(&text, "a post could have 501 characters; expected at most 500");
    }
}

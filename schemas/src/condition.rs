//! What a transaction must be to meet a rule.

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::transaction::Transaction;

/// Bytes a compiled pattern may take: a short text can ask for a huge automaton.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The direction of the money, as the account sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sign {
    /// Money arrives: the amount is positive.
    #[default]
    In,
    /// Money leaves: the amount is negative.
    Out,
}

/// From which status on a transaction counts.
///
/// A transfer that arrives is settled at once; a card payment is held for days first, may settle
/// with another amount (a tip), or vanish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Counts when it is `SETTLED`.
    #[default]
    Settled,
    /// Counts as soon as it is seen, `HELD` or `SETTLED`.
    Held,
}

/// A regular expression over texts of strangers: its time is linear in the text, whatever it says.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// Why a text is no pattern: no regular expression, or one that compiles to more than 1 MiB.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PatternError(#[from] regex::Error);

impl Pattern {
    /// Compiles `text`, which is found anywhere unless it says otherwise (`^`, `$`).
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(Self(RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build()?))
    }

    fn is_found_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// All of a rule's conditions; every one must hold.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The bank's account id; `None` for every account.
    pub account: Option<String>,
    /// Direction.
    pub sign: Sign,
    /// Smallest amount that counts, base units without a sign, above 0.
    pub minimum: i64,
    /// ISO 4217 code; `None` for every currency.
    pub currency: Option<String>,
    /// Found in the description, the message or the raw text; `None` for any text.
    pub text: Option<Pattern>,
    /// Status from which on it counts.
    pub on: Stage,
    /// Whether a transfer between the holder's own accounts counts.
    pub internal_transfers: bool,
}

impl Condition {
    /// Whether this version of a transaction meets every condition.
    pub fn is_met(&self, account_id: &str, transaction: &Transaction) -> bool {
        self.account.as_deref().is_none_or(|account| account == account_id)
            && self.currency.as_deref().is_none_or(|code| code == transaction.currency)
            && self.is_right_sign(transaction.amount)
            && transaction.amount.unsigned_abs() >= self.minimum.unsigned_abs()
            && self.is_far_enough(&transaction.status)
            && (self.internal_transfers || transaction.transfer_account_id.is_none())
            && self.is_text_found(transaction)
    }

    fn is_right_sign(&self, amount: i64) -> bool {
        match self.sign {
            Sign::In => amount > 0,
            Sign::Out => amount < 0,
        }
    }

    /// A status this program does not know counts for no rule: nobody can tell what it means.
    fn is_far_enough(&self, status: &str) -> bool {
        match self.on {
            Stage::Settled => status == "SETTLED",
            Stage::Held => status == "HELD" || status == "SETTLED",
        }
    }

    fn is_text_found(&self, transaction: &Transaction) -> bool {
        let Some(pattern) = &self.text else { return true };
        pattern.is_found_in(&transaction.description)
            || [&transaction.message, &transaction.raw_text]
                .into_iter()
                .flatten()
                .any(|text| pattern.is_found_in(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Condition = Condition {
        account: None,
        sign: Sign::In,
        minimum: 1,
        currency: None,
        text: None,
        on: Stage::Settled,
        internal_transfers: false,
    };

    fn aud() -> Condition {
        Condition { currency: Some("AUD".to_owned()), ..ANY }
    }

    fn transfer() -> Transaction {
        Transaction {
            status: "SETTLED".to_owned(),
            amount: 500,
            currency: "AUD".to_owned(),
            held_amount: None,
            foreign_amount: None,
            foreign_currency: None,
            round_up_amount: None,
            description: "David".to_owned(),
            raw_text: Some("OSKO PAYMENT".to_owned()),
            message: Some("one coffee".to_owned()),
            category: None,
            transfer_account_id: None,
            created_at: 0,
            settled_at: Some(0),
        }
    }

    fn check(condition: &Condition, change: impl FnOnce(&mut Transaction), expect: bool) {
        let mut transaction = transfer();
        change(&mut transaction);
        assert_eq!(
            condition.is_met("account-1", &transaction),
            expect,
            "{condition:?} {transaction:?}"
        );
    }

    #[test]
    fn account_is_one_or_every() {
        check(&aud(), |_| (), true);
        check(&Condition { account: Some("account-1".to_owned()), ..aud() }, |_| (), true);
        check(&Condition { account: Some("account-2".to_owned()), ..aud() }, |_| (), false);
    }

    #[test]
    fn sign_minimum_and_currency_must_fit() {
        let minimum = Condition { minimum: 500, ..aud() };
        check(&minimum, |_| (), true);
        check(&minimum, |t| t.amount = 499, false);
        check(&aud(), |t| t.amount = -500, false);
        check(&aud(), |t| t.amount = 0, false);
        let out = Condition { sign: Sign::Out, ..minimum };
        check(&out, |t| t.amount = -500, true);
        check(&out, |t| t.amount = -499, false);
        check(&out, |t| t.amount = i64::MIN, true);
        check(&out, |_| (), false);
        check(&aud(), |t| t.currency = "JPY".to_owned(), false);
        check(&ANY, |t| t.currency = "JPY".to_owned(), true);
    }

    #[test]
    fn a_hold_counts_only_where_the_rule_says_so() {
        let held = Condition { on: Stage::Held, ..aud() };
        check(&aud(), |t| t.status = "HELD".to_owned(), false);
        check(&held, |t| t.status = "HELD".to_owned(), true);
        check(&held, |_| (), true);
        check(&held, |t| t.status = "PONDERED".to_owned(), false);
    }

    #[test]
    fn text_is_looked_for_in_description_message_and_raw_text() {
        let with = |text| Condition { text: Some(Pattern::parse(text).unwrap()), ..aud() };
        check(&with("^David$"), |_| (), true);
        check(&with("coffee"), |_| (), true);
        check(&with("^OSKO"), |_| (), true);
        check(&with("tea"), |_| (), false);
        check(&with("coffee"), |t| t.message = None, false);
    }

    #[test]
    fn a_pattern_is_a_regular_expression_of_bounded_size() {
        assert!(Pattern::parse("(").is_err());
        let refused = Pattern::parse("\\w{5000}").unwrap_err().to_string();
        assert_eq!(refused, "Compiled regex exceeds size limit of 1048576 bytes.");
    }

    #[test]
    fn moving_own_money_counts_only_where_the_rule_says_so() {
        let own = |t: &mut Transaction| t.transfer_account_id = Some("account-2".to_owned());
        check(&aud(), own, false);
        check(&Condition { internal_transfers: true, ..aud() }, own, true);
    }
}

//! The input: record i is always the same, so that anybody can say what must come out.

use super::event::{BankTransaction, ForeignAmount, TransactionStatus};

/// A repeat is of a transaction at most this many places before.
const REPEAT_SPAN: u64 = 100_000;
/// Of a thousand records, so many repeat an earlier one byte for byte.
const REPEATS_PER_MILLE: u64 = 20;

const SHOPS: [&str; 5] =
    ["Lighthouse Books", "North Street Bakery", "Tram Tickets", "Green Market", "Cinema Two"];

/// The records of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    /// How many.
    pub(super) records: u64,
    /// Accounts they are spread over.
    pub(super) accounts: u32,
}

impl Data {
    /// Its account.
    pub(super) fn account(&self, original: u64) -> u32 {
        // Below a 32-bit number, so it is one.
        u32::try_from(mix(2, original) % u64::from(self.accounts)).unwrap_or_default()
    }

    /// The transaction itself.
    pub(super) fn transaction(&self, original: u64) -> BankTransaction {
        let draw = mix(3, original);
        let created_at = 1_767_225_600_000_i64.saturating_add_unsigned(original);
        let status = status(original);
        let pick = |shift: u32, one_in: u64| (draw >> shift).is_multiple_of(one_in);
        let shop = usize::try_from(draw % 5).ok().and_then(|shop| SHOPS.get(shop)).unwrap_or(&"-");
        BankTransaction {
            transaction_id: transaction_id(original),
            account_id: account_id(self.account(original)),
            status,
            amount_base_units: amount(original),
            currency: "AUD".to_owned(),
            description: (*shop).to_owned(),
            raw_text: (!pick(8, 4))
                .then(|| format!("{} SYDNEY {}", shop.to_uppercase(), draw % 9_999)),
            created_at,
            settled_at: (status == TransactionStatus::Settled)
                .then(|| created_at.saturating_add(86_400_000)),
            category: pick(16, 2).then(|| "groceries".to_owned()),
            foreign_amount: pick(24, 8).then(|| ForeignAmount {
                currency: "USD".to_owned(),
                base_units: amount(original) / 2,
            }),
            round_up_base_units: pick(32, 4).then_some(-45),
            card_method: pick(40, 2).then(|| "CONTACTLESS".to_owned()),
        }
    }
}

/// The record that record `i` repeats, or itself.
pub(super) fn original(i: u64) -> u64 {
    let mut at = i;
    while at > 0 {
        let draw = mix(1, at);
        if draw % 1_000 >= REPEATS_PER_MILLE {
            return at;
        }
        at = at.saturating_sub(1).saturating_sub((draw >> 10) % at.min(REPEAT_SPAN));
    }
    at
}

/// What record `original` does to its account.
pub(super) fn status(original: u64) -> TransactionStatus {
    match mix(4, original) % 100 {
        0..20 => TransactionStatus::Held,
        20..95 => TransactionStatus::Settled,
        _ => TransactionStatus::Deleted,
    }
}

/// Base units, mostly spent.
pub(super) fn amount(original: u64) -> i64 {
    let spent = i64::try_from(mix(5, original) % 20_000).unwrap_or_default();
    if original.is_multiple_of(11) { 150_000 } else { -1 - spent }
}

/// Text of an account's id, which is its key.
pub(super) fn account_id(account: u32) -> String {
    let low = mix(6, u64::from(account)) & 0xFFFF_FFFF_FFFF;
    format!("{account:08x}-0000-4000-8000-{low:012x}")
}

/// Text of a transaction's id; the last twelve digits are its place.
pub(super) fn transaction_id(original: u64) -> String {
    let high = mix(7, original);
    format!("{:08x}-{:04x}-4000-8000-{original:012x}", high >> 32, high & 0xFFFF)
}

/// The place an id was made of.
pub(super) fn place(transaction_id: &str) -> Option<u64> {
    u64::from_str_radix(transaction_id.get(24..)?, 16).ok()
}

/// The account an id was made of.
pub(super) fn account_of(account_id: &str) -> Option<u32> {
    u32::from_str_radix(account_id.get(..8)?, 16).ok()
}

/// `SplitMix64`, one stream per purpose.
fn mix(stream: u64, i: u64) -> u64 {
    let mut z = stream
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(i.wrapping_mul(0xD134_2543_DE82_EF95));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: Data = Data { records: 50_000, accounts: 1_000 };

    #[test]
    fn about_one_record_in_fifty_repeats_an_earlier_one() {
        let repeats = (0..DATA.records).filter(|i| original(*i) < *i).count();
        assert!((800..1_200).contains(&repeats), "{repeats}");
        assert!((0..DATA.records).all(|i| original(original(i)) == original(i)));
    }

    #[test]
    fn ids_say_what_they_were_made_of() {
        assert_eq!(place(&transaction_id(123_456)), Some(123_456));
        assert_eq!(account_of(&account_id(999)), Some(999));
        assert_eq!(place("short"), None);
    }
}

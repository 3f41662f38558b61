//! The demo on a terminal: a line a second, a table at the end.
use super::{Balance, Look, Summary, money};
use crate::table::Table;

/// One second of the demo. `raw_before` is the number of raw records a second before, for the rate.
pub fn line(second: u64, look: &Look, raw_before: u64) -> String {
    let Look { totals, received, truth, lag, .. } = look;
    let rate = totals.raw.saturating_sub(raw_before);
    let facts = format!(
        "{second:>3}s  webhooks {:>4} ({rate:>2}/s)  refused {:>2}  enriched {:>4}  lag {lag:>2}  coins {:>3}  posts {:>2}  |",
        totals.raw,
        received.rejected_total(),
        totals.enriched,
        totals.coins,
        totals.published.len(),
    );
    let accounts = truth.accounts.iter().map(|account| {
        let seen = totals.balances.get(&account.id);
        format!("  {} {}", account.name, seen.map_or("?".to_owned(), balance))
    });
    facts + &accounts.collect::<String>()
}

fn balance(balance: &Balance) -> String {
    let Balance { bank, difference, status, .. } = balance;
    if *difference == 0 {
        return money(*bank);
    }
    format!("{} ({} {status})", money(*bank), money(*difference))
}

/// The end of a day.
pub fn table(summary: &Summary) -> String {
    let mut accounts = Table::new(&["account", "bank", "books", "difference", "status"]);
    for account in &summary.accounts {
        accounts.row(&[
            account.name.clone(),
            money(account.bank),
            account.ledger.map_or("-".to_owned(), money),
            money(account.difference),
            account.status.clone(),
        ]);
    }
    let webhooks = &summary.webhooks;
    let mut facts = Table::new(&["what", "how many"]);
    let posts = summary.posts.iter().map(|(outcome, count)| format!("{count} {outcome}"));
    for (what, count) in [
        ("events made by the bank", summary.events.to_string()),
        ("events on the raw topic", summary.recorded.to_string()),
        ("repeated deliveries recognised", webhooks.duplicates.to_string()),
        ("forged requests refused", webhooks.rejected_total().to_string()),
        ("changes of transactions", summary.enriched.to_string()),
        (
            "coin triggers fired / taken back",
            format!("{} / {}", summary.triggers_fired, summary.triggers_reversed),
        ),
        ("coins", summary.coins.to_string()),
        ("posts", posts.collect::<Vec<_>>().join(", ")),
        ("dead letters", summary.dead_letters.to_string()),
    ] {
        facts.row(&[what.to_owned(), count]);
    }
    let lost = summary.lost.as_ref().map(|lost| {
        let amount = money(lost.amount);
        format!("\nOne webhook was lost on purpose ({amount}): the books found the difference.\n")
    });
    let findings =
        summary.findings.iter().map(|finding| format!("\nnot as it must be: {finding}\n"));
    let remarks: String = lost.into_iter().chain(findings).collect();
    format!("{}\n\n{}\n{remarks}", accounts.render(), facts.render())
}
